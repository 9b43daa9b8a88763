"""How many simulations failed?"""

from __future__ import annotations

from ..subjects import NOT_SELECTED, SimulatedRows
from .check import Check, WarnFail, above
from .diagnostic import Diagnostic

OR_EVENTS = "; of events that have no data where nobody detects them, say so (selection: detected)"
"""What helps where simulations have no data because events may not be seen."""


def judge_failures(
    found: SimulatedRows, subject: str, *, fraction: WarnFail = (0.01, 0.2)
) -> Check:
    """Judge the fraction of simulations that failed.

    Args:
        found: The simulations.
        subject: The simulations.
        fraction: Warn above, fail above.

    Raises:
        ValueError: No rows, or contradicting thresholds.
    """
    if found.rows < 1:
        raise ValueError("the campaign has 0 rows; there is nothing to judge")
    failures = found.unmeant
    failed = sum(failures.values()) / found.rows
    judged = above(failed, fraction, "failures")
    reason = max(failures, key=lambda name: failures[name]) if failed > 0 else ""
    others = sum(found.failures.values()) - sum(failures.values())
    unsaid = reason == NOT_SELECTED and not found.selection
    good = f"Simulations ran; {others} events have no data and are not selected."
    return judged.check(
        name="failures",
        subject=subject,
        quantity="fraction of simulations that failed",
        value=failed,
        chance="0",
        good=good if others else "Simulations ran.",
        bad=f"Failed rows are left out of training; the usual reason is {reason!r}. "
        f"Mend the simulator or narrow the prior{OR_EVENTS if unsaid else ''}.",
    )


FAILURES = Diagnostic(
    of=SimulatedRows,
    measure=lambda simulations: simulations,
    judge=judge_failures,
    checks=("failures",),
    value="fraction of simulations that failed",
    chance="0",
)
