"""Tasks of a shard through Dask.

Dask gets a small window of tasks at a time and returns small records; no wait is without an end.
A task whose worker dies is tried again with the simulator in a guarded child process, so that the
one row that kills is found and marked.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from distributed import CancelledError, Client, Future, KilledWorker, secede, wait
from distributed.comm import CommClosedError

from . import tasks
from .cluster import START, connect
from .sequential import HANG, Records, guarded, suspicious
from .settings import Effort
from .tasks import Gaps, Work

log = logging.getLogger(__name__)

AHEAD = 3  # tasks in Dask's hands for each worker: one at work, one being written, one to begin
POLL = 5.0  # seconds between looks at a cluster
IDLE_STALL = 120.0  # seconds in which no worker has a task although there are some
BUSY_STALL = 3600.0  # seconds, beyond what tasks should take, in which none was finished
RESTARTS = 3
QUEUE = 86_400.0  # seconds workers may wait in a queue


def run_task(work: Work, part: Gaps) -> Records:
    """Run one task on a Dask worker."""
    made = tasks.simulate_gaps(work, part)
    secede()  # the worker may begin its next task while this one is written
    return tasks.write_made(work, made)


def run_on_dask(
    work: Work,
    parts: Sequence[Gaps],
    *,
    effort: Effort,
    row_seconds: float,
) -> Iterator[Records]:
    """Run tasks on Dask workers.

    Args:
        work: What they share.
        parts: The tasks.
        effort: Where, and by how many processes; with an address, what the window is sized for at
            first.
        row_seconds: What a row takes; infinity if that is not known.

    Yields:
        The records of each task, in the order they finish.

    Raises:
        ValueError: No workers came, or they fell silent again and again, or the scheduler died.
    """
    waiting = deque((part, work) for part in parts)
    running: dict[Future, tuple[Gaps, Work]] = {}
    silence = _Silence(work, row_seconds, effort.cluster)
    with _scheduler_alive(effort.cluster), connect(effort) as client:
        window = _Window(client, effort.workers)
        while waiting or running:
            while waiting and len(running) < window.size():
                part, shared = waiting.popleft()
                running[client.submit(run_task, shared, part, pure=False)] = part, shared
            try:
                done = wait(list(running), timeout=POLL, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                if silence.restart_due(client):
                    waiting.extendleft(running.values())
                    running.clear()
                    client.restart(timeout=START)
                continue
            silence.broken()
            for future in done:
                part, shared = running.pop(future)
                try:
                    yield future.result(timeout=START)
                except KilledWorker as error:
                    if shared.recipe.limits.is_guarded:
                        raise ValueError(_killed(part, error)) from error
                    log.warning("rows %s killed their worker; trying them guarded", part.ranges)
                    waiting.appendleft((part, guarded(shared)))


class _Window:
    """How many tasks to have in Dask's hands: more than there are workers, so that none waits.

    What lies there beyond the tasks at work costs nothing and loses nothing: it has not begun. And
    a cluster that adapts grows only if it is asked for more than it can do.

    Args:
        client: Of the cluster.
        workers: Workers asked for.
    """

    def __init__(self, client: Client, workers: int) -> None:
        self.client = client
        self.workers = workers
        self.looked = -math.inf

    def size(self) -> int:
        """Return the number of tasks, from a look at the cluster every few seconds."""
        if time.monotonic() - self.looked > POLL:
            self.looked = time.monotonic()
            self.workers = max(self.workers, sum(self.client.nthreads().values()))
        return AHEAD * self.workers


def _patience(work: Work, row_seconds: float) -> float:
    """Return how many seconds the tasks in the workers' hands may take in silence.

    A worker that hangs cannot be told from one that is slow, so this is generous.
    """
    limits = work.recipe.limits
    seconds = 100 * row_seconds if math.isfinite(row_seconds) else 0.0
    if limits.time_limit is not None:
        seconds += limits.time_limit * (1 + limits.retries)
    return BUSY_STALL + seconds * work.layout.chunk_size


class _Silence:
    """How long nothing came back, and what to do about it.

    Args:
        work: What the tasks share.
        row_seconds: What a row takes; infinity if that is not known.
        cluster: Name or address of the cluster.
    """

    def __init__(self, work: Work, row_seconds: float, cluster: str) -> None:
        self.cluster = cluster
        self.suspicious = suspicious(work, row_seconds)
        self.limit = _patience(work, row_seconds)
        self.restarts = 0
        self.broken()

    def broken(self) -> None:
        self.since = self.warned = time.monotonic()

    def restart_due(self, client: Client) -> bool:
        """Say whether to restart the workers; raise if there is no more hope."""
        silent = time.monotonic() - self.since
        workers = len(client.nthreads())
        if not workers:
            patience = START if self.cluster == "local" else QUEUE
            if silent > patience:
                raise ValueError(f"no Dask worker came up on {self.cluster!r} in {silent:.0f} s")
            self._warn(60, f"waiting for workers of {self.cluster!r} for {silent:.0f} s")
            return False
        busy = any(client.processing().values())
        if silent < (self.limit if busy else IDLE_STALL):
            self._warn(self.suspicious, HANG)
            return False
        if self.restarts == RESTARTS:
            raise ValueError(
                f"{workers} Dask workers returned nothing for {silent:.0f} s, {RESTARTS} restarts "
                "notwithstanding; if the simulator can hang, give it a time_limit"
            )
        log.warning("nothing came back for %.0f s; restarting the Dask workers", silent)
        self.restarts += 1
        self.limit *= 2
        self.broken()
        return True

    def _warn(self, seconds: float, text: str) -> None:
        """Say something in the log, at most once in so many seconds of silence."""
        if time.monotonic() - self.warned > seconds:
            self.warned = time.monotonic()
            log.warning(text)


@contextmanager
def _scheduler_alive(cluster: str) -> Iterator[None]:
    """Say what to do when the scheduler of the cluster is gone."""
    try:
        yield
    except (CancelledError, CommClosedError) as error:
        raise ValueError(
            f"lost the Dask scheduler of {cluster!r}; what is committed is kept, start again when "
            "there is one"
        ) from error


def _killed(part: Gaps, error: KilledWorker) -> str:
    return (
        f"rows {part.ranges} killed {error.allowed_failures + 1} Dask workers although the "
        "simulator ran guarded; is it the memory? Lower chunk_size or the workers of a node"
    )
