"""What a regression and other estimators see of the parameters that one estimator may not.

Errors are those of posterior means in the prior's normal space, at the same held-out simulations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy import stats

from ..subjects import TrainedEstimator
from ..types import Array

CERTAIN = 3.5
"""Standard errors that are no chance, of some ten means that are looked at."""
SEEN = 0.02
"""Fraction of a variance that counts as seen."""
REGRESSION = "a regression"
FEWEST = 20
"""Held-out simulations that means are taken of."""


@dataclass(frozen=True)
class Better:
    """What another knows more than an estimator, beyond chance.

    Attributes:
        who: The other one, in words.
        nats: How much more probable held-out truths are under it.
        error: The standard error of that.
    """

    who: str
    nats: float
    error: float


def yardsticks(asked: TrainedEstimator) -> Iterator[tuple[str, xr.Dataset]]:
    """Yield who else was asked about the same held-out simulations, and what they said."""
    assert asked.calibration is not None
    if "regressed" in asked.calibration:
        yield REGRESSION, asked.calibration
    yield from asked.others.items()


def better_informed(asked: TrainedEstimator) -> list[Better]:
    """Return who knows more than an estimator, the one that knows most first.

    By log densities, or where one has none by the errors of means, as if posteriors were normal.
    """
    assert asked.calibration is not None
    found = []
    for who, data in yardsticks(asked):
        gain = _gain(data, who)
        both = _common(_gain(asked.calibration), gain)
        more = both[1] - both[0]
        if not np.isfinite(more).all():
            more = _by_errors(asked.calibration, data, who)
        if len(more) < FEWEST:
            continue
        nats, error = float(more.mean()), float(stats.sem(more))
        if nats > CERTAIN * error:
            found.append(Better(who, nats, error))
    return sorted(found, key=lambda each: -each.nats)


def seen_by(asked: TrainedEstimator, parameter: str) -> str:
    """Return who sees a parameter beyond what the estimator does, in words; empty for nobody."""
    assert asked.calibration is not None
    own = _errors(asked.calibration)
    for who, data in yardsticks(asked):
        theirs = _errors(data, who)
        if own is None or theirs is None:
            continue
        place = list(asked.calibration["parameter"].to_numpy()).index(parameter)
        for mine, other in zip(own, theirs, strict=True):
            one, two = _common(mine[:, place], other[:, place])
            if len(one) >= FEWEST and _is_less(two, one):
                return who
    return ""


def _is_less(one: Array, other: Array) -> bool:
    """Say whether squared errors are less than others beyond chance, and by some per cent."""
    less = other - one
    return bool(less.mean() > max(CERTAIN * stats.sem(less), SEEN * other.mean()))


def _gain(data: xr.Dataset, who: str = "") -> Array:
    """Return log density over the prior at held-out truths, ``(n,)``."""
    if who == REGRESSION:
        return np.asarray(data["regression_gain"].to_numpy(), dtype=float)
    return np.asarray((data["log_prob"] - data["prior_log_prob"]).to_numpy(), dtype=float)


def _by_errors(own: xr.Dataset, data: xr.Dataset, who: str) -> Array:
    """Return what smaller errors of means are worth in nats, ``(n,)``; none where not known."""
    mine, theirs = _errors(own), _errors(data, who)
    if mine is None or theirs is None:
        return np.zeros(0)
    one, two = _common(mine[0], theirs[0])
    scale = two.mean(axis=0)
    ratio = 0.5 * np.log(np.maximum(one.mean(axis=0) / scale, 1.0))
    # So that the mean is half the log of the ratio of mean squares, and the error that of it.
    weight = ratio / np.maximum(one.mean(axis=0) / scale - 1.0, 1e-12)
    return np.asarray((weight * (one - two) / scale).sum(axis=1))


def _errors(data: xr.Dataset, who: str = "") -> tuple[Array, Array] | None:
    """Return squared errors of means of z and of its square, ``(n, parameters)`` each.

    None where an earlier version did not write them.
    """
    if "normal_truth" not in data:
        return None
    truth = data["normal_truth"].to_numpy().astype(float)
    if who == REGRESSION:
        mean, square = data["regressed"].to_numpy(), data["regressed_square"].to_numpy()
        return (truth - mean) ** 2, (truth**2 - square) ** 2
    sd = data["sd_ratio"].to_numpy() * truth.std(axis=0)
    error = data["pulls"].to_numpy() * sd
    square = (truth - error) ** 2 + sd**2
    return error**2, (truth**2 - square) ** 2


def _common(one: Array, other: Array) -> tuple[Array, Array]:
    """Return both for the first simulations, which all were asked about."""
    rows = min(len(one), len(other))
    return one[:rows], other[:rows]


def enumerated(names: Iterable[str], last: str) -> str:
    """Return names in words, such as "a regression, nle and nre"."""
    *first, end = [*names] or [""]
    return f"{', '.join(first)} {last} {end}" if first else end
