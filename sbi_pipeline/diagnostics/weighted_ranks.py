"""Calibration of draws that are reweighted: where does the truth rank, by weight?

Ranks among draws resampled by weight are uniform only where many draws count. Instead the truth is
taken as one more draw. If it is of the density p, and N others are of the proposal q, then of all
N + 1 points, in whatever order they came, point i is the truth with probability

    w_i / sum of w,    w = p / q:

it is as if it were drawn among them by weight. So the weight of all points below the truth, and a
random part of its own, over the sum, is uniform between 0 and 1 if p is right, however few draws
count and however bad the proposal is. What is lost where few count is not that, but sight: a truth
that outweighs all draws could lie anywhere. How many count is told for each data set.

Of a likelihood averaged over draws of nuisances the same holds if the true nuisances are one of the
draws for the truth.

The density at the truth takes the evidence from all N + 1 points, so that it is too low where few
count, on average, and never too high.

References:
    Andrieu & Roberts, The pseudo-marginal approach for efficient Monte Carlo computations, Ann.
        Statist. 37, 2009, https://doi.org/10.1214/07-AOS574 (averaged likelihoods).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy import special

from .. import importance, samplers
from ..posterior import log_posterior, to_theta_density
from ..priors.discrete import combinations
from ..trained import Posterior
from ..types import Array, Prior
from .ranks import BY_MEMBER, BY_PARAMETER, MEMBERS, draws_beside_truths, references, uncut_circles
from .statements import statements

logger = logging.getLogger(__name__)

LEAST_PROPOSED, PROPOSED = 1000, 5
"""Draws of the proposal for each held-out simulation: at least, and over those of a rank."""
DEFAULT_SIMULATIONS = 200
FEWEST_SIMULATIONS = 20
AT_ONCE = 20
"""Held-out simulations that are weighed together."""
LONGEST = 3600.0
"""Seconds after which no more held-out simulations are begun."""

LogTarget = Callable[[Array, Array], Array]
"""From points in normal space, ``(m, n, dim)``, the first of which is the truth, and which held-out
simulations they are for, ``(m,)``, to log densities up to a constant for each, ``(m, n)``."""


class WeighedTruths(NamedTuple):
    """Truths of m held-out simulations, each with draws for it.

    Attributes:
        z: Points in normal space, ``(m, n, dim)``, the truth first.
        log_density: Log of the density they are reweighted to, up to a constant for each
            simulation, ``(m, n)``.
        log_weight: That over the density of the proposal, ``(m, n)``.
    """

    z: Array
    log_density: Array
    log_weight: Array


def rank_by_weight(
    proposal: Posterior,
    log_target: LogTarget,
    theta: Array,
    x: Array,
    *,
    seed: int,
    simulations: int | None = None,
    draws: int = 200,
    longest: float = LONGEST,
) -> xr.Dataset:
    """Rank held-out truths among draws of a proposal, by weight.

    Args:
        proposal: The estimator that draws.
        log_target: The density that its draws are reweighted to.
        theta: Held-out truths, ``(n, theta_dim)``.
        x: Their data, as shown to the proposal, ``(n, *x_shape)``.
        seed: Of the draws.
        simulations: How many held-out ones to use; `DEFAULT_SIMULATIONS` where None.
        draws: Ranks go from 0 to so many.
        longest: Seconds after which no more are begun: those that were weighed till then are
            ranked.

    Returns:
        What `ranks.rank` does for an estimator with a density, without ``converged``, and
        ``effective`` (simulation): Kish's number of draws that count, the truth being one.

    Raises:
        ValueError: There are no held-out simulations.
    """
    if not len(theta):
        raise ValueError("no held-out simulations; set split.test above 0")
    began, rng = time.monotonic(), np.random.default_rng([seed, 3])
    count = min(simulations or DEFAULT_SIMULATIONS, len(theta))
    proposed = max(LEAST_PROPOSED, PROPOSED * draws)
    pools: list[WeighedTruths] = []
    for first in range(0, count, AT_ONCE):
        if first >= FEWEST_SIMULATIONS and time.monotonic() - began > longest:
            logger.warning("%d held-out simulations took %.0f s; no more are asked", first, longest)
            break
        rows = np.arange(first, min(first + AT_ONCE, count))
        pools.append(_pool(proposal, log_target, theta[rows], x[rows], rows, proposed, rng))
        logger.info("%d of %d held-out simulations are weighed", rows[-1] + 1, count)
    pool = WeighedTruths(*(np.concatenate(each) for each in zip(*pools, strict=True)))
    ranked = ranked_by_weight(proposal.prior, theta[: len(pool.z)], pool, draws, seed)
    return ranked.assign_attrs(seconds=time.monotonic() - began)


def ranked_by_weight(
    prior: Prior, theta: Array, pool: WeighedTruths, draws: int, seed: int
) -> xr.Dataset:
    """Rank truths among weighed draws; what is returned stands in `rank_by_weight`.

    Args:
        prior: Of the parameters.
        theta: The truths, ``(m, theta_dim)``.
        pool: They and their draws.
        draws: Ranks go from 0 to so many.
        seed: Of what is drawn by weight.
    """
    rng = np.random.default_rng([seed, 4])
    z, log_density, log_weight = pool
    total = special.logsumexp(log_weight, axis=1)
    weight = np.exp(log_weight - total[:, None])
    log_prob = log_density[:, 0] - total + np.log(z.shape[1])
    if combinations(prior) is not None:  # a density of some parameters, a probability of others
        log_prob = np.full(len(z), np.nan)
    far = np.linalg.norm(z - references(z[:, 0], rng)[:, None], axis=2)
    joint = {"log density": log_density, "TARP": far}
    chosen = [_resampled(*each, draws, rng) for each in zip(z, log_weight, strict=True)]
    values = _as_parameters(prior, z, theta)
    together = np.stack([*joint.values()], axis=2)
    of_joint = ranks_in_pool(together, weight, draws, rng)
    return xr.Dataset(
        {
            "ranks": (BY_PARAMETER, ranks_in_pool(values, weight, draws, rng)),
            "joint_ranks": (("simulation", "quantity"), of_joint),
            "log_prob": ("simulation", to_theta_density(log_prob, z[:, 0], prior)),
            "scores": (BY_MEMBER, _scores(values, weight, rng).astype(np.float32)),
            "effective": ("simulation", 1 / np.sum(weight**2, axis=1)),
            "said": (("simulation", "statement"), _said(prior, z, weight, draws, rng)),
            **draws_beside_truths(prior, np.stack(chosen), z[:, 0], theta, seed),
        },
        {"parameter": list(prior.names), "quantity": list(joint)},
        {"draws": draws, "independent": 1},
    )


def _pool(
    proposal: Posterior,
    log_target: LogTarget,
    theta: Array,
    x: Array,
    rows: Array,
    proposed: int,
    rng: np.random.Generator,
) -> WeighedTruths:
    """Return truths and draws of some held-out simulations."""
    seed = int(rng.integers(2**31))
    drawn = samplers.draw(proposal.estimator, x, proposed, seed=seed, prior=proposal.prior)
    truth = proposal.prior.to_normal(theta)[:, None]
    z = np.concatenate([truth, drawn.z.reshape(len(x), -1, truth.shape[-1])], axis=1)
    at_truth = log_posterior(proposal.estimator, x)(truth)
    log_proposal = np.concatenate([at_truth, drawn.log_prob.reshape(len(x), -1)], axis=1)
    log_density = log_target(z, rows)
    log_weight = np.where(np.isnan(log_density), -np.inf, log_density) - log_proposal
    if np.isnan(log_weight).any() or np.isposinf(log_weight).any():
        raise ValueError(
            "a weight of a held-out simulation is infinite: the proposal gives its truth no "
            "density, or the likelihood gave no number"
        )
    nothing = np.isneginf(log_weight).all(axis=1)
    log_weight[nothing, 0] = 0.0  # the truth could be anywhere
    return WeighedTruths(z, log_density, log_weight)


def _resampled(z: Array, log_weight: Array, draws: int, rng: np.random.Generator) -> Array:
    """Return draws by weight, ``(draws, dim)``, of one pool without its truth."""
    others = log_weight[1:] - special.logsumexp(log_weight[1:])
    weight = np.exp(others) if np.isfinite(others).any() else np.ones(len(others))
    return np.asarray(z[1:][importance.resample(weight, draws, rng)])


def _as_parameters(prior: Prior, z: Array, theta: Array) -> Array:
    """Return pools as parameters, ``(m, n, dim)``, circles cut opposite to each of them."""
    draws, _, truth = uncut_circles(prior, z[:, 1:], z[:, 0], theta)
    parts = zip(truth, draws, strict=True)
    return np.stack([np.concatenate([one[None], prior.from_normal(each)]) for one, each in parts])


def positions(values: Array, weight: Array, which: Array, rng: np.random.Generator) -> Array:
    """Return where one point of each pool lies among all of it, by weight, ``(m, k)`` in [0, 1].

    Uniform where it was drawn from the pool by weight, or is as if it were.

    Args:
        values: Quantities of the points, ``(m, n, k)``.
        weight: Of the points, ``(m, n)``, sum 1.
        which: The point, ``(m,)``.
        rng: Spreads it over its own weight, and that of points equal to it.
    """
    own = np.take_along_axis(values, which[:, None, None], axis=1)
    less = np.einsum("mn,mnk->mk", weight, values < own)
    equal = np.einsum("mn,mnk->mk", weight, values == own)
    return np.asarray(np.clip(less + rng.random(equal.shape) * equal, 0, 1))


def ranks_in_pool(values: Array, weight: Array, draws: int, rng: np.random.Generator) -> Array:
    """Return ranks of truths, the first of their pools, ``(m, k)``, uniform on 0 to ``draws``.

    Arguments are those of `positions`.
    """
    places = positions(values, weight, np.zeros(len(values), int), rng)
    return np.minimum((places * (draws + 1)).astype(int), draws)


def _said(prior: Prior, z: Array, weight: Array, draws: int, rng: np.random.Generator) -> Array:
    """Return what pools say by weight, whichever of their points is the truth."""
    parts = zip(z, weight, strict=True)
    return statements(
        np.stack([one[importance.resample(own, draws, rng)] for one, own in parts]), prior
    )


def _scores(values: Array, weight: Array, rng: np.random.Generator) -> Array:
    """Return normal scores of the truth, and of points drawn by weight, ``(m, 1 + MEMBERS, k)``."""
    m, edges = len(values), np.cumsum(weight, axis=1)
    found = [positions(values, weight, np.zeros(m, int), rng)]
    for u in rng.random((MEMBERS, m)):
        which = np.minimum((edges < u[:, None]).sum(axis=1), values.shape[1] - 1)
        found.append(positions(values, weight, which, rng))
    return special.ndtri(np.clip(np.stack(found, axis=1), 1e-9, 1 - 1e-9))
