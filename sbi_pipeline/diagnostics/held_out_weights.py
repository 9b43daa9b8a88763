"""Do enough draws of a refined posterior count for ranks of held-out truths to tell anything?

Ranks by weight are uniform for the right posterior however few draws count (`weighted_ranks`), so
that none is failed wrongly. But where hardly any counts beside the truth itself, a wrong posterior
has uniform ranks as well.
"""

from __future__ import annotations

from ..subjects import FEWEST_EFFECTIVE, MOST_UNSEEN, TrainedEstimator
from .check import Check, Judged
from .diagnostic import Diagnostic


def measure_held_out_weights(asked: TrainedEstimator) -> float | None:
    """Return the fraction of held-out data of which few draws count; None without weights."""
    if asked.calibration is None or "effective" not in asked.calibration:
        return None
    return asked.unweighed


def judge_held_out_weights(fraction: float, subject: str, *, few: float = 0.05) -> Check:
    """Warn where ranks of held-out truths can tell little, since few weighed draws count.

    Args:
        fraction: Of the held-out simulations, of which few draws count.
        subject: The refined posterior.
        few: Warn above this fraction.
    """
    judged = Judged("warn" if fraction > few else "pass", f"warn above {few:g}")
    told = "were not judged" if fraction > MOST_UNSEEN else "see less than they say"
    return judged.check(
        name="held-out weights",
        subject=subject,
        quantity=f"fraction of held-out simulations with fewer than {FEWEST_EFFECTIVE:g} draws "
        "that count by weight",
        value=fraction,
        chance="0 for a good proposal",
        good="Of nearly all held-out simulations enough weighed draws count.",
        bad=f"Of {fraction:.0%} of the held-out simulations hardly any draw counts beside the "
        f"truth, so that calibration, coverage, P-P, TARP and local calibration {told}: the "
        "proposal misses what it is reweighted to; train it longer or on more simulations.",
    )


HELD_OUT_WEIGHTS = Diagnostic(
    of=TrainedEstimator,
    measure=measure_held_out_weights,
    judge=judge_held_out_weights,
    checks=("held-out weights",),
    value="fraction of held-out simulations of which few draws count by weight",
    chance="0",
)
