"""Modes that a proposal does not know: looked for among draws of the prior, and climbed to.

Weights of a proposal's draws say nothing of a mode that none of the draws hits, and a narrow mode
may hold most of the posterior. Around it, though, is a region where the density rises towards it:
much wider than the mode, since a narrow mode is high. So the density is looked at at many draws of
the prior; scouts set out from those that are higher than their neighbours, and each climbs with a
population of points, drawn from a normal distribution that is fitted to them by tempered weights,
until it is fitted to a mode. What they find is mixed into the proposal, old modes and new ones:
that costs some efficiency and hides nothing.

What is found: a mode whose surroundings, up to where another one is higher, hold some draws of the
prior, so at least five in `LOOKED` of it, one in 40 000. Fewer are looked at, by fewer scouts,
where there are many posteriors, such as 10 000 of each of a hundred, and none in calibration. What
cannot be seen: a mode with less around it that the proposal does not know either. Then weights
look right, and so would chains.

References:
    Cappé, Guillin, Marin & Robert, Population Monte Carlo, JCGS 13, 2004,
    https://doi.org/10.1198/106186004X12803.
    Rubinstein, The cross-entropy method for combinatorial and continuous optimization, Methodol.
    Comput. Appl. Probab. 1, 1999, https://doi.org/10.1023/A:1010091220143.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree
from scipy.special import logsumexp

from ..posterior import LogDensity
from ..types import Array
from .mixture import Mixture, cholesky, proposal_of
from .reweighting import ProblemOf, both
from .sampler import Problem

LOOKED, ALTOGETHER = 200_000, 1_000_000
"""Draws of the prior for a posterior, and for all in a batch, but no fewer than `FEWEST_LOOKED`."""
FEWEST_LOOKED = 2000
HIGHEST, NEIGHBOURS, QUICK_DIM = 20_000, 10, 5
"""Of these draws so many are compared with the nearest ones, half as many for each dimension above
the last of these, since finding them takes twice as long."""
SCOUTS, ALL_SCOUTS, FEWEST_SCOUTS = 64, 1000, 8
"""For a posterior, and for all in a batch, but no fewer than the last."""
WIDTH = 0.1
"""Of a population at first, over the way to the neighbours."""
POPULATION, CLIMBS = (64, 10), 30
"""Points of a scout, at least and over the dimension, and how often they are drawn."""
EFFECTIVE = 0.3
"""Of a population, what is left effective by tempering its weights."""
SHARE = 0.3
"""Of the completed proposal, what is drawn from where the scouts are."""


def scouted(problem_of: ProblemOf, targets: int) -> ProblemOf:
    """Return problems of m posteriors whose proposals know what scouts of the prior find, too."""
    found = scout(problem_of(range(targets)))

    def made(some: Sequence[int]) -> Problem:
        given = problem_of(some)
        assert given.proposal is not None
        scouts = proposal_of([found[which] for which in some])
        return replace(given, proposal=both(given.proposal, scouts, SHARE))

    return made


def scout(problem: Problem, looked: int = LOOKED) -> list[Mixture]:
    """Return what is found of each of m posteriors: a component a scout, weighed by its mass.

    Args:
        problem: The posteriors.
        looked: Draws of the prior for each, at most.
    """
    rng = np.random.default_rng([problem.seed, 6])
    count = min(looked, max(FEWEST_LOOKED, ALTOGETHER // problem.targets))
    z = rng.normal(size=(problem.targets, count, problem.theta_dim))
    log_prob = _known(problem.log_density(z))
    scouts = min(SCOUTS, max(FEWEST_SCOUTS, ALL_SCOUTS // problem.targets))
    peaks = [peaks_of(*each, scouts) for each in zip(z, log_prob, strict=True)]
    centres, widths = (np.stack(each) for each in zip(*peaks, strict=True))
    climbed = _climbed(problem.log_density, centres, WIDTH * widths, rng)
    return [_mixture(*each) for each in zip(*climbed, strict=True)]


def points_climbed(dim: int) -> int:
    """Return at how many points the scouts of one posterior ask for its density."""
    return CLIMBS * SCOUTS * _population(dim)


def _population(dim: int) -> int:
    least, each = POPULATION
    return max(least, each * dim)


def _mixture(means: Array, factors: Array, log_mass: Array) -> Mixture:
    """Return a mixture of what scouts found, those that found the same sharing its weight."""
    equal = np.full(len(means), 1 / len(means))
    own = np.diagonal(Mixture(equal, means, factors).shares(means))
    weights = np.exp(log_mass - log_mass.max()) * own
    weights = 0.9 * weights / weights.sum() + 0.1 * own / own.sum()
    return Mixture(weights, means, factors)


def peaks_of(z: Array, log_prob: Array, scouts: int) -> tuple[Array, Array]:
    """Return the highest draws that are higher than their neighbours, and the way to these.

    Args:
        z: Draws of the prior, ``(n, dim)``.
        log_prob: Their log densities, ``(n,)``.
        scouts: How many are wanted.

    Returns:
        ``(scouts, dim)`` and ``(scouts,)``; where there are fewer peaks, the highest draws follow.
    """
    asked = max(scouts, HIGHEST >> max(0, z.shape[1] - QUICK_DIM))
    order = np.argsort(-log_prob, kind="stable")[:asked]
    distances, around = KDTree(z).query(z[order], NEIGHBOURS + 1)
    peak = log_prob[order] >= log_prob[around].max(axis=1)
    first = np.argsort(~peak, kind="stable")[:scouts]
    return z[order[first]], distances[first, 1:].mean(axis=1)


def _climbed(
    log_density: LogDensity, centres: Array, widths: Array, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """Fit a normal distribution around each of ``(m, scouts, dim)`` centres to where it climbs.

    Returns:
        Means, factors of the covariances, ``(m, scouts, dim, dim)``, and log masses.
    """
    m, scouts, dim = centres.shape
    shape = (m, scouts, _population(dim), dim)
    means, factors = centres, widths[..., None, None] * np.eye(dim)
    for _ in range(CLIMBS):
        noise = rng.normal(size=shape)
        z = means[:, :, None] + noise @ np.swapaxes(factors, -1, -2)
        log_prob = _known(log_density(z.reshape(m, -1, dim))).reshape(shape[:3])
        scale = np.log(np.diagonal(factors, axis1=-2, axis2=-1)).sum(axis=-1)[..., None]
        log_weight = log_prob + 0.5 * np.sum(noise**2, axis=-1) + scale
        log_mass = logsumexp(log_weight, axis=-1)
        weight = _tempered(log_weight)[..., None]
        means = np.sum(weight * z, axis=2)
        apart = z - means[:, :, None]
        factors = cholesky(np.swapaxes(weight * apart, -1, -2) @ apart)
    return means, factors, log_mass


def _tempered(log_weight: Array) -> Array:
    """Return normalised weights to the largest power up to one that leaves enough effective."""
    wanted = EFFECTIVE * log_weight.shape[-1]
    low, high = np.zeros(log_weight.shape[:-1]), np.ones(log_weight.shape[:-1])
    power = high
    for _ in range(20):
        enough = 1 / np.sum(_normalised(power, log_weight) ** 2, axis=-1) >= wanted
        low, high = np.where(enough, power, low), np.where(enough, high, power)
        power = np.where(low == 1, 1, (low + high) / 2)
    return _normalised(low, log_weight)


def _normalised(power: Array, log_weight: Array) -> Array:
    raised = power[..., None] * (log_weight - log_weight.max(axis=-1, keepdims=True))
    return np.asarray(np.exp(raised - logsumexp(raised, axis=-1, keepdims=True)))


def _known(log_prob: Array) -> Array:
    """Return log densities, very low ones where there is none."""
    return np.where(np.isfinite(log_prob), log_prob, -1e30)
