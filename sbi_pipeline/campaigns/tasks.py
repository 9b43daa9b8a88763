"""What a worker does: simulate the missing rows of one chunk, write them, report.

Two steps, for while one chunk is written the next can be simulated already. Here nothing is
committed: what a task returns are lines for the journal, and until they stand there the rows do
not exist for anybody.
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..model import Model
from ..storage.failures import count_failures
from ..storage.layout import Layout
from ..storage.prior import read_prior
from ..storage.rows import Rows, write_rows
from ..streams import Stream
from .callers import Caller, DirectCaller, GuardedCaller
from .settings import Limits
from .simulation import simulate_rows

_idle: deque[tuple[RowMaker, Caller]] = deque()  # of this process: as many as simulate at once


class RowMaker(Protocol):
    """How rows are made: simulated, or read where they are."""

    @property
    def name(self) -> str:
        """What is named where it fails."""

    @property
    def block_size(self) -> int | None:
        """Rows of one call; None for one at a time."""

    @property
    def limits(self) -> Limits:
        """What guards a call."""

    @property
    def stream(self) -> Stream:
        """The random numbers of rows or blocks."""

    @property
    def gaps(self) -> bool:
        """Whether NaN in a row stands for an element that is missing, and is no failure."""

    def caller(self) -> Caller:
        """Return what makes rows, ready to be called."""

    def guarded(self) -> RowMaker:
        """Return the same in a guarded child process, where it may do harm."""


@dataclass(frozen=True)
class Recipe:
    """How to call a simulator.

    Attributes:
        model: What simulates.
        seed: Seed of the campaign.
        block_size: Rows a vectorised simulator is called on; None for one at a time.
        limits: What guards a call.
        stage: What is simulated for; others have other random numbers.
        observed: Whether data are given the noise that is otherwise drawn at load.
    """

    model: Model
    seed: int
    block_size: int | None
    limits: Limits
    stage: str = "simulate"
    observed: bool = False

    @property
    def name(self) -> str:
        """The simulator."""
        return self.model.simulator

    @property
    def stream(self) -> Stream:
        """The random numbers of rows or blocks."""
        return Stream(self.seed, self.stage)

    @property
    def gaps(self) -> bool:
        """Whether NaN in a row stands for an element that is missing, and is no failure."""
        return self.model.gaps

    def caller(self) -> Caller:
        """Return the simulator, ready to be called."""
        if self.limits.is_guarded:
            return GuardedCaller(self.model, self.limits, self.observed)
        return DirectCaller(self.model, self.observed)

    def guarded(self) -> Recipe:
        """Return the recipe with the simulator in a guarded child process."""
        return replace(self, limits=replace(self.limits, isolate=True))


@dataclass(frozen=True)
class Work:
    """What all tasks of a shard share."""

    recipe: RowMaker
    layout: Layout
    prior: Path
    shard: Path


@dataclass(frozen=True)
class Gaps:
    """Rows missing in one chunk: ranges of local indices, none crossing the chunk."""

    ranges: tuple[tuple[int, int], ...]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(stop - start for start, stop in self.ranges)


@dataclass(frozen=True)
class Made:
    """Simulated rows that are not written yet.

    Attributes:
        start: First local row.
        rows: The rows.
        record: Their line for the journal, but for the checksum.
    """

    start: int
    rows: Rows
    record: dict[str, Any]


def simulate_gaps(work: Work, gaps: Gaps) -> list[Made]:
    """Simulate the rows missing in one chunk, range by range."""
    with _simulator(work.recipe) as call:
        return [_simulate(work, call, start, stop) for start, stop in gaps.ranges]


def write_made(work: Work, made: Sequence[Made]) -> list[dict[str, Any]]:
    """Write what was simulated of one chunk; return a record for each of its ranges."""
    return [{**one.record, "checksum": write_rows(work.shard, one.start, one.rows)} for one in made]


@contextmanager
def _simulator(recipe: RowMaker) -> Iterator[Caller]:
    """Lend a simulator of this process, kept from one task to the next."""
    try:
        held, call = _idle.pop()
    except IndexError:
        held, call = recipe, recipe.caller()
    if held != recipe:
        call.close()
        call = recipe.caller()
    try:
        yield call
    finally:
        _idle.append((recipe, call))


def release_simulators() -> None:
    """Give up this process's idle simulators and end their child processes."""
    while _idle:
        _idle.pop()[1].close()


def _simulate(work: Work, call: Caller, start: int, stop: int) -> Made:
    begin = time.perf_counter()
    layout, recipe = work.layout, work.recipe
    parameters, names, attrs = read_prior(work.prior, slice(start, stop))
    if (attrs["key"], len(parameters)) != (layout.key, stop - start):
        raise ValueError(
            f"{work.prior} was replaced while its rows were simulated: it has key "
            f"{attrs['key']} and {len(parameters)} of the rows {start} to {stop}, wanted "
            f"{layout.key} and all; nothing committed is lost, let one run at a time work here"
        )
    made = simulate_rows(
        call,
        parameters,
        stream=recipe.stream,
        start=layout.start + start,
        block_size=recipe.block_size,
        x_shape=layout.x_shape,
        x_dtype=layout.x_dtype,
        retries=recipe.limits.retries,
        gaps=recipe.gaps,
    )
    if layout.names != names:
        kept = [names.index(name) for name in layout.names]
        parameters = np.ascontiguousarray(parameters[:, kept])
    record = {
        "kind": "rows",
        "start": start,
        "stop": stop,
        "failures": count_failures(made.status),
        "examples": [failure.record(names) for failure in made.failures],
        "attempts": {str(row): tries for row, tries in made.attempts.items()},
        "simulator_seconds": round(float(made.seconds.sum(dtype=float)), 6),
        "seconds": round(time.perf_counter() - begin, 6),
        "time": round(time.time(), 3),
        "host": socket.gethostname(),
        "pid": os.getpid(),
    }
    return Made(start, Rows(parameters, made.x, made.status, made.seconds), record)
