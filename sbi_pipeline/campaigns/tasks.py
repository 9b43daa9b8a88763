"""What a worker does: simulate the missing rows of one chunk, write them, report.

Two steps, for while one chunk is written the next can be simulated already. Here nothing is
committed: what a task returns are lines for the journal, and until they stand there the rows do
not exist for anybody.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..storage.layout import Layout
from ..storage.prior import read_prior
from ..storage.store import Rows, write_rows
from ..storage.tally import count_failures
from . import simulation
from .isolation import Call, Direct, Guarded

_idle: deque[tuple[Recipe, Call]] = deque()  # of this process: as many as simulate at once


@dataclass(frozen=True)
class Recipe:
    """How to call a simulator.

    Attributes:
        simulator: Name in the registry or ``"module:Class"``.
        options: Its keyword arguments, as JSON.
        seed: Seed of the campaign.
        block_size: Rows a vectorised simulator is called on; None for one at a time.
        isolate: Whether to call it in a guarded child process.
        time_limit: Seconds a call may take; None for no limit. Needs ``isolate``.
        retries: How often a crash or a time-out is tried again.
        memory_limit: Bytes of address space it may use; None for no limit. Needs ``isolate``.
    """

    simulator: str
    options: str
    seed: int
    block_size: int | None
    isolate: bool
    time_limit: float | None
    retries: int
    memory_limit: int | None = None

    def call(self) -> Call:
        """Return the simulator, ready to be called."""
        options = json.loads(self.options)
        if self.isolate:
            return Guarded(
                self.simulator,
                options,
                self.seed,
                time_limit=self.time_limit,
                memory_limit=self.memory_limit,
            )
        return Direct(self.simulator, options, self.seed)


@dataclass(frozen=True)
class Work:
    """What all tasks of a shard share."""

    recipe: Recipe
    layout: Layout
    prior: Path
    shard: Path


@dataclass(frozen=True)
class Part:
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


def simulate(work: Work, part: Part) -> list[Made]:
    """Simulate one part, range by range."""
    with _simulator(work.recipe) as call:
        return [_simulate(work, call, start, stop) for start, stop in part.ranges]


def write(work: Work, made: Sequence[Made]) -> list[dict[str, Any]]:
    """Write what was simulated of one part; return a record for each of its ranges."""
    return [{**one.record, "checksum": write_rows(work.shard, one.start, one.rows)} for one in made]


@contextmanager
def _simulator(recipe: Recipe) -> Iterator[Call]:
    """Lend a simulator of this process, kept from one task to the next."""
    try:
        held, call = _idle.pop()
    except IndexError:
        held, call = recipe, recipe.call()
    if held != recipe:
        call.close()
        call = recipe.call()
    try:
        yield call
    finally:
        _idle.append((recipe, call))


def finish() -> None:
    """Give up this process's idle simulators and end their child processes."""
    while _idle:
        _idle.pop()[1].close()


def _simulate(work: Work, call: Call, start: int, stop: int) -> Made:
    begin = time.perf_counter()
    layout, recipe = work.layout, work.recipe
    parameters, names, attrs = read_prior(work.prior, slice(start, stop))
    if (attrs["key"], len(parameters)) != (layout.key, stop - start):
        raise ValueError(
            f"{work.prior} was replaced while its rows were simulated: it has key "
            f"{attrs['key']} and {len(parameters)} of the rows {start} to {stop}, wanted "
            f"{layout.key} and all; nothing committed is lost, let one run at a time work here"
        )
    outcome = simulation.simulate(
        call,
        parameters,
        start=layout.start + start,
        block_size=recipe.block_size,
        x_shape=layout.x_shape,
        x_dtype=layout.x_dtype,
        retries=recipe.retries,
    )
    if layout.names != names:
        kept = [names.index(name) for name in layout.names]
        parameters = np.ascontiguousarray(parameters[:, kept])
    record = {
        "kind": "rows",
        "start": start,
        "stop": stop,
        "failures": count_failures(outcome.status),
        "examples": [failure.record(names) for failure in outcome.failures],
        "attempts": {str(row): tries for row, tries in outcome.attempts.items()},
        "simulator_seconds": round(float(outcome.seconds.sum(dtype=float)), 6),
        "seconds": round(time.perf_counter() - begin, 6),
        "time": round(time.time(), 3),
        "host": socket.gethostname(),
        "pid": os.getpid(),
    }
    return Made(start, Rows(parameters, outcome.x, outcome.status, outcome.seconds), record)
