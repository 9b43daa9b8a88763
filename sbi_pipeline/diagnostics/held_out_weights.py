"""Do enough draws of a refined posterior count for ranks of held-out truths to tell anything?

Ranks by weight are uniform for the right posterior however few draws count (`weighted_ranks`), so
that none is failed wrongly. But where hardly any counts beside the truth itself, a wrong posterior
has uniform ranks as well.

A proposal that is too wide leaves few draws that count. One that misses a mode leaves all of them,
and weights that look perfect, but the truths in that mode outweigh all draws together: of normal
posteriors in two dimensions fewer than two count in 1 % of cases if the proposal is 15 times too
wide, in 4 % if it is half as wide as it should be, and in 81 % if it is 3 sd off.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..subjects import FEWEST_EFFECTIVE, MOST_UNSEEN, TrainedEstimator
from .check import Check, Judged, WarnFail, above, shown_limit
from .diagnostic import Diagnostic


@dataclass(frozen=True)
class CountingDraws:
    """Of how many held-out simulations draws count.

    Attributes:
        few: Fraction of which few draws count, the truth being one.
        missed: Fraction of which one point outweighs all others: the truth, as a rule.
    """

    few: float
    missed: float


def measure_held_out_weights(asked: TrainedEstimator) -> CountingDraws | None:
    """Return of how many held-out data few draws count; None without weights."""
    if asked.calibration is None or "effective" not in asked.calibration:
        return None
    return CountingDraws(asked.unweighed, asked.missed)


def judge_held_out_weights(
    found: CountingDraws, subject: str, *, few: float = 0.05, missed: WarnFail = (0.05, 0.2)
) -> Check:
    """Judge whether the proposal is where truths are, and ranks by weight tell anything.

    Args:
        found: As measured.
        subject: The refined posterior.
        few: Warn above this fraction of the held-out simulations of which few draws count.
        missed: Warn and fail above this fraction of those of which the truth outweighs all draws.
    """
    judged = above(found.missed, missed, "held_out_weights missed")
    words = f"warn above {shown_limit(few)}; where truths outweigh all draws {judged.threshold}"
    judged = Judged("warn" if judged.status == "pass" and found.few > few else judged.status, words)
    told = "were not judged" if found.few > MOST_UNSEEN else "see less than they say"
    bad = (
        f"Of {found.few:.0%} of the held-out simulations hardly any draw counts beside the truth, "
        f"so that calibration, coverage, P-P, TARP and local calibration {told}: the proposal "
        "misses what it is reweighted to; train it longer or on more simulations."
    )
    if judged.status == "fail":
        bad = (
            f"In {found.missed:.0%} of the held-out simulations the truth outweighs all draws: the "
            "proposal is not where truths are, such as in a mode that it does not know, and "
            "weights do not show that; train it longer or on more simulations."
        )
    return judged.check(
        name="held-out weights",
        subject=subject,
        quantity=f"fraction of held-out simulations with fewer than {FEWEST_EFFECTIVE:g} draws "
        f"that count by weight (in {found.missed:.1%} the truth outweighs all)",
        value=found.few,
        chance="0 for a good proposal",
        good="Of nearly all held-out simulations enough weighed draws count.",
        bad=bad,
    )


HELD_OUT_WEIGHTS = Diagnostic(
    of=TrainedEstimator,
    measure=measure_held_out_weights,
    judge=judge_held_out_weights,
    checks=("held-out weights",),
    value="fraction of held-out simulations of which few draws count by weight",
    chance="0",
)
