"""From a trained estimator and data to labelled draws."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..estimators import Estimator
from ..posterior import LogDensity, log_posterior
from ..priors.discrete import Discrete, combinations
from ..types import Array, Prior
from .direct import CHAINS, direct, draws_of, independent
from .draws import Draws, labelled, log_likelihood, some
from .ensemble import ensemble
from .moves import Proposal

__all__ = ["Draws", "draw", "labelled", "log_likelihood", "some"]


def draw(
    estimator: Estimator,
    x: Array,
    n: int,
    *,
    seed: int,
    name: str = "auto",
    prior: Prior | None = None,
    events: bool = False,
    proposal: Estimator | None = None,
    folder: Path | None = None,
    **options: Any,
) -> Draws:
    """Draw from the posteriors of m data sets.

    Args:
        estimator: A trained estimator.
        x: Data sets, ``(m, *x_shape)``; of events, ``(m, events, *x_shape)``.
        n: Draws wanted of each posterior.
        seed: Seed of the draws.
        prior: Prior of theta; needed where some parameters are discrete, to sum over them.
        events: Whether a data set is several independent events, see `posterior.log_posterior`.
        name: "direct" for independent draws from the estimator, "emcee" for MCMC on its log
            density; "auto" is direct where the estimator is a posterior.
        proposal: For MCMC, an estimator of the same posterior to start and propose from.
        folder: For MCMC, where the chain is kept while it grows.
        **options: Options of the sampler, see `ensemble.ensemble`.

    Raises:
        ValueError: An unknown sampler, direct sampling of what is not a posterior, or MCMC on
            what has no density.
    """
    if name == "auto":
        name = "direct" if estimator.traits.draws else "emcee"
    if name == "direct":
        return direct(estimator, x, n, seed=seed)
    if name != "emcee":
        raise ValueError(f"sampler {name!r} is not known; wanted auto, direct or emcee")
    _check_density(estimator, "this estimator")
    density, theta_dim = log_posterior(estimator, x, events), estimator.spec["theta_dim"]
    near = None if proposal is None else _proposal(proposal, x)
    given = {"seed": seed, "proposal": near, "folder": folder, **options}
    discrete = None if prior is None else combinations(prior)
    if discrete is None:
        return ensemble(density, len(x), theta_dim, n, **given)
    if near is not None:
        raise ValueError("a proposal cannot propose discrete parameters; remove it")
    return _with_discrete(discrete, density, len(x), n, given)


def _with_discrete(
    discrete: Discrete, density: LogDensity, targets: int, n: int, options: Mapping[str, Any]
) -> Draws:
    """Draw the continuous parameters by MCMC, then the discrete ones given them."""
    rng = np.random.default_rng([options["seed"], 1])
    continuous = len(discrete.continuous)
    if continuous:
        drawn = ensemble(discrete.summed(density), targets, continuous, n, **options)
    else:
        drawn = independent(np.zeros((targets, -(-n // CHAINS) * CHAINS, 0)), "enumerated")
    shape = drawn.z.shape[:3]
    flat = drawn.z.reshape(targets, shape[1] * shape[2], continuous)
    z, log_prob, chance = discrete.complete(flat, density, rng)
    tau = drawn.autocorrelation_time
    if tau is not None:
        tau = np.full((targets, discrete.theta_dim), np.nan)
        tau[:, discrete.continuous] = drawn.autocorrelation_time
    return dataclasses.replace(
        drawn,
        z=z.reshape(*shape, -1),
        log_prob=log_prob.reshape(shape),
        autocorrelation_time=tau,
        discrete=discrete,
        probability=chance,
    )


def _proposal(estimator: Estimator, x: Array) -> Proposal:
    """Return an estimator of the posteriors of m data sets as a proposal for MCMC."""
    target = estimator.traits.target
    if target != "posterior":
        raise ValueError(f"a proposal must be a posterior; this estimator is a {target}")
    _check_density(estimator, "the proposal")
    return Proposal(
        draw=lambda n, seed: draws_of(estimator, x, n, seed),
        log_prob=log_posterior(estimator, x),
    )


def _check_density(estimator: Estimator, which: str) -> None:
    if not estimator.traits.density:
        raise ValueError(
            f"{which} ({estimator.spec['method']}) has draws but no density, which MCMC needs; "
            "take its draws (sampler: {name: direct}) or an estimator that has one: npe, fmpe, "
            "nle, nre"
        )
