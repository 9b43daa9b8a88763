"""Does the observation lie where the network was trained?"""

from __future__ import annotations

from ..subjects import ObservedData
from ..types import Array
from .check import Check, WarnFail
from .diagnostic import Diagnostic
from .typicality import (
    Typicality,
    features_of,
    judge_typicality,
    mahalanobis,
    pool,
    rank_among,
    upper,
)


def in_distribution(simulations: Array, x_o: Array, neighbours: int = 20) -> Typicality:
    """Ask whether ``x_o`` lies where the simulator puts data for any parameters of the prior.

    An estimator extrapolates blindly outside. Statistics: distance from the bulk, and the local
    outlier factor, which also sees holes and curved sheets.

    Args:
        simulations: Prior predictive data sets, ``(draws, *x_shape)``; held-out ones will do.
        x_o: The observation, ``x_shape``.
        neighbours: How many for the local outlier factor.
    """
    from sklearn.neighbors import LocalOutlierFactor  # noqa: PLC0415 - half a second

    pooled = pool(simulations, x_o)
    features = features_of(pooled)
    outlier = LocalOutlierFactor(n_neighbors=min(neighbours, len(simulations) - 1)).fit(features)
    return rank_among(
        pooled,
        {
            "distance": upper(mahalanobis(features)),
            "local density": upper(-outlier.negative_outlier_factor_),
        },
    )


def measure_in_distribution(asked: ObservedData) -> Typicality | None:
    """Put the observation among simulations; None for many events, which no simulation is."""
    x_o = asked.x_o
    if x_o is None or x_o.ndim >= asked.simulated.ndim:
        return None
    return in_distribution(asked.simulated, x_o)


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
