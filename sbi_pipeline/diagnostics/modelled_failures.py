"""Does an estimator take account of the simulations that failed?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..subjects import TrainedEstimator
from .check import Check, Status
from .diagnostic import Diagnostic


def measure_modelled_failures(asked: TrainedEstimator) -> Mapping[str, Any] | None:
    """Return what the estimator knows of failed simulations; None where none failed."""
    return asked.failures if asked.failures.get("failed", 0) else None


def judge_modelled_failures(known: Mapping[str, Any], subject: str) -> Check:
    """Judge whether an estimator takes account of the simulations that failed.

    Args:
        known: ``simulated`` and ``failed``, simulations in all and those that failed; ``target``,
            what is estimated; ``modelled``, whether log p(valid | theta) was learnt.
        subject: The estimator.
    """
    fraction, target = known["failed"] / known["simulated"], known["target"]
    status: Status = "pass" if target == "posterior" or known["modelled"] else "warn"
    said = f"{100 * fraction:.2g} % of simulations failed; "
    if target == "posterior":
        said += "a posterior learnt from the others is that of valid data, and needs no more."
    elif known["modelled"]:
        said += f"log p(valid | theta) was learnt and added to the {target}."
    else:
        said += (
            f"a {target} learnt from the others ignores where they failed; leave the training "
            "option failures at auto."
        )
    return Check(
        name="modelled failures",
        subject=subject,
        status=status,
        quantity="fraction of simulations that failed",
        value=fraction,
        threshold="warn if a likelihood or a ratio ignores it",
        chance="0",
        advice=said,
    )


MODELLED_FAILURES = Diagnostic(
    of=TrainedEstimator,
    measure=measure_modelled_failures,
    judge=judge_modelled_failures,
    checks=("modelled failures",),
    value="failed fraction that a likelihood or ratio ignores",
    chance="0",
)
