"""Does the observation lie where the network was trained?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from scipy import special

from ..sampled_posteriors import ObservedData
from ..types import Array
from .check import Check, WarnFail
from .diagnostic import Diagnostic
from .typicality import (
    MAX_FEATURES,
    Typicality,
    features_of,
    judge_typicality,
    mahalanobis,
    pool_data,
    rank_among,
    share_missing,
    two_sided,
    under_conditions,
    upper,
    with_medians,
)


def in_distribution(
    simulations: Array,
    x_o: Array,
    neighbours: int = 20,
    known: int = 0,
    missing: Array | None = None,
) -> Typicality:
    """Ask whether ``x_o`` lies where the simulator puts data for any parameters of the prior.

    An estimator extrapolates blindly outside. Statistics: distance from the bulk, and the local
    outlier factor, which also sees holes and curved sheets.

    Args:
        simulations: Prior predictive data sets, ``(draws, *x_shape)``; held-out ones will do.
        x_o: The observation, ``x_shape``.
        neighbours: How many for the local outlier factor.
        known: How many of their elements, the first, are known conditions.
        missing: The fraction that is missing of the observation, and of each simulated data set as
            it was trained on, ``(1 + draws,)``; None where nothing is.
    """
    from sklearn.neighbors import LocalOutlierFactor  # noqa: PLC0415 - half a second

    pooled = pool_data(simulations, x_o)
    features = features_of(pooled, known)
    outlier = LocalOutlierFactor(n_neighbors=min(neighbours, len(simulations) - 1)).fit(features)
    p_values = {
        "distance": upper(mahalanobis(features)),
        "local density": upper(-outlier.negative_outlier_factor_),
    }
    if missing is not None:
        p_values["missing elements"] = two_sided(missing)
    return rank_among(pooled, p_values)


class Reference:
    """Simulations that many data sets are compared with, as `in_distribution` does with one.

    What is fitted is fitted to a third of them; the second third tells how unusual a statistic is,
    the last how unusual the smallest p-value of the statistics. Nothing is fitted again for a data
    set, and p <= u still happens with probability at most u for one more draw of the same law
    (split conformal p-values: Vovk, Gammerman, Shafer, Algorithmic learning in a random world,
    2005, https://doi.org/10.1007/b106715).

    Args:
        simulations: Prior predictive data sets, ``(n, *x_shape)``.
        neighbours: How many for the local outlier factor.
        known: How many of their elements, the first, are known conditions.

    Raises:
        ValueError: They are fewer than three times the neighbours.
    """

    def __init__(self, simulations: Array, neighbours: int = 20, known: int = 0) -> None:
        flat = np.asarray(simulations, dtype=float).reshape(len(simulations), -1)
        if len(flat) < 3 * neighbours:
            raise ValueError(f"got {len(flat)} simulations; wanted {3 * neighbours} or more")
        self._medians = flat[np.isfinite(flat).any(axis=1)][: len(flat) // 3]
        fitted, ranked, compared = np.array_split(with_medians(flat, self._medians), 3)
        self._statistics = _statistics(fitted, neighbours, known)
        self._ranked = {name: np.sort(each(ranked)) for name, each in self._statistics.items()}
        self._least = 1 / (1 + len(ranked))
        self._compared = np.sort(self._typical(self._by_statistic(compared)))

    @property
    def compared(self) -> int:
        """How many simulations a data set is ranked among."""
        return len(self._compared)

    @property
    def least_p(self) -> float:
        """The p-value of a data set that every statistic finds more unusual than all others."""
        everywhere = np.full((len(self._statistics), 1), self._least)
        return float(self._p_values(everywhere)[0])

    def p_values(self, x: Array) -> Array:
        """Return the p-value of every data set, ``(m, *x_shape) -> (m,)``."""
        flat = np.asarray(x, dtype=float).reshape(len(x), -1)
        return self._p_values(self._by_statistic(with_medians(flat, self._medians)))

    def _p_values(self, by_statistic: Array) -> Array:
        below = np.searchsorted(self._compared, self._typical(by_statistic), side="right")
        return np.asarray((1 + below) / (1 + len(self._compared)))

    def _by_statistic(self, flat: Array) -> Array:
        """Return the p-value by every statistic, ``(statistics, m)``."""
        p_values = []
        for name, statistic in self._statistics.items():
            above = len(self._ranked[name]) - np.searchsorted(
                self._ranked[name], statistic(flat), side="left"
            )
            p_values.append((1 + above) * self._least)
        return np.array(p_values)

    def _typical(self, by_statistic: Array) -> Array:
        """Return the smallest p-value, those that are the same in the order of their means.

        Without that order what one statistic finds most unusual would be alike, however far out.
        """
        return np.asarray(by_statistic.min(axis=0) + self._least * by_statistic.mean(axis=0))


def _statistics(
    fitted: Array, neighbours: int, known: int
) -> Mapping[str, Callable[[Array], Array]]:
    """Return statistics of data sets ``(m, elements)``, the larger the more unusual."""
    from sklearn.covariance import LedoitWolf  # noqa: PLC0415 - half a second
    from sklearn.neighbors import LocalOutlierFactor  # noqa: PLC0415

    features = _features(fitted, known)
    seen = features(fitted)
    bulk = LedoitWolf().fit(seen)
    local = LocalOutlierFactor(n_neighbors=neighbours, novelty=True).fit(seen)
    return {
        "distance": lambda flat: bulk.mahalanobis(features(flat)),
        "local density": lambda flat: -local.score_samples(features(flat)),
    }


def _features(fitted: Array, known: int) -> Callable[[Array], Array]:
    """Return what makes features of data sets, as `features_of` does of those it is fitted to."""
    ordered = np.sort(fitted, axis=0)

    def scores(flat: Array) -> Array:
        places = [
            np.searchsorted(column, values, "left") + np.searchsorted(column, values, "right")
            for column, values in zip(ordered.T, flat.T, strict=True)
        ]
        ranks = np.clip(np.stack(places, axis=1) / 2, 0.5, len(ordered) - 0.5)
        return np.asarray(special.ndtri(ranks / len(ordered)))

    if fitted.shape[1] - known <= MAX_FEATURES:
        return scores
    from sklearn.decomposition import PCA  # noqa: PLC0415 - half a second

    count = min(MAX_FEATURES, len(fitted) // 4)
    components = PCA(count, random_state=0).fit(scores(fitted)[:, known:])

    def reduced(flat: Array) -> Array:
        every = scores(flat)
        given = every[:, known:]
        kept = components.transform(given)
        left = np.linalg.norm(given - components.inverse_transform(kept), axis=1)
        return np.column_stack([every[:, :known], kept, left])

    seen = reduced(fitted)
    centre, scale = seen.mean(axis=0), seen.std(axis=0)
    return lambda flat: (reduced(flat) - centre) / scale


def measure_in_distribution(asked: ObservedData) -> Typicality | None:
    """Put the observation among simulations; None for many events, which no simulation is."""
    x_o = asked.x_o
    if x_o is None or x_o.ndim >= asked.simulated.ndim:
        return None
    simulated, seen = under_conditions(
        asked.simulated, asked.simulated_known, x_o, asked.known, asked.conditions
    )
    missing = asked.missing
    if missing is not None:
        missing = np.append(share_missing(x_o[None]), missing)
    return in_distribution(simulated, seen, known=len(asked.conditions), missing=missing)


def judge_in_distribution(
    found: Typicality, subject: str, *, p: WarnFail = (0.005, 0.002)
) -> Check:
    """Judge whether the observation lies where the network was trained.

    Args:
        found: As made by `in_distribution`.
        subject: The observation.
        p: P-value: warn below, fail below.
    """
    return judge_typicality(
        found,
        subject,
        name="in distribution",
        p=p,
        needed=math.ceil(1 / p[0]),
        good="The observation looks like the training simulations.",
        bad="The observation is unlike the training simulations ({}): networks extrapolate "
        "blindly. Check units and data path, widen the prior, or mend the simulator.",
    )


IN_DISTRIBUTION = Diagnostic(
    of=ObservedData,
    measure=measure_in_distribution,
    judge=judge_in_distribution,
    checks=("in distribution",),
    value="p-value among simulations",
    chance="exact ranks",
)
