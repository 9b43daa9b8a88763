"""Did the estimator learn anything? A posterior equal to the prior is calibrated, too.

Where the data say nothing it is even right. Whether they do is asked of a regression and of the
other estimators, see `yardsticks`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import xarray as xr
from scipy import stats

from ..subjects import TrainedEstimator
from ..types import Array
from .check import Check, Status, shown_limit
from .diagnostic import Diagnostic
from .missed import remedy
from .yardsticks import better_informed, enumerated, seen_by, yardsticks


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
        seen: Who else sees more, by parameter, or ``all together``; none where nobody does.
        asked: Who else was asked, in words; empty for nobody.
        remedy: What helps where others see more.
    """

    nats: float
    log_q: float
    standard_error: float
    sd_ratio: dict[str, float]
    correlation: dict[str, float]
    seen: Mapping[str, str] = field(default_factory=dict)
    asked: str = ""
    remedy: str = ""


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
    found = information(asked.calibration)
    seen = {name: who for name in found.sd_ratio if (who := seen_by(asked, name))}
    if not seen and (better := better_informed(asked)):
        seen = {"all together": better[0].who}
    others = enumerated([who for who, _ in yardsticks(asked)], "or")
    return replace(found, seen=seen, asked=others, remedy=remedy(asked))


def judge_information(
    found: Information,
    subject: str,
    *,
    nats: float = 0.05,
    sd_ratio: float = 0.9,
    correlation: float = 0.15,
) -> Check:
    """Judge whether the posterior learned anything; one that equals the prior is calibrated too.

    That is a fault where a regression or another estimator sees more, or where it is worse than
    the prior; else the data may say nothing.

    Args:
        found: As made by `measure_information`.
        subject: The estimator.
        nats: Nothing was learnt below this gain over the prior, or within three standard errors of
            zero.
        sd_ratio: A parameter counts as not narrowed where its posterior sd stays above this
            fraction of the prior's.
        correlation: Without a density, nothing was learnt where no parameter's posterior mean
            follows its truth more than this.
    """
    idle = [name for name, ratio in found.sd_ratio.items() if not ratio < sd_ratio]
    best = max(found.correlation.values())
    if math.isnan(found.nats):
        quantity, value = "largest correlation of posterior mean with truth", best
        learned, limit, worse = best > correlation, shown_limit(correlation), False
    else:
        quantity = (
            f"held-out information gained over the prior, ± {found.standard_error:.2g} (nats)"
        )
        value, limit = found.nats, f"{shown_limit(nats)} or within 3 standard errors of 0"
        chance = max(nats, 3 * found.standard_error) if math.isfinite(value) else nats
        learned, worse = value > chance, value < -chance
    status, advice = _told(found, idle, learned, worse)
    return Check(
        name="information",
        subject=subject,
        status=status,
        quantity=quantity,
        value=value,
        threshold=f"below {limit}: warn, and fail where others see more; warn where sd / prior sd "
        f"is above {shown_limit(sd_ratio)} and others see more",
        chance="0 for a posterior equal to the prior",
        advice=advice,
    )


def _told(found: Information, idle: list[str], learned: bool, worse: bool) -> tuple[Status, str]:
    """Return the status, and what it means."""
    missed = [name for name in (idle if learned else found.seen) if name in found.seen]
    if worse:
        return "fail", "Held-out truths are less probable than under the prior. " + found.remedy
    if missed:
        who = enumerated(dict.fromkeys(found.seen[name] for name in missed), "and")
        what = f"The posterior of {', '.join(missed)} is about as wide as"
        if not learned:
            what = "The posterior is no better than"
        seen = enumerated(missed, "and")
        return "warn" if learned else "fail", (
            f"{what} the prior, while {who} sees more of {seen} in the data: the network missed "
            f"it. {found.remedy}"
        )
    if not learned:
        said = _nobody(found, "of the parameters")
        return "warn", f"Nothing was learnt: the posterior is the prior. {said}"
    if not idle:
        return "pass", "The data narrow every parameter."
    return ("pass" if found.asked else "warn"), (
        f"The posterior of {', '.join(idle)} is about as wide as the prior. "
        f"{_nobody(found, 'more of it')}"
    )


def _nobody(found: Information, what: str) -> str:
    """Return what nobody sees, as far as others were asked."""
    if not found.asked:
        return (
            "The data may say little, or the network missed it: there is no regression or other "
            "method to tell."
        )
    return f"The data say nothing {what} that {found.asked} sees."


INFORMATION = Diagnostic(
    of=TrainedEstimator,
    measure=measure_information,
    judge=judge_information,
    checks=("information",),
    value="held-out log q over the prior (nats)",
    chance="0",
)
