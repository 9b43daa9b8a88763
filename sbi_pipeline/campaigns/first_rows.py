"""What the first rows of a shard show: what the data look like, their cost, fitting chunks."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..resolution import underflows
from ..storage.failures import describe_failures
from ..storage.prior import read_prior
from ..streams import Stream
from ..types import Array, Outcome
from .callers import Caller, Unusable
from .simulation import (
    Attempt,
    Failure,
    attempt,
    attempt_alone,
    describe_not_finite,
    is_data,
    not_vectorised,
)
from .tasks import RowMaker

TASK_SECONDS = 1.0  # work in a task; Dask costs about 10 ms each
TASK_SECONDS_LEAST = 0.1  # still enough when there are few rows for many workers
TASKS = 4  # for each worker, at least, so that they end at about the same time
CHUNK_BYTES = 32_000_000
CHUNK_ROWS = 10_000  # a chunk may be this long though the shard is shorter: shards grow
CHUNKS = 4_000  # of a shard, at most, for the sake of file systems
LOOK = 0.2  # seconds of calls that tell what one costs
DEAR = 2.0  # seconds after which one call has to do
REPEATED = 10  # rows simulated twice, of a simulator that takes one at a time
PROBES = 20  # rows that must fail before all seem to
TOO_SMALL = "which this precision does not hold: return double precision, or other units"


@dataclass(frozen=True)
class Shape:
    """What a simulator returns for one row, and how long it takes.

    Attributes:
        x_shape: Shape of the data of one row.
        x_dtype: Its dtype.
        seconds: Time a row takes.
    """

    x_shape: tuple[int, ...]
    x_dtype: str
    seconds: float


@dataclass(frozen=True)
class _Strict:
    """A simulator of which what is no data is refused; in later rows it makes a failed row."""

    call: Caller

    def __call__(self, parameters: Array, stream: Stream, index: int) -> Array:
        """Simulate; raises `ValueError` as well."""
        try:
            x = self.call(parameters, stream, index)
        except Unusable as error:
            raise ValueError(f"the simulator {error}") from error
        if underflows(x):
            raise ValueError(f"x is {x.dtype} below {np.finfo(x.dtype).tiny:.2g}, {TOO_SMALL}")
        return x

    def close(self) -> None:
        """Free what the simulator holds."""
        self.call.close()


def probe(
    call: Caller,
    parameters: Array,
    *,
    stream: Stream,
    start: int,
    block_size: int | None,
    limit: int,
    gaps: bool = False,
) -> tuple[Shape | None, list[Failure]]:
    """Find out what a simulator returns and what a row costs, from its first rows.

    The first row that works decides, so the answer does not depend on how rows are scheduled.

    Args:
        call: The simulator.
        parameters: Rows of the shard from its first on, ``(n, dim)``.
        stream: As for `simulate_rows`.
        start: Global index of the first row.
        block_size: As for `simulate_rows`.
        limit: Give up after this many rows without a success.
        gaps: As for `simulate_rows`.

    Returns:
        What it returns, None if no row worked; and the failures on the way.
    """
    step = block_size or 1
    failures: list[Failure] = []
    found: Array | None = None
    costs: list[float] = []
    for first in range(0, len(parameters), step):
        if first >= limit if found is None else _is_known(costs):
            break
        begin = time.perf_counter()
        rows = parameters[first : first + step]
        asked = _Strict(call) if found is None else call
        x, failure = _look(asked, rows, stream, start + first, block_size, gaps)
        costs.append(time.perf_counter() - begin)
        if failure is not None:
            failures.append(failure)
        elif found is None:
            found = x
    if found is None:
        return None, failures
    seconds = float(np.median(costs[1:] or costs)) / min(step, len(parameters))
    return Shape(found.shape, str(found.dtype.newbyteorder("=")), seconds), failures


def _is_known(costs: Sequence[float]) -> bool:
    """Say whether calls, in seconds, were timed long enough.

    The first one may import and fill caches: it counts only if it is too dear to be repeated.
    """
    return costs[0] > DEAR or sum(costs[1:]) > LOOK or len(costs) > 20


def _look(
    call: Caller,
    parameters: Array,
    stream: Stream,
    row: int,
    block_size: int | None,
    gaps: bool,
) -> tuple[Array | None, Failure | None]:
    """Return the data of the first row that works, or why the first one does not if none does."""
    failure = None
    for index, one in enumerate(_each(call, parameters, stream, row, block_size)):
        status, text = one.status, one.text
        if one.x is not None and not is_data(one.x, gaps):
            status, text = Outcome.NAN, describe_not_finite(one.x, gaps)
        if status is not Outcome.OK:
            given = parameters[index].tolist()
            failure = failure or Failure(row + index, status.label, text, given)
        else:
            return one.x, None
    return None, failure


def _each(
    call: Caller, parameters: Array, stream: Stream, row: int, block_size: int | None
) -> Iterator[Attempt]:
    """Yield what one row gives, or in turn each row of a block."""
    if block_size is None:
        yield attempt(call, parameters[0], stream, row, 0)
        return
    together = attempt(call, parameters, stream, row // block_size, 0)
    if together.x is None:
        for index in range(len(parameters)):
            yield attempt_alone(call, parameters[index : index + 1], stream, row + index, 0)
    elif together.x.shape[:1] != (len(parameters),):
        text = not_vectorised(together.x, len(parameters))
        yield together._replace(x=None, status=Outcome.WRONG_SHAPE, text=text)
    else:
        yield from (together._replace(x=x) for x in together.x)


def first_look(recipe: RowMaker, prior: Path, rows: int, max_failed_fraction: float) -> Shape:
    """Simulate the first rows to learn what the simulator returns and what a row costs.

    The first rows of a campaign are simulated again: what comes out must be the same.

    Args:
        recipe: How to call the simulator.
        prior: Store of the shard's parameters.
        rows: Rows to make; no more than these are tried.
        max_failed_fraction: Of rows; decides how many to try.

    Raises:
        ValueError: None of them worked, or some came out different the second time.
    """
    sparse = 1 - min(max_failed_fraction, 1.0)
    limit = rows if sparse == 0 else min(rows, math.ceil(PROBES / sparse))
    some = max(limit, 3 * recipe.block_size if recipe.block_size else CHUNK_ROWS)
    parameters, names, attrs = read_prior(prior, slice(0, min(rows, some)))
    start = int(attrs["start"])
    with closing(recipe.caller()) as call:
        options: dict[str, Any] = {"stream": recipe.stream, "block_size": recipe.block_size}
        told = {**options, "start": start, "limit": limit, "gaps": recipe.gaps}
        shape, failures = probe(call, parameters, **told)
        if shape is not None and start == 0:
            check_repeats(recipe.name, names, call, parameters, **options)
    if shape is None:
        raise ValueError(
            f"{recipe.name}: the first rows all failed, nothing is stored; "
            + describe_failures(
                Counter(failure.status for failure in failures),
                [failure.record(names) for failure in failures],
            )
        )
    return shape


def check_repeats(
    name: str,
    names: Sequence[str],
    call: Caller,
    parameters: Array,
    *,
    stream: Stream,
    block_size: int | None,
) -> None:
    """Simulate the first rows of a campaign twice, one after the other.

    Args:
        name: Of the simulator.
        names: Of its parameters.
        call: The same, ready to be called.
        parameters: Rows of the campaign from its first on, ``(n, dim)``.
        stream: As for `simulate_rows`.
        block_size: As for `simulate_rows`.

    Raises:
        ValueError: They came out different.
    """
    blocks = [parameters[:block_size]] if block_size else parameters[:REPEATED]
    begin = time.perf_counter()
    for index, rows in enumerate(blocks):
        once, again = (attempt(call, rows, stream, index, 0).x for _ in range(2))
        if once is not None and again is not None and len(once) == len(again):
            several = block_size is not None
            pairs = zip(once, again, strict=True) if several else [(once, again)]
            refuse_different(name, names, pairs, parameters[index:])
        if time.perf_counter() - begin > LOOK:
            return


def refuse_different(
    name: str, names: Sequence[str], pairs: Iterable[tuple[Array, Array]], parameters: Array
) -> None:
    """Refuse a simulator whose rows came out different when repeated.

    Args:
        name: Of the simulator.
        names: Of its parameters.
        pairs: What each row gave once and again.
        parameters: Those of the rows, ``(n, dim)``.

    Raises:
        ValueError: They did; says for which row.
    """
    same = [once.tobytes() == again.tobytes() for once, again in pairs]
    if not all(same):
        row = same.index(False)
        given = zip(names, parameters[row], strict=True)
        values = ", ".join(f"{each}={value:.6g}" for each, value in given)
        raise ValueError(
            f"{name}: {same.count(False)} of {len(same)} simulations came out "
            f"different when repeated, row {row} with {values} first; all randomness must come "
            "from rng, and nothing may be kept from one call to the next"
        )


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
