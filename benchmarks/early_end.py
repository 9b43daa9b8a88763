"""How often the check `training` warns of trainings that ended early, and of those that did not.

    python benchmarks/early_end.py [seeds] [first seed] [problem ...]

NPE of problems of tests/informed_problems.py, each seed with simulations of its own, with 0.3 of
the usual epochs and with all of them. Prints a row of each problem: in how many trainings the check
warns, and how many nats of held-out log density those that ended early lost against the others.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
from informed_problems import Blob, Flare, Moons, Points, Wave, fitted, simulated
from tqdm import tqdm

from sbi_pipeline.diagnostics.training import ending, judge_training

SHARE = 0.3
"""Of the usual epochs."""
PROBLEMS = {
    "moons": (Moons(), 2000),
    "flare": (Flare(), 2000),
    "points": (Points(), 2000),
    "wave": (Wave(), 2000),
    "blob": (Blob(), 3000),
}
"""Each with its rows."""


def ended(problem, rows, seed):
    """Return whether the check warns of the short training and of the usual one, and nats lost."""
    view, test = simulated(problem, rows, seed)
    usual = fitted(problem, view, seed=seed)
    short = fitted(problem, view, seed=seed, epochs=round(SHARE * usual.usual_epochs))
    warned = [warns(each) for each in (short, usual)]
    return *warned, (usual.gain(test) - short.gain(test)).mean()


def warns(one):
    """Say whether the check does not pass."""
    return judge_training(ending(one.history, one.usual_epochs), "npe").status != "pass"


def main(seeds="20", first="1", *names):
    print("| problem | rows | warned: ended early | warned: usual | nats lost: mean, least, most |")
    print("|---|---|---|---|---|")
    for name in names or PROBLEMS:
        problem, rows = PROBLEMS[name]
        each = tqdm(range(int(first), int(first) + int(seeds)), name, leave=False)
        short, usual, lost = np.array([ended(problem, rows, seed) for seed in each]).T
        counts = " | ".join(f"{int(warned.sum())} of {seeds}" for warned in (short, usual))
        nats = f"{lost.mean():.2f}, {lost.min():.2f}, {lost.max():.2f}"
        print(f"| {name} | {rows} | {counts} | {nats} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
