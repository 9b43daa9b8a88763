"""Simulators called with their random streams: here, or in a guarded child process of their own.

The child is for those that crash, hang or leak.

One child serves one worker for as long as it lives; a call costs a message there and back (tens
of microseconds). A child that dies or runs past its limit is killed with everything it started,
and the next call starts a new one. The child is started as a fresh interpreter, not forked: Dask's
workers may not have children of `multiprocessing`, and locks held here must not be inherited.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from typing import Protocol

import numpy as np
import psutil

from .. import streams
from ..model import Model, describe_error
from ..storage.noise import add_noise, is_at_load
from ..streams import Stream
from ..types import Array, StopCampaign, is_vectorised
from .returned import NoData, as_data
from .settings import Limits

log = logging.getLogger(__name__)

START_LIMIT = 300.0  # seconds a child may take to import the simulator


class Raised(Exception):  # noqa: N818 - what happened, not an error of ours
    """The simulator raised; the text says what."""


class Unusable(Raised):
    """What the simulator returned is of a type that holds no data; the text says what to return."""


class Exhausted(Raised):
    """The simulator ran out of memory."""


class Crashed(Exception):  # noqa: N818
    """The process of the simulator died."""


class TimedOut(Exception):  # noqa: N818
    """The simulator ran past its time limit."""


REPLIES: dict[str, type[Exception]] = {
    kind.__name__: kind for kind in (Unusable, Exhausted, Raised, Crashed, TimedOut, ValueError)
}


class Caller(Protocol):
    """A simulator with its random streams: parameters, stream and index in, data out."""

    def __call__(self, parameters: Array, stream: Stream, index: int) -> Array:
        """Simulate; raises `Raised`, `Crashed` or `TimedOut`."""

    def close(self) -> None:
        """Free what the simulator holds."""


class DirectCaller:
    """A simulator called in this process: no cost, no protection.

    Args:
        model: What simulates.
        observed: Whether data are given the noise that is otherwise drawn at load.

    Raises:
        ValueError: The simulator cannot be imported or built.
    """

    def __init__(self, model: Model, observed: bool = False) -> None:
        self.simulator = model.build_simulator()
        self._observed = observed and is_at_load(self.simulator)
        self._streams: dict[Stream, Callable[[int], np.random.Generator]] = {}

    def __call__(self, parameters: Array, stream: Stream, index: int) -> Array:
        """Simulate in this process.

        Raises:
            TimedOut: The simulator raised a `TimeoutError`.
            Crashed: It raised a `ChildProcessError`: a program it ran died.
            Unusable: What it returned is no data.
            Exhausted: It ran out of memory.
            Raised: It raised something else.
            ValueError: It raised `StopCampaign`.
        """
        if stream not in self._streams:
            self._streams[stream] = streams.indexed(*stream)
        rng = self._streams[stream](index)
        try:
            # A copy, because a simulator may write into what it is given.
            x = as_data(self.simulator(parameters.copy(), rng), parameters)
            return self._with_noise(x, rng) if self._observed else x
        except StopCampaign as error:
            raise ValueError(str(error)) from error
        except TimeoutError as error:
            raise TimedOut(str(error)) from error
        except ChildProcessError as error:
            raise Crashed(str(error)) from error
        except NoData as error:
            raise Unusable(str(error)) from error
        except (Exception, SystemExit) as error:
            kind = Exhausted if is_out_of_memory(error) else Raised
            raise kind(describe_error(error)) from error

    def _with_noise(self, x: Array, rng: np.random.Generator) -> Array:
        several = is_vectorised(self.simulator)
        noisy = add_noise(self.simulator, x if several else x[None], rng)
        return noisy if several else np.asarray(noisy[0])

    def close(self) -> None:
        """Nothing to free."""


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error is one of memory, also as torch and the operating system say it."""
    return isinstance(error, MemoryError) or "allocate memory" in str(error)


