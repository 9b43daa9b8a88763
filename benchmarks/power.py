"""How often each check catches the faults of tests/test_mutations.py, and passes the truth.

    python benchmarks/power.py [repeats]

Prints the tables of docs/checks.md: per cent of repeats in which a check warns or fails.
"""

import sys
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import test_mutations as mutations


def counted(make, repeats, **fault):
    """Return per cent of repeats in which each check did not pass, and in which all passed."""
    caught, clean = Counter(), 0
    for seed in range(repeats):
        found = make(1000 + seed, **fault)
        caught.update(check.name for check in found if check.status != "pass")
        clean += all(check.status == "pass" for check in found)
    return {name: 100 * count / repeats for name, count in caught.items()}, 100 * clean / repeats


def main(repeats):
    print("| fault | caught by |\n|---|---|")
    for name, (make, fault, meant) in mutations.FAULTS.items():
        caught, _ = counted(make, repeats, **fault)
        ordered = sorted(caught.items(), key=lambda item: (item[0] not in meant, -item[1]))
        print(
            f"| {name} | {', '.join(f'{who} {rate:.0f} %' for who, rate in ordered)} |", flush=True
        )
    print("\n| truth | everything passes |\n|---|---|")
    for name, make in mutations.TRUTHS.items():
        print(f"| {name} | {counted(make, repeats)[1]:.1f} % |", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore", RuntimeWarning)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
