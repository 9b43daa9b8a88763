"""Comparisons of models: is the classifier right, are evidences, do both agree, is any model?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..comparison.asked import FEWEST_EFFECTIVE, AskedClassifier, AskedObservation
from ..comparison.calibration import Scores, scores
from ..comparison.probabilities import ComparedModels
from ..comparison.weighed import Evidence
from .check import Check, WarnFail, above, significant, worst_of
from .diagnostic import Diagnostic
from .in_distribution import BY_RANK, in_distribution
from .typicality import Typicality, judge_typicality

CERTAIN = 3.0
"""Standard errors by which a score is better than chance."""
MODEST = 0.05
"""Error of a log Bayes factor that hides nothing, in nats."""


def measure_classifier(asked: AskedClassifier) -> Scores:
    """Score what it says of held-out rows."""
    return scores(asked.log_p, asked.model)


def judge_classifier(
    found: Scores,
    subject: str,
    *,
    p: WarnFail = (0.005, 0.001),
    scale: WarnFail = (1.15, 1.5),
) -> list[Check]:
    """Judge whether a classifier is as sure as it should be, and whether it tells models apart.

    Args:
        found: As scored.
        subject: The classifier.
        p: P-value of the Brier score, and of the scale of log odds: warn below, fail below.
        scale: Factor by which log odds are too large or too small: warn beyond, fail beyond.
    """
    factor = math.exp(abs(math.log(found.scale)))
    judged = significant(found.p_value, factor, p, scale, "model classifier")
    sure = "too sure" if found.scale < 1 else "not sure enough"
    calibrated = judged.check(
        name="odds as often",
        subject=subject,
        quantity=f"p-value of its Brier score and of the scale of its log odds "
        f"({found.scale:.2f} ± {found.scale * found.scale_error:.2g}), {found.rows} held-out rows",
        value=found.p_value,
        chance="uniform between 0 and 1",
        good="Models made held-out simulations as often as it says.",
        bad=f"It is {sure}: its log odds should be {found.scale:.2f} times as large. Simulate more "
        "of each model, or train again with other options.",
        sees="It finds log odds that are too large by a factor of "
        f"{math.exp(4 * found.scale_error):.2f} nearly always.",
    )
    gain = found.log_score - found.chance_log
    tells = gain > CERTAIN * found.log_score_error
    told = Check(
        name="models told apart",
        subject=subject,
        status="pass" if tells else "warn",
        quantity="log score of held-out simulations beyond that of chance (nats)",
        value=gain,
        threshold=f"warn below {CERTAIN:g} standard errors",
        chance=f"0 ± {found.log_score_error:.2g}; a score of {found.chance_log:.3f} by frequency",
        advice=f"It gains {gain:.3f} of the {-found.chance_log:.3f} nats that there are to gain."
        if tells
        else "It tells the models apart no better than chance: on average the data say nothing of "
        "them, or it needs more simulations.",
    )
    return [calibrated, told]


@dataclass(frozen=True)
class WorstEvidence:
    """The evidences of an observation that are made of weights.

    Attributes:
        evidences: By what they are of, in words.
        limit: Draws that a weight is made of, at least.
    """

    evidences: dict[str, Evidence]


def measure_evidences(asked: AskedObservation) -> WorstEvidence | None:
    """Return evidences of an observation; None where it has none."""
    found = {
        f"{label}, {way}": each
        for way, of in asked.evidences.items()
        for label, each in of.items()
        if not each.problem or "weight" in each.problem
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


@dataclass(frozen=True)
class Neighbours:
    """Held-out rows like an observation: what was said of them, and what was so.

    Attributes:
        label: The model that differs most from what was said.
        said: Its mean probability.
        happened: How often it was that model.
        z: The difference, in standard errors that chance gives.
        models: How many there are.
        rows: How many rows.
    """

    label: str
    said: float
    happened: float
    z: float
    models: int
    rows: int


def measure_neighbours(asked: AskedObservation) -> Neighbours | None:
    """Compare what was said of rows like the observation with what was so."""
    if not len(asked.near):
        return None
    p = np.exp(asked.near)
    was = np.eye(len(asked.labels))[asked.near_model]
    scatter = np.sqrt(np.maximum(np.sum(p * (1 - p), axis=0), 1e-9))
    z = (was - p).sum(axis=0) / np.maximum(scatter, 0.5)
    at = int(np.abs(z).argmax())
    return Neighbours(
        label=asked.labels[at],
        said=float(p[:, at].mean()),
        happened=float(was[:, at].mean()),
        z=float(z[at]),
        models=len(asked.labels),
        rows=len(p),
    )


def judge_neighbours(
    found: Neighbours,
    subject: str,
    *,
    p: WarnFail = (0.005, 0.001),
    difference: WarnFail = (0.05, 0.15),
) -> Check:
    """Judge whether the classifier is right near the observation.

    Args:
        found: Rows like it.
        subject: The observation.
        p: P-value: warn below, fail below.
        difference: Of the probability said and how often it was so: warn above, fail above.
    """
    looked_at = 1 if found.models == 2 else found.models  # one of two says what the other does
    p_value = float(min(1.0, 2 * looked_at * stats.norm.sf(abs(found.z))))
    apart = found.happened - found.said
    judged = significant(p_value, abs(apart), p, difference, "model neighbours")
    return judged.check(
        name="odds near the observation",
        subject=subject,
        quantity=f"p-value of {found.label} among the {found.rows} held-out simulations most like "
        f"it: {found.happened:.3f} of them, {found.said:.3f} said",
        value=p_value,
        chance="uniform between 0 and 1",
        good="Among simulations like the observation the classifier is right.",
        bad="Among simulations like the observation the classifier is wrong about how often "
        f"{found.label} made them; simulate more, or believe the evidences.",
    )


def measure_likeness(asked: AskedObservation) -> dict[str, Typicality]:
    """Put the observation among simulations of each model."""
    found = {}
    for place, label in enumerate(asked.labels):
        known = None if asked.simulated_known is None else asked.simulated_known[place]
        missing = None if asked.missing is None else asked.missing[place]
        found[label] = in_distribution(
            asked.simulated[place], asked.x, known=known, missing=missing
        )
    return found


def judge_likeness(
    found: Mapping[str, Typicality], subject: str, *, p: WarnFail = (0.005, 0.002)
) -> Check:
    """Judge whether any of the models could have made the observation.

    Args:
        found: The observation among simulations of each model; the likest counts.
        subject: The observation.
        p: P-value under that model: warn below, fail below.
    """
    likest = max(found, key=lambda label: found[label].p_by_tail)
    return judge_typicality(
        found[likest],
        subject,
        name="any of the models",
        p=p,
        needed=math.ceil(1 / max(p[0], BY_RANK)),
        good=f"The observation looks like simulations of {likest}.",
        bad="None of the models makes data like the observation ({}): odds between wrong models "
        "say nothing. Look at its units and at the predictions of each campaign; another model is "
        "wanted.",
    )


MODEL_CLASSIFIER = Diagnostic(
    of=AskedClassifier,
    measure=measure_classifier,
    judge=judge_classifier,
    checks=("odds as often", "models told apart"),
    value="p-value of Brier score and scale; gain in log score",
    chance="uniform; 0",
)
MODEL_EVIDENCE = Diagnostic(
    of=AskedObservation,
    measure=measure_evidences,
    judge=judge_evidences,
    checks=("evidence", "modes of the evidence"),
    value="k-hat; share where the posterior has no draws",
    chance="below 0.5; below 0.01",
)
MODEL_AGREEMENT = Diagnostic(
    of=AskedObservation,
    measure=measure_ways,
    judge=judge_ways,
    checks=("agreement of two ways",),
    value="difference of log Bayes factors (nats)",
    chance="normal, with the errors of both",
)
MODEL_NEIGHBOURS = Diagnostic(
    of=AskedObservation,
    measure=measure_neighbours,
    judge=judge_neighbours,
    checks=("odds near the observation",),
    value="p-value among held-out simulations like it",
    chance="normal",
)
MODEL_LIKENESS = Diagnostic(
    of=AskedObservation,
    measure=measure_likeness,
    judge=judge_likeness,
    checks=("any of the models",),
    value="p-value among simulations of the likest model",
    chance="exact ranks",
)
