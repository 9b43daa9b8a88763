"""What NPE learns by heart, beside what it loses against the exact posterior: see docs/checks.md.

    python benchmarks/learnt_by_heart.py [problem ...]

NPE with its defaults, one seed, of the problems of tests/informed_problems.py. Prints a row of each
problem and number of rows: by how many nats training rows are more probable than held-out ones, and
how many are lost on 500 of the latter.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from informed_problems import Blob, Flare, Moons, Points, Wave, trained

PROBLEMS = {
    "crescent": (Moons(), (2000, 8000)),
    "wave": (Wave(), (2000, 8000)),
    "flare": (Flare(), (2000, 8000)),
    "points": (Points(), (2000,)),
    "blob": (Blob(), (3000,)),
}
"""Each with its numbers of rows."""


def main(*names):
    print("| problem | rows | learnt by heart (nats) | lost (nats) |\n|---|---|---|---|")
    for name in names or PROBLEMS:
        problem, sizes = PROBLEMS[name]
        for rows in sizes:
            one = trained(problem, rows)
            heart = one.told.calibration.attrs["over_fit"]
            print(f"| {name} | {rows} | {heart:.2f} | {one.lost(problem)[0]:.2f} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
