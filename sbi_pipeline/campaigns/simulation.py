"""From parameters to rows of data: every row gets a status, whatever the simulator does.

Random streams go by global index. A one-at-a-time simulator gets stream ``simulate`` of its row. A
vectorised one is called on fixed blocks of rows with stream ``simulate`` of the block; if that call
raises, crashes or runs too long, each row of the block is called alone with stream ``alone`` of its
row. Which of the two a row saw depends on its block only, never on chunks, workers or
interruptions. (The block's own stream would give all its rows the same noise.)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..storage.tally import kind
from ..types import Array, Status
from .isolation import Call, Crashed, Raised, TimedOut

LOOK = 0.2  # seconds of calls that tell what one costs
DEAR = 2.0  # seconds after which one call has to do
EXAMPLES = 3  # distinct errors kept of each task and status


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
class Failure:
    """One failed row, for the record.

    Attributes:
        row: Global index.
        status: Label of its status.
        text: What went wrong, one line.
        parameters: Those of the row, in the simulator's order.
    """

    row: int
    status: str
    text: str
    parameters: list[float]

    def record(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the failure for the journal, its parameters by name."""
        values = dict(zip(names, self.parameters, strict=True))
        return {"row": self.row, "status": self.status, "text": self.text, "parameters": values}


@dataclass
class Outcome:
    """What became of consecutive rows; the arrays are filled in place.

    Attributes:
        x: ``(n, *x_shape)``.
        status: `Status` of each row, ``(n,)``.
        seconds: Time each row took, ``(n,)``.
        failures: Some failed rows with distinct errors.
        attempts: Attempts by global index of rows that took more than one.
    """

    x: Array
    status: Array
    seconds: Array
    failures: list[Failure] = field(default_factory=list)
    attempts: dict[int, int] = field(default_factory=dict)

    @classmethod
    def empty(cls, rows: int, shape: tuple[int, ...], dtype: str) -> Outcome:
        """Return rows that wait to be filled; NaN, or 0 where the dtype has none, stays if not."""
        missing = np.nan if np.dtype(dtype).kind in "fc" else 0
        return cls(
            x=np.full((rows, *shape), missing, dtype),
            status=np.zeros(rows, np.uint8),
            seconds=np.zeros(rows, np.float32),
        )


