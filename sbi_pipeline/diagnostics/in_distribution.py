"""Does the observation lie where the network was trained?"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import special

from ..sampled_posteriors import ObservedData
from ..types import Array
from .check import Check, WarnFail
from .descriptors import descriptor_features, descriptors_of, kind_of, unlike_by_descriptors
from .diagnostic import Diagnostic
from .typicality import (
    Typicality,
    features_of,
    judge_typicality,
    largest_residual,
    local_density,
    mahalanobis,
    pool_data,
    rank_among,
    reduction,
    scores_by_rank,
    share_missing,
    surprise,
    two_sided,
    upper,
    with_medians,
)

Features = Callable[[Array], Array]

BY_RANK = 0.005
"""P-value that ranks tell, at least, where a pass is to mean something."""


def in_distribution(
    simulations: Array,
    x_o: Array,
    neighbours: int = 20,
    known: Array | None = None,
    missing: Array | None = None,
) -> Typicality:
    """Ask whether ``x_o`` lies where the simulator puts data for any parameters of the prior.

    An estimator extrapolates blindly outside. Statistics: distance from the bulk, and the local
    outlier factor, which also sees holes and curved sheets, each of elements and of `descriptors`;
    and the largest residual of an element in interquartile ranges, which has no bound.

    Args:
        simulations: Prior predictive data sets, ``(draws, *x_shape)``; held-out ones will do.
        x_o: The observation, ``x_shape``.
        neighbours: How many for the local outlier factor.
        known: Known conditions of the observation, and of each simulation, ``(1 + draws, known)``;
            None for none.
        missing: The fraction that is missing of the observation, and of each simulated data set as
            it was trained on, ``(1 + draws,)``; None where nothing is.
    """
    pooled = pool_data(simulations, x_o)
    given = np.empty((len(pooled), 0)) if known is None else scores_by_rank(known)
    features = np.column_stack([given, features_of(pooled)])
    surprises = {
        "distance": upper(mahalanobis(features)),
        "local density": upper(local_density(features, neighbours)),
        "largest residual": upper(largest_residual(pooled)),
        **unlike_by_descriptors(simulations, x_o, given, neighbours),
    }
    if missing is not None:
        surprises["missing elements"] = two_sided(missing)
    return rank_among(pooled, surprises)


class Reference:
    """Simulations that many data sets are compared with, as `in_distribution` does with one.

    What is fitted is fitted to a third of them; the second third tells how unusual a statistic is,
    the last how unusual the largest surprise of the statistics. Nothing is fitted again for a data
    set, and p <= u still happens with probability at most u for one more draw of the same law
    (split conformal p-values: Vovk, Gammerman, Shafer, Algorithmic learning in a random world,
    2005, https://doi.org/10.1007/b106715).

    Args:
        simulations: Prior predictive data sets, ``(n, *x_shape)``.
        known: Their known conditions, ``(n, known)``; None for none.
        neighbours: How many for the local outlier factor.

    Raises:
        ValueError: They are fewer than three times the neighbours.
    """

    def __init__(
        self, simulations: Array, known: Array | None = None, neighbours: int = 20
    ) -> None:
        if len(simulations) < 3 * neighbours:
            raise ValueError(f"got {len(simulations)} simulations; wanted {3 * neighbours} or more")
        known = np.empty((len(simulations), 0)) if known is None else known
        x, given = (
            np.array_split(np.asarray(each, dtype=float), 3) for each in (simulations, known)
        )
        features = [_element_features(x[0], given[0]), *_descriptor_features(x[0], given[0])]
        self._statistics = [
            statistic
            for each in features
            for statistic in _statistics(each(x[0], given[0]), each, neighbours)
        ]
        self._surprises = [surprise(each(x[1], given[1])) for each in self._statistics]
        self._compared = np.sort(self._largest(x[2], given[2]))

    @property
    def compared(self) -> int:
        """How many simulations a data set is ranked among."""
        return len(self._compared)

    @property
    def least_p(self) -> float:
        """The p-value of a data set that is more unusual than all of them."""
        return 1 / (1 + self.compared)

    def p_values(self, x: Array, known: Array | None = None) -> Array:
        """Return the p-value of every data set, ``(m, *x_shape) -> (m,)``.

        Args:
            x: The data sets.
            known: Their known conditions, ``(m, known)``; None for none.
        """
        known = np.empty((len(x), 0)) if known is None else known
        largest = self._largest(np.asarray(x, dtype=float), known)
        above = self.compared - np.searchsorted(self._compared, largest, side="left")
        return np.asarray((1 + above) / (1 + self.compared))

    def _largest(self, x: Array, known: Array) -> Array:
        """Return the largest surprise over statistics, ``(m,)``."""
        pairs = zip(self._surprises, self._statistics, strict=True)
        return np.max([nats(statistic(x, known)) for nats, statistic in pairs], axis=0)


Joint = Callable[[Array, Array], Array]
"""Takes data sets, ``(m, *x_shape)``, and their known conditions, ``(m, known)``."""


def _statistics(seen: Array, features: Joint, neighbours: int) -> list[Joint]:
    """Return statistics of data sets, the larger the more unusual, fitted to features ``seen``."""
    from sklearn.covariance import LedoitWolf  # noqa: PLC0415 - half a second
    from sklearn.neighbors import LocalOutlierFactor  # noqa: PLC0415

    bulk = LedoitWolf().fit(seen)
    local = LocalOutlierFactor(n_neighbors=neighbours, novelty=True).fit(seen)
    return [
        lambda x, known: bulk.mahalanobis(features(x, known)),
        lambda x, known: -local.score_samples(features(x, known)),
    ]


def _element_features(x: Array, known: Array) -> Joint:
    """Return what makes features of data sets, as `features_of` does of those it is fitted to."""
    filled, given = _filling(x), _scores(known)
    elements = _scores(filled(x).reshape(len(x), -1))
    reduced = reduction(elements(filled(x).reshape(len(x), -1)))
    return lambda x, known: np.column_stack(
        [given(known), reduced(elements(filled(x).reshape(len(x), -1)))]
    )


def _descriptor_features(x: Array, known: Array) -> list[Joint]:
    """Return what makes features of descriptors, if data have any."""
    if not kind_of(x.shape[1:]):
        return []
    filled = _filling(x) if kind_of(x.shape[1:]) != "set" else np.asarray
    given, features = _scores(known), descriptor_features(descriptors_of(filled(x)))
    return [lambda x, known: np.column_stack([given(known), features(descriptors_of(filled(x)))])]


def _filling(fitted: Array) -> Features:
    """Return what puts medians of data sets for what is missing of others."""
    some = fitted.reshape(len(fitted), -1)
    medians = some[np.isfinite(some).any(axis=1)]
    return lambda x: with_medians(x.reshape(len(x), -1), medians).reshape(x.shape)


def _scores(fitted: Array) -> Features:
    """Return what makes normal scores of elements, ``(m, elements)``, among fitted ones."""
    ordered = np.sort(fitted, axis=0)

    def scores(flat: Array) -> Array:
        places = [
            np.searchsorted(column, values, "left") + np.searchsorted(column, values, "right")
            for column, values in zip(ordered.T, flat.T, strict=True)
        ]
        ranks = np.clip(np.array(places).reshape(flat.T.shape).T / 2, 0.5, len(ordered) - 0.5)
        return np.asarray(special.ndtri(ranks / len(ordered)))

    return scores


def measure_in_distribution(asked: ObservedData) -> Typicality | None:
    """Put the observation among simulations; None for many events, which no simulation is."""
    x_o = asked.x_o
    if x_o is None or x_o.ndim >= asked.simulated.ndim:
        return None
    known, missing = asked.simulated_known, asked.missing
    if known is not None:
        known = np.vstack([[float(asked.known[name]) for name in asked.conditions], known])
    if missing is not None:
        missing = np.append(share_missing(x_o[None]), missing)
    return in_distribution(asked.simulated, x_o, known=known, missing=missing)


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
        needed=math.ceil(1 / max(p[0], BY_RANK)),  # smaller ones are by the tail
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
