"""Beside sbi 0.27 on one page: ``python benchmarks/against_sbi.py FOLDER --sbi INTERPRETER``.

Runs campaign.py, training.py and sampling.py into FOLDER, one after the other, unless their tables
are there, and writes ``against-sbi.md`` beside this file: the cost of simulating, training and
sampling, and accuracy, with every line on which `sbi` is better said to be so.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import pandas as pd

HERE = Path(__file__).resolve().parent
SCRIPTS = {"campaign.py": [], "training.py": ["--members", "1"], "sampling.py": []}
DRAWS = 10_000
HEAD = """# Against sbi 0.27

    python benchmarks/against_sbi.py FOLDER --sbi INTERPRETER      # made this page

One machine: {machine}.
The same simulations, one thread each, one process after the other, CPU seconds (which are those of
the clock where nothing else runs; simulating is by the clock). Both with their defaults: `sbi` a
spline flow for NPE, a masked autoregressive flow and slice sampling in 20 chains for NLE.
`INTERPRETER` is that of an environment with `sbi`. A ratio above one means that this project is
faster. What each part does is told in the scripts it calls, `campaign.py`,
`training.py`, `sampling.py`, and in [README.md](README.md).
"""
WORDS = {
    "simulating": "Simulators that sleep so long a row, or that cost nothing and are vectorised.",
    "training": "10 000 simulations, until each stops by itself. C2ST to the reference: 0.5 is\n"
    "perfect, and with 2 000 draws differences below 0.02 are noise.",
    "sampling": "NLE, seconds for 10 000 effective draws of every parameter, in bulk and tail:\n"
    "the cost of the run over what it brought.",
}


def simulating(folder):
    """Return simulators that sleep or cost nothing, and how many times faster they ran here."""
    table = pd.read_csv(folder / "campaign.csv")
    table = table[table.quantity == "times faster than sbi"]
    return pd.DataFrame(
        {
            "simulator": table.what,
            "simulations": table.rows.map("{:,}".format),
            "times faster": table.value,
        }
    )


def training(folder):
    """Return the cost of training on 10 000 simulations, and C2ST of the posterior."""
    table = pd.read_csv(folder / "training.csv")
    return beside(table[table.members == 1], ["task", "method"], "train_cpu")


def sampling(folder):
    """Return the cost of 10 000 effective draws of an NLE posterior, R-hat and C2ST."""
    table = pd.read_csv(folder / "sampling.csv")
    table = table[table.by.isin(["here", "sbi"])]
    table["effective_seconds"] = table.cpu * DRAWS / table.ess
    found = beside(table, ["task"], "effective_seconds")
    for by in ("here", "sbi"):
        found[f"R-hat {by}"] = table[table.by == by].r_hat.to_numpy()
    return found


def beside(table, names, cost):
    """Put rows of both side by side: seconds, their ratio, C2ST."""
    ours, theirs = (table[table.by == by].set_index(names) for by in ("here", "sbi"))
    return pd.DataFrame(
        {
            "here, s": ours[cost],
            "sbi, s": theirs[cost],
            "times faster": theirs[cost] / ours[cost],
            "C2ST here": ours.c2st,
            "C2ST sbi": theirs.c2st,
        }
    ).reset_index()


def losses(table):
    """Yield a sentence for each line on which sbi is faster or, by more than noise, better."""
    for row in table.to_dict("records"):
        what = ", ".join(value for value in row.values() if isinstance(value, str))
        if row["times faster"] < 1:
            yield f"{what}: `sbi` is {1 / row['times faster']:.2g} times faster."
        if row.get("C2ST here", 0) > row.get("C2ST sbi", 0) + 0.02:
            scores = f"C2ST {row['C2ST sbi']:.3f} to our {row['C2ST here']:.3f}"
            yield f"{what}: `sbi` is more accurate, {scores}."


def markdown(table):
    """Return a table; numbers with three digits, or without decimals."""
    lines = [list(table.columns), ["---"] * table.shape[1], *table.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(map(told, line)) + " |" for line in lines)


def told(value):
    """Return a cell of a table."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--sbi", type=Path, required=True, help="interpreter of an environment with sbi"
    )
    parser.add_argument("--machine", default="2 cores", help="the machine, in words")
    given = parser.parse_args()
    for script, options in SCRIPTS.items():
        if not (given.folder / script).with_suffix(".csv").is_file():
            command = [sys.executable, HERE / script, given.folder, "--sbi", given.sbi, *options]
            subprocess.run(command, check=True)
    page, lost = [HEAD.format(machine=given.machine)], []
    for make in (simulating, training, sampling):
        table = make(given.folder)
        page += [f"## {make.__name__.title()}\n\n{WORDS[make.__name__]}\n\n{markdown(table)}\n"]
        lost += losses(table)
    listed = "\n".join(f"* {each}" for each in lost) or "Nowhere in these tables."
    page += [f"## Where sbi is better\n\n{listed}\n"]
    (HERE / "against-sbi.md").write_text("\n".join(page))


if __name__ == "__main__":
    main()
