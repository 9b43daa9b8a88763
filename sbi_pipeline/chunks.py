"""What a worker does: simulate the missing rows of one chunk, write them, report.

Here nothing is committed. What a task returns are the lines for the journal, and until they stand
there the rows do not exist for anybody.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import simulation
from .isolation import Call, Direct, Guarded
from .store import Layout, Rows, read_prior, write_rows
from .tally import count_failures

_thread = threading.local()  # a worker's simulator: one a thread


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


def run(work: Work, part: Part) -> list[dict[str, Any]]:
    """Simulate and write one part; return one record for each of its ranges."""
    call = _call(work.recipe)
    return [_run(work, call, start, stop) for start, stop in part.ranges]


def _call(recipe: Recipe) -> Call:
    """Return this thread's simulator for a recipe, kept from one task to the next."""
    held: tuple[Recipe, Call] | None = getattr(_thread, "held", None)
    if held is None or held[0] != recipe:
        finish()
        held = _thread.held = recipe, recipe.call()
    return held[1]


def finish() -> None:
    """Give up this thread's simulator and end its child process, if it has one."""
    held: tuple[Recipe, Call] | None = getattr(_thread, "held", None)
    if held is not None:
        held[1].close()
        _thread.held = None


def _run(work: Work, call: Call, start: int, stop: int) -> dict[str, Any]:
    begin = time.perf_counter()
    layout, recipe = work.layout, work.recipe
    parameters, names, _ = read_prior(work.prior, slice(start, stop))
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
    rows = Rows(parameters, outcome.x, outcome.status, outcome.seconds)
    checksum = write_rows(work.shard, start, rows)
    return {
        "kind": "rows",
        "start": start,
        "stop": stop,
        "checksum": checksum,
        "failures": count_failures(outcome.status),
        "examples": [failure.record(names) for failure in outcome.failures],
        "attempts": {str(row): tries for row, tries in outcome.attempts.items()},
        "simulator_seconds": round(float(outcome.seconds.sum(dtype=float)), 6),
        "seconds": round(time.perf_counter() - begin, 6),
        "time": round(time.time(), 3),
        "host": socket.gethostname(),
        "pid": os.getpid(),
    }
