"""How typical is a data set of others? P-values by rank, and what checks make of them.

All p-values here come from ranks among exchangeable data sets: the observation is put among the
simulated ones, whatever is fitted is fitted to all of them alike, and p is its rank in the
statistic. If the observation is one more draw of the same law, p <= u happens with probability at
most u, for any law and any number of draws. Against the posterior predictive p would be
conservative, since the posterior has seen the observation already; against the predictions of one
of its draws it is exact, see `predictions`.

References:
    Gelman, Meng, Stern, Posterior predictive assessment of model fitness via realized
        discrepancies, 1996, https://www3.stat.sinica.edu.tw/statistica/j6n4/j6n41/j6n41.htm
    Vovk, Gammerman, Shafer, Algorithmic learning in a random world, 2005,
        https://doi.org/10.1007/b106715
    Hosking & Wallis, Parameter and quantile estimation for the generalized Pareto distribution,
        1987, https://doi.org/10.1080/00401706.1987.10488243
    Breunig, Kriegel, Ng, Sander, LOF: identifying density-based local outliers, 2000,
        https://doi.org/10.1145/335191.335388
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..networks.packing import packed
from ..sampled_posteriors import FEWEST_PREDICTIONS
from ..types import Array
from .check import Check, WarnFail, below

MAX_FEATURES = 64
TAIL = 0.1
"""Fraction of the values of a statistic that tell how its tail falls."""
LEAST_SHAPE = 1e-6
FEWEST_BEYOND = 5
"""Values beyond where the tail begins, of which it can be told."""


@dataclass(frozen=True)
class Typicality:
    """How typical the observation is of simulated data sets.

    Attributes:
        p_value: Of all statistics together: the rank of the observation's largest surprise among
            those of the simulated data sets, so looking at many statistics costs nothing.
        p_values: By statistic, that of the largest surprise first.
        outside_90: Fraction of elements outside the central 90 % of the simulated ones; about 0.1
            or less is expected.
        draws: How many simulated data sets.
        nats: How unusual the largest surprise is among those of the simulated data sets, see
            `surprise`.
    """

    p_value: float
    p_values: dict[str, float]
    outside_90: float
    draws: int
    nats: float

    @property
    def least_rank(self) -> float:
        """The p-value by rank of an observation more unusual than all that was simulated."""
        return 1 / (self.draws + 1)

    @property
    def p_by_tail(self) -> float:
        """The p-value; of what is more unusual than all that was simulated, by a fitted tail.

        Of many observations with nothing wrong some are the most unusual of a thousand, and a rank
        cannot tell these from one that no number of simulations would be like.
        """
        if self.p_value > self.least_rank:
            return self.p_value
        return min(self.p_value, math.exp(-self.nats))


def under_conditions(
    x: Array, known: Array | None, x_o: Array, given: Mapping[str, Array], names: Sequence[str]
) -> tuple[Array, Array]:
    """Return simulations and an observation, each packed with its known conditions.

    Args:
        x: Simulations, ``(n, *x_shape)``.
        known: Their conditions, ``(n, known)``; None for none.
        x_o: The observation, ``x_shape``.
        given: Its conditions, a number each.
        names: Of the conditions, in order.
    """
    if known is None or not names:
        return x, x_o
    return packed(known, x), packed(np.array([given[name] for name in names], dtype=float), x_o)


SUMMARIES: Mapping[str, Callable[[Array], Array]] = {
    "mean": lambda flat: flat.mean(axis=1),
    "spread": lambda flat: flat.std(axis=1),
    "smallest": lambda flat: flat.min(axis=1),
    "largest": lambda flat: flat.max(axis=1),
    "roughness": lambda flat: np.sqrt((np.diff(flat, axis=1) ** 2).mean(axis=1)),
}


def summaries(x: Array) -> dict[str, Array]:
    """Return simple summaries of data sets ``(n, *x_shape)``, each ``(n,)``.

    Mean, spread and extremes of the elements, and roughness: the root mean square step from one
    element to the next, which tells more noise from a different shape.
    """
    flat = x.reshape(len(x), -1)
    if flat.shape[1] < 3:
        return {}
    return {name: summarise(flat) for name, summarise in SUMMARIES.items()}


def pool_data(x: Array, x_o: Array) -> Array:
    """Return the observation, then the data sets, flattened: ``(1 + draws, elements)``.

    Elements that the observation lacks are left out. Where simulated data lack some, too, what is
    missing is the median of what is there, in all alike: ranks stay exact.
    """
    x, x_o = np.asarray(x, dtype=float), np.asarray(x_o, dtype=float)
    if x.shape[1:] != x_o.shape:
        raise ValueError(
            f"the observation has shape {x_o.shape}, simulated data {x.shape[1:]}: "
            "is it the data of another simulator, or of other options?"
        )
    if len(x) < FEWEST_PREDICTIONS:
        raise ValueError(
            f"{len(x)} simulated data sets are too few for a p-value; give "
            f"{FEWEST_PREDICTIONS} or more"
        )
    if np.isinf(x_o).any() or np.isinf(x).any():
        where = "the observation" if np.isinf(x_o).any() else "simulated data"
        raise ValueError(f"{where} has infinite elements; mask or drop them first")
    pooled = np.concatenate([x_o[None], x]).reshape(1 + len(x), -1)
    if np.isnan(pooled[1:]).any():
        return with_medians(pooled)
    return pooled[:, np.isfinite(pooled[0])]


def with_medians(flat: Array, of: Array | None = None) -> Array:
    """Return data sets, ``(n, elements)``, with medians of their column for what is missing.

    Args:
        flat: The data sets.
        of: Those whose medians are taken, ``(m, elements)``; None for themselves.
    """
    if not np.isnan(flat).any():
        return flat
    of = flat if of is None else of
    medians = np.zeros(flat.shape[1])
    some = ~np.isnan(of).all(axis=0)
    medians[some] = np.nanmedian(of[:, some], axis=0)
    return np.where(np.isnan(flat), medians, flat)


def share_missing(x: Array) -> Array:
    """Return the fraction of elements that is missing of data sets ``(n, *x_shape)``, ``(n,)``."""
    return np.asarray(np.isnan(x).reshape(len(x), -1).mean(axis=1))


def features_of(pooled: Array, known: int = 0) -> Array:
    """Return normal scores of the elements, reduced to principal components where there are many.

    The first elements, ``known`` of them, are features of their own.
    """
    scores = scores_by_rank(pooled)
    rest = scores[:, known:]
    return np.column_stack([scores[:, :known], reduction(rest)(rest)])


def scores_by_rank(columns: Array) -> Array:
    """Return normal scores of every column, ``(n, columns)``, whatever its distribution is."""
    ranks = stats.rankdata(columns, axis=0)
    return np.asarray(stats.norm.ppf((ranks - 0.5) / len(columns)))


def reduction(scores: Array) -> Callable[[Array], Array]:
    """Return what makes principal components of scores, ``(n, scores)``, where there are many.

    What the components leave over is kept as one more feature, so data off their plane stand out.
    """
    if scores.shape[1] <= MAX_FEATURES:
        return lambda scores: scores
    from sklearn.decomposition import PCA  # noqa: PLC0415 - half a second

    components = PCA(min(MAX_FEATURES, len(scores) // 4), random_state=0).fit(scores)

    def reduced(scores: Array) -> Array:
        kept = components.transform(scores)
        left = np.linalg.norm(scores - components.inverse_transform(kept), axis=1)
        return np.column_stack([kept, left])

    seen = reduced(scores)
    centre, scale = seen.mean(axis=0), seen.std(axis=0)
    return lambda scores: (reduced(scores) - centre) / scale


def mahalanobis(features: Array) -> Array:
    """Return the distance of each row of features from the bulk of all, ``(n,)``."""
    from sklearn.covariance import LedoitWolf  # noqa: PLC0415 - half a second

    return np.asarray(LedoitWolf().fit(features).mahalanobis(features))


def largest_residual(pooled: Array) -> Array:
    """Return the largest distance of an element from its median, in interquartile ranges."""
    low, median, high = np.quantile(pooled, [0.25, 0.5, 0.75], axis=0)
    width = np.where(high > low, high - low, pooled.std(axis=0))
    return np.asarray((np.abs(pooled - median) / np.where(width > 0, width, 1.0)).max(axis=1))


def local_density(features: Array, neighbours: int) -> Array:
    """Return the local outlier factor of each row of features, ``(n,)``; sees holes and sheets."""
    from sklearn.neighbors import LocalOutlierFactor  # noqa: PLC0415 - half a second

    found = LocalOutlierFactor(n_neighbors=min(neighbours, len(features) - 2)).fit(features)
    return np.asarray(-found.negative_outlier_factor_)


def surprise(reference: Array) -> Callable[[Array], Array]:
    """Return what tells of values how unusual they are among others: minus the log of p, in nats.

    Up to the last tenth p is the fraction that is at least as large. Beyond, ranks could not tell
    what is far out from what is the largest by chance, so p follows a generalised Pareto
    distribution (Hosking & Wallis, by probability-weighted moments; its shape is no less than 0).
    P-values are made by ranking surprises, so they are exact whatever the tail is.

    Args:
        reference: Values of a statistic, ``(n,)``, the larger the more unusual.
    """
    ordered, n = np.sort(reference), len(reference)
    begins = ordered[-math.ceil(TAIL * n)]
    excess = ordered[ordered > begins][:-1] - begins  # the largest may be what is asked about

    def by_rank(values: Array) -> Array:
        above = n - np.searchsorted(ordered, values, side="left")
        return np.asarray(np.log((1 + n) / (1 + above)))

    if len(excess) < FEWEST_BEYOND:
        return by_rank
    mean = excess.mean()
    weighted = np.mean(excess * (len(excess) - np.arange(len(excess)) - 0.5)) / len(excess)
    spread = mean - 2 * weighted  # none where all are alike
    shape = max(2 - mean / spread, LEAST_SHAPE) if spread > 0 else LEAST_SHAPE
    scale = mean * (1 - shape)

    def nats(values: Array) -> Array:
        beyond = np.maximum(values - begins, 0) / scale
        return np.asarray(by_rank(np.minimum(values, begins)) + np.log1p(shape * beyond) / shape)

    return nats


def upper(statistic: Array) -> Array:
    """Return the surprise of every entry, where large ones are unusual."""
    return surprise(statistic)(statistic)


def two_sided(statistic: Array) -> Array:
    """Return the surprise of every entry, where those are unusual that are far out on any side."""
    from_middle = statistic - np.median(statistic)
    sides = [upper(np.maximum(side, 0)) for side in (from_middle, -from_middle)]
    return np.maximum(np.max(sides, axis=0) - math.log(2), 0)


def rank_among(pooled: Array, surprises: Mapping[str, Array]) -> Typicality:
    """Rank the observation (row 0) among all rows, whose surprises are given by statistic."""
    largest = np.max(list(surprises.values()), axis=0)
    low, high = np.quantile(pooled[1:], [0.05, 0.95], axis=0)
    outside = (pooled[0] < low) | (pooled[0] > high)
    first = sorted(surprises.items(), key=lambda item: -item[1][0])
    return Typicality(
        p_value=float(np.mean(largest >= largest[0])),
        p_values={name: float(np.mean(each >= each[0])) for name, each in first},
        outside_90=float(outside.mean()),
        draws=len(pooled) - 1,
        nats=float(surprise(largest[1:])(largest[:1])[0]),
    )


def judge_typicality(
    found: Typicality, subject: str, *, name: str, p: WarnFail, needed: int, good: str, bad: str
) -> Check:
    """Judge by the p-value; too few data sets to tell are no pass.

    Args:
        found: As measured.
        subject: What was asked.
        name: Of the check.
        p: P-value: warn below, fail below.
        needed: Data sets below which a pass is none.
        good: What a pass means.
        bad: What to do if not, with braces where the worst statistic is to be named.
    """
    judged = below(found.p_by_tail, p, name)
    if judged.status == "pass" and found.draws < needed:
        judged = judged._replace(status="warn")
        bad = f"{found.draws} simulated data sets are too few to tell; ask for {needed} or more."
    worst = next(iter(found.p_values))
    return judged.check(
        name=name,
        subject=subject,
        quantity=f"p-value of the observation among {found.draws} simulated data sets",
        value=found.p_by_tail,
        chance="uniform between 0 and 1",
        good=good,
        bad=bad.format(worst),
        sees=f"Below {found.least_rank:.1g} p-values are by a tail fitted to {found.draws}.",
    )
