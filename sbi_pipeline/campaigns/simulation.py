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

from ..storage.failures import error_kind
from ..types import Array, Outcome
from .callers import Caller, Crashed, Raised, TimedOut

EXAMPLES = 3  # distinct errors kept of each task and status


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
class SimulatedBatch:
    """What became of consecutive rows; the arrays are filled in place.

    Attributes:
        x: ``(n, *x_shape)``.
        status: `Outcome` of each row, ``(n,)``.
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
    def empty(cls, rows: int, shape: tuple[int, ...], dtype: str) -> SimulatedBatch:
        """Return rows that wait to be filled; NaN, or 0 where the dtype has none, stays if not."""
        missing = np.nan if np.dtype(dtype).kind in "fc" else 0
        return cls(
            x=np.full((rows, *shape), missing, dtype),
            status=np.zeros(rows, np.uint8),
            seconds=np.zeros(rows, np.float32),
        )


def simulate_rows(
    call: Caller,
    parameters: Array,
    *,
    start: int,
    block_size: int | None,
    x_shape: tuple[int, ...],
    x_dtype: str,
    retries: int = 0,
) -> SimulatedBatch:
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
    out = SimulatedBatch.empty(len(parameters), x_shape, x_dtype)
    if block_size is None:
        for index in range(len(parameters)):
            _one(call, parameters, index, start, retries, out, "simulate")
    else:
        for first in range(0, len(parameters), block_size):
            rows = slice(first, first + block_size)
            _block(call, parameters, rows, start, (start + first) // block_size, retries, out)
    _mark_not_finite(out, parameters, start)
    return out


def _one(
    call: Caller,
    parameters: Array,
    index: int,
    start: int,
    retries: int,
    out: SimulatedBatch,
    stage: str,
) -> None:
    """Simulate one row and write what became of it into ``out``."""
    begin = time.perf_counter()
    row = start + index
    if stage == "simulate":
        x, status, text, tries = attempt(call, parameters[index], stage, row, retries)
    else:
        x, status, text, tries = attempt_alone(call, parameters, index, row, retries)
    if x is not None:
        text = _misfit(x, out.x.shape[1:], out.x.dtype)
        if text:
            status = Outcome.WRONG_SHAPE
        else:
            out.x[index] = x
    out.seconds[index] = time.perf_counter() - begin
    out.status[index] = status
    if tries > 1:
        out.attempts[row] = tries
    if status is not Outcome.OK:
        _note(out, row, status, text, parameters[index])


def _block(
    call: Caller,
    parameters: Array,
    rows: slice,
    start: int,
    block: int,
    retries: int,
    out: SimulatedBatch,
) -> None:
    """Simulate one block at once, or its rows alone if that fails."""
    begin = time.perf_counter()
    given = parameters[rows]
    x, _, _, tries = attempt(call, given, "simulate", block, retries)
    if x is None:
        for index in range(rows.start, rows.start + len(given)):
            _one(call, parameters, index, start, retries, out, "alone")
        return
    wanted = (len(given), *out.x.shape[1:])
    text = _misfit(x, wanted, out.x.dtype)
    if text:
        out.status[rows] = Outcome.WRONG_SHAPE
        _note(out, start + rows.start, Outcome.WRONG_SHAPE, text, given[0])
    else:
        out.x[rows] = x
    out.seconds[rows] = (time.perf_counter() - begin) / len(given)
    if tries > 1:
        out.attempts[start + rows.start] = tries


def attempt_alone(
    call: Caller, parameters: Array, index: int, row: int, retries: int
) -> tuple[Array | None, Outcome, str, int]:
    """Call a vectorised simulator on one row."""
    x, status, text, tries = attempt(call, parameters[index : index + 1], "alone", row, retries)
    if x is not None and x.shape[:1] != (1,):
        return None, Outcome.WRONG_SHAPE, not_vectorised(x, 1), tries
    return (None if x is None else x[0]), status, text, tries


def attempt(
    call: Caller, parameters: Array, stage: str, index: int, retries: int
) -> tuple[Array | None, Outcome, str, int]:
    """Call the simulator; return data or None, the status, what went wrong and the attempts."""
    for tries in range(1, retries + 2):
        try:
            return call(parameters, stage, index), Outcome.OK, "", tries
        except Raised as error:
            return None, Outcome.RAISED, str(error), tries
        except Crashed as error:
            status, text = Outcome.CRASHED, str(error)
        except TimedOut as error:
            status, text = Outcome.TIMED_OUT, str(error)
    return None, status, text, tries


def _misfit(x: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    """Say what is wrong with the shape or dtype of data; empty if nothing is."""
    if x.shape != shape:
        return f"x has shape {x.shape}; the first rows had {shape}"
    if not np.can_cast(x.dtype, dtype, "safe"):
        return f"x is {x.dtype}; the first rows were {dtype}"
    return ""


def not_vectorised(x: Array, rows: int) -> str:
    """Say that data have no axis of rows."""
    return (
        f"x has shape {x.shape} for {rows} rows of parameters, wanted ({rows}, ...); a simulator "
        "that takes one row at a time says vectorised = False"
    )


def _mark_not_finite(out: SimulatedBatch, parameters: Array, start: int) -> None:
    """Turn OK rows with NaN or infinity in their data into failed ones."""
    if out.x.dtype.kind not in "fc":
        return
    finite = np.isfinite(out.x).reshape(len(out.x), -1).all(axis=1)
    bad = np.flatnonzero(~finite & (out.status == Outcome.OK))
    out.status[bad] = Outcome.NAN
    for index in bad[:1]:
        values = out.x[index].reshape(-1)
        where = int(np.flatnonzero(~np.isfinite(values))[0])
        text = f"x has {values[where]} at flat index {where}"
        _note(out, start + int(index), Outcome.NAN, text, parameters[index])


def _note(out: SimulatedBatch, row: int, status: Outcome, text: str, parameters: Array) -> None:
    """Keep a failure as an example if its kind is new and there is room."""
    kinds = {error_kind(failure.text) for failure in out.failures if failure.status == status.label}
    if error_kind(text) not in kinds and len(kinds) < EXAMPLES:
        out.failures.append(Failure(row, status.label, text, parameters.tolist()))
