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
from informed_problems import Blob, Flare, Line, Moons, Points, Wave, ended_early
from tqdm import tqdm

PROBLEMS = {
    "crescent": (Moons(), 2000),
    "blob": (Blob(), 3000),
    "points": (Points(), 2000),
    "wave": (Wave(), 2000),
    "flare": (Flare(), 2000),
    "line": (Line(), 2000),
}
"""Each with its rows."""


def main(seeds="20", first="1", *names):
    print("| problem | rows | warned: 0.3 of the epochs | warned: all | nats lost: mean, range |")
    print("|---|---|---|---|---|")
    for name in names or PROBLEMS:
        problem, rows = PROBLEMS[name]
        drawn = tqdm(range(int(first), int(first) + int(seeds)), name, leave=False)
        found = [ended_early(problem, rows, seed=seed) for seed in drawn]
        warned = sum(one.warned for one in found), sum(one.warned_usual for one in found)
        lost = np.array([one.lost for one in found])
        nats = f"{lost.mean():.2f}, {lost.min():.2f} to {lost.max():.2f}"
        cells = " | ".join(f"{count} of {seeds}" for count in warned)
        print(f"| {name} | {rows} | {cells} | {nats} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
