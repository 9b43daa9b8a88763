"""Can the evidences of models be believed: their weights, and the posteriors they are made of?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..comparison.asked import FEWEST_EFFECTIVE, AskedObservation
from ..comparison.weighed import Evidence
from .check import Check, WarnFail, above
from .diagnostic import Diagnostic


@dataclass(frozen=True)
class WorstEvidence:
    """The evidences of an observation that are made of weights.

    Attributes:
        evidences: By what they are of, in words.
    """

    evidences: dict[str, Evidence]


def measure_evidences(asked: AskedObservation) -> WorstEvidence | None:
    """Return evidences of an observation; None where it has none."""
    found = {
        f"{label}, {way}": each
        for way, of in asked.evidences.items()
        for label, each in of.items()
        if not math.isnan(each.k_hat)
    }
    return WorstEvidence(found) if found else None


def judge_evidences(
    found: WorstEvidence,
    subject: str,
    *,
    k_hat: WarnFail = (0.5, 0.7),
    lost: WarnFail = (0.02, 0.1),
) -> list[Check]:
    """Judge weights of evidences, and whether posteriors know what they are made of.

    Args:
        found: The evidences.
        subject: The observation.
        k_hat: Of the weights: warn above, fail above.
        lost: Share of an evidence that comes from where no draw of the posterior is: warn above,
            fail above.
    """
    worst = max(found.evidences, key=lambda of: _badness(found.evidences[of]))
    each = found.evidences[worst]
    enough = each.effective >= FEWEST_EFFECTIVE
    judged = above(each.tail if enough else math.inf, k_hat, "evidence k_hat")
    weights = judged.check(
        name="evidence",
        subject=f"{subject}, {worst}",
        quantity="Pareto k-hat of the weights that the evidence is the mean of",
        value=each.tail,
        chance="below 0.5 for weights with a finite variance",
        good=f"Its error is that of {each.effective:.0f} effective draws, {each.error:.2g} nats.",
        bad="The weights are heavy, so the evidence and its error cannot be believed: the draws of "
        "the posterior do not cover it. Train longer, or take another estimator.",
    )
    gone = max(found.evidences, key=lambda of: np.nan_to_num(found.evidences[of].lost, nan=-1.0))
    share = found.evidences[gone].lost
    modes = above(0.0 if math.isnan(share) else share, lost, "evidence lost").check(
        name="modes of the evidence",
        subject=f"{subject}, {gone}",
        quantity="share of the evidence from where no draw of the posterior is",
        value=share,
        chance="below 0.01",
        good="What the evidence is made of is where the posterior is.",
        bad="The likelihood is large where the posterior has no draws: it lacks a mode. The "
        "evidence knows it, the posterior does not; train it longer or on more simulations.",
    )
    return [weights, modes]


def _badness(each: Evidence) -> float:
    if each.problem or each.effective < FEWEST_EFFECTIVE:
        return math.inf
    return each.tail


MODEL_EVIDENCE = Diagnostic(
    of=AskedObservation,
    measure=measure_evidences,
    judge=judge_evidences,
    checks=("evidence", "modes of the evidence"),
    value="k-hat; share where the posterior has no draws",
    chance="below 0.5; below 0.01",
)
