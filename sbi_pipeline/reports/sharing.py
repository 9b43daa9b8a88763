"""Work that falls into parts, done in several processes that begin with what this one has imported.

They begin before this process has threads: a copy of it would hold locks that threads of its
libraries have taken, and nobody to open them. What they work on is written down for them.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import cloudpickle

T = TypeVar("T")

LOCKS_NOTHING = "jemalloc_bg_thd"
"""A thread, of Arrow's memory, that copies of a process may do without."""


class Share(Protocol):
    """Does parts of some work, which can be pickled, as can what they return."""

    def __call__(self, parts: Sequence[Callable[[], T]]) -> list[T]:
        """Return what each part returns; raises what a part raises, or that a process died."""


def done_here(parts: Sequence[Callable[[], T]]) -> list[T]:
    """Do all parts in this process."""
    return [part() for part in parts]


@contextmanager
def helpers(workers: int) -> Iterator[Share]:
    """Have processes that do parts of work to come.

    Args:
        workers: How many. With one, and where a copy of this process may hang (it has threads, or
            the system is not Linux), all is done here.
    """
    if workers < 2 or sys.platform != "linux" or _has_threads():
        yield done_here
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), _begin)
    pool.submit(int).result()  # all of them begin with the first thing to do
    processes = multiprocessing.active_children()
    try:
        yield functools.partial(_shared_out, pool)
    except BaseException:
        for process in processes:
            process.kill()  # or what they do now would be waited for
        raise
    finally:
        pool.shutdown()


def _has_threads() -> bool:
    threads = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    return len([name for name in threads if name != LOCKS_NOTHING]) > 1


def _begin() -> None:
    """Leave signals to the process that this is a copy of: Ctrl-C tells all, the first ends all."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_first, daemon=True).start()


def _end_with_the_first() -> None:
    """End when the process that this is a copy of was killed: nobody has work any more."""
    first = multiprocessing.parent_process()
    assert first is not None
    first.join()
    os._exit(1)


def _shared_out(pool: ProcessPoolExecutor, parts: Sequence[Callable[[], T]]) -> list[T]:
    with tempfile.NamedTemporaryFile() as file:
        cloudpickle.dump(parts, file)
        file.flush()
        return list(pool.map(functools.partial(_done, file.name), range(len(parts))))


def _done(file: str, place: int) -> Any:
    return _parts(file)[place]()


@functools.lru_cache(maxsize=1)
def _parts(file: str) -> Sequence[Callable[[], Any]]:
    with open(file, "rb") as opened:
        parts: Sequence[Callable[[], Any]] = cloudpickle.load(opened)
    return parts
