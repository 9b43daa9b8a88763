"""What tests of ranks can see: the smallest fault of width that they find nearly always.

A pass says little where simulations are few. If the posterior sd is w times what it should be,
the truth lies below credible level u with probability Phi(w Phi^-1(u)), and a central interval of
probability L holds it with 2 Phi(w z) - 1, where 2 Phi(z) - 1 = L. A test that accepts fractions
within a band finds w as surely as a binomial fraction of n leaves the band.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special, stats

from ..types import Array
from .uniform import accepted_counts

SURE = 0.95
"""How often a fault is found that a test is said to see."""
NARROW = np.arange(99, 0, -1) / 100
WIDE = np.arange(101, 501) / 100


@dataclass(frozen=True)
class VisibleWidths:
    """The widths nearest to the right one, on either side, that a test finds.

    Attributes:
        narrow: Posterior sd over what it should be, below 1; 0 where no test would find any.
        wide: The same above 1; infinite where none would be found.
    """

    narrow: float
    wide: float

    @property
    def too_narrow(self) -> float:
        """By what fraction error bars have to be too small to be found."""
        return 1 - self.narrow

    @property
    def words(self) -> str:
        """A sentence for a reader."""
        told = []
        if self.narrow > 0:
            told.append(f"too narrow by {100 * self.too_narrow:.0f} %")
        if np.isfinite(self.wide):
            told.append(f"too wide by {100 * (self.wide - 1):.0f} %")
        if not told:
            return "Error bars of any width could have passed."
        return f"Error bars {' or '.join(told)} would have been found in 95 % of cases."


def below_level(width: Array, level: Array) -> Array:
    """Return how often the truth lies below a credible level if widths are wrong.

    Args:
        width: Posterior sd over what it should be.
        level: Between 0 and 1.
    """
    return np.asarray(special.ndtr(width * special.ndtri(level)))


def inside_interval(width: Array, level: Array) -> Array:
    """Return how often a central interval holds the truth if widths are wrong."""
    return 2 * below_level(width, (1 + np.asarray(level)) / 2) - 1


@lru_cache(maxsize=64)
def by_ecdf(n: int, draws: int, p: float, least: float) -> VisibleWidths:
    """Return what the simultaneous test of an ECDF of ranks sees.

    Args:
        n: How many ranks.
        draws: Among how many draws.
        p: P-value below which it warns.
        least: Distance of the ECDF from uniform below which it does not.
    """
    at, low, high = accepted_counts(n, draws, p)
    return _smallest(n, below_level, at, low / n, high / n, least)


@lru_cache(maxsize=64)
def by_kolmogorov_smirnov(n: int, p: float, least: float) -> VisibleWidths:
    """Return what a Kolmogorov-Smirnov test of ranks sees; arguments as for `by_ecdf`."""
    at, largest = np.arange(1, 100) / 100, stats.kstwo.isf(p, n)
    return _smallest(n, below_level, at, at - largest, at + largest, least)


@lru_cache(maxsize=64)
def by_coverage(n: int, levels: tuple[float, ...], p: float, least: float) -> VisibleWidths:
    """Return what binomial tests of central intervals see.

    Args:
        n: How many simulations.
        levels: Probabilities of the intervals.
        p: P-value below which one of them warns.
        least: Distance of the coverage from its level below which it does not.
    """
    at = np.array(levels)
    largest = stats.norm.isf(p / 2) * np.sqrt(at * (1 - at) / n)
    return _smallest(n, inside_interval, at, at - largest, at + largest, least)


def _smallest(
    n: int,
    expected: Callable[[Array, Array], Array],
    at: Array,
    low: Array,
    high: Array,
    least: float,
) -> VisibleWidths:
    """Return the nearest widths whose fractions leave their bands nearly always at some level."""
    low, high = np.minimum(low, at - least), np.maximum(high, at + least)

    def found(widths: Array) -> Array:
        fraction = np.clip(expected(widths[:, None], at), 0, 1)
        below = stats.binom.cdf(np.ceil(n * low) - 1, n, fraction)
        above = stats.binom.sf(np.floor(n * high), n, fraction)
        return widths[(below + above).max(axis=1) >= SURE]

    narrow, wide = found(NARROW), found(WIDE)
    return VisibleWidths(
        narrow=float(narrow[0]) if narrow.size else 0.0,
        wide=float(wide[0]) if wide.size else float("inf"),
    )
