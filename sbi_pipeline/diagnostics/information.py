"""Did the estimator learn anything? A posterior equal to the prior is calibrated, too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy import stats

from ..types import Array


@dataclass(frozen=True)
class Information:
    """What the estimator gained over the prior, on held-out simulations.

    Attributes:
        nats: Mean of log q(theta* | x) - log p(theta*), in nats: the divergence of posterior from
            prior, less what the estimator misses. NaN without a density, minus infinity if a truth
            was ever called impossible.
        log_q: Mean of log q(theta* | x), in nats, of theta in its own units.
        standard_error: Of ``nats``; NaN where ``nats`` is not finite.
        sd_ratio: Median posterior sd over the sd of the truths, by parameter, in normal space: a
            few truths far out in a heavy-tailed prior would make any posterior look narrow.
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
        sd_ratio={name: float(column["sd_ratio"].median()) for name, column in columns.items()},
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
