"""How far a job is: what it counts, told in a file beside its log, in the log, and by a bar.

Work that takes its time counts what it has done (`counting`) and says what it sees, such as a loss.
In a terminal that is a bar. In a job (`reported`) it is also a line in the log every now and then,
and the content of a small JSON file beside the log, which others read (`job_reports`) from wherever
they see the file. The file is renamed into place, so it is whole; a thread writes it every few
seconds, so its age says whether the job lives, and the work itself waits for no disk. A job that
ends well removes it; one that fails leaves its last word.
"""

from __future__ import annotations

import json
import logging
import math
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm  # tqdm.auto warns in a notebook without ipywidgets

from . import signals
from .job_reports import (
    BEGUN,
    FAILED,
    INTERRUPTED,
    SUFFIX,
    Count,
    duration,
    in_short,
    left_of,
    name_of,
)
from .sidecars import write_text

logger = logging.getLogger(__name__)

BEAT = 10.0
"""Seconds between two writings of the file."""
SOONEST, LATEST = 5.0, 60.0
"""Seconds between two lines in the log: within these, a quarter of the time the job has run."""
MOST_POINTS = 400
"""Of a curve; of more every other one is forgotten."""


class Counter:
    """Counts work that is done, for who watches it; made by `counting`.

    Args:
        unit: What is counted, in the plural.
        total: How many there will be.
        done: How many are done already.
        at_most: Whether it may end before.
        bar: Whether to show a bar, where there is a terminal.
    """

    def __init__(self, unit: str, total: float, done: float, at_most: bool, bar: bool) -> None:
        self.bar = tqdm(
            total=total, initial=done, unit=f" {unit}", disable=None if bar else True, leave=bar
        )
        now = time.time()
        self.count = Count(unit, done, total, at_most, done, now, now)
        self._names: tuple[str, ...] = ()
        self._points: list[tuple[float, ...]] = []

    def begin(self) -> None:
        """Measure the rate from now on: what came before was preparation."""
        now = time.time()
        self.count = replace(self.count, first=self.count.done, begun=now, told=now)

    def update(
        self, by: float = 1, seen: Mapping[str, float] | None = None, *, curve: bool = False
    ) -> None:
        """Count.

        Args:
            by: How many more are done.
            seen: What there is to see, by name; None for what was seen before.
            curve: Whether what is seen is a point of a curve.
        """
        done = self.count.done + by
        values = self.count.values if seen is None else dict(seen)
        if curve and values:
            self._names = (self.count.unit, *values)
            self._points.append((done, *values.values()))
            if len(self._points) > MOST_POINTS:
                del self._points[-2:0:-2]
        self.count = replace(self.count, done=done, told=time.time(), values=values)
        if seen is not None:
            self.bar.set_postfix({name: in_short(value) for name, value in seen.items()})
        self.bar.update(by)
        if _job is not None:
            _job.say_sometimes()

    def content(self) -> dict[str, Any]:
        """Return it as JSON."""
        told = dict(vars(self.count))
        width = len(self._names)
        points = [each for each in list(self._points) if len(each) == width]
        return {**told, "values": dict(told["values"]), "names": self._names, "points": points}


class RunningJob:
    """What this process does and how far it is.

    Args:
        log: Its log; the file lies beside it.
        stage: Name of the stage.
        makes: Where the specification of what it makes is written.
    """

    def __init__(self, log: Path, stage: str, makes: str) -> None:
        self.path = log.with_suffix(SUFFIX)
        self.name = name_of(log)
        self.counters: list[Counter] = []
        self._last: tuple[BaseException | None, list[dict[str, Any]]] = (None, [])
        self.begun = self.said = time.time()
        self._told = {
            "stage": stage,
            "makes": makes,
            "host": socket.gethostname(),
            "job": os.environ.get("SLURM_JOB_ID", ""),
            "begun": self.begun,
        }
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True, name="progress")

    def start(self) -> None:
        """Write the file, now and then every few seconds."""
        self.write()
        self._thread.start()

    def end(self, state: str = "", text: str = "") -> None:
        """Remove the file, or leave a last word in it."""
        self._ended.set()
        self._thread.join()
        if state:
            self.write(state, text)
        else:
            self.path.unlink(missing_ok=True)

    def write(self, state: str = BEGUN, text: str = "") -> None:
        """Write the file; that it cannot be written is no reason to stop."""
        counts = self._counts() if state == BEGUN else self._last[1]
        last = {"state": state, "text": text, "written": time.time()}
        told = {**self._told, **last, "counts": counts}
        try:
            write_text(self.path, as_json(told))
        except OSError as error:
            logger.debug("%s cannot be written: %s", self.path, error)

    def _counts(self) -> list[dict[str, Any]]:
        return [each.content() for each in list(self.counters)]

    def remember(self, error: BaseException) -> None:
        """Keep for a last word how far work was when an error came, which now ends its counters."""
        if self._last[0] is not error:
            self._last = error, self._counts()

    def say_sometimes(self) -> None:
        """Write a line to the log, if it is time."""
        now = time.time()
        if now - self.said < min(LATEST, max(SOONEST, (now - self.begun) / 4)):
            return
        self.said = now
        counts = [each.count for each in self.counters]
        words = [each for count in counts for each in (count.so_far, count.seen) if each]
        left, _ = left_of(counts)
        words += [] if math.isnan(left) else [f"{duration(left)} to go"]
        logger.info("%s: %s", self.name, ", ".join(words))

    def _live(self) -> None:
        while not self._ended.wait(BEAT):
            self.write()


_job: RunningJob | None = None


@contextmanager
def reported(log: Path, stage: str, makes: str = "") -> Iterator[None]:
    """Tell of the job that this process is, in a file beside its log.

    Args:
        log: The log.
        stage: Name of the stage.
        makes: Where the specification of what it makes is written.
    """
    global _job  # noqa: PLW0603 - a process is one job
    _job = RunningJob(log, stage, makes)
    _job.start()
    try:
        yield
    except signals.Interrupted as stop:
        _job.end(INTERRUPTED, stop.kept)
        raise
    except Exception as error:
        _job.end(FAILED, str(error) or type(error).__name__)
        raise
    except BaseException as stop:
        _job.end(FAILED, f"it ended with {type(stop).__name__}")
        raise
    else:
        _job.end()
    finally:
        _job = None


@contextmanager
def counting(
    unit: str, total: float, done: float = 0, *, at_most: bool = False, bar: bool = True
) -> Iterator[Counter]:
    """Yield what counts some work of this process; it may hold more work that is counted.

    Args:
        unit: What is counted, in the plural.
        total: How many there will be.
        done: How many are done already.
        at_most: Whether it may end before.
        bar: Whether to show a bar, where there is a terminal.
    """
    counter = Counter(unit, total, done, at_most, bar)
    counters = _job.counters if _job is not None else []
    counters.append(counter)
    try:
        with counter.bar:
            yield counter
    except BaseException as error:
        if _job is not None:
            _job.remember(error)
        raise
    finally:
        counters.remove(counter)


def beside_a_bar(record: logging.LogRecord) -> bool:
    """Say whether a line belongs on the terminal: how far work is, a bar says there."""
    return record.name != __name__ or not sys.stderr.isatty()


def as_json(told: Mapping[str, Any]) -> str:
    """Return JSON in one line; what is no finite number is null."""
    return json.dumps(_finite(told), allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, str | int) or value is None:
        return value
    return float(value) if math.isfinite(value) else None
