"""Two moons: a posterior of two crescents, the usual test of a two-dimensional estimator.

With a ~ U(-pi/2, pi/2) and r ~ N(0.1, 0.01^2),

    x = (r cos a + 0.25 - |theta_1 + theta_2| / sqrt 2,  r sin a + (theta_2 - theta_1) / sqrt 2).

(Greenberg, Nonnenmacher & Macke, Automatic posterior transformation for likelihood-free
inference, ICML 2019, https://arxiv.org/abs/1905.07488.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class TwoMoons:
    """Points, ``(n, 2)``, for (theta_1, theta_2)."""

    parameters = ("theta_1", "theta_2")
    x_shape = (2,)

    def __call__(self, parameters: Array, rng: np.random.Generator) -> Array:
        """Simulate points, ``(n, 2)``, for parameters, ``(n, 2)``."""
        n = len(parameters)
        angle = rng.uniform(-np.pi / 2, np.pi / 2, n)
        radius = rng.normal(0.1, 0.01, n)
        moon = np.stack([radius * np.cos(angle) + 0.25, radius * np.sin(angle)], axis=1)
        return moon + self._shift(parameters)

    def log_likelihood(self, parameters: Array, x: Array) -> Array:
        """Exact log p(x | theta) in nats, ``(n,)``, for one ``x``, ``(2,)``."""
        u, v = (x - self._shift(parameters) - [0.25, 0]).T
        radius = np.maximum(np.hypot(u, v), 1e-12)
        log_radius = -0.5 * ((radius - 0.1) / 0.01) ** 2 - np.log(0.01 * np.sqrt(2 * np.pi))
        return np.where(u > 0, log_radius - np.log(np.pi * radius), -np.inf)

    def _shift(self, parameters: Array) -> Array:
        one, two = parameters.T
        return np.stack([-np.abs(one + two), two - one], axis=1) / np.sqrt(2)
