"""Linear Gaussian with nuisance parameters: everything about it is known in closed form.

    x = A theta + B eta + noise,    noise ~ N(0, sd^2 I),

with fixed matrices A and B. With a Gaussian prior on (theta, eta), the posterior of theta with eta
marginalised, and the one with eta held fixed, are Gaussians.
(Bishop, Pattern Recognition and Machine Learning, 2006, section 2.3.3.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..options import Count, Index, Positive

Array = NDArray[Any]


class LinearGaussian:
    """Data, ``(n, x_dim)``, for (theta_1, ..., eta_1, ...).

    Args:
        theta_dim: Number of parameters of interest.
        nuisances: Number K of nuisance parameters; B is scaled by 1 / sqrt(K), so that their
            joint effect does not grow with K.
        x_dim: Length of the data.
        noise: Standard deviation of the noise, in units of x.
        noise_at_load: Whether the noise is left to be drawn when training reads the data.
    """

    def __init__(
        self,
        theta_dim: Count = 2,
        nuisances: Index = 0,
        x_dim: Count = 6,
        noise: Positive = 0.5,
        noise_at_load: bool = False,
    ) -> None:
        self.theta_dim, self.x_shape = theta_dim, (x_dim,)
        self.noise, self.noise_at_load = noise, noise_at_load
        self.parameters = tuple(
            [f"theta_{i + 1}" for i in range(theta_dim)]
            + [f"eta_{i + 1}" for i in range(nuisances)]
        )
        fixed = np.random.Generator(np.random.Philox(key=1))
        self.A = fixed.normal(size=(x_dim, theta_dim))
        self.B = fixed.normal(size=(x_dim, nuisances)) / np.sqrt(max(nuisances, 1))

    def __call__(self, parameters: Array, rng: np.random.Generator) -> Array:
        """Simulate data, ``(n, x_dim)``, for parameters, ``(n, theta_dim + nuisances)``."""
        mean = parameters @ np.hstack([self.A, self.B]).T
        return mean if self.noise_at_load else self.observe(mean, rng)

    def observe(self, x: Array, rng: np.random.Generator) -> Array:
        """Add noise to data, ``(n, x_dim)``."""
        return np.asarray(x + self.noise * rng.normal(size=x.shape))

    def log_likelihood(self, parameters: Array, x: Array) -> Array:
        """Exact log p(x | theta, eta) in nats, ``(n,)``, for one ``x``, ``(x_dim,)``."""
        residual = (x - parameters @ np.hstack([self.A, self.B]).T) / self.noise
        constant = len(x) * np.log(self.noise * np.sqrt(2 * np.pi))
        return -0.5 * np.sum(residual**2, axis=1) - constant

    def posterior(self, x: Array, mean: Array, covariance: Array) -> tuple[Array, Array]:
        """Condition a Gaussian prior of all parameters on one ``x``, ``(x_dim,)``.

        Args:
            x: One observation.
            mean: Prior mean of (theta, eta), ``(dim,)``.
            covariance: Prior covariance, ``(dim, dim)``; correlations of eta with theta included.

        Returns:
            Posterior mean, ``(dim,)``, and covariance, ``(dim, dim)``. The leading ``theta_dim``
            entries are the posterior of theta with eta marginalised.
        """
        design = np.hstack([self.A, self.B])
        cross = covariance @ design.T
        gain = cross @ np.linalg.inv(design @ cross + self.noise**2 * np.eye(len(x)))
        return mean + gain @ (x - design @ mean), covariance - gain @ cross.T
