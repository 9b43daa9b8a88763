"""The record of one check, and the arithmetic of pass, warn and fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["pass", "warn", "fail"]
STATUSES: tuple[Status, ...] = ("pass", "warn", "fail")


@dataclass(frozen=True)
class Check:
    """One question asked of a campaign, and its answer.

    Attributes:
        name: The check, as in ``verdict.json``.
        subject: What it was asked of: an estimator, an observation, the simulations.
        status: "pass", "warn" or "fail".
        quantity: What ``value`` is, in words.
        value: The number measured; NaN where it could not be.
        threshold: Where it warns and fails, in words.
        chance: What a perfect posterior would have given, in words.
        advice: One plain sentence: what it means, and what to do if it is bad.
    """

    name: str
    subject: str
    status: Status
    quantity: str
    value: float
    threshold: str
    chance: str
    advice: str


def above(value: float, warn: float, fail: float) -> Status:
    """Return the status of what should be small; NaN fails."""
    return "pass" if value <= warn else "warn" if value <= fail else "fail"


def below(value: float, warn: float, fail: float) -> Status:
    """Return the status of what should be large; NaN fails."""
    return "pass" if value >= warn else "warn" if value >= fail else "fail"


def significant(
    p_value: float, size: float, p: tuple[float, float], sizes: tuple[float, float]
) -> Status:
    """Return the status of a difference: (warn, fail) for its p-value and for its size."""
    if p_value < p[1] and size > sizes[1]:
        return "fail"
    return "warn" if p_value < p[0] and size > sizes[0] else "pass"


def choose(status: Status, good: str, bad: str) -> str:
    """Return the advice that goes with a status."""
    return good if status == "pass" else bad


def ordered(low: float, high: float, name: str) -> None:
    """Refuse thresholds of which the fail comes before the warning.

    Raises:
        ValueError: ``low`` exceeds ``high``.
    """
    if not low <= high:
        raise ValueError(
            f"thresholds of {name} contradict each other: {low:g} should not exceed {high:g}; "
            "a fail must be worse than a warning"
        )