def simulate(
    call: Call,
    parameters: Array,
    *,
    start: int,
    block_size: int | None,
    x_shape: tuple[int, ...],
    x_dtype: str,
    retries: int = 0,
) -> Outcome:
    """Simulate consecutive rows.

    Args:
        call: The simulator.
        parameters: ``(n, dim)``.
        start: Global index of the first row; a multiple of ``block_size`` if there is one.
        block_size: Rows a vectorised simulator is called on; None for one at a time.
        x_shape: Shape of a row's data.
        x_dtype: Dtype of the data.
        retries: How often a row that crashed or ran too long is tried again, same stream.
    """
    out = Outcome.empty(len(parameters), x_shape, x_dtype)
    if block_size is None:
        for index in range(len(parameters)):
            _one(call, parameters, index, start, retries, out, "simulate")
    else:
        for first in range(0, len(parameters), block_size):
            rows = slice(first, first + block_size)
            _block(call, parameters, rows, start, (start + first) // block_size, retries, out)
    _mark_not_finite(out, parameters, start)
    return out


def probe(
    call: Call, parameters: Array, *, start: int, block_size: int | None, limit: int
) -> tuple[Shape | None, list[Failure]]:
    """Find out what a simulator returns and what a row costs, from its first rows.

    The first row that works decides, so the answer does not depend on how rows are scheduled.

    Args:
        call: The simulator.
        parameters: Rows of the shard from its first on, ``(n, dim)``.
        start: Global index of the first row.
        block_size: As for `simulate`.
        limit: Give up after this many rows without a success.

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
        x, failure = _look(call, parameters[first : first + step], start + first, block_size)
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
    call: Call, parameters: Array, row: int, block_size: int | None
) -> tuple[Array | None, Failure | None]:
    """Return one row's data from the first row or block that works, or why none does."""
    if block_size is None:
        x, status, text, _ = _attempt(call, parameters[0], "simulate", row, 0)
    else:
        x, status, text, _ = _attempt(call, parameters, "simulate", row // block_size, 0)
        if x is not None and x.shape[:1] != (len(parameters),):
            text, status = _not_vectorised(x, len(parameters)), Status.WRONG_SHAPE
            x = None
        elif x is not None:
            x = x[0]
        else:
            for index in range(len(parameters)):
                x, status, text = _alone(call, parameters, index, row + index, 0)[:3]
                if x is not None:
                    break
    if x is not None and x.dtype.kind not in "biufc":
        raise ValueError(f"the simulator returned {x.dtype} in row {row}; wanted numbers")
    if x is not None:
        return x, None
    return None, Failure(row, status.label, text, parameters[0].tolist())


def _one(
    call: Call, parameters: Array, index: int, start: int, retries: int, out: Outcome, stage: str
) -> None:
    """Simulate one row and write what became of it into ``out``."""
    begin = time.perf_counter()
    row = start + index
    if stage == "simulate":
        x, status, text, tries = _attempt(call, parameters[index], stage, row, retries)
    else:
        x, status, text, tries = _alone(call, parameters, index, row, retries)
    if x is not None:
        text = _misfit(x, out.x.shape[1:], out.x.dtype)
        if text:
            status = Status.WRONG_SHAPE
        else:
            out.x[index] = x
    out.seconds[index] = time.perf_counter() - begin
    out.status[index] = status
    if tries > 1:
        out.attempts[row] = tries
    if status is not Status.OK:
        _note(out, row, status, text, parameters[index])


def _block(
    call: Call,
    parameters: Array,
    rows: slice,
    start: int,
    block: int,
    retries: int,
    out: Outcome,
) -> None:
    """Simulate one block at once, or its rows alone if that fails."""
    begin = time.perf_counter()
    given = parameters[rows]
    x, _, _, tries = _attempt(call, given, "simulate", block, retries)
    if x is None:
        for index in range(rows.start, rows.start + len(given)):
            _one(call, parameters, index, start, retries, out, "alone")
        return
    wanted = (len(given), *out.x.shape[1:])
    text = _misfit(x, wanted, out.x.dtype)
    if text:
        out.status[rows] = Status.WRONG_SHAPE
        _note(out, start + rows.start, Status.WRONG_SHAPE, text, given[0])
    else:
        out.x[rows] = x
    out.seconds[rows] = (time.perf_counter() - begin) / len(given)
    if tries > 1:
        out.attempts[start + rows.start] = tries


def _alone(
    call: Call, parameters: Array, index: int, row: int, retries: int
) -> tuple[Array | None, Status, str, int]:
    """Call a vectorised simulator on one row."""
    x, status, text, tries = _attempt(call, parameters[index : index + 1], "alone", row, retries)
    if x is not None and x.shape[:1] != (1,):
        return None, Status.WRONG_SHAPE, _not_vectorised(x, 1), tries
    return (None if x is None else x[0]), status, text, tries


def _attempt(
    call: Call, parameters: Array, stage: str, index: int, retries: int
) -> tuple[Array | None, Status, str, int]:
    """Call the simulator; return data or None, the status, what went wrong and the attempts."""
    for tries in range(1, retries + 2):
        try:
            return call(parameters, stage, index), Status.OK, "", tries
        except Raised as error:
            return None, Status.RAISED, str(error), tries
        except Crashed as error:
            status, text = Status.CRASHED, str(error)
        except TimedOut as error:
            status, text = Status.TIMED_OUT, str(error)
    return None, status, text, tries


def _misfit(x: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    """Say what is wrong with the shape or dtype of data; empty if nothing is."""
    if x.shape != shape:
        return f"x has shape {x.shape}; the first rows had {shape}"
    if not np.can_cast(x.dtype, dtype, "safe"):
        return f"x is {x.dtype}; the first rows were {dtype}"
    return ""


def _not_vectorised(x: Array, rows: int) -> str:
    return (
        f"x has shape {x.shape} for {rows} rows of parameters, wanted ({rows}, ...); a simulator "
        "that takes one row at a time says vectorised = False"
    )


def _mark_not_finite(out: Outcome, parameters: Array, start: int) -> None:
    """Turn OK rows with NaN or infinity in their data into failed ones."""
    if out.x.dtype.kind not in "fc":
        return
    finite = np.isfinite(out.x).reshape(len(out.x), -1).all(axis=1)
    bad = np.flatnonzero(~finite & (out.status == Status.OK))
    out.status[bad] = Status.NAN
    for index in bad[:1]:
        values = out.x[index].reshape(-1)
        where = int(np.flatnonzero(~np.isfinite(values))[0])
        text = f"x has {values[where]} at flat index {where}"
        _note(out, start + int(index), Status.NAN, text, parameters[index])


def _note(out: Outcome, row: int, status: Status, text: str, parameters: Array) -> None:
    """Keep a failure as an example if its kind is new and there is room."""
    kinds = {kind(failure.text) for failure in out.failures if failure.status == status.label}
    if kind(text) not in kinds and len(kinds) < EXAMPLES:
        out.failures.append(Failure(row, status.label, text, parameters.tolist()))
