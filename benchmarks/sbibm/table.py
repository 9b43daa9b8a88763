"""Table and figure of the sbibm benchmark: ``python benchmarks/sbibm/table.py FOLDER``.

Reads ``FOLDER/c2st.csv`` and, if they are there, ``FOLDER/chosen.csv`` and ``FOLDER/cpu.csv``;
writes ``table.md`` and ``c2st.png`` beside them. What is missing is left empty, so that it can be
asked at any time.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt

# Mean C2ST over ten observations after 1e3, 1e4 and 1e5 simulations: Lueckmann et al. 2021,
# https://arxiv.org/abs/2101.04653, gaussian_mixture from its authors' later rerun; "sequential" is
# the best of its methods that simulate in rounds about one observation.
PUBLISHED = {
    "gaussian_linear": {
        "npe": (0.695, 0.552, 0.506),
        "nle": (0.650, 0.555, 0.515),
        "nre": (0.672, 0.560, 0.536),
        "sequential": (0.628, 0.536, 0.507),
    },
    "gaussian_linear_uniform": {
        "npe": (0.696, 0.553, 0.509),
        "nle": (0.723, 0.548, 0.506),
        "nre": (0.788, 0.706, 0.631),
        "sequential": (0.631, 0.527, 0.507),
    },
    "slcp": {
        "npe": (0.975, 0.901, 0.832),
        "nle": (0.946, 0.771, 0.699),
        "nre": (0.972, 0.947, 0.919),
        "sequential": (0.921, 0.713, 0.578),
    },
    "slcp_distractors": {
        "npe": (0.982, 0.970, 0.863),
        "nle": (0.987, 0.961, 0.905),
        "nre": (0.980, 0.968, 0.953),
        "sequential": (0.979, 0.931, 0.766),
    },
    "bernoulli_glm": {
        "npe": (0.863, 0.678, 0.559),
        "nle": (0.740, 0.605, 0.545),
        "nre": (0.899, 0.812, 0.751),
        "sequential": (0.634, 0.553, 0.522),
    },
    "bernoulli_glm_raw": {
        "npe": (0.900, 0.765, 0.607),
        "nle": (0.870, 0.939, 0.951),
        "nre": (0.915, 0.834, 0.777),
        "sequential": (0.880, 0.658, 0.552),
    },
    "gaussian_mixture": {
        "npe": (0.716, 0.615, 0.548),
        "nle": (0.740, 0.723, 0.690),
        "nre": (0.777, 0.748, 0.735),
        "sequential": (0.669, 0.551, 0.531),
    },
    "two_moons": {
        "npe": (0.725, 0.606, 0.542),
        "nle": (0.773, 0.713, 0.668),
        "nre": (0.822, 0.761, 0.629),
        "sequential": (0.643, 0.554, 0.530),
    },
    "sir": {
        "npe": (0.815, 0.680, 0.585),
        "nle": (0.761, 0.748, 0.730),
        "nre": (0.841, 0.770, 0.690),
        "sequential": (0.636, 0.561, 0.547),
    },
    "lotka_volterra": {
        "npe": (0.999, 0.997, 0.981),
        "nle": (0.994, 0.956, 0.952),
        "nre": (1.000, 0.998, 0.996),
        "sequential": (0.909, 0.738, 0.695),
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
    "sequential": "#000",
}
AMORTISED = ("npe", "nle", "nre")


def best_published(task, rows):
    """Return the best published means, amortised and in rounds."""
    place = ROWS.index(rows)
    values = PUBLISHED[task]
    return min(values[method][place] for method in AMORTISED), values["sequential"][place]


def means(folder):
    """Return C2ST by task, rows and method: mean, least, largest, and of how many observations."""
    values = pd.read_csv(folder / "c2st.csv")
    last = values.drop_duplicates(["task", "rows", "method", "observation"], keep="last")
    by = last.groupby(["task", "rows", "method"])["c2st"]
    return by.agg(["mean", "min", "max", "count"]).reset_index()


def seconds_of(folder):
    """Return what the workflow took, in seconds of user time, by task and rows."""
    path = folder / "cpu.csv"
    if not path.is_file():
        return {}
    return pd.read_csv(path).groupby(["task", "rows"])["seconds"].sum().to_dict()


def chosen_in(folder):
    """Return which methods were chosen without a reference, as task, rows and method."""
    path = folder / "chosen.csv"
    if not path.is_file():
        return set()
    picks = pd.read_csv(path)
    columns = ["task", "rows", "method"]
    return set(picks[picks["chosen"]][columns].itertuples(index=False, name=None))


def as_markdown(table, chosen, seconds):
    """Return a table of tasks and budgets, a column a method, and a row of means a budget."""
    methods = [name for name in COLOURS if name in set(table["method"])]
    names = ["simulations", "task", *methods, "observations"]
    names += ["published, amortised", "published, sequential", "CPU s"]
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for rows, part in table.groupby("rows"):
        values = part.pivot(index="task", columns="method", values="mean")
        counts = part.groupby("task")["count"].min()
        tasks = [task for task in PUBLISHED if task in values.index]
        published = pd.DataFrame([best_published(task, rows) for task in tasks], index=tasks)
        for task in tasks:
            cells = [
                cell(values.loc[task].get(method), (task, rows, method) in chosen)
                for method in methods
            ]
            took = f"{seconds[task, rows]:.0f}" if (task, rows) in seconds else ""
            shown = [*cells, str(counts[task]), *map(cell, published.loc[task]), took]
            lines.append(f"| {rows} | {task} | " + " | ".join(shown) + " |")
        whole = [cell(values[each].mean()) if each in values else "" for each in methods]
        last = [*whole, "", *map(cell, published.mean()), ""]
        lines.append(f"| {rows} | **mean of {len(tasks)}** | " + " | ".join(last) + " |")
    return "\n".join(lines) + "\n"


def cell(value, chosen=False):
    """Return a mean in words of a table, bold where its method was chosen."""
    if pd.isna(value):
        return ""
    return f"**{value:.3f}**" if chosen else f"{value:.3f}"


def figure(table, path):
    """Draw a panel a task: C2ST against simulations, published dashed, in rounds dotted."""
    panels, axes = plt.subplots(
        2, 5, figsize=(12, 5), sharex=True, sharey=True, layout="constrained"
    )
    for axis, (task, published) in zip(axes.flat, PUBLISHED.items(), strict=True):
        for method, values in published.items():
            style = ":" if method == "sequential" else "--"
            axis.plot(ROWS, values, style, color=COLOURS[method], lw=1.2)
        ours = table[table["task"] == task]
        for method, part in ours.groupby("method"):
            axis.plot(part["rows"], part["mean"], "o-", color=COLOURS[method], label=method.upper())
            axis.vlines(part["rows"], part["min"], part["max"], color=COLOURS[method], lw=1)
        axis.set_title(task, fontsize="medium")
        axis.set(xscale="log", ylim=(0.48, 1.02))
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
    for method in AMORTISED:
        handles[f"{method.upper()}, published"] = axes[0, 0].plot(
            [], [], "--", color=COLOURS[method]
        )[0]
    handles["best in rounds, published"] = axes[0, 0].plot([], [], "k:")[0]
    panels.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=6)
    panels.savefig(path, dpi=130)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    table = means(folder)
    text = as_markdown(table, chosen_in(folder), seconds_of(folder))
    (folder / "table.md").write_text(text)
    figure(table, folder / "c2st.png")
    print(text)


if __name__ == "__main__":
    main()
