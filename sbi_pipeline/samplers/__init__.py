"""From a trained estimator and data to labelled draws."""

from __future__ import annotations

from typing import Any

from ..posterior import log_posterior
from ..types import Array, Estimator
from .direct import direct
from .draws import Draws, labelled
from .ensemble import ensemble

__all__ = ["Draws", "draw", "labelled"]


def draw(
    estimator: Estimator, x: Array, n: int, *, seed: int, name: str = "auto", **options: Any
) -> Draws:
    """Draw from the posteriors of m data sets.

    Args:
        estimator: A trained estimator.
        x: Data sets, ``(m, *x_shape)``.
        n: Draws wanted of each posterior.
        seed: Seed of the draws.
        name: "direct" for independent draws from the estimator, "emcee" for MCMC on its log
            density; "auto" is direct where the estimator is a posterior.
        **options: Options of the sampler, see `ensemble.ensemble`.

    Raises:
        ValueError: An unknown sampler, or direct sampling of what is not a posterior.
    """
    if name == "auto":
        name = "direct" if estimator.target == "posterior" else "emcee"
    if name == "direct":
        return direct(estimator, x, n, seed=seed)
    if name == "emcee":
        theta_dim = estimator.spec["theta_dim"]
        return ensemble(log_posterior(estimator, x), len(x), theta_dim, n, seed=seed, **options)
    raise ValueError(f"sampler {name!r} is not known; wanted auto, direct or emcee")
