"""Importance weights: from draws of one posterior to those of a better one, or of another prior.

With draws theta_i of a density q and L(theta) the likelihood of the observation,

    w_i = L(theta_i) prior(theta_i) / q(theta_i),    evidence Z = mean of w_i,

and with another prior alone w_i = new prior / old prior. The largest weights are smoothed by a
Pareto distribution fitted to them (PSIS); its shape k says whether the weights can be trusted:
below 0.5 they have a finite variance, above 0.7 no practical number of draws will do. The fit is
noisy, so it is repeated on subsets. Where the tail is all but nothing, the largest weights holding
hardly more than as many of where it begins, no shape matters, and none is fitted: of a good
proposal these weights are alike, and one or two beside them would look like a heavy tail.

References:
    Vehtari, Simpson, Gelman, Yao & Gabry, Pareto smoothed importance sampling, JMLR 25, 2024,
    https://arxiv.org/abs/1507.02646.
    Dax et al., Neural importance sampling for rapid and reliable gravitational-wave inference,
    PRL 130, 2023, https://arxiv.org/abs/2210.05686 (the use of it).
    Shao & Wu, A general theory for jackknife variance estimation, Ann. Statist. 17, 1989,
    https://doi.org/10.1214/aos/1176347263 (subsets).
    Kish, Survey sampling, 1965 (effective size).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from arviz_stats.base import array_stats
from scipy import special, stats

from .types import Array

STEEPEST = 5.0
"""Shape of a tail beyond which one draw is all there is, and powers of it overflow."""
SUBSETS, FRACTION = 20, 0.8
FEWEST = 100
MORE = 10
"""How many times as many draws are asked about, of how they would fare."""
NEGLIGIBLE = 0.01
"""Share of all weight in what is above where the tail begins, below which it is no tail."""


@dataclass(frozen=True)
class Weights:
    """Normalised weights of draws, and how far to trust them.

    Attributes:
        weight: Smoothed, ``(n,)``, sum 1.
        k_hat: Shape of the Pareto distribution of the largest weights; 0 where these are no tail.
        k_hat_jitter: Standard error of that, from its scatter over subsets of four fifths of the
            draws, where a negative one, of weights with an upper limit, counts as 0; NaN where none
            were asked for. Subsets overlap, so they scatter less than other draws would: by
            sqrt((1 - f) / f) for a fraction f (the jackknife that leaves out many).
        effective: Kish's effective sample size, ``(sum w)^2 / sum w^2``.
        efficiency_of_more: What `MORE` times as many draws would be worth, as a fraction of them:
            below ``effective / n`` where the tail of the weights is heavy, since the largest
            weights are still to come.
        top: Largest weight before smoothing, as a fraction of all.
        log_mean: Log of the mean weight in nats: the log evidence, where the weights are
            likelihood times prior over a normalised density.
        log_mean_error: Its standard error.
    """

    weight: Array
    k_hat: float
    k_hat_jitter: float
    effective: float
    efficiency_of_more: float
    top: float
    log_mean: float
    log_mean_error: float


def weigh(log_weight: Array, rng: np.random.Generator, subsets: int = SUBSETS) -> Weights:
    """Smooth and judge log weights, ``(n,)``; -inf is a weight of zero.

    Args:
        log_weight: The weights, in nats.
        rng: Chooses the subsets.
        subsets: On how many the fit is repeated; each takes as long as the first.

    Raises:
        ValueError: Fewer than `FEWEST` draws have a weight, or a weight is NaN or infinite.
    """
    log_weight = np.asarray(log_weight, dtype=float)
    if np.isnan(log_weight).any() or np.isposinf(log_weight).any():
        raise ValueError(
            "a weight is NaN or infinite: the density or the likelihood gave no number"
        )
    n, some = len(log_weight), int(np.isfinite(log_weight).sum())
    if some < FEWEST:
        raise ValueError(
            f"only {some} of {n} draws have a weight above zero; at least {FEWEST} are wanted: the "
            "draws do not cover what they are to be reweighted to"
        )
    smoothed, k_hat = _smooth(log_weight)
    size = round(FRACTION * n)
    picks = (rng.permutation(n)[:size] for _ in range(subsets))
    shapes = np.array([_smooth(log_weight[pick])[1] for pick in picks])
    jitter = _spread(shapes) if subsets else np.nan
    weight = np.exp(smoothed - special.logsumexp(smoothed))
    raw = np.exp(log_weight - special.logsumexp(log_weight))
    return Weights(
        weight=weight,
        k_hat=k_hat,
        k_hat_jitter=float(jitter),
        effective=float(1 / np.sum(weight**2)),
        efficiency_of_more=efficiency_of_more(weight, k_hat),
        top=float(raw.max()),
        log_mean=float(special.logsumexp(log_weight) - np.log(n)),
        log_mean_error=float(np.sqrt(max(np.sum(raw**2) - 1 / n, 0))),
    )


def efficiency_of_more(weight: Array, k_hat: float, times: int = MORE) -> float:
    """Return the effective fraction of ``times`` as many draws.

    The fraction is (mean w)^2 / mean w^2. Weights below the tail stay as they are; the tail, of M
    draws now, is then of ``times`` M, at quantiles (j - 1/2) / (times M) of the Pareto distribution
    that was fitted. For a shape below 0.5 that hardly differs; above, the mean of w^2 grows without
    end, as the number of draws to the power 2 k - 1.

    Args:
        weight: Smoothed weights, ``(n,)``.
        k_hat: Their shape.
        times: How many draws there would be for each of these.
    """
    ordered, n = np.sort(weight), len(weight)
    now = float(weight.sum() ** 2 / (n * np.sum(weight**2)))
    tail, shape = _tail_size(n), min(k_hat, STEEPEST)
    body, smoothed = ordered[:-tail], ordered[-tail:]
    # Smoothed weights are quantiles themselves: that in the middle tells the scale.
    middle = tail // 2
    excess = smoothed[middle] - body[-1]
    if k_hat == 0 or not np.isfinite(k_hat):
        return now
    scale = excess / stats.genpareto.ppf((middle + 0.5) / tail, shape)
    levels = (np.arange(times * tail) + 0.5) / (times * tail)
    drawn = body[-1] + scale * stats.genpareto.ppf(levels, shape)
    first, second = (body.sum() + tail * drawn.mean()), np.sum(body**2) + tail * np.mean(drawn**2)
    # Where one draw is all there is, the squares of the others may vanish.
    return min(now, float(first**2 / (n * second))) if second > 0 else now


def _tail_size(n: int) -> int:
    """Return how many of the largest weights make the tail."""
    return math.ceil(min(n / 5, 3 * math.sqrt(n)))


def _spread(shapes: Array) -> float:
    if not np.isfinite(shapes).all():
        return np.inf
    return float(np.std(np.maximum(shapes, 0))) * math.sqrt(FRACTION / (1 - FRACTION))


def _smooth(log_weight: Array) -> tuple[Array, float]:
    """Return smoothed log weights and k-hat.

    Largest weights that are all alike have no tail, which is the best case; those of which one
    alone counts have none that could be fitted, which is the worst.
    """
    largest = np.sort(log_weight)[-_tail_size(len(log_weight)) :]
    weight, begins = np.exp(log_weight - largest[-1]), np.exp(largest[0] - largest[-1])
    if np.sum(np.maximum(weight - begins, 0)) < NEGLIGIBLE * weight.sum():
        return log_weight, 0.0
    # ArviZ takes log ratios upside down, as those of leaving one out.
    upside_down = -np.where(np.isfinite(log_weight), log_weight, -1e300)
    with np.errstate(all="ignore"):  # where one weight outweighs all, the others underflow
        smoothed, k_hat = array_stats.psislw(upside_down)
    if np.isnan(smoothed).any():
        return log_weight, np.inf
    return np.asarray(smoothed), float(k_hat)


def resample(weight: Array, n: int, rng: np.random.Generator) -> Array:
    """Return indices, ``(n,)``, each about n times its weight (systematic).

    Indices come in random order, copies of one next to each other: read as a chain, the draws then
    show by their autocorrelation how few they are, so that the effective size and R-hat that ArviZ
    finds are those of the weights.
    """
    order = rng.permutation(len(weight))
    edges = np.cumsum(weight[order])
    places = (np.arange(n) + rng.random()) / n * edges[-1]
    return np.asarray(order[np.minimum(np.searchsorted(edges, places), len(weight) - 1)])
