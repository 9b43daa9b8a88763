"""Are there enough held-out simulations for a pass of calibration to mean something?

With 50 simulations error bars too narrow by 20 % pass every second time. What a pass could have
seen is told by `visible`; where that is not much, the page is no plain pass.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..subjects import TrainedEstimator
from .check import Check, Judged
from .coverage import ONE_AND_TWO_SIGMA
from .diagnostic import Diagnostic
from .visible import VisibleWidths, by_coverage

WARNS, LEAST = 0.005, 0.02
"""Where the check of coverage warns: below this p-value, beyond this distance."""


@dataclass(frozen=True)
class HeldOut:
    """What an estimator was asked about.

    Attributes:
        simulations: How many.
        parameters: How many are looked at, of which one may be at fault.
    """

    simulations: int
    parameters: int

    @property
    def visible(self) -> VisibleWidths:
        """Which widths of one parameter coverage, the sharpest of the tests, finds."""
        p = WARNS / (self.parameters * len(ONE_AND_TWO_SIGMA))
        return by_coverage(self.simulations, ONE_AND_TWO_SIGMA, p, LEAST)


def measure_held_out(asked: TrainedEstimator) -> HeldOut | None:
    """Count what an estimator was asked about; None where its ranks are not judged."""
    data = asked.ranked
    return None if data is None else HeldOut(data.sizes["simulation"], data.sizes["parameter"])


def judge_held_out(found: HeldOut, subject: str, *, too_narrow: float = 0.3) -> Check:
    """Judge whether calibration could have seen a fault of a size that matters.

    Args:
        found: As measured.
        subject: The estimator.
        too_narrow: Warn where error bars have to be too small by more than this fraction to be
            found in 95 % of cases.
    """
    seen, few = found.visible, f"{found.simulations} held-out simulations are too few"
    judged = Judged("warn" if seen.too_narrow > too_narrow else "pass", f"warn above {too_narrow}")
    return judged.check(
        name="held-out simulations",
        subject=subject,
        quantity="fraction by which error bars have to be too narrow to be found in 95 % of cases "
        f"({found.simulations} simulations)",
        value=seen.too_narrow,
        chance="falls with the root of the number of simulations",
        good=seen.words,
        bad=f"{few} for a pass of calibration to mean much. {seen.words} Simulate more, or hold "
        "out more (split: {test: ...}; calibration: {simulations: ...}).",
    )


HELD_OUT_SIMULATIONS = Diagnostic(
    of=TrainedEstimator,
    measure=measure_held_out,
    judge=judge_held_out,
    checks=("held-out simulations",),
    value="how much too narrow error bars have to be to be found",
    chance="falls with the number of simulations",
)
