"""Scores of events where the posterior of many is, from which `accumulation` tells what errors do.

For the true likelihood of an event at z, the score s = d log p(x | z) / dz has mean zero, and its
covariance is the mean curvature -d^2 log p(x | z) / dz^2: both are the Fisher information. Events
simulated for draws of a posterior show whether that is so for what was learnt, at the only place
where it matters. Derivatives are differences over a part of the sd that the posterior of all events
has, in units of that sd.
"""

from __future__ import annotations

import numpy as np
import torch

from ..estimators import Estimator
from ..posterior import LogDensity, log_normal, log_posterior
from ..priors.discrete import combinations
from ..trained import Posterior
from ..types import Array
from .accumulation import Scored

FIRST_STEP = 0.01
"""In normal space, to find the sds of the posterior."""
STEP = 0.3
"""Of these sds."""
FEWEST_SCORED, PER_EVENT, MOST_SCORED = 20_000, 20, 100_000
"""Simulated events that are scored, so many for each of the observation: the shift of its posterior
is known to a quarter of an sd."""


def how_many_are_scored(events: int) -> int:
    """Return how many simulated events are scored for an observation of so many."""
    return min(MOST_SCORED, max(FEWEST_SCORED, PER_EVENT * events))


def score_events(
    posterior: Posterior, theta: Array, x: Array, worked: Array, events: int, *, counted: bool
) -> Scored:
    """Return scores of simulated events at their parameters.

    Args:
        posterior: The estimator, trained on single events.
        theta: Their parameters, ``(n, theta_dim)``.
        x: Their data as they are shown, ``(n, *x_shape)``, anything where an event failed.
        worked: Which worked, ``(n,)``; all, unless they are counted.
        events: How many the observation has, those that failed among them if they are counted.
        counted: Whether the number tried is known, so that each event tells whether it worked.
    """
    z, discrete = posterior.prior.to_normal(theta), combinations(posterior.prior)
    moved = np.arange(z.shape[1]) if discrete is None else np.array(discrete.continuous)
    density = log_event(posterior.estimator, x, worked, counted=counted)
    size = len(moved)
    score, _ = derivatives(density, z, FIRST_STEP * np.eye(z.shape[1])[moved])
    information = events * np.cov(score / FIRST_STEP, rowvar=False).reshape(size, size)
    along = np.linalg.cholesky(np.linalg.inv(information + np.eye(size)))  # columns are directions
    steps = np.zeros((size, z.shape[1]))
    steps[:, moved] = STEP * along.T
    score, curvature = derivatives(density, z, steps)
    return Scored(score / STEP, curvature / STEP**2, along.T @ along)


def derivatives(density: LogDensity, z: Array, steps: Array) -> tuple[Array, Array]:
    """Return first and minus second differences of each row's density along some steps.

    Args:
        density: Log density of n events, ``(n, k, theta_dim) -> (n, k)``.
        z: Where, ``(n, theta_dim)``.
        steps: ``(dim, theta_dim)``.

    Returns:
        ``(n, dim)`` and ``(n, dim, dim)``.
    """
    dim = len(steps)
    first, second = np.triu_indices(dim, 1)
    moves = np.concatenate([steps, steps[first] + steps[second]])
    points = np.concatenate([np.zeros((1, z.shape[1])), moves, -moves])
    values = density(z[:, None] + points)
    up, down = np.split(values[:, 1:], 2, axis=1)
    bent = 2 * values[:, :1] - up - down
    curvature = np.zeros((len(z), dim, dim))
    own = np.arange(dim)
    curvature[:, own, own] = bent[:, :dim]
    mixed = (bent[:, dim:] - bent[:, first] - bent[:, second]) / 2
    curvature[:, first, second] = curvature[:, second, first] = mixed
    return (up - down)[:, :dim] / 2, curvature


def log_event(estimator: Estimator, x: Array, worked: Array, *, counted: bool) -> LogDensity:
    """Return the log likelihood of single events, as many are multiplied of them.

    Args:
        estimator: Trained on single events.
        x: Their data as they are shown, ``(n, *x_shape)``, anything where an event failed.
        worked: Which worked, ``(n,)``.
        counted: Whether an event that worked tells that it did, and one that failed, too.
    """
    single = log_posterior(estimator, x[worked])
    validity, known = estimator.validity, estimator.known_conditions

    @torch.inference_mode()
    def log_chance(points: Array, shown: Array, *, failed: bool) -> Array:
        if validity is None:
            return np.zeros(points.shape[:2])
        flat = points.reshape(-1, points.shape[2])
        beside = np.repeat(shown[:, :known], points.shape[1], axis=0) if known else flat[:, :0]
        given = torch.as_tensor(np.concatenate([flat, beside], 1), dtype=torch.float32)
        given = given.to(next(validity.parameters()).device)
        found = validity.log_failed(given) if failed else validity.log_prob(given)
        return np.asarray(found.cpu().double().numpy().reshape(points.shape[:2]))

    def density(points: Array) -> Array:
        values = np.zeros(points.shape[:2])
        good = points[worked]
        values[worked] = single(good) - log_normal(good)
        if not counted:  # what one data set that worked tells by that
            values[worked] -= log_chance(good, x[worked], failed=False)
        elif not worked.all():
            values[~worked] = log_chance(points[~worked], x[~worked], failed=True)
        return values

    return density
