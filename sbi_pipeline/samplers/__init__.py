"""From a trained estimator and data to labelled draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..posterior import log_posterior
from ..types import Array, Estimator
from .direct import direct, draws_of
from .draws import Draws, labelled
from .ensemble import ensemble
from .moves import Proposal

__all__ = ["Draws", "draw", "labelled"]


def draw(
    estimator: Estimator,
    x: Array,
    n: int,
    *,
    seed: int,
    name: str = "auto",
    proposal: Estimator | None = None,
    folder: Path | None = None,
    **options: Any,
) -> Draws:
    """Draw from the posteriors of m data sets.

    Args:
        estimator: A trained estimator.
        x: Data sets, ``(m, *x_shape)``.
        n: Draws wanted of each posterior.
        seed: Seed of the draws.
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
        name = "direct" if estimator.target == "posterior" else "emcee"
    if name == "direct":
        return direct(estimator, x, n, seed=seed)
    if name != "emcee":
        raise ValueError(f"sampler {name!r} is not known; wanted auto, direct or emcee")
    _check_density(estimator, "this estimator")
    density, theta_dim = log_posterior(estimator, x), estimator.spec["theta_dim"]
    near = None if proposal is None else _proposal(proposal, x)
    return ensemble(
        density, len(x), theta_dim, n, seed=seed, proposal=near, folder=folder, **options
    )


def _proposal(estimator: Estimator, x: Array) -> Proposal:
    """Return an estimator of the posteriors of m data sets as a proposal for MCMC."""
    if estimator.target != "posterior":
        raise ValueError(f"a proposal must be a posterior; this estimator is a {estimator.target}")
    _check_density(estimator, "the proposal")
    return Proposal(
        draw=lambda n, seed: draws_of(estimator, x, n, seed),
        log_prob=log_posterior(estimator, x),
    )


def _check_density(estimator: Estimator, which: str) -> None:
    if not getattr(estimator, "has_density", True):
        raise ValueError(
            f"{which} ({estimator.spec['method']}) has draws but no density, which MCMC needs; "
            "take its draws (sampler: {name: direct}) or an estimator that has one: npe, fmpe, "
            "nle, nre"
        )
