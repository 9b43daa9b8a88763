"""Tasks of a shard in this process, one after the other, without Dask."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from . import tasks
from .tasks import Gaps, Work

log = logging.getLogger(__name__)

Records = list[dict[str, Any]]

OVERLAP = 5.0  # seconds of simulating above which a chunk is written before the next begins
SUSPICIOUS = 600.0  # seconds, beyond ten times what it should take, after which a task may hang
HANG = (
    "no simulation has come back for a long time; if the simulator can hang, stop this run and set "
    "limits: {time_limit: SECONDS} of its campaign, for which nothing is simulated again"
)


def guarded(work: Work) -> Work:
    """Return the work with the simulator in a guarded child process."""
    return replace(work, recipe=work.recipe.guarded())


def run_here(work: Work, parts: Sequence[Gaps], row_seconds: float = math.inf) -> Iterator[Records]:
    """Run tasks one after the other in this process; yield the records of each.

    A chunk is written while the next one is simulated, unless that takes so long that what is
    written had better be committed first.
    """
    writing: futures.Future[Records] | None = None
    try:
        with futures.ThreadPoolExecutor(1) as writer:
            for part in parts:
                begin = time.monotonic()
                with _suspicion(work, row_seconds):
                    made = tasks.simulate_gaps(work, part)
                if writing:
                    yield writing.result()
                writing = writer.submit(tasks.write_made, work, made)
                if time.monotonic() - begin > OVERLAP:
                    yield writing.result()
                    writing = None
            if writing:
                yield writing.result()
    finally:
        tasks.release_simulators()


@contextmanager
def _suspicion(work: Work, row_seconds: float) -> Iterator[None]:
    """Say in the log, once, that a task of this process takes suspiciously long."""
    alarm = threading.Timer(suspicious(work, row_seconds), log.warning, [HANG])
    alarm.daemon = True
    alarm.start()
    try:
        yield
    finally:
        alarm.cancel()


def suspicious(work: Work, row_seconds: float) -> float:
    """Return after how many seconds a task is suspected to hang."""
    expected = work.layout.chunk_size * row_seconds if math.isfinite(row_seconds) else 0.0
    return SUSPICIOUS + 10 * expected
