"""Ranks where the posterior is: posterior SBC, from simulations at its own draws.

For theta' from the posterior q(theta | x_o) and x' simulated with it, theta' is one more draw of

    p(theta | x', x_o)  proportional to  q(theta | x') q(theta | x_o) / p(theta)

if q(theta | x') is right: q(theta | x_o) takes the place of the prior that simulations were drawn
from. So the ranks of theta' judge the estimator for data such as the posterior predicts, and for
nothing else, whether or not q(theta | x_o) is right itself.

The product is not drawn from exactly. Draws of a proposal g, a mixture of q(. | x'), q(. | x_o)
and the normal that their product would be if they were normal, are as good: that a member of the
pool of theta' and these draws is theta' has the probability of its weight, product over g. The rank
is that of theta' in the distribution of these weights, ties broken at random, and it is uniform
whatever g is and however few draws there are; a bad proposal costs power alone. Of likelihoods and
ratios the product is that of two observations, from which MCMC draws, and all weights are one.

References:
    Säilynoja, Schmitt, Bürkner, Vehtari, Posterior SBC: simulation-based calibration checking
        conditional on data, 2025, https://arxiv.org/abs/2502.03279
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy import special

from .. import streams
from ..posterior import LogDensity, log_normal, log_posterior
from ..priors.circles import periodic_columns
from ..priors.discrete import combinations
from ..samplers.direct import check_z, draws_of
from ..trained import Posterior
from ..types import Array
from .ranks import BY_PARAMETER, draw_longer, uncut
from .weighted_ranks import ranks_in_pool

FIT = 200
"""Draws of each posterior that the normal of the product is fitted to."""


@dataclass(frozen=True)
class RankedPool:
    """Truths and draws among which they are ranked.

    Attributes:
        z: The truth, then draws, in normal space, ``(n, 1 + draws, theta_dim)``.
        log_weight: Of each, in nats, ``(n, 1 + draws)``.
        log_prob: Log density of the product at each, ``(n, 1 + draws)``.
        converged: Whether the chains did, ``(n,)``.
    """

    z: Array
    log_weight: Array
    log_prob: Array
    converged: Array

    @property
    def chance(self) -> Array:
        """The probability of each member that it is the truth, ``(n, 1 + draws)``."""
        return np.asarray(special.softmax(self.log_weight, axis=1))

    @property
    def effective(self) -> Array:
        """Kish's effective number of members, ``(n,)``."""
        return np.asarray(1 / np.sum(self.chance**2, axis=1))


def why_not_ranked(posterior: Posterior, joined: bool) -> str:
    """Return why an estimator's posterior cannot be checked so, in words; empty where it can.

    Args:
        posterior: A trained estimator with its prior.
        joined: Whether the observation is several of one source.
    """
    traits = posterior.estimator.traits
    method = posterior.header.get("method", "the method")
    if posterior.events:
        return "it is of many events, which `accumulation` asks about"
    if joined:
        return "it is of several observations"
    if not traits.density:
        return f"{method} has no density"
    if not traits.joint:
        return f"{method} learns each parameter alone"
    if traits.draws and combinations(posterior.prior) is not None:
        return "some parameters are discrete"
    return ""


