"""How many simulations failed?"""

from __future__ import annotations

from ..subjects import SimulatedRows
from .check import Check, WarnFail, above
from .diagnostic import Diagnostic


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
    good = f"Simulations ran; {others} events have no data and are not selected."
    return judged.check(
        name="failures",
        subject=subject,
        quantity="fraction of simulations that failed",
        value=failed,
        chance="0",
        good=good if others else "Simulations ran.",
        bad=f"Failed rows are left out of training; the usual reason is {reason!r}. "
        "Mend the simulator or narrow the prior.",
    )


FAILURES = Diagnostic(
    of=SimulatedRows,
    measure=lambda simulations: simulations,
    judge=judge_failures,
    checks=("failures",),
    value="fraction of simulations that failed",
    chance="0",
)
