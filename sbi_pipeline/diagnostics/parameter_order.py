"""Does each parameter follow its own truth, or was the order of two swapped?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from scipy import stats

from ..subjects import TrainedEstimator
from ..types import Array
from .check import Check
from .diagnostic import Diagnostic


def swapped(calibration: xr.Dataset) -> list[tuple[str, str]]:
    """Return pairs whose posterior means follow each other's truth better than their own."""
    names = [str(name) for name in calibration["parameter"].to_numpy()]
    mean = calibration["mean"].transpose("simulation", "parameter").to_numpy()
    truth = calibration["truth"].transpose("simulation", "parameter").to_numpy()
    size = len(names)
    follows = np.abs(_standardised_ranks(mean).T @ _standardised_ranks(truth)) / len(truth)
    # Correlations of two unrelated columns scatter by 1 / sqrt(n); ask for clearly more.
    margin = 4 / np.sqrt(truth.shape[0])
    return [
        (names[i], names[j])
        for i in range(size)
        for j in range(i + 1, size)
        if follows[i, j] > follows[i, i] + margin and follows[j, i] > follows[j, j] + margin
    ]


def _standardised_ranks(columns: Array) -> Array:
    """Return ranks of each column, of mean 0 and variance 1; 0 for one that never varies."""
    ranks = stats.rankdata(columns, axis=0)
    ranks -= ranks.mean(axis=0)
    spread = ranks.std(axis=0)
    return np.asarray(ranks / np.where(spread > 0, spread, 1.0))


def measure_swapped(asked: TrainedEstimator) -> list[tuple[str, str]] | None:
    """Look for swapped parameters; None where the estimator was not calibrated."""
    return None if asked.ranked is None else swapped(asked.ranked)


def judge_parameter_order(pairs: Sequence[tuple[str, str]], subject: str) -> Check:
    """Fail if posterior means of two parameters follow each other's truths: a swapped order.

    Args:
        pairs: As made by `swapped`.
        subject: The estimator.
    """
    named = ", ".join(f"{one} and {other}" for one, other in pairs)
    return Check(
        name="parameter order",
        subject=subject,
        status="fail" if pairs else "pass",
        quantity="pairs of parameters that follow each other's truth",
        value=float(len(pairs)),
        threshold="fail above 0",
        chance="0",
        advice=f"{named} look swapped: compare the order of columns in simulator and prior."
        if pairs
        else "Each parameter follows its own truth.",
    )


PARAMETER_ORDER = Diagnostic(
    of=TrainedEstimator,
    measure=measure_swapped,
    judge=judge_parameter_order,
    checks=("parameter order",),
    value="pairs that follow each other's truth",
    chance="0",
)
