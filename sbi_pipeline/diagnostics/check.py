"""The record of one check, and the arithmetic of pass, warn and fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Status = Literal["pass", "warn", "fail"]
STATUSES: tuple[Status, ...] = ("pass", "warn", "fail")
WarnFail = tuple[float, float]
"""Where a check warns and where it fails."""


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
        sees: The smallest fault that it finds nearly always, in a sentence; empty where that is not
            known.
        caveat: What even a pass does not tell, for the sentence of the verdict; empty for nothing.
    """

    name: str
    subject: str
    status: Status
    quantity: str
    value: float
    threshold: str
    chance: str
    advice: str
    sees: str = ""
    caveat: str = ""


class Judged(NamedTuple):
    """A status, and the thresholds it was found with, in words."""

    status: Status
    threshold: str

    def check(
        self,
        *,
        name: str,
        subject: str,
        quantity: str,
        value: float,
        chance: str,
        good: str,
        bad: str,
        sees: str = "",
    ) -> Check:
        """Return the check, with the advice that goes with the status: ``good`` for a pass."""
        return Check(
            name=name,
            subject=subject,
            status=self.status,
            quantity=quantity,
            value=value,
            threshold=self.threshold,
            chance=chance,
            advice=good if self.status == "pass" else bad,
            sees=sees,
        )


def shown_limit(limit: float) -> str:
    """Return a threshold as it stands on a page: one divided among many checks to two digits.

    Thresholds that people choose have four significant digits at most, and are shown as they are.
    """
    chosen = limit == float(f"{limit:.4g}")
    return f"{limit:g}" if chosen else f"{float(f'{limit:.2g}'):g}"


def above(value: float, limits: WarnFail, name: str) -> Judged:
    """Judge what should be small; NaN fails.

    Raises:
        ValueError: The thresholds contradict each other.
    """
    warn, fail = _ordered(limits, name)
    status: Status = "pass" if value <= warn else "warn" if value <= fail else "fail"
    return Judged(status, f"warn above {shown_limit(warn)}, fail above {shown_limit(fail)}")


def below(value: float, limits: WarnFail, name: str) -> Judged:
    """Judge what should be large; NaN fails.

    Raises:
        ValueError: The thresholds contradict each other.
    """
    warn, fail = _ordered(limits, name, rising=False)
    status: Status = "pass" if value >= warn else "warn" if value >= fail else "fail"
    return Judged(status, f"warn below {shown_limit(warn)}, fail below {shown_limit(fail)}")


def significant(p_value: float, size: float, p: WarnFail, sizes: WarnFail, name: str) -> Judged:
    """Judge a difference by its p-value and by its size; both must be bad.

    Raises:
        ValueError: The thresholds contradict each other.
    """
    _ordered(p, f"{name} p", rising=False)
    _ordered(sizes, f"{name} difference")
    status: Status = "pass"
    if p_value < p[1] and size > sizes[1]:
        status = "fail"
    elif p_value < p[0] and size > sizes[0]:
        status = "warn"
    words = (
        f"p < {shown_limit(p[i])} and a difference above {shown_limit(sizes[i])}" for i in (0, 1)
    )
    return Judged(status, "warn at {}, fail at {}".format(*words))


def worst_of(
    p_values: Sequence[float], differences: Sequence[float], p: WarnFail, sizes: WarnFail, name: str
) -> tuple[int, Judged]:
    """Judge several differences as `significant` does one; return the place of the worst, and how.

    The worst has the worst status, then the smallest p-value, then the largest difference: a small
    difference that is the most certain hides no large one.
    """
    each = zip(p_values, map(abs, differences), strict=True)
    judged = [significant(p_value, size, p, sizes, name) for p_value, size in each]
    badness = [STATUSES.index(one.status) for one in judged]
    place = max(range(len(judged)), key=lambda i: (badness[i], -p_values[i], abs(differences[i])))
    return place, judged[place]


def _ordered(limits: WarnFail, name: str, *, rising: bool = True) -> WarnFail:
    low, high = limits if rising else limits[::-1]
    if not low <= high:
        raise ValueError(
            f"thresholds of {name} contradict each other: warn at {limits[0]:g} and fail at "
            f"{limits[1]:g}; a fail must be worse than a warning"
        )
    return limits
