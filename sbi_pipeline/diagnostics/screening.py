"""How many numbers of the data does an estimator not look at, and why?"""

from __future__ import annotations

from collections.abc import Mapping

from ..subjects import TrainedEstimator
from .check import Check
from .diagnostic import Diagnostic


def judge_screening(left_out: Mapping[str, int], subject: str) -> Check:
    """Say how many numbers of the data were left out unasked; it is no fault.

    Args:
        left_out: ``columns`` that were left out, and ``of`` how many.
        subject: The estimator.
    """
    return Check(
        name="columns left out",
        subject=subject,
        status="pass",
        quantity=f"columns of x, out of {left_out['of']}, that say nothing of the parameters",
        value=float(left_out["columns"]),
        threshold="none",
        chance="all that are noise",
        advice="They never vary, or no parameter is linked with them and a regression on all "
        "columns predicted held-out rows no better for them; columns: all keeps them.",
    )


SCREENING = Diagnostic(
    of=TrainedEstimator,
    measure=lambda estimator: estimator.left_out,
    judge=judge_screening,
    checks=("columns left out",),
    value="columns of x that were left out, where any were",
    chance="all that are noise",
)
