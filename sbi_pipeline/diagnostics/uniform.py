"""Are ranks uniform? Tests of the ranks of one quantity, and the bands to draw with them.

References:
    Säilynoja, Bürkner, Vehtari, Graphical test for discrete uniformity and its applications in
        goodness-of-fit evaluation and multiple sample comparison, 2022,
        https://doi.org/10.1007/s11222-022-10090-6
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import stats

from ..types import Array

TRIALS = 4000
LARGE = 10_000
"""With more ranks, tails are computed where they are needed instead of for every count."""


@dataclass(frozen=True)
class Histogram:
    """Counts of ranks, with what uniform ranks would give.

    Attributes:
        edges: Bin edges as fractions of the rank, ``(bins + 1,)``, from 0 to 1.
        counts: Ranks in each bin, ``(bins,)``.
        expected: Counts expected of uniform ranks, ``(bins,)``.
        low: Lower end of the binomial band of each bin, ``(bins,)``.
        high: Upper end, ``(bins,)``.
    """

    edges: Array
    counts: Array
    expected: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class Ecdf:
    """Empirical distribution of ranks minus the uniform one, with a simultaneous band.

    Attributes:
        at: Fractions of the rank where it is evaluated, ``(points,)``.
        difference: ECDF minus uniform, ``(points,)``.
        low: Lower end of the band, ``(points,)``: a curve of uniform ranks stays inside the whole
            band with the probability asked for.
        high: Upper end, ``(points,)``.
        p_value: Probability that uniform ranks leave a narrower band than this curve does.
    """

    at: Array
    difference: Array
    low: Array
    high: Array
    p_value: float


def rank_histogram(ranks: Array, draws: int, bins: int = 20, prob: float = 0.95) -> Histogram:
    """Bin the ranks of one parameter, ``(n,)`` integers in 0..draws.

    ``prob`` is the probability that all bins of uniform ranks lie in their bands (Bonferroni).
    """
    ranks = checked(ranks, draws)
    bins = min(bins, draws + 1, max(2, ranks.size // 20))
    # Bins hold whole rank values, so their expected counts are exact though not all equal.
    edges = np.linspace(0, draws + 1, bins + 1).round()
    counts, _ = np.histogram(ranks, bins=edges - 0.5)
    probabilities = np.diff(edges) / (draws + 1)
    low, high = stats.binom.interval(1 - (1 - prob) / bins, ranks.size, probabilities)
    return Histogram(edges / (draws + 1), counts, ranks.size * probabilities, low, high)


def chi2_p_value(ranks: Array, draws: int, bins: int = 20) -> float:
    """Return the p-value of Pearson's chi-squared test of uniform ranks."""
    histogram = rank_histogram(ranks, draws, bins)
    return float(stats.chisquare(histogram.counts, histogram.expected).pvalue)


def ks_p_value(ranks: Array, draws: int) -> float:
    """Return the p-value of a Kolmogorov-Smirnov test of uniform ranks.

    Equal ranks are spread evenly over their slot, which makes the test of a continuous
    distribution apply.
    """
    ranks = checked(ranks, draws)
    place = stats.rankdata(ranks, method="ordinal") - stats.rankdata(ranks, method="min") + 0.5
    ties = np.bincount(ranks, minlength=draws + 1)[ranks]
    return float(stats.kstest((ranks + place / ties) / (draws + 1), "uniform").pvalue)


def ecdf_difference(ranks: Array, draws: int, prob: float = 0.95, points: int = 100) -> Ecdf:
    """Compare the ECDF of ranks with the uniform one, band and p-value simultaneous over points.

    Follows Säilynoja et al.: the statistic is the smallest two-sided binomial tail probability over
    the points, and its distribution comes from simulating uniform ranks.
    """
    ranks = checked(ranks, draws)
    cdf = _grid(draws, points)
    counts = np.searchsorted(np.sort(ranks), np.rint(cdf * (draws + 1)) - 1, side="right")
    statistic = _tails(counts, ranks.size, draws, points).min()
    null = _null_statistics(ranks.size, draws, points)
    # Simulation resolves p down to 1 / TRIALS; below that the union bound is sharper.
    p_value = min((1 + np.sum(null <= statistic)) / (1 + null.size), cdf.size * statistic)
    gamma = np.quantile(null, 1 - prob)
    low, high = stats.binom.interval(1 - gamma, ranks.size, cdf)
    n = ranks.size
    return Ecdf(cdf, counts / n - cdf, low / n - cdf, high / n - cdf, float(min(p_value, 1.0)))


def accepted_counts(n: int, draws: int, p: float, points: int = 100) -> tuple[Array, Array, Array]:
    """Return levels, and the fewest and most of ``n`` ranks below each, where p-values exceed p.

    Those of `ecdf_difference`, which are simultaneous over the levels.
    """
    null, cdf = _null_statistics(n, draws, points), _grid(draws, points)
    tail = np.quantile(null, p) if p > 1 / null.size else 0.0
    low, high = stats.binom.interval(1 - max(tail, p / cdf.size), n, cdf)
    return cdf, low, high


def checked(ranks: Array, draws: int) -> Array:
    """Return the ranks of one quantity, ``(n,)``, as whole numbers, where they can be ranks."""
    ranks = np.asarray(ranks)
    if ranks.ndim != 1 or ranks.size == 0:
        raise ValueError(f"ranks have shape {ranks.shape}; wanted one rank a simulation, (n,)")
    if ranks.min() < 0 or ranks.max() > draws:
        raise ValueError(
            f"ranks run from {ranks.min()} to {ranks.max()}; with {draws} draws they lie in "
            f"0..{draws}: was the calibration made with another number of draws?"
        )
    return ranks.astype(int)


def _grid(draws: int, points: int) -> Array:
    """Return values of the rank distribution to evaluate at, ``(<= points,)``, below 1."""
    steps = np.unique(np.linspace(1, draws, min(points, draws)).round())
    return np.asarray(steps / (draws + 1))


def _tails(counts: Array, n: int, draws: int, points: int) -> Array:
    """Return two-sided binomial tail probabilities of counts at the points of the grid."""
    cdf = _grid(draws, points)
    if n > LARGE:
        return _two_sided(counts, n, cdf)
    return np.asarray(_tail_table(n, draws, points)[np.arange(cdf.size), counts])


@lru_cache(maxsize=8)
def _tail_table(n: int, draws: int, points: int) -> Array:
    """Return the tails of 0..n counts at each point of the grid."""
    return _two_sided(np.arange(n + 1), n, _grid(draws, points)[:, None])


def _two_sided(counts: Array, n: int, cdf: Array) -> Array:
    tails = np.minimum(stats.binom.cdf(counts, n, cdf), stats.binom.sf(counts - 1, n, cdf))
    return np.asarray(np.minimum(1.0, 2 * tails))


@lru_cache(maxsize=8)
def _null_statistics(n: int, draws: int, points: int) -> Array:
    """Return the statistic of `ecdf_difference` for simulated uniform ranks, ``(TRIALS,)``."""
    cdf = _grid(draws, points)
    slots = np.diff(np.concatenate([[0.0], cdf, [1.0]]))
    counts = np.random.default_rng(0).multinomial(n, slots, size=TRIALS).cumsum(axis=1)[:, :-1]
    return np.asarray(_tails(counts, n, draws, points).min(axis=1))
