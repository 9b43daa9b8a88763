"""What helps against which fault of a posterior, in words that several checks share."""

from __future__ import annotations

from typing import Literal

Shape = Literal["too low", "too high", "too narrow", "too wide", "of the wrong shape"]

OVERCONFIDENT = "train on more simulations, or average several networks (network: {members: 5})"
UNDERTRAINED = "allow more epochs, or a larger network"
INFLEXIBLE = "train a larger network, or on more simulations"
REWEIGHTED = "mend the likelihood that its weights are of: if an estimator's, by more simulations"
RECALIBRATED = "hold out more simulations (split.test), or train its estimator on more"
REMEDIES: dict[Shape, str] = {
    "too low": INFLEXIBLE,
    "too high": INFLEXIBLE,
    "too narrow": OVERCONFIDENT,
    "too wide": UNDERTRAINED,
    "of the wrong shape": INFLEXIBLE,
}
"""What helps, by what the posterior of an estimator is."""
OF_REFINED = {"reweighted": REWEIGHTED, "recalibrated": RECALIBRATED}
"""What helps what was not trained, by how it was made."""


def remedy_of(shape: Shape, method: str) -> str:
    """Return what helps against a fault.

    Args:
        shape: What the posterior is.
        method: Its method, as calibrations tell it.
    """
    return OF_REFINED.get(method, REMEDIES[shape])
