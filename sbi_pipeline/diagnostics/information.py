"""Did the estimator learn anything? A posterior equal to the prior is calibrated, too."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy import stats

from ..subjects import TrainedEstimator
from ..types import Array
from .check import Check, Status
from .diagnostic import Diagnostic


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
            name: spearman(column["mean"].to_numpy(), column["truth"].to_numpy())
            for name, column in columns.items()
        },
    )


def spearman(a: Array, b: Array) -> float:
    """Return Spearman's correlation, 0 for a column that never varies (it follows nothing)."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(stats.spearmanr(a, b).statistic)


def measure_information(asked: TrainedEstimator) -> Information | None:
    """Measure what an estimator learned; None where it was not calibrated, or need not have."""
    if asked.calibration is None or asked.events_in_box:
        return None
    return information(asked.calibration)


def judge_information(
    found: Information,
    subject: str,
    *,
    nats: float = 0.05,
    sd_ratio: float = 0.9,
    correlation: float = 0.15,
) -> Check:
    """Judge whether the posterior learned anything; one that equals the prior is calibrated too.

    Args:
        found: As made by `information`.
        subject: The estimator.
        nats: Fail below this gain over the prior, or within three standard errors of zero.
        sd_ratio: Warn where a parameter's posterior sd stays above this fraction of the prior's.
        correlation: Without a density, fail where no parameter's posterior mean follows its truth
            more than this.
    """
    idle = [name for name, ratio in found.sd_ratio.items() if not ratio < sd_ratio]
    best = max(found.correlation.values())
    if math.isnan(found.nats):
        quantity, value = "largest correlation of posterior mean with truth", best
        learned, limit = best > correlation, f"fail below {correlation:g}"
    else:
        quantity = (
            f"held-out information gained over the prior, ± {found.standard_error:.2g} (nats)"
        )
        value, limit = found.nats, f"fail below {nats:g} or within 3 standard errors of 0"
        learned = found.nats > max(nats, 3 * found.standard_error)
    status: Status = "fail" if not learned else "warn" if idle else "pass"
    advice = {
        "pass": "The data narrow every parameter.",
        "warn": f"The posterior of {', '.join(idle)} is about as wide as the prior: the data "
        "may say little, or the network missed it.",
        "fail": "The posterior is no better than the prior: the network learned nothing, or the "
        "data hold nothing.",
    }
    return Check(
        name="information",
        subject=subject,
        status=status,
        quantity=quantity,
        value=value,
        threshold=f"{limit}; warn where sd / prior sd is above {sd_ratio:g}",
        chance="0 for a posterior equal to the prior",
        advice=advice[status],
    )


INFORMATION = Diagnostic(
    of=TrainedEstimator,
    measure=measure_information,
    judge=judge_information,
    checks=("information",),
    value="held-out log q over the prior (nats)",
    chance="0",
)
