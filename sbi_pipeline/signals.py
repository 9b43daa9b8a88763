"""SIGTERM as a request to stop: what is done is kept, and the next run goes on from there.

Batch systems send it before a job's time is over and before they pre-empt a job; SIGKILL follows.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def sigterm_noted() -> Iterator[threading.Event]:
    """Turn SIGTERM into an event that can be looked at; signals reach the main thread only."""
    noted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return

    def note(number: int, frame: FrameType | None) -> None:
        noted.set()

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGTERM, before)
