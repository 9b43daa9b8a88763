"""What is to be done for a shard: how much goes into a chunk, and which rows are missing."""

from __future__ import annotations

import logging
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..storage.chunks import whole_chunks
from ..storage.layout import Layout
from ..storage.prior import read_prior
from ..storage.tally import describe
from .simulation import Shape, probe
from .tasks import Part, Recipe

log = logging.getLogger(__name__)

TASK_SECONDS = 1.0  # work in a task; Dask costs about 10 ms each
TASK_SECONDS_LEAST = 0.1  # still enough when there are few rows for many workers
TASKS = 4  # for each worker, at least, so that they end at about the same time
CHUNK_BYTES = 32_000_000
CHUNK_ROWS = 10_000  # a chunk may be this long though the shard is shorter: shards grow
CHUNKS = 4_000  # of a shard, at most, for the sake of file systems
PROBES = 20  # rows that must fail before all seem to


def first_look(recipe: Recipe, prior: Path, rows: int, max_failed_fraction: float) -> Shape:
    """Simulate the first rows to learn what the simulator returns and what a row costs.

    Args:
        recipe: How to call the simulator.
        prior: Store of the shard's parameters.
        rows: Rows to make; no more than these are tried.
        max_failed_fraction: Of rows; decides how many to try.

    Raises:
        ValueError: None of them worked.
    """
    sparse = 1 - min(max_failed_fraction, 1.0)
    limit = rows if sparse == 0 else min(rows, math.ceil(PROBES / sparse))
    some = max(limit, 3 * recipe.block_size if recipe.block_size else CHUNK_ROWS)
    parameters, names, attrs = read_prior(prior, slice(0, min(rows, some)))
    call = recipe.call()
    try:
        shape, failures = probe(
            call,
            parameters,
            start=int(attrs["start"]),
            block_size=recipe.block_size,
            limit=limit,
        )
    finally:
        call.close()
    if shape is None:
        raise ValueError(
            f"{recipe.simulator}: the first rows all failed, nothing is stored; "
            + describe(
                Counter(failure.status for failure in failures),
                [failure.record(names) for failure in failures],
            )
        )
    return shape


def chunk_rows(shape: Shape, dim: int, rows: int, workers: int, block_size: int | None) -> int:
    """Return how many rows to put in a chunk, which is also the work of a task.

    About `TASK_SECONDS` of work, less if there are few rows for the workers, more if the shard
    would be cut into too many files; never too much memory; whole blocks.
    """
    seconds = max(shape.seconds, 1e-9)
    wanted = TASK_SECONDS / seconds
    if workers > 1:
        wanted = min(wanted, max(rows / (TASKS * workers), TASK_SECONDS_LEAST / seconds))
    wanted = max(wanted, rows / CHUNKS)
    x_bytes = math.prod(shape.x_shape) * np.dtype(shape.x_dtype).itemsize
    row_bytes = 8 * dim + x_bytes + 5
    wanted = min(wanted, CHUNK_BYTES / row_bytes, max(rows, CHUNK_ROWS))
    block = block_size or 1
    size = max(block, int(wanted) // block * block)
    if rows > size:  # even chunks, since a padded last one is written in full
        chunks = math.ceil(rows / size)
        if chunks > 1 and shape.seconds * rows > TASK_SECONDS:  # so that all workers end together
            chunks = math.ceil(chunks / workers) * workers
        size = max(math.ceil(rows / chunks / block), 1) * block
    return size


def present(
    store: Path, layout: Layout, done: Mapping[int, Mapping[str, Any]]
) -> dict[int, Mapping[str, Any]]:
    """Return those committed records, by first row, whose chunk is still there."""
    there, whole = {}, whole_chunks(store, layout) if done else set()
    for start, record in done.items():
        chunk = start // layout.chunk_size
        if chunk in whole:
            there[start] = record
        else:
            span = f"rows {start} to {record['stop']}"
            log.warning("%s: chunk %d is gone; %s are simulated again", store, chunk, span)
    return there


def missing(layout: Layout, rows: int, done: Mapping[int, Mapping[str, Any]]) -> list[Part]:
    """Return what is to be simulated to make ``rows`` rows, one part a chunk, in order.

    Args:
        layout: Layout of the shard.
        rows: Rows it shall have.
        done: Committed records by their first row.
    """
    spans: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for start, record in done.items():
        spans[start // layout.chunk_size].append((start, record["stop"]))
    parts = []
    for chunk in range(math.ceil(rows / layout.chunk_size)):
        first = chunk * layout.chunk_size
        gaps = _gaps(first, min(first + layout.chunk_size, rows), spans[chunk])
        if gaps:
            parts.append(Part(tuple(gaps)))
    return parts


def _gaps(first: int, last: int, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the ranges in ``first`` to ``last`` that no span covers."""
    gaps = []
    for start, stop in sorted(spans):
        if start > first:
            gaps.append((first, start))
        first = max(first, stop)
    if first < last:
        gaps.append((first, last))
    return gaps
