"""Checks of likelihoods that are multiplied over events."""

from __future__ import annotations

from ..diagnostics.events import Accumulated
from .check import Check, Limits, above


def accumulation(found: Accumulated, subject: str, *, nats: Limits = (0.5, 2.0)) -> Check:
    """Judge whether small errors of a per-event likelihood add up over the events.

    Args:
        found: As made by ``diagnostics.events.accumulated``.
        subject: Estimator and observation.
        nats: Divergence of the posterior, beyond what chance gives: warn above, fail above. Half a
            nat is a shift by one posterior sd.
    """
    certain = found.nats > found.by_chance
    judged = above(found.nats if certain else 0.0, nats, "accumulation")
    bad = "Errors of single events add up: the posterior of all is shifted; train on more."
    if not certain and found.by_chance > nats[0]:
        judged = judged._replace(status="warn")
        bad = (
            f"{found.simulations:.0f} held-out simulations are too few to tell whether errors add "
            f"up over {found.events} events; hold out more (split.test)."
        )
    return judged.check(
        name="accumulation",
        subject=subject,
        quantity=f"divergence of the posterior of {found.events} events by the mean score (nats)",
        value=found.nats,
        chance=f"below {found.by_chance:.2g} in 95 % of cases",
        good="Errors of single events do not add up to much.",
        bad=bad,
    )
