"""Parameters whose range is a circle, such as phases: means, widths and cuts that know no ends."""

from __future__ import annotations

import numpy as np
from scipy import special

from ..types import Array, Prior
from .boxes import BoxedPrior
from .named import NamedPrior

Period = tuple[float, float]
"""Where a circle is cut: both ends of the range of values, which are one point."""
BINS = 120
"""Arcs of a circle among which the emptiest is looked for."""


def periods_of(prior: Prior) -> dict[str, Period]:
    """Return the ends of the parameters of a prior that are periodic, by name.

    One that a box cuts is not: its ends are no longer one point.
    """
    if isinstance(prior, BoxedPrior):
        return {
            name: each for name, each in periods_of(prior.whole).items() if name not in prior.faces
        }
    if not isinstance(prior, NamedPrior):
        return {}
    found = {}
    for each in prior.parameters:
        if each.periodic:
            low, high = each.given({}).support()
            found[each.name] = (float(low), float(high))
    return found


def periodic_columns(prior: Prior) -> tuple[int, ...]:
    """Return which columns of a prior are periodic."""
    periods = periods_of(prior)
    return tuple(column for column, name in enumerate(prior.names) if name in periods)


def circular_mean(values: Array, period: Period, axis: int | None = None) -> Array:
    """Return the direction of the mean of points on the circle, as a value in its range."""
    low, high = period
    turn = np.angle(np.mean(_points(values, period), axis=axis)) / (2 * np.pi)
    return np.asarray(low + (high - low) * (turn % 1))


def circular_sd(values: Array, period: Period, axis: int | None = None) -> Array:
    """Return sqrt(-2 log R) in the unit of values, for R the length of the mean of points.

    It is the sd of a wrapped normal, and of anything narrow.
    """
    length = np.clip(np.abs(np.mean(_points(values, period), axis=axis)), 1e-300, 1)
    return np.asarray(np.sqrt(-2 * np.log(length)) * (period[1] - period[0]) / (2 * np.pi))


def unrolled(values: Array | float, period: Period, centre: Array | float) -> Array:
    """Return values moved by whole periods to within half of one of a centre."""
    width = period[1] - period[0]
    return np.asarray(centre + (np.asarray(values) - centre + width / 2) % width - width / 2)


def rolled(values: Array | float, period: Period) -> Array:
    """Return values moved by whole periods into the range."""
    low, high = period
    return np.asarray(low + (np.asarray(values) - low) % (high - low))


def across_the_emptiest(values: Array, period: Period) -> float:
    """Return the value opposite to where fewest draws are: the centre of an axis cut there."""
    low, high = period
    counts, _ = np.histogram(rolled(values, period), BINS, (low, high))
    shifts = range(-BINS // 24, BINS // 24 + 1)
    near = np.sum([np.roll(counts, shift) for shift in shifts], axis=0)
    empty = np.flatnonzero(near == near.min())
    middle = circular_mean(empty + 0.5, (0.0, float(BINS)))  # of several, between them
    best = empty[np.argmin(np.abs(unrolled(empty + 0.5, (0.0, float(BINS)), middle) - middle))]
    return float(rolled(low + (high - low) * ((best + 0.5) / BINS + 0.5), period))


def turned(z: Array, centre: Array) -> Array:
    """Return normal deviates of a circle cut opposite to a centre, which is taken to 0.

    Args:
        z: Normal deviates, whose ends are one point.
        centre: Fraction of the circle below what becomes 0.
    """
    return np.asarray(special.ndtri(_inside((special.ndtr(z) - centre + 0.5) % 1)))


def turned_back(z: Array, centre: Array) -> Array:
    """Undo `turned`."""
    return np.asarray(special.ndtri(_inside((special.ndtr(z) + centre - 0.5) % 1)))


def _inside(u: Array) -> Array:
    return np.clip(u, 2.0**-53, 1 - 2.0**-53)


def _points(values: Array, period: Period) -> Array:
    """Return points on the unit circle of the complex plane."""
    low, high = period
    return np.exp(2j * np.pi * (np.asarray(values) - low) / (high - low))
