"""Dask clusters: started and taken down here, or somebody else's, by address."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

import dask
from distributed import Client, LocalCluster

from . import tasks
from .settings import Effort

log = logging.getLogger(__name__)

START = 120.0  # seconds workers on this machine may take to come up
ANSWER = 30.0  # seconds a scheduler that should be there may take to answer
CLUSTERS = "local, slurm, or the address of a scheduler such as tcp://10.0.0.1:8786"


@contextmanager
def connect(effort: Effort) -> Iterator[Client]:
    """Connect to a cluster, starting it if that is ours to do, and take it down at the end.

    Args:
        effort: Which cluster, and how many workers; with an address, these have no effect.

    Raises:
        ValueError: There is no such cluster, or it cannot be reached or started.
    """
    cluster, workers, minimum = effort.cluster, effort.workers, effort.minimum
    if "://" in cluster:
        with _existing(cluster) as client:
            yield client
    elif cluster == "local":
        logging.getLogger("distributed").setLevel(logging.ERROR)  # it tells of every heartbeat
        with _main_left_alone(), _local(workers if minimum is None else minimum) as started:
            if minimum is not None:
                _adapt(started, minimum, workers)
            with Client(started, timeout=START) as client:
                log.info("%s Dask workers; dashboard at %s", workers, client.dashboard_link)
                yield client
    elif cluster == "slurm":
        with _slurm() as started, Client(started, timeout=START) as client:
            # Adaptive in any case: it replaces workers whose job reached its time limit.
            _adapt(started, workers if minimum is None else minimum, workers)
            log.info("%d Dask workers asked of Slurm; %s", workers, client.dashboard_link)
            yield client
    else:
        raise ValueError(f"dask cluster is {cluster!r}; wanted {CLUSTERS}")


@contextmanager
def _existing(address: str) -> Iterator[Client]:
    """Connect to a scheduler that is not ours, and leave its workers without our simulators."""
    try:
        client = Client(address, timeout=ANSWER)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"no Dask scheduler answers at {address} ({error}); start one there, or set "
            f"dask cluster to {CLUSTERS}"
        ) from error
    with client:
        log.info("Dask scheduler at %s; dashboard at %s", address, client.dashboard_link)
        yield client
        client.run(tasks.release_simulators, on_error="ignore")


def _local(workers: int) -> LocalCluster:
    levels = [(handler, handler.level) for handler in logging.root.handlers]
    with _deaf_to_sigint():
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        )
    # Where bokeh is installed, Dask silences it, whose handlers are those of our own log.
    for handler, level in levels:
        handler.setLevel(level)
    return cluster


@contextmanager
def _deaf_to_sigint() -> Iterator[None]:
    """Keep Ctrl-C from threads and processes started here: to end them is this process's work.

    Both inherit the signals that are blocked, and those that they start do.
    """
    resource_tracker.ensure_running()  # starting it would unblock them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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


def _adapt(cluster: Any, minimum: int, maximum: int) -> None:
    """Have as many workers as there are tasks, between two numbers.

    By default Dask asks for workers by the seconds of work it knows of, 5 s for each. It knows only
    of the window, which would never be enough work for more workers: here a task is worth one.
    """
    cluster.adapt(minimum=minimum, maximum=maximum, target_duration="1ms")


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
