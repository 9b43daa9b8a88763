"""A few simulations before many: is the simulator what it should be, and what will it all cost?"""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..model import Model
from ..resolution import ENOUGH, Range, check_range
from ..storage.failures import Tally, count_failures
from ..types import Array
from .callers import Caller
from .first_rows import Shape, chunk_rows, probe, refuse_different
from .functions import takes_many
from .settings import Limits
from .simulation import SimulatedBatch, simulate_rows
from .sources import PriorSource
from .tasks import Recipe

log = logging.getLogger(__name__)

ROWS = 20  # simulations to look at, or one block
LEAST = 2  # if a simulation is slow
LOOK_SECONDS = 20.0  # that looking at them may take
GROWTH = 10  # times as many rows in the next call of a simulator that takes many
SHARD_SECONDS = 1200.0  # a shard should take 10 to 30 minutes
SHARDS = 2000  # more make Snakemake slow to plan
SPARE = 1.1  # of the disk space the simulations themselves take
UNLIMITED = Limits()


@dataclass(frozen=True)
class Forecast:
    """What a campaign will cost, by a few of its simulations.

    Attributes:
        x_shape: Shape of the data of a row.
        x_dtype: Their dtype.
        row_seconds: Time a row takes.
        seconds: Wall time of the campaign.
        size: Bytes on the disk.
        files: Files on the disk.
        chunk_size: Rows in a chunk, which is the work of a task.
        shard_size: Rows in a shard for which a job takes 10 to 30 minutes.
        failures: Failed rows by reason, of those looked at.
        looked_at: Number of rows looked at.
    """

    x_shape: tuple[int, ...]
    x_dtype: str
    row_seconds: float
    seconds: float
    size: int
    files: int
    chunk_size: int
    shard_size: int
    failures: dict[str, int]
    looked_at: int

    def __str__(self) -> str:
        failed = ", ".join(f"{number} {reason}" for reason, number in self.failures.items())
        return (
            f"x is {self.x_dtype} {self.x_shape}, {1e3 * self.row_seconds:.3g} ms a simulation; "
            f"{failed or 'none'} of {self.looked_at} failed; the campaign: "
            f"{in_words(self.seconds)}, {self.size / 1e9:.3g} GB, {self.files:,} files, "
            f"{self.chunk_size:,} rows a chunk; a shard of {self.shard_size:,} rows takes "
            "10 to 30 minutes"
        )


def forecast_campaign(
    model: Model,
    *,
    seed: int,
    rows: int,
    folder: Path | None,
    parameters: Array | None = None,
    block_size: int = 1000,
    workers: int = 1,
    limits: Limits = UNLIMITED,
    max_failed_fraction: float = 0.5,
) -> Forecast:
    """Simulate the first rows of a campaign, twice, in a guarded child process.

    Args:
        model: What simulates, from where.
        seed: Seed of the campaign.
        rows: Simulations of the whole campaign.
        folder: Where they will be stored; it need not exist yet. None if space is no matter.
        parameters: Of the first rows, as many as `rows_to_forecast`; None for draws of the prior.
        block_size: Rows a vectorised simulator is called on.
        workers: Processes to simulate in, over all jobs.
        limits: What guards a call in the campaign. Here a child process does in any case, and a
            row that fails is not tried again.
        max_failed_fraction: Of rows; refuse when more fail, beyond what chance can do.

    Raises:
        ValueError: The simulator breaks its contract, too many rows fail, or the campaign does not
            fit on the disk.
    """
    block = block_size if takes_many(model, limits) else None
    recipe = Recipe(model, seed, block, replace(limits, isolate=True, retries=0))
    if parameters is None:
        wanted = rows_to_forecast(model, block_size, limits)
        parameters = PriorSource().draw(model.build_prior(), seed=seed, start=0, rows=wanted)
    shape, first, second = _twice(recipe, parameters)
    _check_same(model, first, second, parameters)
    _check_failures(model, first, max_failed_fraction)
    _check_values(model, first)
    forecast = _forecast(shape, first, rows, len(model.parameters), block, workers)
    if folder is not None:
        _check_space(forecast, folder)
    return forecast


def rows_to_forecast(model: Model, block_size: int, limits: Limits = UNLIMITED) -> int:
    """Return how many rows a forecast looks at, at most."""
    return block_size if takes_many(model, limits) else ROWS


def _twice(recipe: Recipe, parameters: Array) -> tuple[Shape, SimulatedBatch, SimulatedBatch]:
    """Simulate the same rows in two child processes: what one remembers, the other does not."""
    name = recipe.model.simulator
    log.info("%s: at most %s first rows are simulated, twice", name, f"{len(parameters):,}")
    outcomes: list[SimulatedBatch] = []
    shape: Shape | None = None
    for _ in range(2):
        with closing(recipe.caller()) as call:
            if shape is None:
                shape, some = _first_look(recipe, call, parameters)
                parameters = parameters[:some]
            options: dict[str, Any] = {"block_size": recipe.block_size, "stream": recipe.stream}
            options |= {"x_shape": shape.x_shape, "x_dtype": shape.x_dtype, "gaps": recipe.gaps}
            outcomes.append(simulate_rows(call, parameters, start=0, **options))
    assert shape is not None
    return shape, outcomes[0], outcomes[1]


