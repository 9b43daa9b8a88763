"""How good draws are for each number of steps they are made in, for methods that choose it.

The energy score of draws z_l for a truth z*, mean |z_l - z*| - mean |z_l - z_l'| / 2 over pairs, is
a proper score: averaged over held-out simulations it is least for draws of the true posterior. It
needs draws alone, no density.

Reference: Gneiting & Raftery, Strictly proper scoring rules, prediction, and estimation, JASA 2007,
https://doi.org/10.1198/016214506000001437.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr

from ..posterior import check_x
from ..types import Array

STEPS = (1, 2, 3, 5, 10, 20, 50)


def sweep(
    estimator: Any, x: Array, z: Array, *, seed: int, draws: int = 50, simulations: int = 200
) -> xr.DataArray:
    """Return the mean energy score in normal space for each number of steps, and its error.

    Args:
        estimator: One whose ``sample_many(n, x, steps)`` takes the number of steps.
        x: Held-out data sets, ``(m, *x_shape)``.
        z: Their truths in normal space, ``(m, theta_dim)``.
        seed: Seed of the draws.
        draws: Draws of each posterior.
        simulations: Data sets used, at most.

    Returns:
        ``(steps, statistic)``, the statistics ``mean`` and ``error``, the standard error of it.
    """
    data = torch.as_tensor(check_x(estimator, x[:simulations]))
    scores = []
    with torch.random.fork_rng(), torch.inference_mode():
        for steps in STEPS:
            torch.manual_seed(seed)
            drawn = estimator.sample_many(draws, data, steps).double().numpy()
            scores.append(energy_score(drawn, z[:simulations]))
    table = np.stack(scores)
    found = np.stack([table.mean(1), table.std(1, ddof=1) / np.sqrt(table.shape[1])], axis=1)
    return xr.DataArray(found, {"steps": list(STEPS), "statistic": ["mean", "error"]})


def energy_score(draws: Array, truth: Array) -> Array:
    """Return the energy score, ``(m,)``, of draws ``(m, n, dim)`` for truths ``(m, dim)``."""
    n = draws.shape[1]
    away = np.linalg.norm(draws - truth[:, None], axis=-1).mean(1)
    apart = np.linalg.norm(draws[:, :, None] - draws[:, None], axis=-1).sum((1, 2))
    return np.asarray(away - 0.5 * apart / (n * (n - 1)))
