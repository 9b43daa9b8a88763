"""The contract of a diagnostic: one record of what is measured, judged, drawn and said."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from ..plots.style import Look
from ..subjects import Subject
from .check import Check, WarnFail

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WARNED, FAILED = 0.04, 0.01
"""Chances that any p-value of a page with nothing wrong warns, or fails."""
Asked = TypeVar("Asked", bound=Subject)
Found = TypeVar("Found")
Section = Literal[
    "observation", "catalogue", "object", "calibration", "sampling", "training", "simulations"
]


@dataclass(frozen=True)
class Drawing:
    """A figure of some subjects of one kind, and what is said below it.

    In ``stem``, ``alt``, ``title`` and ``text`` stand names of a subject in braces, such as
    ``{observation}``. Subjects whose stems come out the same are drawn together, so the stem says
    what is drawn apart: "coverage" is one figure of all, "trace-{observation}-{estimator}" one of
    each.

    Attributes:
        stem: Of its files.
        draw: Takes the subjects and the `Look`; returns None where there is nothing to see.
        alt: What it shows, for those who cannot see it.
        title: Of the caption.
        text: The caption, or a function of the subjects that returns it; code stands in backticks.
        section: Of the page.
    """

    stem: str
    draw: Callable[[Sequence[Any], Look], Figure | None]
    alt: str
    title: str
    text: str | Callable[[Sequence[Any]], str]
    section: Section


@dataclass(frozen=True)
class Finding:
    """What one diagnostic found of one subject.

    Attributes:
        diagnostic: Its name in the registry.
        subject: What was asked.
        found: What was measured.
        checks: What was made of it.
    """

    diagnostic: str
    subject: Subject
    found: Any
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Diagnostic(Generic[Asked, Found]):
    """One question asked of all subjects of a kind.

    Attributes:
        of: The kind of subject, a record of `subjects`.
        measure: From a subject to what is measured; None where the question does not apply.
        judge: From that and the subject's title to one or several checks. Its keyword arguments
            with defaults are thresholds: a number, or a pair (warn, fail).
        checks: Names of the checks it can make.
        value: What is measured, in words for `docs/checks.md`.
        chance: What a perfect posterior gives.
        figures: Drawn of the subjects to which the question applies.
    """

    of: type[Asked]
    measure: Callable[[Asked], Found | None]
    judge: Callable[..., Check | Sequence[Check]]
    checks: tuple[str, ...]
    value: str
    chance: str
    figures: tuple[Drawing, ...] = ()

    @property
    def thresholds(self) -> dict[str, float | WarnFail]:
        """Defaults of its thresholds by argument."""
        parameters = inspect.signature(self.judge).parameters.values()
        return {
            each.name: each.default
            for each in parameters
            if each.kind is each.KEYWORD_ONLY and each.default is not each.empty
        }

    @property
    def tests(self) -> int:
        """How many p-values it is judged by, where there are any."""
        return len(self.checks) if "p" in self.thresholds else 0

    def among(self, tests: int, found: Found) -> dict[str, WarnFail]:
        """Return thresholds of a p-value among so many of one page.

        By Bonferroni: with nothing wrong, at most `WARNED` of pages warn and `FAILED` fail. A rank
        below all others counts however many there are (``least_p`` of what was found, if it has
        one), or nothing could be found on long pages.
        """
        limits, least = self.thresholds.get("p"), getattr(found, "least_p", 0.0)
        if not isinstance(limits, tuple):
            return {}
        shared = (WARNED / tests, FAILED / tests)
        warn, fail = (
            min(limit, max(share, 1.5 * least)) for limit, share in zip(limits, shared, strict=True)
        )
        return {"p": (warn, fail)}

    def ask(self, name: str, subject: Asked, limits: Mapping[str, Any]) -> Finding | None:
        """Measure a subject and judge it; None where the question does not apply.

        Args:
            name: Of the diagnostic.
            subject: What is asked.
            limits: Thresholds that differ from the defaults.
        """
        found = self.measure(subject)
        return None if found is None else self.finding(name, subject, found, limits)

    def finding(
        self, name: str, subject: Asked, found: Found, limits: Mapping[str, Any]
    ) -> Finding:
        """Judge what was measured of a subject; arguments as for `ask`."""
        made = self.judge(found, subject.title, **limits)
        return Finding(name, subject, found, (made,) if isinstance(made, Check) else tuple(made))
