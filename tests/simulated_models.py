"""Simulators whose evidence is known, in a module that a worker imports in no time."""

from __future__ import annotations

import numpy as np
from scipy import special

from sbi_pipeline.simulators.linear_gaussian import LinearGaussian
from sbi_pipeline.simulators.moons import Moons, draw_points
from sbi_pipeline.simulators.source_counts import HALF_WIDTH, SourceCounts
from sbi_pipeline.types import Array


class Nested(LinearGaussian):
    """A linear Gaussian of the first columns of the same matrix, whose nuisances are integrated.

    Args:
        theta_dim: Of the two columns.
        nuisances: Their number.
        noise_at_load: Whether the noise is left to be drawn at load.
        fail_above: Data whose first number is above fail.
    """

    def __init__(
        self,
        theta_dim: int = 2,
        nuisances: int = 0,
        noise_at_load: bool = False,
        fail_above: float | None = None,
    ) -> None:
        super().__init__(theta_dim, nuisances, noise_at_load=noise_at_load)
        whole = LinearGaussian(2, nuisances)
        self.A, self.B = whole.A[:, :theta_dim], whole.B
        self.marginal_parameters = self.parameters[:theta_dim]
        self.fail_above = fail_above

    def __call__(self, parameters: Array, rng: np.random.Generator) -> Array:
        x = super().__call__(parameters, rng)
        if self.fail_above is not None:
            x[x[:, 0] > self.fail_above] = np.nan
        return x

    @property
    def scatter(self) -> Array:
        """Covariance of data given theta."""
        return self.B @ self.B.T + self.noise**2 * np.eye(len(self.A))

    def log_marginal_likelihood(self, parameters: Array, x: Array) -> Array:
        return log_normal(x - parameters @ self.A.T, self.scatter)

    def log_evidence(self, x: Array) -> Array:
        """Exact, of data ``(n, x_dim)``, where theta and eta are N(0, I)."""
        return log_normal(x, self.A @ self.A.T + self.scatter)


def log_normal(x: Array, covariance: Array) -> Array:
    """Log density of a normal distribution about 0, of ``(n, dim)``."""
    root = np.linalg.cholesky(covariance)
    white = np.linalg.solve(root, x.T)
    scale = np.log(np.diag(root)).sum() + 0.5 * len(root) * np.log(2 * np.pi)
    return np.asarray(-0.5 * np.sum(white**2, axis=0) - scale)


class Counts:
    """Counts of one rate, Poisson, or negative binomial where they scatter more.

    Args:
        columns: How many there are.
        scattered: Whether they are negative binomial, with ``1 / size`` a second parameter.
    """

    def __init__(self, columns: int = 20, scattered: bool = False) -> None:
        self.x_shape, self.scattered = (columns,), scattered
        self.parameters = ("log_rate", "excess")[: 1 + scattered]

    def __call__(self, parameters: Array, rng: np.random.Generator) -> Array:
        rate = np.exp(parameters[:, :1]) * np.ones(self.x_shape)
        if self.scattered:
            excess = parameters[:, 1:]
            rate = rng.gamma(1 / excess, rate * excess)
        return np.asarray(rng.poisson(rate), dtype=float)

    def log_likelihood(self, parameters: Array, x: Array) -> Array:
        rate = np.exp(parameters[:, :1])
        if not self.scattered:
            each = special.xlogy(x, rate) - rate - special.gammaln(x + 1)
            return np.asarray(each.sum(axis=1))
        size = 1 / parameters[:, 1:]
        ways = special.gammaln(x + size) - special.gammaln(size) - special.gammaln(x + 1)
        each = ways + special.xlogy(x, rate / (size + rate)) - size * np.log1p(rate / size)
        return np.asarray(each.sum(axis=1))


class ThreeMoons(Moons):
    """Two moons, and a share of points on a third: the upper one, moved by 2 to the right."""

    def __init__(self, points: int = 50) -> None:
        super().__init__(points)
        self.parameters = (*self.parameters, "third")

    def __call__(self, parameters: Array, rng: np.random.Generator) -> Array:
        d, sigma, t, third = parameters.T[..., None]
        size = (len(parameters), self.points)
        of_third = rng.random(size) < third
        points = draw_points(of_third | (rng.random(size) < d), sigma, t, rng)
        points[..., 0] += 2 * of_third
        return points


class Glow(SourceCounts):
    """Maps of sources, with a diffuse glow about the centre whose brightness is a parameter."""

    def __init__(self, most: int = 20, pixels: int = 16, background: float = 0.2) -> None:
        super().__init__(most, pixels, background)
        self.parameters = (*self.parameters, "glow")

    def mean(self, parameters: Array) -> Array:
        angle = (np.arange(self.pixels) + 0.5) / self.pixels * 2 * HALF_WIDTH - HALF_WIDTH
        profile = np.exp(-0.5 * (angle[:, None] ** 2 + angle**2) / 12**2)
        glow = parameters[:, -1, None, None] * profile
        return np.asarray(super().mean(parameters[:, :-1]) + glow, dtype=np.float32)
