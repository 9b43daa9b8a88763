"""Scores of held-out events, from which `accumulation` says what errors of many come to."""

from __future__ import annotations

import numpy as np

from ..posterior import LogDensity, log_normal
from ..types import Array

STEP = 0.01


def scores(log_density: LogDensity, z: Array) -> Array:
    """Return the gradient of the log likelihood of each event at its z, ``(n, dim)``.

    By central differences.

    Args:
        log_density: Log posterior density of n events, ``(n, k, dim) -> (n, k)``, prior included.
        z: Where, ``(n, dim)``.
    """
    steps = STEP * np.concatenate([np.eye(z.shape[1]), -np.eye(z.shape[1])])
    points = z[:, None] + steps
    up, down = np.split(log_density(points) - log_normal(points), 2, axis=1)
    return np.asarray((up - down) / (2 * STEP))
