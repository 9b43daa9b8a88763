"""Do evidences and the classifier say the same of models?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..comparison.asked import AskedObservation
from ..comparison.probabilities import ComparedModels
from .check import Check, WarnFail, worst_of
from .diagnostic import Diagnostic

MODEST = 0.05
"""Error of a log Bayes factor that hides nothing, in nats."""


@dataclass(frozen=True)
class TwoWays:
    """Log Bayes factors of one observation by both ways, of the best model over the others.

    Attributes:
        pairs: The models, in words.
        by_evidence: ``(pairs,)``.
        by_classifier: ``(pairs,)``.
        error: Of their difference, ``(pairs,)``.
        difference: ``(pairs,)``; 0 where both are beyond what rows can tell, in one direction.
    """

    pairs: Sequence[str]
    by_evidence: Sequence[float]
    by_classifier: Sequence[float]
    error: Sequence[float]
    difference: Sequence[float]

    @property
    def p_values(self) -> list[float]:
        """Of each difference, were both right."""
        each = zip(self.difference, self.error, strict=True)
        return [float(2 * stats.norm.sf(abs(d) / max(e, 1e-12))) for d, e in each]


def measure_ways(asked: AskedObservation) -> TwoWays | None:
    """Compare both ways; None where two models have no evidence."""
    one, other = asked.by_evidence, asked.by_classifier
    if one is None:
        return None
    rows = [_two_ways(one, other, place) for place in one.order[1:] if _known(one, place)]
    pairs, first, second, errors, differences = zip(*rows, strict=True)
    return TwoWays(pairs, first, second, errors, differences)


def _known(by_evidence: ComparedModels, place: int) -> bool:
    return bool(np.isfinite(by_evidence.log_evidence[place]))


def _two_ways(
    one: ComparedModels, other: ComparedModels, place: int
) -> tuple[str, float, float, float, float]:
    first, own_error = one.log_bayes_factor(one.best, place)
    second, error = other.log_bayes_factor(one.best, place)
    beyond = min(first, second) > other.most or max(first, second) < -other.most
    difference = 0.0 if beyond else _within(first, other.most) - _within(second, other.most)
    pair = f"{one.labels[one.best]} over {one.labels[place]}"
    return pair, first, second, math.hypot(own_error, error, MODEST), difference


def _within(value: float, most: float) -> float:
    return min(max(value, -most), most)


def judge_ways(
    found: TwoWays,
    subject: str,
    *,
    p: WarnFail = (0.01, 0.001),
    nats: WarnFail = (0.5, 1.5),
) -> Check:
    """Judge whether evidences and the classifier say the same.

    Args:
        found: Log Bayes factors.
        subject: The observation.
        p: P-value of their difference: warn below, fail below.
        nats: Their difference: warn above, fail above.
    """
    at, judged = worst_of(found.p_values, found.difference, p, nats, "model agreement")
    one, other = found.by_evidence[at], found.by_classifier[at]
    return judged.check(
        name="agreement of two ways",
        subject=subject,
        quantity=f"difference of log Bayes factors, {found.pairs[at]}: {one:.2f} by evidence, "
        f"{other:.2f} by the classifier (nats)",
        value=found.difference[at],
        chance=f"0 ± {found.error[at]:.2g}",
        good="Evidences and the classifier, which know nothing of each other, agree.",
        bad="Evidences and the classifier disagree beyond their errors. Look which of them has a "
        "check that failed; if none has, train the likelihoods as ensembles (members: 5), whose "
        "scatter tells how far they may be off, or simulate more.",
    )


MODEL_AGREEMENT = Diagnostic(
    of=AskedObservation,
    measure=measure_ways,
    judge=judge_ways,
    checks=("agreement of two ways",),
    value="difference of log Bayes factors (nats)",
    chance="normal, with the errors of both",
)
