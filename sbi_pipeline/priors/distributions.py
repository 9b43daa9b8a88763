"""Continuous distributions in closed form, by `scipy.special` alone.

They give what those of `scipy.stats` give, to the last bit where draws are made, and are imported
in a third of the time: every stage that knows a prior waits for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from ..types import Array

Map = Callable[[Array], Array]
Value = Array | float
LOG_SQRT_2_PI = np.log(2 * np.pi) / 2
SMALL = 1e-8


@dataclass(frozen=True)
class Distribution:
    """The distribution of ``scale * y``, plus ``loc``, for a standard form y.

    The maps are of y; the methods are those of a frozen distribution of SciPy.

    Attributes:
        quantile: Inverse of ``below``.
        upper_quantile: Inverse of ``above``.
        below: P(below y).
        above: P(above y).
        log_density: In nats.
        low, high: Where y lies.
        loc, scale: Numbers or ``(n,)``.
    """

    quantile: Map
    upper_quantile: Map
    below: Map
    above: Map
    log_density: Map
    low: Any = -np.inf
    high: Any = np.inf
    loc: Any = 0.0
    scale: Any = 1.0

    def support(self) -> tuple[Any, Any]:
        """Return the ends of where values lie."""
        return self.low * self.scale + self.loc, self.high * self.scale + self.loc

    def ppf(self, q: Array) -> Array:
        """Return the value below which a fraction ``q`` lies."""
        return self._between(q, self.quantile, self.low, self.high)

    def isf(self, q: Array) -> Array:
        """Return the value above which a fraction ``q`` lies."""
        return self._between(q, self.upper_quantile, self.high, self.low)

    def cdf(self, value: Array) -> Array:
        """Return the fraction below a value."""
        return self._inside(value, self.below, 0.0, 1.0)

    def sf(self, value: Array) -> Array:
        """Return the fraction above a value."""
        return self._inside(value, self.above, 1.0, 0.0)

    def logpdf(self, value: Array) -> Array:
        """Return the log density in nats; -inf outside."""
        return self._inside(value, self.log_density, -np.inf, -np.inf) - np.log(self.scale)

    def _between(self, q: Array, quantile: Map, first: Any, last: Any) -> Array:
        """Return quantiles; those of 0 and 1 are the ends, without rounding."""
        q = np.asarray(q, dtype=float)
        with np.errstate(all="ignore"):  # the ends, and fractions that are none, are put right here
            y = np.where(q == 0, first, np.where(q == 1, last, quantile(q)))
        return np.where((q >= 0) & (q <= 1), y * self.scale + self.loc, np.nan)

    def _inside(self, value: Array, map_: Map, before: float, after: float) -> Array:
        y = (np.asarray(value, dtype=float) - self.loc) / self.scale
        with np.errstate(all="ignore"):  # what lies outside is put right here
            inside = map_(y)
        within = np.where(y < self.low, before, np.where(y > self.high, after, inside))
        return np.where(np.isnan(y), np.nan, within)


@dataclass(frozen=True)
class Uniform:
    """The uniform distribution between two ends, from either of which values keep their digits."""

    low: Any
    high: Any

    def support(self) -> tuple[Any, Any]:
        """Return the ends of where values lie."""
        return self.low, self.high

    def ppf(self, q: Array) -> Array:
        """Return the value below which a fraction ``q`` lies."""
        return self._quantile(q, q)

    def isf(self, q: Array) -> Array:
        """Return the value above which a fraction ``q`` lies."""
        return self._quantile(q, 1 - np.asarray(q, dtype=float))

    def cdf(self, value: Array) -> Array:
        """Return the fraction below a value."""
        return np.clip((np.asarray(value, dtype=float) - self.low) / self._width, 0, 1)

    def sf(self, value: Array) -> Array:
        """Return the fraction above a value."""
        return np.clip((self.high - np.asarray(value, dtype=float)) / self._width, 0, 1)

    def logpdf(self, value: Array) -> Array:
        """Return the log density in nats; -inf outside."""
        value = np.asarray(value, dtype=float)
        inside = (self.low <= value) & (value <= self.high)
        density = np.where(inside, -np.log(self._width), -np.inf)
        return np.where(np.isnan(value), np.nan, density)

    @property
    def _width(self) -> Any:
        return np.subtract(self.high, self.low)

    def _quantile(self, q: Array, below: Array) -> Array:
        """Return quantiles; those of 0 and 1 are the ends, without rounding."""
        q, below = np.asarray(q, dtype=float), np.asarray(below, dtype=float)
        value = below * self._width + self.low
        return np.where((q >= 0) & (q <= 1), value, np.nan)


def uniform(min: Value, max: Value) -> Uniform:  # noqa: A002
    """Return the uniform distribution."""
    return Uniform(min, max)


def normal(mean: Value, sd: Value) -> Distribution:
    """Return the normal distribution."""
    return Distribution(
        quantile=special.ndtri,
        upper_quantile=lambda q: -special.ndtri(q),
        below=special.ndtr,
        above=lambda y: special.ndtr(-y),
        log_density=_log_normal,
        loc=mean,
        scale=sd,
    )


def _log_normal(y: Array) -> Array:
    return -(y**2) / 2.0 - LOG_SQRT_2_PI


def lognormal(mean: Value, sd: Value) -> Distribution:
    """Return the distribution whose natural logarithm is normal, with this mean and sd."""
    return Distribution(
        quantile=lambda q: np.exp(sd * special.ndtri(q)),
        upper_quantile=lambda q: np.exp(sd * -special.ndtri(q)),
        below=lambda y: special.ndtr(np.log(y) / sd),
        above=lambda y: special.ndtr(-np.log(y) / sd),
        log_density=lambda y: np.where(
            y > 0, _log_normal(np.log(y) / sd) - np.log(sd) - np.log(y), -np.inf
        ),
        low=0.0,
        scale=np.exp(mean),
    )


def halfnormal(sd: Value) -> Distribution:
    """Return the distribution of the size of a normal number with mean 0."""
    return Distribution(
        quantile=_half_normal_quantile,
        upper_quantile=lambda q: -special.ndtri(q / 2),
        below=lambda y: special.erf(y / np.sqrt(2)),
        above=lambda y: 2 * special.ndtr(-y),
        log_density=lambda y: 0.5 * np.log(2.0 / np.pi) - y * y / 2.0,
        low=0.0,
        scale=sd,
    )


def _half_normal_quantile(q: Array) -> Array:
    near_0 = np.sqrt(np.pi / 2) * q  # where 1 + q has no digits of q left; the next term is q^3
    return np.where(q < SMALL, near_0, special.ndtri((1 + q) / 2.0))


def loguniform(min: Value, max: Value) -> Distribution:  # noqa: A002
    """Return the distribution whose logarithm is uniform."""
    low, width = np.log(min), np.log(max) - np.log(min)
    return Distribution(
        quantile=lambda q: np.exp(low + q * width),
        upper_quantile=lambda q: np.exp(low + (1 - q) * width),
        below=lambda y: (np.log(y) - low) / width,
        above=lambda y: 1 - (np.log(y) - low) / width,
        log_density=lambda y: -np.log(y) - np.log(width),
        low=min,
        high=max,
    )


def beta(a: Value, b: Value) -> Distribution:
    """Return the beta distribution."""
    return Distribution(
        quantile=lambda q: special.betaincinv(a, b, q),
        upper_quantile=lambda q: special.betainccinv(a, b, q),
        below=lambda y: special.betainc(a, b, y),
        above=lambda y: special.betaincc(a, b, y),
        log_density=lambda y: (
            special.xlog1py(np.subtract(b, 1.0), -y)
            + special.xlogy(np.subtract(a, 1.0), y)
            - special.betaln(a, b)
        ),
        low=0.0,
        high=1.0,
    )


def gamma(shape: Value, scale: Value) -> Distribution:
    """Return the gamma distribution."""
    return Distribution(
        quantile=lambda q: special.gammaincinv(shape, q),
        upper_quantile=lambda q: special.gammainccinv(shape, q),
        below=lambda y: special.gammainc(shape, y),
        above=lambda y: special.gammaincc(shape, y),
        log_density=lambda y: (
            special.xlogy(np.subtract(shape, 1.0), y) - y - special.gammaln(shape)
        ),
        low=0.0,
        scale=scale,
    )


def exponential(scale: Value) -> Distribution:
    """Return the exponential distribution with this mean."""
    return Distribution(
        quantile=lambda q: -special.log1p(-q),
        upper_quantile=lambda q: -np.log(q),
        below=lambda y: -special.expm1(-y),
        above=lambda y: np.exp(-y),
        log_density=lambda y: -y,
        low=0.0,
        scale=scale,
    )
