"""How a process of this package starts: what it imports costs more than most jobs do."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Import without Python's garbage collector, and keep it from what is there afterwards.

    While torch is imported it looks through all modules again and again, and once more when the
    process ends: up to a third of the CPU time that starting and importing take.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