class GuardedCaller:
    """A simulator called in a guarded child process.

    Where memory runs out because earlier calls left too much behind, the call is made once more, in
    a new child.

    Args:
        model: What simulates.
        limits: Of one call, in seconds, and of the child, in bytes.
        observed: As for `DirectCaller`.

    Raises:
        ValueError: The child cannot import or build the simulator.
    """

    def __init__(self, model: Model, limits: Limits, observed: bool = False) -> None:
        self._order = (model, observed, limits.memory_limit)
        self._simulator, self._time_limit = model.simulator, limits.time_limit
        self._child: tuple[subprocess.Popen[bytes], Connection] | None = None
        self._start_size = 0  # bytes of address space of the child before its first call
        self._start()

    def __call__(self, parameters: Array, stream: Stream, index: int) -> Array:
        """Simulate in the child; raises `Raised`, `Crashed` or `TimedOut`."""
        try:
            return self._ask(parameters, stream, index)
        except Exhausted:
            if not self._leaks():
                raise
            self.close()
        return self._ask(parameters, stream, index)

    def _ask(self, parameters: Array, stream: Stream, index: int) -> Array:
        """Call once, in the child that is there or a new one."""
        _, pipe = self._child or self._start()
        try:
            pipe.send((parameters, stream, index))
            if not pipe.poll(self._time_limit):
                self.close()
                raise TimedOut(f"ran longer than {self._time_limit:g} s")
            kind, value = pipe.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise Crashed(f"its process ended with {self._bury()}") from None
        if kind in REPLIES:
            raise REPLIES[kind](value)
        return np.asarray(value)

    def close(self) -> None:
        """Kill the child and everything it started."""
        if self._child is not None:
            family = _descendants(self._child[0].pid)
            self._child[0].kill()
            for each in family:
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            self._bury()

    def _start(self) -> tuple[subprocess.Popen[bytes], Connection]:
        ours, theirs = Pipe()
        command = [sys.executable, "-m", __name__, str(theirs.fileno()), str(os.getpid())]
        process = subprocess.Popen(
            command,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        theirs.close()
        self._child = process, ours
        try:
            ours.send(self._order)
            if not ours.poll(START_LIMIT):
                self.close()
                raise ValueError(f"{self._simulator}: not imported after {START_LIMIT:g} s")
            kind, value = ours.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise ValueError(
                f"{self._simulator}: importing it ended its process with {self._bury()}"
            ) from None
        if kind == "broken":
            self.close()
            raise ValueError(value)
        self._start_size = self._size()
        return self._child

    def _size(self) -> int:
        """Return the bytes of address space that the child holds."""
        assert self._child is not None
        return int(psutil.Process(self._child[0].pid).memory_info().vms)

    def _leaks(self) -> bool:
        """Say whether calls that are over hold most of what the limit leaves to a call."""
        limit = self._order[2]
        if limit is None or self._child is None:
            return False
        return self._size() - self._start_size > (limit - self._start_size) / 2

    def _bury(self) -> str:
        """Kill what is left of the child and return how it ended."""
        assert self._child is not None
        process, pipe = self._child
        self._child = None
        pipe.close()
        try:
            process.wait(1.0)  # a crash is over in a moment, and its code tells what it was
        except subprocess.TimeoutExpired:
            log.debug("killing the simulator's process %s", process.pid)
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            log.debug("the simulator's process %s left nothing behind", process.pid)
        code = process.wait(10.0)
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _descendants(pid: int) -> list[psutil.Process]:
    """Return what a process started, in whatever session: a program has one of its own."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def serve(pipe: Connection, parent: int) -> None:
    """Answer calls until the other end of the pipe is closed; the child's whole life."""
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    model, observed, memory_limit = pipe.recv()
    try:
        call = DirectCaller(model, observed)
    except ValueError as error:
        pipe.send(("broken", str(error)))
        return
    if memory_limit is not None:
        resource.setrlimit(resource.RLIMIT_AS, (memory_limit, memory_limit))
    pipe.send(("ready", None))
    while True:
        try:
            order = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(("x", call(*order)))
        except tuple(REPLIES.values()) as error:
            pipe.send((type(error).__name__, str(error)))


def _follow(parent: int) -> None:
    """End this process when its parent dies, even in the middle of a call."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])), int(sys.argv[2]))
