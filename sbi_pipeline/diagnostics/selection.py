"""Is it said how the events of an observation were selected, where some fail?"""

from __future__ import annotations

from dataclasses import dataclass

from ..sampled_posteriors import ManyEvents
from .check import Check, shown_limit
from .diagnostic import Diagnostic


@dataclass(frozen=True)
class SelectedEvents:
    """What is known of the events of an observation.

    Attributes:
        worked: How many there are.
        tried: How many were tried; None where nobody knows.
        said: What the configuration says; empty for nothing.
        failed: Fraction of the simulations that failed.
        modelled: Whether the estimator learnt where they do.
    """

    worked: int
    tried: int | None
    said: str
    failed: float
    modelled: bool


def measure_selection(asked: ManyEvents) -> SelectedEvents | None:
    """Return what is known of the events; None where no simulation failed."""
    known, told = asked.estimator.failures, asked.posterior.tree.attrs
    if not known.get("failed", 0):
        return None
    return SelectedEvents(
        worked=len(asked.posterior.x_o),
        tried=int(told["tried"]) if "tried" in told else None,
        said=str(told.get("selection", "")),
        failed=known["failed"] / known["simulated"],
        modelled=bool(known["modelled"]),
    )


def judge_selection(found: SelectedEvents, subject: str, *, rare: float = 0.001) -> Check:
    """Judge whether it is known which events were kept; the posterior depends on it.

    Args:
        found: As made by `measure_selection`.
        subject: Estimator and observation.
        rare: Fraction of simulations that failed, above which it must be said.
    """
    unsaid = not found.said and found.failed > rare
    text = f"{100 * found.failed:.2g} % of simulated events failed; "
    if found.tried is not None:
        text += f"{found.worked} of {found.tried} tried worked, which tells of the parameters."
    elif unsaid:
        text += (
            f"nothing says how the {found.worked} observed were selected. They were taken for "
            "those that worked of an unknown number tried (selection: detected); if that number is "
            "known, the posterior is another one, and narrower: selection: tried, or all."
        )
    else:
        text += (
            f"the {found.worked} observed are those that worked of an unknown number tried: how "
            "many others there were tells nothing."
        )
    return Check(
        name="selection",
        subject=subject,
        status="warn" if unsaid else "pass",
        quantity="fraction of simulated events that failed",
        value=found.failed,
        threshold=f"warn above {shown_limit(rare)} where nothing says how events were selected",
        chance="0",
        advice=text,
    )


SELECTION = Diagnostic(
    of=ManyEvents,
    measure=measure_selection,
    judge=judge_selection,
    checks=("selection",),
    value="failed fraction of events, where nothing says how they were selected",
    chance="0",
)
