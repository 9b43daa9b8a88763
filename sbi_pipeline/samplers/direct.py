"""Independent draws from an estimator of the posterior."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..estimators import Estimator
from ..posterior import check_x
from ..types import Array
from .draws import Draws
from .sampler import NotDrawn, Problem, Sampler

CHAINS = 4


@dataclass(frozen=True)
class Direct(Sampler):
    """The estimator's own draws, as four chains: their number is a multiple of four."""

    needs = "draws"

    def __call__(self, problem: Problem, n: int) -> Draws:
        """Draw ``n`` of each posterior, independently, with their density if it has one.

        Raises:
            NotDrawn: Draws of some are NaN.
        """
        assert problem.draw is not None  # it is what is needed
        began = time.monotonic()
        z = check_z(problem.draw(-(-n // CHAINS) * CHAINS, problem.seed))
        log_prob = problem.log_density(z)
        return replace(
            in_chains(z),
            log_prob=log_prob.reshape(len(z), CHAINS, -1),
            normalised=bool(np.isfinite(log_prob).all()),
            facts={"seconds": time.monotonic() - began},
        )


def in_chains(z: Array) -> Draws:
    """Return independent draws, ``(m, n, theta_dim)``, as four chains, without densities."""
    m, n, theta_dim = z.shape
    return Draws(
        z=z.reshape(m, CHAINS, n // CHAINS, theta_dim),
        log_prob=np.full((m, CHAINS, n // CHAINS), np.nan),
        ensemble=np.arange(CHAINS),
        converged=np.ones(m, dtype=bool),
        independent=True,
        facts={"seconds": 0.0},
    )


def check_z(z: Array) -> Array:
    """Return draws, ``(m, n, theta_dim)``, none of which is NaN.

    Raises:
        NotDrawn: Those of some posteriors are, which data far from all simulations make.
    """
    unknown = np.isnan(z).any(axis=(1, 2))
    if unknown.any():
        text = "draws are NaN; are the data within the reach of the simulator?"
        raise NotDrawn(text, np.flatnonzero(unknown).tolist())
    return z


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
