"""How often each check catches the faults of tests/test_mutations.py, and passes the truth.

    python benchmarks/power.py [repeats]

Prints the tables of docs/checks.md: per cent of repeats in which a check warns or fails, and how
p-values of the predictive check are distributed.
"""

import sys
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
import test_mutations as mutations
from scipy import stats

from sbi_pipeline.diagnostics.predictive import typicality

DRAWS = 1000
PRIOR_SD = np.array([1.0, 2.0, 2.0])


def counted(make, repeats, **fault):
    """Return per cent of repeats in which each check did not pass, and in which all passed."""
    caught, clean = Counter(), 0
    for seed in range(repeats):
        found = make(1000 + seed, **fault)
        caught.update(check.name for check in found if check.status != "pass")
        clean += all(check.status == "pass" for check in found)
    return {name: 100 * count / repeats for name, count in caught.items()}, 100 * clean / repeats


def p_values(size, repeats, noise):
    """Return p-values of series of so many data, by what they are compared with.

    A parameter and two nuisances, linear with normal noise, so that all posteriors are exact.
    """
    time = np.linspace(0, 1, size)
    waves = [np.sin(2 * np.pi * time), np.cos(2 * np.pi * time), 1 - 2 * time]
    design = np.stack(waves, axis=1)
    covariance = np.linalg.inv(np.diag(PRIOR_SD**-2.0) + design.T @ design)
    found = {}
    for seed in range(repeats):
        rng = np.random.default_rng(1000 + seed)
        x = design @ (PRIOR_SD * rng.normal(size=3)) + noise * rng.normal(size=size)
        fit = rng.multivariate_normal(covariance @ design.T @ x, covariance, size=DRAWS)
        of_prior = PRIOR_SD[1:] * rng.normal(size=(DRAWS, 2))
        compared = {
            "many draws, nuisances of the prior": np.column_stack([fit[:, 0], of_prior]),
            "many draws, nuisances given the data": fit,
            "one draw, nuisances of the prior": np.column_stack(
                [np.full(DRAWS, fit[0, 0]), of_prior]
            ),
        }
        for name, theta in compared.items():
            data = theta @ design.T + rng.normal(size=(DRAWS, size))
            found.setdefault(name, []).append(typicality(data, x).p_value)
    return {name: np.array(values) for name, values in found.items()}


def predictive(repeats):
    """Print how p-values are distributed for the truth, and for more noise."""
    levels = (0.5, 0.05, 0.005)
    print("\n| data | compared with | truth: KS p | truth below | noise x 1.5 below |")
    print("|---|---|---|---|---|")
    for size in (14, 120):
        truth, noisy = (p_values(size, repeats, noise) for noise in (1.0, 1.5))
        for name, values in truth.items():
            uniform = stats.kstest(values, "uniform").pvalue
            told = [
                ", ".join(f"{p}: {100 * np.mean(each < p):.1f} %" for p in levels)
                for each in (values, noisy[name])
            ]
            print(f"| {size} | {name} | {uniform:.2g} | {' | '.join(told)} |", flush=True)
        best = (stats.chi2.sf(stats.chi2.isf(p, size) / 1.5**2, size) for p in levels)
        bounds = ", ".join(f"{p}: {100 * b:.1f} %" for p, b in zip(levels, best, strict=True))
        print(f"| {size} | the best there can be, all parameters known | | | {bounds} |")


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
    predictive(repeats)


if __name__ == "__main__":
    warnings.simplefilter("ignore", RuntimeWarning)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
