"""What helps against which fault of a posterior, in words that several checks share."""

from __future__ import annotations

from typing import Literal

Shape = Literal["too low", "too high", "too narrow", "too wide", "of the wrong shape"]

OVERCONFIDENT = "train on more simulations, or average several networks (network: {members: 5})"
UNDERTRAINED = "allow more epochs, or a larger network"
INFLEXIBLE = "train a larger network, or on more simulations"
REMEDIES: dict[Shape, str] = {
    "too low": INFLEXIBLE,
    "too high": INFLEXIBLE,
    "too narrow": OVERCONFIDENT,
    "too wide": UNDERTRAINED,
    "of the wrong shape": INFLEXIBLE,
}
"""What helps, by what a posterior is."""
