"""How many simulations from the prior are weighted ones worth?

References:
    Kish, Survey sampling, Wiley 1965 (the effective size of a weighted sample).
"""

from __future__ import annotations

from ..subjects import SimulatedRows
from .check import Check, WarnFail, below
from .diagnostic import Diagnostic


def effective_rows(asked: SimulatedRows) -> float | None:
    """Return how many simulations weights leave; None where all count alike."""
    if not asked.weights or not asked.weights["drawn_from"]:
        return None
    return float(asked.weights["effective"])


def judge_weights(found: float, subject: str, *, rows: WarnFail = (1000.0, 200.0)) -> Check:
    """Judge whether weights leave enough of simulations that were drawn from another density.

    Args:
        found: As made by `effective_rows`.
        subject: The simulations.
        rows: Effective number: warn below, fail below.
    """
    return below(found, rows, "weights").check(
        name="effective rows",
        subject=subject,
        quantity="effective number of weighted simulations",
        value=found,
        chance="number of simulations",
        good="The weights leave enough simulations.",
        bad="The simulations were drawn from a density so unlike the priors that few of them "
        "count. Estimators that weigh them have learnt from these few, and calibration asks about "
        "fewer still: add simulations where the priors are, or take nle, which needs no weights.",
    )


WEIGHTS = Diagnostic(
    of=SimulatedRows,
    measure=effective_rows,
    judge=judge_weights,
    checks=("effective rows",),
    value="effective number of simulations, where they are weighted",
    chance="number of simulations",
)
