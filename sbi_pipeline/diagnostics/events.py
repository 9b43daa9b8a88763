"""Errors that add up over events: what a fault of a per-event likelihood does to a product.

For the true likelihood of an event the score s = d log p(x | z) / dz is zero on average over the
events of any z, and its variance is the Fisher information I of one event. An estimator whose
score has mean b shifts the posterior of N events by N b / (N I), which is sqrt(N) b / sqrt(I)
posterior sds, and costs

    N b^T I^-1 b / 2    nats,

the divergence of the posterior from the right one of the same width: an error nobody would see in
one event grows with their number. Held-out simulations give b and I, near the posterior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from ..types import Array

if TYPE_CHECKING:
    from ..posterior import LogDensity

STEP = 0.01


@dataclass(frozen=True)
class Accumulated:
    """What the errors of many events come to.

    Attributes:
        nats: Divergence caused by the mean score, less what chance gives on average.
        by_chance: What ``nats`` stays below in 95 % of cases for an honest likelihood.
        events: How many events.
        simulations: Effective number of held-out simulations behind it.
    """

    nats: float
    by_chance: float
    events: int
    simulations: float


def scores(log_density: LogDensity, z: Array) -> Array:
    """Return the gradient of the log likelihood of each event at its z, ``(n, dim)``.

    By central differences.

    Args:
        log_density: Log posterior density of n events, ``(n, k, dim) -> (n, k)``, prior included.
        z: Where, ``(n, dim)``.
    """
    from ..posterior import log_normal  # noqa: PLC0415 - needs torch, which a page does without

    steps = STEP * np.concatenate([np.eye(z.shape[1]), -np.eye(z.shape[1])])
    points = z[:, None] + steps
    up, down = np.split(log_density(points) - log_normal(points), 2, axis=1)
    return np.asarray((up - down) / (2 * STEP))


def nearby(theta: Array, centre: Array, fraction: float = 0.5) -> Array:
    """Return weights, ``(n,)``, that fall with the distance of theta from a point.

    Args:
        theta: Parameters of simulations, ``(n, dim)``.
        centre: The point, ``(dim,)``.
        fraction: Of the simulations within one width of the kernel.
    """
    squared = (((theta - centre) / theta.std(axis=0)) ** 2).sum(axis=1)
    return np.asarray(np.exp(-squared / np.quantile(squared, fraction)))


def accumulated(score: Array, weights: Array, events: int) -> Accumulated:
    """Say what the mean score of held-out events does to a product over many.

    Args:
        score: From `scores`, ``(n, dim)``.
        weights: From `nearby`, ``(n,)``.
        events: How many are multiplied.
    """
    weights = weights / weights.sum()
    simulations = float(1 / np.sum(weights**2))
    information = np.einsum("n,ni,nj->ij", weights, score, score)
    mean, dim = weights @ score, score.shape[1]
    nats = events / 2 * float(mean @ np.linalg.pinv(information) @ mean)
    chance = events / (2 * simulations)  # times a chi-squared variable of dim degrees
    return Accumulated(
        nats=nats - chance * dim,
        by_chance=chance * float(stats.chi2.ppf(0.95, dim) - dim),
        events=events,
        simulations=simulations,
    )
