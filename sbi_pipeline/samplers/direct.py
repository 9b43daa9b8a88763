"""Independent draws from an estimator of the posterior."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import torch

from ..estimators import Estimator
from ..posterior import check_x, log_posterior
from ..types import Array
from .draws import Draws

CHAINS = 4


def direct(estimator: Estimator, x: Array, n: int, *, seed: int) -> Draws:
    """Draw from the posteriors of m data sets ``x``, ``(m, *x_shape)``, ``n`` draws of each.

    Args:
        estimator: An estimator with target "posterior".
        x: Data sets, ``(m, *x_shape)``.
        n: Draws of each posterior; rounded up to a multiple of four, for four chains.
        seed: Seed of the draws.

    Raises:
        ValueError: The estimator is of something else than the posterior.
    """
    target = estimator.traits.target
    if target != "posterior":
        raise ValueError(f"direct draws need a posterior; this estimator is a {target}")
    began = time.monotonic()
    n = -(-n // CHAINS) * CHAINS
    z = draws_of(estimator, x, n, seed)
    log_prob = log_posterior(estimator, x)(z)
    seconds = {"seconds": time.monotonic() - began}
    return dataclasses.replace(
        independent(z, "direct"), log_prob=log_prob.reshape(len(x), CHAINS, -1), facts=seconds
    )


def independent(z: Array, sampler: str) -> Draws:
    """Return independent draws, ``(m, n, theta_dim)``, as four chains, without densities."""
    m, n, theta_dim = z.shape
    return Draws(
        z=z.reshape(m, CHAINS, n // CHAINS, theta_dim),
        log_prob=np.full((m, CHAINS, n // CHAINS), np.nan),
        ensemble=np.arange(CHAINS),
        sampler=sampler,
        converged=np.ones(m, dtype=bool),
        facts={"seconds": 0.0},
    )


def draws_of(estimator: Estimator, x: Array, n: int, seed: int, *, batch: int = 1_000_000) -> Array:
    """Return ``(m, n, theta_dim)`` draws in normal space for data sets ``x``, ``(m, *x_shape)``.

    Args:
        estimator: An estimator with target "posterior".
        x: Data sets, ``(m, *x_shape)``.
        n: Draws of each posterior.
        seed: Seed of the draws.
        batch: Draws made at once.
    """
    x = check_x(estimator, x)
    at_once = max(1, batch // n)
    device = next(estimator.parameters()).device
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(seed)
        parts = [
            estimator.sample_many(n, torch.as_tensor(x[i : i + at_once]).to(device))
            for i in range(0, len(x), at_once)
        ]
    return np.asarray(torch.cat(parts).double().cpu().numpy())
