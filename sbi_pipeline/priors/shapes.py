"""More continuous distributions in closed form: power laws, angles on a sphere, heavy tails.

Each keeps the digits of both its tails, as those of `distributions` do.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from ..types import Array
from .distributions import Distribution, Value

STEEP = -30.0
"""Logarithm of what is left of a density at its far end, below which that is nothing beside 1."""
FAR = 1e-3
"""Fraction below which a t is found from 1 / (1 + t^2 / df), which SciPy has no digits for."""


def powerlaw(exponent: Value, min: Value, max: Value) -> Distribution:  # noqa: A002
    """Return the density proportional to a power of y between two ends.

    In log y it is exponential. With k = exponent + 1, and d the distance from the end where most
    is, as a logarithm, the fraction nearer than d is (1 - exp(-|k| d)) / (1 - exp(-|k| width)).
    """
    with np.errstate(all="ignore"):  # a lower end of 0 has an infinite width
        k, width = np.add(exponent, 1.0), np.log(np.divide(max, min))
        fall = -np.abs(k)
        norm = np.where(fall == 0, width, special.expm1(fall * width) / fall)
        peak = np.where(k > 0, np.log(max), np.log(min))

    def near(q: Array) -> Array:
        """Return the distance within which a fraction lies."""
        bent = special.log1p(q * special.expm1(fall * width)) / fall
        return np.where(fall == 0, q * width, bent)

    def far(q: Array) -> Array:
        """Return the distance beyond which a fraction lies."""
        end = fall * width
        left = -special.log1p(q * special.expm1(-end)) / fall
        steep = np.log(q + (1 - q) * np.exp(end)) / fall
        bent = np.where(end < STEEP, steep, width - left)
        return np.where(fall == 0, (1 - q) * width, bent)

    def within(d: Array, rest: Array) -> Array:
        return _ratio(fall, d, width)

    def beyond(d: Array, rest: Array) -> Array:
        return np.exp(fall * d) * _ratio(fall, rest, width)

    def distances(y: Array) -> tuple[Array, Array]:
        """Return the distance from the end where most is, and from the other."""
        low, high = np.log(np.divide(y, min)), np.log(np.divide(max, y))
        return np.where(k > 0, high, low), np.where(k > 0, low, high)

    def value(d: Array) -> Array:
        return np.where(k > 0, max * np.exp(-d), min * np.exp(d))

    return Distribution(
        quantile=lambda q: value(np.where(k > 0, far(q), near(q))),
        upper_quantile=lambda q: value(np.where(k > 0, near(q), far(q))),
        below=lambda y: np.where(k > 0, beyond(*distances(y)), within(*distances(y))),
        above=lambda y: np.where(k > 0, within(*distances(y)), beyond(*distances(y))),
        log_density=lambda y: exponent * np.log(y) - k * peak - np.log(norm),
        low=min,
        high=max,
    )


def _ratio(fall: Array, d: Array, width: Array) -> Array:
    """Return the fraction within d of what lies within a width."""
    return np.where(fall == 0, d / width, special.expm1(fall * d) / special.expm1(fall * width))


def polar_angle(min: Value, max: Value) -> Distribution:  # noqa: A002
    """Return the density proportional to sin y: an angle from the pole of a sphere."""
    return _on_a_sphere(min, max, 0.0)


def latitude(min: Value, max: Value) -> Distribution:  # noqa: A002
    """Return the density proportional to cos y: a latitude on a sphere."""
    return _on_a_sphere(min, max, np.pi / 2)


def _on_a_sphere(low: Value, high: Value, pole: float) -> Distribution:
    """Return a density proportional to sin(y + pole), by sin^2 and cos^2 of (y + pole) / 2."""
    first = np.sin(np.add(low, pole) / 2) ** 2
    last = np.cos(np.add(high, pole) / 2) ** 2
    size = _between(low, high, pole)

    def value(below: Array, above: Array) -> Array:
        sin, cos = np.sqrt(first + below * size), np.sqrt(last + above * size)
        return 2 * np.arctan2(sin, cos) - pole

    return Distribution(
        quantile=lambda q: value(q, 1 - q),
        upper_quantile=lambda q: value(1 - q, q),
        below=lambda y: _between(low, y, pole) / size,
        above=lambda y: _between(y, high, pole) / size,
        log_density=lambda y: np.log(_height(y, pole)) - np.log(2 * size),
        low=low,
        high=high,
    )


def _between(low: Value, high: Value, pole: float) -> Array:
    """Return sin^2((high + pole) / 2) - sin^2((low + pole) / 2), with its digits."""
    return _height(np.add(low, high) / 2, pole) * np.sin(np.subtract(high, low) / 2)


def _height(y: Value, pole: float) -> Array:
    return np.cos(y) if pole else np.sin(y)


def triangular(min: Value, mode: Value, max: Value) -> Distribution:  # noqa: A002
    """Return the density that rises from 0 to its mode in a line, and falls so."""
    width = np.subtract(max, min)
    rise, fall = np.subtract(mode, min), np.subtract(max, mode)

    def value(below: Array, above: Array) -> Array:
        left = min + np.sqrt(below * width * rise)
        return np.where(below * width < rise, left, max - np.sqrt(above * width * fall))

    def lower(y: Array) -> Array:
        return (y - min) ** 2 / (width * rise)

    def upper(y: Array) -> Array:
        return (max - y) ** 2 / (width * fall)

    return Distribution(
        quantile=lambda q: value(q, 1 - q),
        upper_quantile=lambda q: value(1 - q, q),
        below=lambda y: np.where(y < mode, lower(y), 1 - upper(y)),
        above=lambda y: np.where(y > mode, upper(y), 1 - lower(y)),
        log_density=lambda y: (
            np.log(2 / width)
            + np.where(y < mode, np.log((y - min) / rise), np.log((max - y) / fall))
        ),
        low=min,
        high=max,
    )


def student(df: Value, location: Value, scale: Value) -> Distribution:
    """Return Student's t distribution."""
    log_norm = special.gammaln(np.add(df, 1.0) / 2) - special.gammaln(np.divide(df, 2.0))
    log_norm = log_norm - 0.5 * np.log(np.multiply(df, np.pi))

    def quantile(q: Array) -> Array:
        far = special.betaincinv(np.divide(df, 2.0), 0.5, 2 * q)  # df / (df + t^2)
        return np.where(q < FAR, -np.sqrt(df * (1 - far) / far), special.stdtrit(df, q))

    return Distribution(
        quantile=quantile,
        upper_quantile=lambda q: -quantile(q),
        below=lambda y: special.stdtr(df, y),
        above=lambda y: special.stdtr(df, -y),
        log_density=lambda y: log_norm - np.add(df, 1.0) / 2 * np.log1p(y**2 / df),
        loc=location,
        scale=scale,
    )