def _first_look(recipe: Recipe, call: Caller, parameters: Array) -> tuple[Shape, int]:
    """Return what a simulator returns, and how many rows there is time to look at."""
    options: dict[str, Any] = {"start": 0, "stream": recipe.stream, "gaps": recipe.gaps}
    most = rows = len(parameters)
    if recipe.block_size is None:
        shape, failures = probe(call, parameters, block_size=None, limit=most, **options)
        if shape is not None:
            return shape, max(LEAST, int(LOOK_SECONDS / max(shape.seconds, 1e-9)))
    else:
        for rows in _growing(most):
            begin = time.perf_counter()
            shape, failures = probe(call, parameters[:rows], block_size=rows, limit=rows, **options)
            seconds = time.perf_counter() - begin
            known = shape is not None or rows >= ROWS
            if known and rows < most and GROWTH * seconds > LOOK_SECONDS:
                told = recipe.model.simulator, rows, in_words(seconds)
                log.info("%s: a call of %s rows takes %s, so that no more are looked at", *told)
                break
        if shape is not None:
            return shape, rows
    raise ValueError(
        f"{recipe.model.simulator}: all of the first {rows} simulations failed: {failures[0].text}"
    )


def _growing(most: int) -> Iterator[int]:
    """Yield numbers of rows from `LEAST` to ``most``."""
    rows = LEAST
    while rows < most:
        yield rows
        rows *= GROWTH
    yield most


def _check_same(
    model: Model, first: SimulatedBatch, second: SimulatedBatch, parameters: Array
) -> None:
    """Make sure that the same row gave the same data, and failed or not."""
    pairs = zip(_with_status(first), _with_status(second), strict=True)
    refuse_different(model.simulator, model.parameters, pairs, parameters)


def _with_status(batch: SimulatedBatch) -> list[Array]:
    """Return the bytes of each row and of what became of it."""
    return [
        np.frombuffer(x.tobytes() + bytes([status]), np.uint8)
        for x, status in zip(batch.x, batch.status, strict=True)
    ]


def _check_failures(model: Model, batch: SimulatedBatch, max_failed_fraction: float) -> None:
    """Refuse a campaign of which too much would fail."""
    tally = Tally()
    tally.rows = len(batch.status)
    tally.failures.update(count_failures(batch.status))
    tally.examples = [failure.record(model.parameters) for failure in batch.failures]
    tally.judge(max_failed_fraction, f"{model.simulator}, first rows")


def _check_values(model: Model, batch: SimulatedBatch) -> None:
    """Refuse data of which their precision leaves nothing; tell of it where there are few rows."""
    try:
        check_range(Range.of(batch.x), "first")
    except ValueError as error:
        if len(batch.x) >= ENOUGH:
            raise ValueError(f"{model.simulator}: {error}") from error
        log.warning("%s: %s", model.simulator, error)


def _forecast(
    shape: Shape, outcome: SimulatedBatch, rows: int, dim: int, block: int | None, workers: int
) -> Forecast:
    seconds = float(outcome.seconds.mean(dtype=float))
    cost = Shape(shape.x_shape, shape.x_dtype, min(seconds, shape.seconds) or shape.seconds)
    wanted = max(SHARD_SECONDS / max(cost.seconds, 1e-9), rows / SHARDS)
    step = 10 ** math.floor(math.log10(max(wanted, 10)))
    shard = max(int(wanted // step * step), block or 1)
    shard = math.ceil(shard / (block or 1)) * (block or 1)
    chunk = chunk_rows(cost, dim, min(rows, shard), workers, block)
    row_bytes = 8 * dim + outcome.x[0].nbytes + 5
    arrays = 4  # parameters, x, status, seconds
    return Forecast(
        x_shape=shape.x_shape,
        x_dtype=shape.x_dtype,
        row_seconds=cost.seconds,
        seconds=cost.seconds * rows / workers,
        size=row_bytes * rows,
        files=arrays * math.ceil(rows / chunk) + 9 * math.ceil(rows / shard),
        chunk_size=chunk,
        shard_size=shard,
        failures=count_failures(outcome.status),
        looked_at=len(outcome.status),
    )


def _check_space(forecast: Forecast, folder: Path) -> None:
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if SPARE * forecast.size > free:
        raise ValueError(
            f"the simulations take {forecast.size / 1e9:.3g} GB, {there} has {free / 1e9:.3g} GB "
            "free; ask for fewer, or set snakemake --directory to a larger disk"
        )


def in_words(seconds: float) -> str:
    """Return a time in the unit one would say it in."""
    for unit, length in (("days", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"
