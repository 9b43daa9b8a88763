"""Does which elements of the data are missing say something of the parameters?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..subjects import TrainedEstimator
from .check import Check, Judged
from .diagnostic import Diagnostic

INFORMATIVE = (
    "Which elements are missing is informative: it depends on the parameters, directly or through "
    "the values that are missing, and the posterior makes use of that. Make sure that elements of "
    "the observation are missing for the very same reason."
)
UNINFORMATIVE = "Which elements are missing says nothing of the parameters that could be seen."


def judge_missing_elements(found: Mapping[str, Any], subject: str) -> Check:
    """Say whether masks depend on the parameters, which is neither good nor bad.

    Args:
        found: As `networks.masks.what_masks_tell` says.
        subject: The estimator.
    """
    informative = found["correlation"] > found["by_chance"]
    return Judged("pass", "none").check(
        name="missing elements",
        subject=subject,
        quantity=f"correlation of the mask of element {found['column']} with parameters, the "
        f"largest; {100 * found['share']:.3g} % of all elements are missing",
        value=found["correlation"],
        chance=f"below {found['by_chance']:.2g}",
        good=INFORMATIVE if informative else UNINFORMATIVE,
        bad="",
    )


MISSING_ELEMENTS = Diagnostic(
    of=TrainedEstimator,
    measure=lambda estimator: estimator.masks,
    judge=judge_missing_elements,
    checks=("missing elements",),
    value="largest correlation of an element's mask with parameters",
    chance="0",
)
