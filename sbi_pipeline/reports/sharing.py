"""Work that falls into parts, done in several processes that begin with what this one has."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

_parts: Sequence[Callable[[], Any]] = ()
"""What is being done: processes find it here, since work need not be written down for them."""


def shared_out(parts: Sequence[Callable[[], T]], workers: int) -> list[T]:
    """Return what each part of some work returns.

    Args:
        parts: The work; what it returns can be pickled.
        workers: How many processes. With one, and where a copy of a process may hang (that is
            everywhere but on Linux), it is done here.

    Raises:
        Exception: Whatever a part raises.
    """
    global _parts  # noqa: PLW0603 - copies of this process take it along
    workers = min(workers, len(parts))
    if workers < 2 or sys.platform != "linux":
        return [part() for part in parts]
    _parts = parts
    try:
        with multiprocessing.get_context("fork").Pool(workers) as pool:
            return pool.map(_done, range(len(parts)), chunksize=1)
    finally:
        _parts = ()


def _done(place: int) -> Any:
    return _parts[place]()
