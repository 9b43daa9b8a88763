"""Distributions given by quantiles, alone or with a Gaussian copula: what samples are turned into.

Between neighbouring quantiles the density is constant, so the inverse CDF is a line; nothing lies
beyond the first and the last. A copula takes each parameter to a normal deviate by its own CDF and
says that these deviates are jointly normal: all margins are kept, and of the dependence the
correlations of the deviates. In order, each is then normal given those before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from ..types import Array
from .distributions import Value

SMALLEST = 2.0**-53


@dataclass(frozen=True)
class Quantiles:
    """Values at probabilities that rise from 0 to 1."""

    values: Array
    probabilities: Array

    def support(self) -> tuple[float, float]:
        """Return the ends of where values lie."""
        return float(self.values[0]), float(self.values[-1])

    def ppf(self, q: Array) -> Array:
        """Return the value below which a fraction ``q`` lies."""
        q = np.asarray(q, dtype=float)
        inside = (q >= 0) & (q <= 1)
        return np.where(inside, np.interp(q, self.probabilities, self.values), np.nan)

    def isf(self, q: Array) -> Array:
        """Return the value above which a fraction ``q`` lies."""
        return self.ppf(1 - np.asarray(q, dtype=float))

    def cdf(self, value: Array) -> Array:
        """Return the fraction below a value."""
        return np.interp(value, self.values, self.probabilities)

    def sf(self, value: Array) -> Array:
        """Return the fraction above a value."""
        return 1 - self.cdf(value)

    def logpdf(self, value: Array) -> Array:
        """Return the log density in nats; -inf outside."""
        value = np.asarray(value, dtype=float)
        density = np.diff(self.probabilities) / np.diff(self.values)
        piece = np.searchsorted(self.values, value, side="right") - 1
        inside = (self.values[0] <= value) & (value <= self.values[-1])
        found = np.log(density)[np.clip(piece, 0, len(density) - 1)]
        return np.where(np.isnan(value), np.nan, np.where(inside, found, -np.inf))

    def normal(self, value: Array) -> Array:
        """Return the normal deviate of values, finite at the ends."""
        return special.ndtri(np.clip(self.cdf(value), SMALLEST, 1 - SMALLEST))


@dataclass(frozen=True)
class GivenOthers:
    """A parameter of a Gaussian copula, given those before it.

    Attributes:
        own: Its margin.
        mean: Of its normal deviate, ``(n,)``.
        rest: Standard deviation of its normal deviate.
    """

    own: Quantiles
    mean: Value
    rest: float

    def support(self) -> tuple[float, float]:
        """Return the ends of where values lie."""
        return self.own.support()

    def ppf(self, q: Array) -> Array:
        """Return the value below which a fraction ``q`` lies."""
        return self.own.ppf(special.ndtr(self.mean + self.rest * special.ndtri(q)))

    def isf(self, q: Array) -> Array:
        """Return the value above which a fraction ``q`` lies."""
        return self.own.ppf(special.ndtr(self.mean - self.rest * special.ndtri(q)))

    def cdf(self, value: Array) -> Array:
        """Return the fraction below a value."""
        return special.ndtr(self._deviate(value))

    def sf(self, value: Array) -> Array:
        """Return the fraction above a value."""
        return special.ndtr(-self._deviate(value))

    def logpdf(self, value: Array) -> Array:
        """Return the log density in nats; -inf outside."""
        change = 0.5 * (self.own.normal(value) ** 2 - self._deviate(value) ** 2)
        return self.own.logpdf(value) + change - np.log(self.rest)

    def _deviate(self, value: Array) -> Array:
        return (self.own.normal(value) - self.mean) / self.rest


def by_quantiles(values: Sequence[float], probabilities: Sequence[float]) -> Quantiles:
    """Return the distribution with these quantiles."""
    return Quantiles(np.asarray(values, dtype=float), np.asarray(probabilities, dtype=float))


def copula(
    values: Sequence[float], probabilities: Sequence[float], given: Value, rest: float
) -> GivenOthers:
    """Return the distribution of a parameter given the mean of its normal deviate."""
    return GivenOthers(by_quantiles(values, probabilities), given, rest)


def rise(values: Sequence[float], probabilities: Sequence[float]) -> bool:
    """Say whether quantiles are those of a distribution."""
    v, p = np.asarray(values, dtype=float), np.asarray(probabilities, dtype=float)
    return bool(
        v.ndim == 1
        and v.shape == p.shape
        and len(v) > 1
        and (np.diff(v) > 0).all()
        and (np.diff(p) > 0).all()
        and p[0] == 0
        and p[-1] == 1
    )


@dataclass(frozen=True)
class Dependence:
    """The mean of a normal deviate, a sum over those of other parameters.

    Attributes:
        others: By parameter: its ``values``, ``probabilities`` and the ``slope`` on its deviate.
    """

    others: Mapping[str, Mapping[str, Any]]

    @property
    def names(self) -> tuple[str, ...]:
        """The other parameters."""
        return tuple(self.others)

    def __call__(self, values: Mapping[str, Array]) -> Array:
        """Return the mean, ``(n,)``, for values of the others by name."""
        total: Any = 0.0
        for name, each in self.others.items():
            margin = by_quantiles(each["values"], each["probabilities"])
            total = total + each["slope"] * margin.normal(values[name])
        return np.asarray(total)
