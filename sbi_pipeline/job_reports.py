"""What a job has told of itself in a file that `progress` writes, read wherever that is seen."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .sidecars import read_if_whole

SUFFIX = ".progress.json"
ALIVE = 60.0
"""Seconds without a word after which a job counts as ended; it gives one every ten."""
BEGUN, FAILED, INTERRUPTED = "running", "failed", "interrupted"
DASH = "\u2013"


@dataclass(frozen=True)
class Count:
    """How far some work is, as a file tells it.

    Attributes:
        unit: What is counted, such as ``"epochs"``.
        done: How many are done.
        total: Of how many.
        at_most: Whether it may end before.
        first: How many were done when this run of it began.
        begun: When that was, in seconds since 1970.
        told: When it was last counted.
        values: What was seen last, by name.
        names: Of the columns of ``points``: what is counted, and what was seen.
        points: What was seen, row by row.
    """

    unit: str
    done: float
    total: float
    at_most: bool
    first: float
    begun: float
    told: float
    values: Mapping[str, float] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    points: tuple[tuple[float, ...], ...] = ()

    @property
    def rate(self) -> float:
        """How many a second in this run; 0 where none was done yet."""
        return (self.done - self.first) / max(self.told - self.begun, 1e-3)

    @property
    def seconds_left(self) -> float:
        """Seconds to go at this rate, from when it was last counted; NaN where nobody knows."""
        return (self.total - self.done) / self.rate if self.rate > 0 else math.nan

    @property
    def so_far(self) -> str:
        """How many are done, in words."""
        of = "of at most" if self.at_most else "of"
        return f"{self.done:,.0f} {of} {self.total:,.0f} {self.unit}"

    @property
    def seen(self) -> str:
        """What was seen last, in words."""
        known = {name: value for name, value in self.values.items() if math.isfinite(value)}
        return ", ".join(f"{name} {in_short(value)}" for name, value in known.items())


@dataclass(frozen=True)
class JobReport:
    """What is known of a job that has not ended well, or not yet.

    Attributes:
        name: Its log below the results, without ending.
        stage: Name of the stage.
        state: ``"running"``, ``"failed"`` or ``"interrupted"``.
        text: Why it failed, or up to where its work is kept.
        makes: Where the specification of what it makes is written; empty for none.
        log: Its log, beside which the file lies.
        host: Where it ran.
        job: Its number in the queue of Slurm, if it has one.
        begun: When it began, in seconds since 1970 by its own clock, as is the next.
        written: When it gave its last word.
        age: Seconds since then, by the clock of who reads.
        counts: What it counts, outermost first.
    """

    name: str
    stage: str
    state: str
    text: str
    makes: str
    log: Path
    host: str
    job: str
    begun: float
    written: float
    age: float
    counts: tuple[Count, ...]

    @property
    def is_alive(self) -> bool:
        """Whether it runs, as far as one can see from elsewhere."""
        return self.state == BEGUN and self.age < ALIVE

    @property
    def seconds(self) -> float:
        """For how long it has run."""
        return self.written - self.begun

    @property
    def seconds_left(self) -> float:
        """Seconds to go by now; NaN where nobody knows."""
        left, told = left_of(self.counts)
        by_now = left - (self.written - told) - self.age
        return by_now if math.isnan(by_now) else max(0.0, by_now)


def left_of(counts: Sequence[Count]) -> tuple[float, float]:
    """Return seconds to go and when that was so; NaN where nobody knows.

    Args:
        counts: What is counted, outermost first: the first of which some are done decides, unless
            there is more work like that which the rest counts.
    """
    for count in counts:
        if count.rate > 0:
            return count.seconds_left, count.told
        if count.total - count.done > 1:
            break
    return math.nan, math.nan


def in_short(value: float) -> str:
    """Return a number in four digits at most, whole ones whole; a dash for none."""
    if not math.isfinite(value):
        return DASH
    whole = float(value).is_integer() or abs(value) >= 10_000
    return f"{value:,.0f}" if whole else f"{value:#.4g}".rstrip(".")


def duration(seconds: float) -> str:
    """Return ``1 h 02 min``, ``3 min 12 s`` or ``4.5 s``; a dash for what nobody knows."""
    if math.isnan(seconds):
        return DASH
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def name_of(log: Path, results: Path | None = None) -> str:
    """Return how a job is called: its log below the results, without ending.

    Args:
        log: The log.
        results: The folder of results; by default the first of its path.
    """
    below = log.relative_to(log.parts[0] if results is None else results)
    return below.with_suffix("").as_posix()


def read_report(path: Path, results: Path) -> JobReport | None:
    """Return what a file tells of a job; None where it is gone, torn or of another form.

    Args:
        path: The file.
        results: The folder of results that it lies in.
    """
    told = read_if_whole(path)
    try:
        age = max(0.0, time.time() - path.stat().st_mtime)
        if told is None:
            return None
        log = path.with_name(path.name.removesuffix(SUFFIX) + ".log")
        return JobReport(
            name=name_of(log, results),
            stage=str(told["stage"]),
            state=str(told["state"]),
            text=str(told["text"]),
            makes=str(told["makes"]),
            log=log,
            host=str(told["host"]),
            job=str(told["job"]),
            begun=float(told["begun"]),
            written=float(told["written"]),
            age=age,
            counts=tuple(_count_of(each) for each in told["counts"]),
        )
    except (OSError, KeyError, TypeError, ValueError, AttributeError):
        return None


def _count_of(told: Mapping[str, Any]) -> Count:
    """Return a count as it was written; null is what is no number."""
    values = {str(name): _number(value) for name, value in told["values"].items()}
    points = tuple(tuple(map(_number, row)) for row in told["points"])
    return Count(
        unit=str(told["unit"]),
        done=float(told["done"]),
        total=float(told["total"]),
        at_most=bool(told["at_most"]),
        first=float(told["first"]),
        begun=float(told["begun"]),
        told=float(told["told"]),
        values=values,
        names=tuple(map(str, told["names"])),
        points=points,
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
