"""Is a classifier of models as sure as it should be, and does it tell them apart?"""

from __future__ import annotations

import math

from ..comparison.asked import AskedClassifier
from ..comparison.calibration import Scores, scores
from .check import Check, WarnFail, shown_limit, significant
from .diagnostic import Diagnostic

CERTAIN = 3.0
"""Standard errors by which a score is better than chance."""


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
        threshold=f"warn below {shown_limit(CERTAIN)} standard errors",
        chance=f"0 ± {found.log_score_error:.2g}; a score of {found.chance_log:.3f} by frequency",
        advice=f"It gains {gain:.3f} of the {-found.chance_log:.3f} nats that there are to gain."
        if tells
        else "It tells the models apart no better than chance: on average the data say nothing of "
        "them, or it needs more simulations.",
    )
    return [calibrated, told]


MODEL_CLASSIFIER = Diagnostic(
    of=AskedClassifier,
    measure=measure_classifier,
    judge=judge_classifier,
    checks=("odds as often", "models told apart"),
    value="p-value of Brier score and scale; gain in log score",
    chance="uniform; 0",
)
