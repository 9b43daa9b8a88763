"""Could any of the models have made the observation?"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..comparison.asked import AskedObservation
from .check import Check, WarnFail
from .diagnostic import Diagnostic
from .in_distribution import BY_RANK, in_distribution
from .typicality import Typicality, judge_typicality


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


MODEL_LIKENESS = Diagnostic(
    of=AskedObservation,
    measure=measure_likeness,
    judge=judge_likeness,
    checks=("any of the models",),
    value="p-value among simulations of the likest model",
    chance="exact ranks",
)
