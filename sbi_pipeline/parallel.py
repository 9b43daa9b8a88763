"""Tasks of a shard, in this process or through Dask.

Dask gets a small window of tasks at a time and returns small records; no wait is without an end.
A task whose worker dies is tried again with the simulator in a guarded child process, so that the
one row that kills is found and marked.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import dask
from distributed import Client, Future, KilledWorker, LocalCluster, wait

from . import chunks
from .chunks import Part, Work

log = logging.getLogger(__name__)

Records = list[dict[str, Any]]

POLL = 5.0  # seconds between looks at a cluster that is silent
IDLE_STALL = 120.0  # seconds in which no worker has a task although there are some
BUSY_STALL = 3600.0  # seconds, beyond what tasks should take, in which none was finished
RESTARTS = 3
LOCAL_START = 120.0  # seconds workers on this machine may take to come up
QUEUE = 86_400.0  # seconds workers may wait in a queue
CLUSTERS = "local, slurm, or the address of a scheduler such as tcp://10.0.0.1:8786"


def here(work: Work, parts: Sequence[Part]) -> Iterator[Records]:
    """Run tasks one after the other in this process; yield the records of each."""
    try:
        for part in parts:
            yield chunks.run(work, part)
    finally:
        chunks.finish()


def through_dask(
    work: Work, parts: Sequence[Part], *, cluster: str, workers: int, row_seconds: float
) -> Iterator[Records]:
    """Run tasks on Dask workers.

    Args:
        work: What they share.
        parts: The tasks.
        cluster: ``"local"``, ``"slurm"`` or the address of a scheduler.
        workers: Processes to start; with an address, what the window is sized for.
        row_seconds: What a row takes; infinity if that is not known.

    Yields:
        The records of each task, in the order they finish.

    Raises:
        ValueError: No workers came, or they fell silent again and again.
    """
    waiting = deque((part, work) for part in parts)
    running: dict[Future, tuple[Part, Work]] = {}
    silence = _Silence(_patience(work, row_seconds))
    with _client(cluster, workers) as client:
        while waiting or running:
            while waiting and len(running) < 3 * workers:
                part, shared = waiting.popleft()
                running[client.submit(chunks.run, shared, part, pure=False)] = part, shared
            try:
                done = wait(list(running), timeout=POLL, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                if silence.restart_due(client, cluster):
                    waiting.extendleft(running.values())
                    running.clear()
                    client.restart(timeout=LOCAL_START)
                continue
            silence.broken()
            for future in done:
                part, shared = running.pop(future)
                try:
                    yield future.result(timeout=LOCAL_START)
                except KilledWorker as error:
                    if shared.recipe.isolate:
                        raise ValueError(_killed(part, error)) from error
                    log.warning("rows %s killed their worker; trying them guarded", part.ranges)
                    waiting.appendleft((part, guarded(shared)))


def _patience(work: Work, row_seconds: float) -> float:
    """Return how many seconds the tasks in the workers' hands may take in silence.

    A worker that hangs cannot be told from one that is slow, so this is generous.
    """
    recipe = work.recipe
    seconds = 100 * row_seconds if math.isfinite(row_seconds) else 0.0
    if recipe.time_limit is not None:
        seconds += recipe.time_limit * (1 + recipe.retries)
    return BUSY_STALL + seconds * work.layout.chunk_size


class _Silence:
    """How long nothing came back, and what to do about it.

    Args:
        limit: Seconds of silence after which busy workers are restarted.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.restarts = 0
        self.since = time.monotonic()
        self.warned = self.since

    def broken(self) -> None:
        self.since = self.warned = time.monotonic()

    def restart_due(self, client: Client, cluster: str) -> bool:
        """Say whether to restart the workers; raise if there is no more hope."""
        silent = time.monotonic() - self.since
        workers = len(client.scheduler_info(n_workers=-1)["workers"])
        if not workers:
            patience = LOCAL_START if cluster == "local" else QUEUE
            if silent > patience:
                raise ValueError(f"no Dask worker came up on {cluster!r} in {silent:.0f} s")
            if time.monotonic() - self.warned > 60:
                self.warned = time.monotonic()
                log.warning("waiting for workers of %r for %.0f s", cluster, silent)
            return False
        busy = any(client.processing().values())
        if silent < (self.limit if busy else IDLE_STALL):
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


@contextmanager
def _client(cluster: str, workers: int) -> Iterator[Client]:
    """Connect to a cluster, starting it if that is ours to do, and take it down at the end."""
    if "://" in cluster:
        with Client(cluster, timeout=LOCAL_START) as client:
            yield client
    elif cluster == "local":
        logging.getLogger("distributed").setLevel(logging.ERROR)  # it tells of every heartbeat
        with (
            _main_left_alone(),
            LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address=":0",
                silence_logs=logging.CRITICAL,
            ) as started,
            Client(started, timeout=LOCAL_START) as client,
        ):
            log.info("%d Dask workers; dashboard at %s", workers, client.dashboard_link)
            yield client
    elif cluster == "slurm":
        with _slurm() as started, Client(started) as client:
            started.scale(workers)
            log.info("%d Dask workers asked of Slurm; %s", workers, client.dashboard_link)
            yield client
    else:
        raise ValueError(f"dask cluster is {cluster!r}; wanted {CLUSTERS}")


def _slurm() -> Any:
    """Return a cluster of Slurm jobs as `dask_jobqueue` is configured (jobqueue.yaml)."""
    try:
        from dask_jobqueue import SLURMCluster  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise ValueError(
            "dask cluster 'slurm' needs dask-jobqueue: pip install 'sbi-pipeline[slurm]'"
        ) from error
    unset = [name for name in ("cores", "memory") if not dask.config.get(f"jobqueue.slurm.{name}")]
    if unset:
        raise ValueError(
            f"dask cluster 'slurm' has no {' and no '.join(unset)}; queue, cores, memory and "
            "walltime of a job go under jobqueue.slurm in ~/.config/dask/jobqueue.yaml"
        )
    return SLURMCluster()


@contextmanager
def _main_left_alone() -> Iterator[None]:
    """Keep workers from running the main script again.

    `multiprocessing` has a spawned process import the main module of its parent, which in a script
    without a guard would start this very stage again. Workers find all they need by module name.
    """
    main = sys.modules["__main__"]
    file, spec = getattr(main, "__file__", None), main.__spec__
    main.__file__, main.__spec__ = None, None
    try:
        yield
    finally:
        main.__file__, main.__spec__ = file, spec


def guarded(work: Work) -> Work:
    """Return the work with the simulator in a guarded child process."""
    return replace(work, recipe=replace(work.recipe, isolate=True))


def _killed(part: Part, error: KilledWorker) -> str:
    return (
        f"rows {part.ranges} killed {error.allowed_failures + 1} Dask workers although the "
        "simulator ran guarded; is it the memory? Lower chunk_size or the workers of a node"
    )
