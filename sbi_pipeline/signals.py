"""SIGINT and SIGTERM ask to stop: what is done is kept, and the next run goes on from there.

Ctrl-C in a terminal sends SIGINT to every process that was started from there. Batch systems send
SIGTERM before a job's time is over and before they pre-empt a job; SIGKILL follows. Both do the
same here: the first one ends the work, those after it change nothing.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

logger = logging.getLogger(__name__)

REQUESTS = (signal.SIGINT, signal.SIGTERM)
GRACE = 15.0  # seconds a stage may take to end; a call into compiled code may not come back at all
GO_ON = "run snakemake again to go on"


class Interrupted(KeyboardInterrupt):
    """A signal asked this process to stop.

    No `Exception`, so that what handles errors of a simulator or a compiler lets it pass.

    Attributes:
        number: Of the signal.
        kept: Up to where the work is kept, such as ``"after epoch 12"``; empty if it starts anew.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.kept = ""

    def __str__(self) -> str:
        return f"interrupted by {signal.Signals(self.number).name} {self.kept}".rstrip()


class _Requests:
    """What this process was asked, and whether it may be interrupted now."""

    def __init__(self) -> None:
        self.listening = False
        self.first: int | None = None
        self.holds = 0

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        if self.first is None:
            self.first = number
            self.interrupt()

    def interrupt(self) -> None:
        """Raise what is due, unless it is held."""
        if self.first is not None and not self.holds:
            raise Interrupted(self.first)

    def listen(self) -> None:
        """Handle the signals, but for those that are ignored, as a job in the background may."""
        self.before = {number: signal.getsignal(number) for number in REQUESTS}
        self.first, self.listening = None, True
        for number, handler in self.before.items():
            if handler != signal.SIG_IGN:
                signal.signal(number, self.receive)

    def forget(self) -> None:
        """Give the signals back."""
        self.first, self.listening = None, False
        for number, handler in self.before.items():
            signal.signal(number, handler)


_requests = _Requests()


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def asked() -> bool:
    """Say whether a signal has asked this process to stop."""
    return _requests.first is not None


@contextmanager
def interruptible(keep: Callable[[], str] = str) -> Iterator[None]:
    """Have SIGINT and SIGTERM raise `Interrupted` in a block; signals reach the main thread only.

    Args:
        keep: Called when that happens: saves what the next run goes on from, and says up to where.

    Raises:
        Interrupted: A signal came.
    """
    outermost = _in_main_thread() and not _requests.listening
    if outermost:
        _requests.listen()
    try:
        yield
    except Interrupted as stop:
        kept = keep()
        stop.kept = stop.kept or kept
        raise
    finally:
        if outermost:
            _requests.forget()


@contextmanager
def held() -> Iterator[None]:
    """Put off an interrupt to the end of a block, which is done whole or not at all.

    Raises:
        Interrupted: At the end, if a signal has come.
    """
    if not _in_main_thread():
        yield
        return
    _requests.holds += 1
    try:
        yield
    finally:
        _requests.holds -= 1
    _requests.interrupt()


@contextmanager
def told(stage: str) -> Iterator[None]:
    """Do a job's work; an interrupt ends the process with one line, at the latest after `GRACE`.

    Args:
        stage: What the line begins with.

    Raises:
        SystemExit: A signal came; its status is 128 and the number of the signal.
    """
    _requests.listen()
    _limit(stage)
    try:
        yield
    except Interrupted as stop:
        # A traceback goes nowhere: it would show where the work was, and nothing that is wrong.
        logger.warning("%s: %s; %s", stage, stop, GO_ON)
        sys.exit(128 + stop.number)
    finally:
        # What is done is done; Python would give the signals back before it has ended.
        for number in REQUESTS:
            signal.signal(number, signal.SIG_IGN)


def once() -> None:
    """Have SIGINT interrupt this process, but not again while its jobs end, `GRACE` at most.

    For Snakemake, which a second Ctrl-C ends with tracebacks while its jobs are still at work.
    """
    last = -math.inf

    def receive(number: int, frame: FrameType | None) -> None:
        nonlocal last
        before, last = last, time.monotonic()
        if last - before > GRACE:
            raise KeyboardInterrupt

    if _in_main_thread() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, receive)


def _limit(stage: str) -> None:
    """End this process `GRACE` after a signal, whatever its main thread does then."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def wait() -> None:
        while (number := os.read(reading, 1)[0]) not in REQUESTS:
            continue
        time.sleep(GRACE)
        name = signal.Signals(number).name
        line = f"{stage}: interrupted by {name}, ended after {GRACE:g} s without an answer; {GO_ON}"
        os.write(sys.stderr.fileno(), f"{line}\n".encode())  # past locks that may be held
        os._exit(128 + number)

    threading.Thread(target=wait, daemon=True, name="limit of an interrupt").start()