def rank_at_posterior(
    posterior: Posterior,
    theta: Array,
    x: Array,
    x_o: Array,
    *,
    seed: int,
    draws: int = 200,
    sampler: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Rank draws of a posterior, with which data were simulated, among draws given these too.

    Args:
        posterior: A trained estimator with its prior.
        theta: Draws of its posterior for the observation, ``(n, theta_dim)``.
        x: What was simulated with them, ``(n, *x_shape)``, packed with the known conditions of the
            observation if there are any.
        x_o: The observation, ``x_shape``, packed alike.
        seed: Of the draws.
        draws: Of each posterior.
        sampler: Name and options of the sampler, where chains are needed.

    Returns:
        ``ranks`` (simulation, parameter), ``joint_ranks`` (simulation, quantity) of the log
        density, ``converged`` (simulation), and in its attributes ``draws``, ``effective``, the
        median effective number of them, and ``seconds``.
    """
    began, prior = time.monotonic(), posterior.prior
    pooled = _proposed if posterior.estimator.traits.draws else _chained
    pool = pooled(posterior, prior.to_normal(theta), x, x_o, draws, seed, sampler or {})
    z, periodic = pool.z, periodic_columns(prior)
    if periodic:
        of_draws, of_truth = uncut(z[:, 1:], z[:, 0], periodic)
        z = np.concatenate([of_truth[:, None], of_draws], axis=1)
    values = np.stack([prior.from_normal(each) for each in z])
    rng = streams.generator(seed, "posterior SBC/ties")
    joint = ranks_in_pool(pool.log_prob[..., None], pool.chance, draws, rng)
    return xr.Dataset(
        {
            "ranks": (BY_PARAMETER, ranks_in_pool(values, pool.chance, draws, rng)),
            "joint_ranks": (("simulation", "quantity"), joint),
            "converged": ("simulation", pool.converged.astype(np.int8)),
        },
        {"parameter": list(prior.names), "quantity": ["log density"]},
        {
            "draws": draws,
            "effective": float(np.median(pool.effective)),
            "seconds": time.monotonic() - began,
        },
    )


def _chained(
    posterior: Posterior,
    truth: Array,
    x: Array,
    x_o: Array,
    draws: int,
    seed: int,
    options: Mapping[str, Any],
) -> RankedPool:
    """Draw from the posteriors of both data sets by MCMC."""
    both = np.stack([np.broadcast_to(x_o, x.shape), x], axis=1)
    own = int(streams.generator(seed, "posterior SBC/chains").integers(2**31))
    z, facts = draw_longer(posterior, both, draws, own, options, joined=True)
    pool = np.concatenate([truth[:, None], z], axis=1)
    log_prob = log_posterior(posterior.estimator, both, joined=True)(pool)
    return RankedPool(pool, np.zeros(pool.shape[:2]), log_prob, np.asarray(facts["converged"]))


def _proposed(
    posterior: Posterior,
    truth: Array,
    x: Array,
    x_o: Array,
    draws: int,
    seed: int,
    options: Mapping[str, Any],
) -> RankedPool:
    """Draw from a mixture that covers the posterior of both data sets, and weigh."""
    estimator, n = posterior.estimator, len(x)
    rng = streams.generator(seed, "posterior SBC/pools")
    # Not the seed itself, with which the posterior was drawn: truths would be among the draws.
    first, second = rng.integers(2**31, size=2).tolist()
    whose = rng.integers(3, size=(n, draws))  # each of the new data, of the observation, or normal
    own, shared = whose == 0, whose == 1
    of_new = check_z(draws_of(estimator, x, FIT + int(own.sum(axis=1).max()), first))
    of_old = check_z(draws_of(estimator, x_o[None], FIT + int(shared.sum()), second))[0]
    normal = Normals.of_product(of_new[:, :FIT], of_old[:FIT])
    drawn = normal.draw(draws, rng)
    drawn[own] = of_new[np.nonzero(own)[0], FIT - 1 + np.cumsum(own, axis=1)[own]]
    drawn[shared] = of_old[FIT:]
    z = np.concatenate([truth[:, None], drawn], axis=1)
    new, old = log_posterior(estimator, x)(z), _of_one(log_posterior(estimator, x_o[None]), z)
    mixture = special.logsumexp([new, old, normal.log_prob(z)], axis=0)
    product = new + old - log_normal(z)
    return RankedPool(z, product - mixture, product, np.ones(n))


def _of_one(density: LogDensity, z: Array) -> Array:
    """Return the density of one target at ``(n, k, theta_dim)``, ``(n, k)``."""
    return np.asarray(density(z.reshape(1, -1, z.shape[-1]))[0].reshape(z.shape[:-1]))


@dataclass(frozen=True)
class Normals:
    """Normal distributions, one a data set.

    Attributes:
        mean: ``(n, theta_dim)``.
        root: Lower triangular roots of their covariances, ``(n, theta_dim, theta_dim)``.
    """

    mean: Array
    root: Array

    @classmethod
    def of_product(cls, new: Array, old: Array) -> Normals:
        """Return what the products of posteriors over N(0, I) would be if all were normal.

        Args:
            new: Draws of posteriors, ``(n, k, theta_dim)``.
            old: Draws of the other one, ``(k, theta_dim)``.
        """
        one, other = _precision(new), _precision(old[None])
        size, axes = np.linalg.eigh(one + other - np.eye(new.shape[2]))
        size = np.maximum(size, 1.0)[..., None, :]  # no wider than the prior
        covariance = (axes / size) @ np.swapaxes(axes, 1, 2)
        pull = one @ new.mean(axis=1)[..., None] + other @ old.mean(axis=0)[:, None]
        return cls((covariance @ pull)[..., 0], np.linalg.cholesky(covariance))

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """Return ``n`` draws of each, ``(m, n, theta_dim)``."""
        unit = rng.normal(size=(len(self.mean), n, self.mean.shape[1]))
        return np.asarray(self.mean[:, None] + unit @ np.swapaxes(self.root, 1, 2))

    def log_prob(self, z: Array) -> Array:
        """Return log densities in nats at ``(m, n, theta_dim)``, ``(m, n)``."""
        apart = np.swapaxes(z - self.mean[:, None], 1, 2)
        unit = np.swapaxes(np.linalg.solve(self.root, apart), 1, 2)
        diagonal = np.diagonal(self.root, axis1=1, axis2=2)
        return np.asarray(log_normal(unit) - np.log(diagonal).sum(axis=1)[:, None])


def _precision(draws: Array) -> Array:
    """Return inverse covariances of draws, ``(m, k, dim)``, as ``(m, dim, dim)``."""
    apart = draws - draws.mean(axis=1, keepdims=True)
    covariance = np.swapaxes(apart, 1, 2) @ apart / draws.shape[1]
    floor = 1e-9 * np.trace(covariance, axis1=1, axis2=2)[:, None, None] + 1e-24
    return np.asarray(np.linalg.inv(covariance + floor * np.eye(draws.shape[2])))
