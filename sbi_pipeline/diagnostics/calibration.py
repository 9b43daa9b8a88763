"""Is the estimator honest on data it has not seen, and did it learn anything?

Everything here reads the calibration dataset: for held-out simulations, the rank of the truth among
the posterior draws, posterior moments, and log q(theta* | x). If the estimator is honest, each
rank is uniform on 0..L; that alone is not enough, since a posterior equal to the prior passes,
so `information` belongs beside it.

References:
    Talts, Betancourt, Simpson, Vehtari, Gelman, Validating Bayesian inference algorithms with
        simulation-based calibration, 2018, https://arxiv.org/abs/1804.06788
    Säilynoja, Bürkner, Vehtari, Graphical test for discrete uniformity and its applications in
        goodness-of-fit evaluation and multiple sample comparison, 2022,
        https://doi.org/10.1007/s11222-022-10090-6
    Lemos, Coogan, Hezaveh, Perreault-Levasseur, Sampling-based accuracy testing of posterior
        estimators for general inference, 2023, https://arxiv.org/abs/2302.03026
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from ..types import Array

TRIALS = 4000
LEVELS = np.linspace(0.02, 0.98, 49)


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


@dataclass(frozen=True)
class Coverage:
    """How often central credible intervals contain the truth.

    Attributes:
        levels: Credible levels, ``(levels,)``.
        observed: Fractions of simulations whose interval holds the truth, ``(levels,)``.
        low: Lower end of the binomial band around ``levels``, ``(levels,)``.
        high: Upper end, ``(levels,)``.
    """

    levels: Array
    observed: Array
    low: Array
    high: Array


def rank_histogram(ranks: Array, draws: int, bins: int = 20, prob: float = 0.95) -> Histogram:
    """Bin the ranks of one parameter, ``(n,)`` integers in 0..draws.

    ``prob`` is the probability that all bins of uniform ranks lie in their bands (Bonferroni).
    """
    ranks = _checked(ranks, draws)
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
    ranks = _checked(ranks, draws)
    place = stats.rankdata(ranks, method="ordinal") - stats.rankdata(ranks, method="min") + 0.5
    ties = np.bincount(ranks, minlength=draws + 1)[ranks]
    return float(stats.kstest((ranks + place / ties) / (draws + 1), "uniform").pvalue)


def ecdf_difference(ranks: Array, draws: int, prob: float = 0.95, points: int = 100) -> Ecdf:
    """Compare the ECDF of ranks with the uniform one, band and p-value simultaneous over points.

    Follows Säilynoja et al.: the statistic is the smallest two-sided binomial tail probability over
    the points, and its distribution comes from simulating uniform ranks.
    """
    ranks = _checked(ranks, draws)
    cdf = _grid(draws, points)
    counts = np.searchsorted(np.sort(ranks), np.rint(cdf * (draws + 1)) - 1, side="right")
    tails = _tail_table(ranks.size, draws, points)
    statistic = tails[np.arange(cdf.size), counts].min()
    null = _null_statistics(ranks.size, draws, points)
    # Simulation resolves p down to 1 / TRIALS; below that the union bound is sharper.
    p_value = min((1 + np.sum(null <= statistic)) / (1 + null.size), cdf.size * statistic)
    gamma = np.quantile(null, 1 - prob)
    low, high = stats.binom.interval(1 - gamma, ranks.size, cdf)
    n = ranks.size
    return Ecdf(cdf, counts / n - cdf, low / n - cdf, high / n - cdf, float(min(p_value, 1.0)))


def coverage(ranks: Array, draws: int, levels: Array = LEVELS, prob: float = 0.95) -> Coverage:
    """Return the coverage of central credible intervals of one parameter.

    A rank stands for the slot of width 1 / (draws + 1) it was found in; a slot cut by the end of an
    interval counts by the part inside. Honest ranks cover exactly ``levels`` on average.
    """
    ranks = _checked(ranks, draws)
    slot = np.array(levels)[:, None] / 2
    left, right = ranks / (draws + 1), (ranks + 1) / (draws + 1)
    inside = np.minimum(right, 0.5 + slot) - np.maximum(left, 0.5 - slot)
    observed = (np.clip(inside, 0, None) * (draws + 1)).mean(axis=1)
    low, high = stats.binom.interval(prob, ranks.size, levels)
    return Coverage(np.array(levels), observed, low / ranks.size, high / ranks.size)


def coverage_error(calibration: xr.Dataset) -> tuple[float, float]:
    """Return the mean distance of coverage from its level, and what chance gives on average.

    Over `LEVELS` and parameters.
    """
    draws, ranks = int(calibration.attrs["draws"]), calibration["ranks"]
    rows = ranks.transpose("parameter", "simulation").to_numpy()
    observed = np.array([coverage(row, draws).observed for row in rows])
    scatter = np.sqrt(LEVELS * (1 - LEVELS) / rows.shape[1])
    return float(np.abs(observed - LEVELS).mean()), float(np.sqrt(2 / np.pi) * scatter.mean())


def uniformity(calibration: xr.Dataset) -> pd.DataFrame:
    """Test the ranks of every parameter.

    Returns:
        One row a parameter (joint quantities such as TARP last): ``chi2_p``, ``ks_p``, ``ecdf_p``;
        ``max_difference`` is the largest distance between ECDF and uniform, ``coverage_68`` and
        ``coverage_95`` the coverage of central 68.3 % and 95.45 % intervals, ``bias`` the mean
        rank fraction minus one half (above 0: the posterior lies too low).
    """
    draws = int(calibration.attrs["draws"])
    rows = []
    for name, ranks in all_ranks(calibration).items():
        ecdf = ecdf_difference(ranks, draws)
        one, two = coverage(ranks, draws, np.array([0.6827, 0.9545])).observed
        rows.append(
            {
                "parameter": name,
                "simulations": ranks.size,
                "chi2_p": chi2_p_value(ranks, draws),
                "ks_p": ks_p_value(ranks, draws),
                "ecdf_p": ecdf.p_value,
                "max_difference": float(np.abs(ecdf.difference).max()),
                "coverage_68": float(one),
                "coverage_95": float(two),
                "bias": float(((ranks + 0.5) / (draws + 1)).mean() - 0.5),
            }
        )
    return pd.DataFrame(rows)


def all_ranks(calibration: xr.Dataset) -> dict[str, Array]:
    """Return ranks by parameter, then by joint quantity (``joint_ranks``) where there are any."""
    found = {
        str(name): calibration["ranks"].sel(parameter=name).to_numpy()
        for name in calibration["parameter"].to_numpy()
    }
    if "joint_ranks" in calibration:
        for name in calibration["quantity"].to_numpy():
            found[str(name)] = calibration["joint_ranks"].sel(quantity=name).to_numpy()
    return found


def tarp_ranks(draws: Array, truth: Array, rng: np.random.Generator) -> Array:
    """Return, for each simulation, how many draws lie nearer to a random reference than the truth.

    Uniform on 0..L for an honest joint posterior, whatever the reference points; they are truths of
    other simulations, so they fall where posteriors live. It tests the joint posterior, but is
    blind to faults that cancel over directions.

    Args:
        draws: Posterior draws, ``(simulations, L, theta_dim)``, in units where the parameters are
            comparable (normal space, or divided by the prior sd).
        truth: True values, ``(simulations, theta_dim)``, in the same units.
        rng: Chooses the references.
    """
    n = truth.shape[0]
    reference = truth[(np.arange(n) + rng.integers(1, n, size=n)) % n]
    far = np.linalg.norm(truth - reference, axis=1)
    near = np.linalg.norm(draws - reference[:, None, :], axis=2) < far[:, None]
    return np.asarray(near.sum(axis=1))


def tarp_error(ranks: Array, draws: int) -> tuple[float, float]:
    """Return the signed area between expected and nominal coverage, and its scatter by chance.

    The area above credibility one half, between -1/8 and 1/8: positive for a posterior that is too
    wide, negative for one that is too narrow or in the wrong place. Below one half the curve
    mirrors it, so that the area of the whole would be near zero for either.

    Args:
        ranks: From `tarp_ranks`, ``(n,)``.
        draws: Draws L of each posterior.
    """
    credibility = (_checked(ranks, draws) + 0.5) / (draws + 1)
    # The integral over a > 1/2 of [c < a] - a; for uniform c its mean is 0, its variance 5 / 192.
    area = 1 - np.maximum(credibility, 0.5) - 3 / 8
    return float(area.mean()), float(np.sqrt(5 / 192 / area.size))


@dataclass(frozen=True)
class Information:
    """What the estimator gained over the prior, on held-out simulations.

    Attributes:
        nats: Mean of log q(theta* | x) - log p(theta*), in nats: the divergence of posterior from
            prior, less what the estimator misses. NaN without a density, minus infinity if a truth
            was ever called impossible.
        log_q: Mean of log q(theta* | x), in nats, of theta in its own units.
        standard_error: Of ``nats``; NaN where ``nats`` is not finite.
        sd_ratio: Median posterior sd over the sd of the truths, by parameter.
        correlation: Spearman correlation of posterior mean and truth, by parameter.
    """

    nats: float
    log_q: float
    standard_error: float
    sd_ratio: dict[str, float]
    correlation: dict[str, float]


def information(calibration: xr.Dataset) -> Information:
    """Measure what was learned: in nats where there is a density, and parameter by parameter."""
    gain = (calibration["log_prob"] - calibration["prior_log_prob"]).to_numpy()
    known = gain[~np.isnan(gain)]
    names = [str(name) for name in calibration["parameter"].to_numpy()]
    columns = {name: calibration.sel(parameter=name) for name in names}
    nats = float(known.mean()) if known.size else float("nan")
    certain = np.isfinite(nats) and known.size > 1
    return Information(
        nats=nats,
        log_q=float(calibration["log_prob"].mean()),
        standard_error=float(stats.sem(known)) if certain else float("nan"),
        sd_ratio={
            name: float(column["sd"].median() / column["truth"].std())
            for name, column in columns.items()
        },
        correlation={
            name: _spearman(column["mean"].to_numpy(), column["truth"].to_numpy())
            for name, column in columns.items()
        },
    )


def swapped(calibration: xr.Dataset) -> list[tuple[str, str]]:
    """Return pairs whose posterior means follow each other's truth better than their own."""
    names = [str(name) for name in calibration["parameter"].to_numpy()]
    mean = calibration["mean"].transpose("simulation", "parameter").to_numpy()
    truth = calibration["truth"].transpose("simulation", "parameter").to_numpy()
    size = len(names)
    follows = np.array(
        [[abs(_spearman(mean[:, i], truth[:, j])) for j in range(size)] for i in range(size)]
    )
    # Correlations of two unrelated columns scatter by 1 / sqrt(n); ask for clearly more.
    margin = 4 / np.sqrt(truth.shape[0])
    return [
        (names[i], names[j])
        for i in range(size)
        for j in range(i + 1, size)
        if follows[i, j] > follows[i, i] + margin and follows[j, i] > follows[j, j] + margin
    ]


def _spearman(a: Array, b: Array) -> float:
    """Return Spearman's correlation, 0 for a column that never varies (it follows nothing)."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(stats.spearmanr(a, b).statistic)


def _checked(ranks: Array, draws: int) -> Array:
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


@lru_cache(maxsize=8)
def _tail_table(n: int, draws: int, points: int) -> Array:
    """Return two-sided binomial tail probabilities of 0..n counts at each point of the grid."""
    counts, cdf = np.arange(n + 1), _grid(draws, points)[:, None]
    tails = np.minimum(stats.binom.cdf(counts, n, cdf), stats.binom.sf(counts - 1, n, cdf))
    return np.asarray(np.minimum(1.0, 2 * tails))


@lru_cache(maxsize=8)
def _null_statistics(n: int, draws: int, points: int) -> Array:
    """Return the statistic of `ecdf_difference` for simulated uniform ranks, ``(TRIALS,)``."""
    cdf = _grid(draws, points)
    slots = np.diff(np.concatenate([[0.0], cdf, [1.0]]))
    counts = np.random.default_rng(0).multinomial(n, slots, size=TRIALS).cumsum(axis=1)[:, :-1]
    return np.asarray(_tail_table(n, draws, points)[np.arange(cdf.size), counts].min(axis=1))
