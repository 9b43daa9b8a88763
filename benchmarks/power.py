"""How often each check catches the faults of tests/test_mutations.py, and passes the truth.

    python benchmarks/power.py [repeats] [part ...]

Prints the tables of docs/checks.md, a row as soon as it is measured: per cent of repeats in which a
check warns or fails, of pages with nothing wrong that warn, and how p-values of the predictive
check are distributed. Parts are held-out, others, truths, pages and predictive; by default all of
them.
"""

import inspect
import math
import sys
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import faults_whole
import numpy as np
import pages
import test_mutations as mutations
from scipy import stats
from tqdm import tqdm

from sbi_pipeline.diagnostics.predictive import typicality

SIZES = (100, 500, 1000)
"""Held-out simulations."""
DEAR = {faults_whole.of_moons: 2}
"""Of makers that take two seconds: by what the number of repeats is divided."""
SELDOM = 5
"""Checks that are not meant for a fault are left out below so many per cent, over all sizes."""
FAINT = {
    "posterior sd x 0.8": (mutations.of_estimator, {"width": 0.8}, {"coverage"}),
    "posterior sd x 1.25": (mutations.of_estimator, {"width": 1.25}, {"coverage"}),
    "mean shifted by 0.2 sd": (mutations.of_estimator, {"shift": 0.2}, {"calibration"}),
    "width x 0.7 near the observation": (
        mutations.near_the_observation,
        {"near": 0.7},
        {"local calibration"},
    ),
}
"""Faults that only many held-out simulations show."""
DRAWS = 1000
PRIOR_SD = np.array([1.0, 2.0, 2.0])


def repeated(label, make, repeats, **fault):
    """Yield the checks of each repeat, and show how many were made."""
    seeds = range(1000, 1000 + repeats // DEAR.get(make, 1))
    for seed in tqdm(seeds, label, leave=False, mininterval=5):
        yield make(seed, **fault)


def caught(*how, **fault):
    """Return in which share of repeats each check did not pass, and could not judge."""
    made = list(repeated(*how, **fault))
    wrong = Counter(check.name for found in made for check in found if check.status != "pass")
    unable = Counter(
        check.name
        for found in made
        for check in found
        if check.status != "pass" and math.isnan(check.value)
    )
    return {name: (count / len(made), unable[name] / len(made)) for name, count in wrong.items()}


def told(rate, unable):
    """Write a share in per cent, in brackets where the check said that it cannot judge."""
    return f"({100 * rate:.0f} %)" if unable > rate / 2 else f"{100 * rate:.0f} %"


def ordered(names, meant, rate):
    """Return checks that are meant for a fault, in bold, then others that catch it, in order."""
    others = [name for name in names if name not in meant and 100 * rate(name) >= SELDOM]
    marked = {name: f"**{name}**" for name in sorted(sorted(meant), key=rate, reverse=True)}
    return marked | {name: name for name in sorted(others, key=rate, reverse=True)}


def is_sized(make):
    """Say whether it takes a number of held-out simulations."""
    return "n" in inspect.signature(make).parameters


def of_held_out(repeats):
    """Print what is caught with few held-out simulations, and with more."""
    print(f"| fault | check | {' | '.join(map(str, SIZES))} |\n|---|---|{'---|' * len(SIZES)}")
    for name, (make, fault, meant) in (FAINT | mutations.FAULTS).items():
        if not is_sized(make):
            continue
        found = [caught(f"{name}, {n}", make, repeats, **fault | {"n": n}) for n in SIZES]
        names = ordered(
            dict.fromkeys(check for each in found for check in each if "held-out" not in check),
            meant,
            lambda check, found=found: np.mean([each.get(check, (0, 0))[0] for each in found]),
        )
        for place, (check, written) in enumerate(names.items()):
            cells = (told(*each.get(check, (0, 0))) for each in found)
            print(f"| {'' if place else name} | {written} | {' | '.join(cells)} |", flush=True)


def of_others(repeats):
    """Print what is caught of faults that no number of held-out simulations belongs to."""
    print("| fault | caught by |\n|---|---|")
    for name, (make, fault, meant) in mutations.FAULTS.items():
        if is_sized(make):
            continue
        found = caught(name, make, repeats, **fault)
        names = ordered(found, meant, lambda check, found=found: found.get(check, (0, 0))[0])
        cells = [f"{each} {told(*found.get(check, (0, 0)))}" for check, each in names.items()]
        print(f"| {name} | {', '.join(cells)} |", flush=True)


def all_pass(*how, **sizes):
    """Return in per cent of how many repeats all checks pass that could judge."""
    try:
        made = list(repeated(*how, **sizes))
    except ValueError:
        return "refused"
    able = [[each for each in found if can_judge(each)] for found in made]
    if not any(able):
        return "not judged"
    return (
        f"{100 * np.mean([all(each.status == 'pass' for each in found) for found in able]):.1f} %"
    )


def can_judge(check):
    """Say whether a check is of the posterior, and not of how little could be seen."""
    return check.name != "held-out simulations" and not math.isnan(check.value)


def of_truths(repeats):
    """Print how often nothing is said of what is right."""
    print(f"| truth | {' | '.join(map(str, SIZES))} |\n|---|{'---|' * len(SIZES)}")
    for name, make in mutations.TRUTHS.items():
        if is_sized(make):
            cells = [all_pass(f"{name}, {n}", make, repeats, n=n) for n in SIZES]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
    print("\n| truth | everything passes |\n|---|---|")
    for name, make in mutations.TRUTHS.items():
        if not is_sized(make):
            print(f"| {name} | {all_pass(name, make, repeats)} |", flush=True)


def of_pages(repeats):
    """Print how many pages of five exact estimators warn of anything."""
    print("| held-out simulations | warn on every page | pages on which another check warns |")
    print("|---|---|---|")
    for size in SIZES:
        seeds = tqdm(range(3000, 3000 + repeats), f"pages, {size}", leave=False, mininterval=5)
        warned = [
            {check.name for check in pages.page(seed, held_out=size) if check.status != "pass"}
            for seed in seeds
        ]
        always = set.intersection(*warned)
        others = np.mean([bool(names - always) for names in warned])
        print(f"| {size} | {', '.join(sorted(always))} | {100 * others:.1f} % |", flush=True)


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
    print("| data | compared with | truth: KS p | truth below | noise x 1.5 below |")
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


PARTS = {
    "held-out": of_held_out,
    "others": of_others,
    "truths": of_truths,
    "pages": of_pages,
    "predictive": predictive,
}


def main(repeats="200", *parts):
    for place, part in enumerate(parts or PARTS):
        print("\n" * bool(place), end="")
        PARTS[part](int(repeats))


if __name__ == "__main__":
    warnings.simplefilter("ignore", RuntimeWarning)
    main(*sys.argv[1:])