def cauchy(location: Value, scale: Value) -> Distribution:
    """Return the Cauchy distribution."""

    def quantile(q: Array) -> Array:
        return np.where(q < 0.5, -1 / np.tan(np.pi * q), 1 / np.tan(np.pi * (1 - q)))

    return Distribution(
        quantile=quantile,
        upper_quantile=lambda q: -quantile(q),
        below=lambda y: np.arctan2(1.0, -y) / np.pi,
        above=lambda y: np.arctan2(1.0, y) / np.pi,
        log_density=_log_cauchy,
        loc=location,
        scale=scale,
    )


def halfcauchy(scale: Value) -> Distribution:
    """Return the distribution of the size of a Cauchy number about 0."""

    def value(below: Array, above: Array) -> Array:
        near, far = np.tan(np.pi / 2 * below), 1 / np.tan(np.pi / 2 * above)
        return np.where(below < 0.5, near, far)

    return Distribution(
        quantile=lambda q: value(q, 1 - q),
        upper_quantile=lambda q: value(1 - q, q),
        below=lambda y: 2 / np.pi * np.arctan(y),
        above=lambda y: 2 / np.pi * np.arctan2(1.0, y),
        log_density=lambda y: np.log(2) + _log_cauchy(y),
        low=0.0,
        scale=scale,
    )


def _log_cauchy(y: Array) -> Array:
    return -np.log(np.pi) - 2 * np.log(np.hypot(1, y))


def laplace(mean: Value, scale: Value) -> Distribution:
    """Return the Laplace distribution: exponential on both sides of its mean."""

    def quantile(q: Array) -> Array:
        return np.where(q < 0.5, np.log(2 * q), -np.log(2 * (1 - q)))

    def below(y: Array) -> Array:
        return np.where(y < 0, np.exp(y) / 2, 1 - np.exp(-y) / 2)

    return Distribution(
        quantile=quantile,
        upper_quantile=lambda q: -quantile(q),
        below=below,
        above=lambda y: below(-y),
        log_density=lambda y: -np.abs(y) - np.log(2),
        loc=mean,
        scale=scale,
    )


def logistic(mean: Value, scale: Value) -> Distribution:
    """Return the logistic distribution."""
    return Distribution(
        quantile=special.logit,
        upper_quantile=lambda q: -special.logit(q),
        below=special.expit,
        above=lambda y: special.expit(-y),
        log_density=lambda y: special.log_expit(y) + special.log_expit(-y),
        loc=mean,
        scale=scale,
    )


def weibull(shape: Value, scale: Value) -> Distribution:
    """Return the Weibull distribution."""
    return Distribution(
        quantile=lambda q: (-special.log1p(-q)) ** np.divide(1, shape),
        upper_quantile=lambda q: (-np.log(q)) ** np.divide(1, shape),
        below=lambda y: -special.expm1(-(y**shape)),
        above=lambda y: np.exp(-(y**shape)),
        log_density=lambda y: np.log(shape) + special.xlogy(np.subtract(shape, 1), y) - y**shape,
        low=0.0,
        scale=scale,
    )


def invgamma(shape: Value, scale: Value) -> Distribution:
    """Return the distribution of the inverse of a gamma number."""
    return Distribution(
        quantile=lambda q: 1 / special.gammainccinv(shape, q),
        upper_quantile=lambda q: 1 / special.gammaincinv(shape, q),
        below=lambda y: special.gammaincc(shape, 1 / y),
        above=lambda y: special.gammainc(shape, 1 / y),
        log_density=lambda y: np.where(
            y > 0, -np.add(shape, 1) * np.log(y) - special.gammaln(shape) - 1 / y, -np.inf
        ),
        low=0.0,
        scale=scale,
    )
