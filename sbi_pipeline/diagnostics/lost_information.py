"""How much of what the data say does an estimator lose?

A posterior can be calibrated and far too wide. What it might know is not known, but three lower
limits of what it loses are. Truths are more probable under another estimator of the campaign, or
under a regression in closed form. And training rows are more probable than held-out ones by as many
nats as were learnt by heart: of an estimator at the maximum of its likelihood half of that is lost
on new data, by the theory of Akaike and Takeuchi, and with early stopping more. On five problems
with known answers and 2 000 rows, the loss was 1.0 to 1.9 times that gap.

References:
    Akaike, A new look at the statistical model identification, IEEE Trans. Autom. Control 19, 1974,
        https://doi.org/10.1109/TAC.1974.1100705.
    Takeuchi, Distribution of informational statistics and a criterion of model fitting,
        Suri-Kagaku 153, 1976.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..subjects import TrainedEstimator
from .check import Check, Status, WarnFail, above, shown_limit
from .diagnostic import Diagnostic
from .information import measure_information
from .missed import remedy
from .yardsticks import REGRESSION, Better, better_informed, enumerated, yardsticks

GAP = 3.0
"""Standard errors that a gap is beyond chance."""


@dataclass(frozen=True)
class Lost:
    """What an estimator is known to lose.

    Attributes:
        better: Who knows more beyond chance, the one that knows most first.
        gap: By how many nats training rows are more probable than held-out ones; NaN where that is
            not known.
        gap_error: Its standard error.
        parameters: How many.
        compared: With whom, in words.
        alone: Whether there is no other estimator to compare with.
        was_chosen: Whether it was chosen of several methods itself.
        remedy: What helps.
    """

    better: Sequence[Better]
    gap: float
    gap_error: float
    parameters: int
    compared: str
    alone: bool
    was_chosen: bool
    remedy: str

    def times_wider(self, nats: float) -> float:
        """Return how much too wide a posterior is in each parameter that lost so many nats."""
        return math.exp(min(max(nats, 0.0) / self.parameters, 50.0))

    @property
    def by_others(self) -> float:
        """How much wider the posterior is than that of who knows most."""
        return self.times_wider(self.better[0].nats) if self.better else 1.0

    @property
    def by_heart(self) -> float:
        """How much wider it is than more rows would make it, about; 1 where that is not known."""
        certain = self.gap > GAP * self.gap_error
        return self.times_wider(self.gap) if certain else 1.0


def measure_lost_information(asked: TrainedEstimator) -> Lost | None:
    """Measure what an estimator loses; None where it was not calibrated, or need not learn."""
    if measure_information(asked) is None or asked.calibration is None:
        return None
    told = asked.calibration.attrs
    return Lost(
        better=better_informed(asked),
        gap=float(told.get("over_fit", math.nan)),
        gap_error=float(told.get("over_fit_error", math.nan)),
        parameters=asked.calibration.sizes["parameter"],
        compared=enumerated([who for who, _ in yardsticks(asked)], "or"),
        alone=not (asked.others or asked.was_chosen),
        was_chosen=asked.was_chosen,
        remedy=remedy(asked),
    )


def judge_lost_information(found: Lost, subject: str, *, wider: WarnFail = (1.2, 2.0)) -> Check:
    """Judge whether the posterior is much wider than it need be, or as far off as if it were.

    What was learnt by heart warns at most: that is what is to be expected, and not seen.

    Args:
        found: As made by `measure_lost_information`.
        subject: The estimator.
        wider: Warn and fail where as much is lost as by posteriors that many times too wide in each
            parameter.
    """
    value = max(found.by_others, found.by_heart)
    status: Status = above(found.by_others, wider, "lost_information").status
    if status == "pass" and (value > wider[0] or not (found.compared or found.gap_error > 0)):
        status = "warn"
    return Check(
        name="lost information",
        subject=subject,
        status=status,
        quantity="what is lost, as a factor of width in each parameter, at least",
        value=value,
        threshold=f"warn above {shown_limit(wider[0])}, fail above {shown_limit(wider[1])} "
        "where another shows it",
        chance="1 for the exact posterior",
        advice=_advice(found, status, wider[0]),
        caveat=_caveat(found) if status == "pass" else "",
    )


def _advice(found: Lost, status: Status, limit: float) -> str:
    if status == "pass":
        return f"{_compared(found)} {_caveat(found)}".strip()
    told = []
    if found.by_others > limit:
        best = found.better[0]
        told.append(
            f"Held-out truths are {best.nats:.2g} ± {best.error:.1g} nats more probable under "
            f"{best.who}."
        )
    if found.by_heart > limit:
        told.append(
            f"Training rows are {found.gap:.2g} ± {found.gap_error:.1g} nats more probable than "
            "held-out ones, which were learnt by heart: as much is to be gained, about."
        )
    if not told:
        return (
            "There is nothing to compare this estimator with: what it loses of the data cannot be "
            "seen. Add another method."
        )
    return " ".join([*told, found.remedy])


def _compared(found: Lost) -> str:
    parts = []
    if found.compared:
        parts.append(f"no more that would matter is known to {found.compared}")
    if found.was_chosen:
        parts.append("of several methods it is the one, or the mixture, that knows most")
    if found.gap_error > 0:
        parts.append("training rows are hardly more probable than held-out ones")
    text = ", and ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _caveat(found: Lost) -> str:
    if not found.alone:
        return ""
    who = f"it and {REGRESSION} both lose" if REGRESSION in found.compared else "it loses"
    return f"One estimator only: what {who} of the data cannot be seen; a second method would tell."


LOST_INFORMATION = Diagnostic(
    of=TrainedEstimator,
    measure=measure_lost_information,
    judge=judge_lost_information,
    checks=("lost information",),
    value="width over that which a regression, another method or more rows would give",
    chance="1",
)
