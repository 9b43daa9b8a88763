"""Table and figure of the sbibm benchmark: ``python benchmarks/sbibm/table.py FOLDER``.

Reads ``FOLDER/c2st.csv`` and, if it is there, ``FOLDER/chosen.csv``; writes ``table.md`` and
``c2st.png`` beside them.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt

# Mean C2ST over ten observations after 1e3, 1e4 and 1e5 simulations: Lueckmann et al. 2021,
# https://arxiv.org/abs/2101.04653, gaussian_mixture from its authors' later rerun.
PUBLISHED = {
    "gaussian_linear": {
        "npe": (0.695, 0.552, 0.506),
        "nle": (0.650, 0.555, 0.515),
        "nre": (0.672, 0.560, 0.536),
    },
    "gaussian_linear_uniform": {
        "npe": (0.696, 0.553, 0.509),
        "nle": (0.723, 0.548, 0.506),
        "nre": (0.788, 0.706, 0.631),
    },
    "slcp": {
        "npe": (0.975, 0.901, 0.832),
        "nle": (0.946, 0.771, 0.699),
        "nre": (0.972, 0.947, 0.919),
    },
    "slcp_distractors": {
        "npe": (0.982, 0.970, 0.863),
        "nle": (0.987, 0.961, 0.905),
        "nre": (0.980, 0.968, 0.953),
    },
    "bernoulli_glm": {
        "npe": (0.863, 0.678, 0.559),
        "nle": (0.740, 0.605, 0.545),
        "nre": (0.899, 0.812, 0.751),
    },
    "bernoulli_glm_raw": {
        "npe": (0.900, 0.765, 0.607),
        "nle": (0.870, 0.939, 0.951),
        "nre": (0.915, 0.834, 0.777),
    },
    "gaussian_mixture": {
        "npe": (0.716, 0.615, 0.548),
        "nle": (0.740, 0.723, 0.690),
        "nre": (0.777, 0.748, 0.735),
    },
    "two_moons": {
        "npe": (0.725, 0.606, 0.542),
        "nle": (0.773, 0.713, 0.668),
        "nre": (0.822, 0.761, 0.629),
    },
    "sir": {
        "npe": (0.815, 0.680, 0.585),
        "nle": (0.761, 0.748, 0.730),
        "nre": (0.841, 0.770, 0.690),
    },
    "lotka_volterra": {
        "npe": (0.999, 0.997, 0.981),
        "nle": (0.994, 0.956, 0.952),
        "nre": (1.000, 0.998, 0.996),
    },
}
ROWS = (1000, 10_000, 100_000)
COLOURS = {
    "npe": "#0072b2",
    "nle": "#d55e00",
    "nre": "#009e73",
    "fmpe": "#cc79a7",
    "cmpe": "#555",
    "auto": "#000",
}


def means(folder):
    """Return the mean C2ST by task, rows and method, and how many observations it is of."""
    values = pd.read_csv(folder / "c2st.csv")
    last = values.drop_duplicates(["task", "rows", "method", "observation"], keep="last")
    found = last.groupby(["task", "rows", "method"])["c2st"].agg(["mean", "count"]).reset_index()
    published = [
        PUBLISHED[t].get(m, (float("nan"),) * 3)[ROWS.index(r)]
        for t, r, m in zip(found["task"], found["rows"], found["method"], strict=True)
    ]
    return found.assign(published=published)


def as_markdown(table, chosen):
    lines = ["| task | simulations | method | C2ST | observations | published | chosen |"]
    lines.append("|---|---|---|---|---|---|---|")
    for row in table.itertuples():
        published = "" if pd.isna(row.published) else f"{row.published:.3f}"
        mark = "×" if (row.task, row.rows, row.method) in chosen else ""
        value = f"{row.mean:.3f} | {row.count} | {published} | {mark}"
        lines.append(f"| {row.task} | {row.rows} | {row.method} | {value} |")
    return "\n".join(lines) + "\n"


def figure(table, path):
    """Draw a panel a task: C2ST against simulations, published dashed."""
    panels, axes = plt.subplots(
        2, 5, figsize=(12, 5), sharex=True, sharey=True, layout="constrained"
    )
    for axis, (task, published) in zip(axes.flat, PUBLISHED.items(), strict=True):
        for method, values in published.items():
            axis.plot(ROWS, values, "--", color=COLOURS[method], lw=1)
        ours = table[table["task"] == task]
        for method, part in ours.groupby("method"):
            axis.plot(part["rows"], part["mean"], "o-", color=COLOURS[method], label=method.upper())
        axis.set(title=task, xscale="log", ylim=(0.48, 1.02))
        axis.axhline(0.5, color="0.7", lw=0.8)
    for axis in axes[:, 0]:
        axis.set_ylabel("C2ST")
    for axis in axes[1]:
        axis.set_xlabel("simulations")
    handles = {
        label: handle
        for axis in axes.flat
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    (dashed,) = axes[0, 0].plot([], [], "k--", lw=1)
    names = [*handles, "published, same colours"]
    panels.legend([*handles.values(), dashed], names, loc="outside lower center", ncols=6)
    panels.savefig(path, dpi=130)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    table, chosen = means(folder), set()
    if (folder / "chosen.csv").is_file():
        picks = pd.read_csv(folder / "chosen.csv")
        columns = ["task", "rows", "method"]
        chosen = set(picks[picks["chosen"]][columns].itertuples(index=False, name=None))
    text = as_markdown(table, chosen)
    (folder / "table.md").write_text(text)
    figure(table, folder / "c2st.png")
    print(text)


if __name__ == "__main__":
    main()
