"""A polynomial seen through noise: linear, Gaussian, and known in closed form at any noise.

    x_i = c0 + c1 t_i + c2 t_i^2 + ... + noise n_i,    n_i ~ N(0, 1),

with times t_i spread evenly from -1 to 1. With little noise and a wide prior the posterior is a
speck in the prior, which one round of simulations cannot see.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..options import Count, Index, Positive

Array = NDArray[Any]


class Polynomial:
    """Data, ``(n, points)``, for the coefficients (c0, c1, ...).

    Args:
        degree: Of the polynomial.
        points: Length of the data.
        noise: Standard deviation of the noise, in units of x.
    """

    def __init__(self, degree: Index = 2, points: Count = 10, noise: Positive = 0.01) -> None:
        self.parameters = tuple(f"c{power}" for power in range(degree + 1))
        self.x_shape, self.noise = (points,), noise
        self.design = np.vander(np.linspace(-1, 1, points), degree + 1, increasing=True)

    def __call__(self, parameters: Array, rng: np.random.Generator) -> Array:
        """Simulate data, ``(n, points)``, for parameters, ``(n, degree + 1)``."""
        mean = parameters @ self.design.T
        return np.asarray(mean + self.noise * rng.normal(size=mean.shape))

    def log_likelihood(self, parameters: Array, x: Array) -> Array:
        """Exact log p(x | c) in nats, ``(n,)``, for one ``x``, ``(points,)``."""
        residual = (x - parameters @ self.design.T) / self.noise
        constant = len(x) * np.log(self.noise * np.sqrt(2 * np.pi))
        return np.asarray(-0.5 * np.sum(residual**2, axis=1) - constant)

    def posterior(self, x: Array) -> tuple[Array, Array]:
        """Return mean, ``(dim,)``, and covariance of the posterior of one ``x`` under a flat prior.

        That of a uniform prior, as long as its bounds are many posterior sds away.
        """
        covariance = self.noise**2 * np.linalg.inv(self.design.T @ self.design)
        return covariance @ self.design.T @ x / self.noise**2, covariance
