"""From parameters to rows of data: every row gets a status, whatever the simulator does.

Random streams go by global index. A one-at-a-time simulator gets stream ``simulate`` of its row. A
vectorised one is called on fixed blocks of rows with stream ``simulate`` of the block. If that call
raises, crashes or runs too long, all that is known is that at least one of its rows fails: the rows
are called alone, each with stream ``alone``, again and again until at least one of them fails. What
a row then gives has exactly the law that the simulator gives it, failures included (rejection
sampling, given what became of the block). One second chance for each row would instead hide nearly
all failures that are due to chance.

What a row saw depends on its block only, never on chunks, workers or interruptions. (The block's
own stream would give all its rows the same noise.)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..storage.failures import error_kind
from ..streams import Stream
from ..types import Array, Outcome
from .callers import Caller, Crashed, Raised, TimedOut

EXAMPLES = 3  # distinct errors kept of each task and status
ALONE = 20_000  # calls, about, in which a row of a block that failed is to fail alone
AGAIN = 1 << 40  # between the streams of a row called alone and those of its next turn


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


class Attempt(NamedTuple):
    """What calling the simulator came to.

    Attributes:
        x: Data; None if there are none.
        status: What became of the call.
        text: What went wrong, one line; empty if nothing did.
        tries: Calls it took.
    """

    x: Array | None
    status: Outcome
    text: str
    tries: int


def simulate_rows(
    call: Caller,
    parameters: Array,
    *,
    stream: Stream,
    start: int,
    block_size: int | None,
    x_shape: tuple[int, ...],
    x_dtype: str,
    retries: int = 0,
    gaps: bool = False,
) -> SimulatedBatch:
    """Simulate consecutive rows.

    Args:
        call: The simulator.
        parameters: ``(n, dim)``.
        stream: Random numbers of rows or blocks.
        start: Global index of the first row; a multiple of ``block_size`` if there is one.
        block_size: Rows a vectorised simulator is called on; None for one at a time.
        x_shape: Shape of a row's data.
        x_dtype: Dtype of the data.
        retries: How often a row that crashed or ran too long is tried again, same stream.
        gaps: Whether elements may be missing, NaN; a row that has no other is a failed one.
    """
    out = SimulatedBatch.empty(len(parameters), x_shape, x_dtype)
    work = _Work(call, parameters, stream, start, retries, out)
    step = block_size or 1
    for first in range(0, len(parameters), step):
        begin = time.perf_counter()
        rows = range(first, min(first + step, len(parameters)))
        if block_size is None:
            work.one(first)
        else:
            work.block(rows, (start + first) // block_size)
        out.seconds[rows.start : rows.stop] = (time.perf_counter() - begin) / len(rows)
    _mark_not_finite(out, parameters, start, gaps)
    return out


@dataclass(frozen=True)
class _Work:
    """Consecutive rows that are simulated; `simulate_rows` says what is what."""

    call: Caller
    parameters: Array
    stream: Stream
    start: int
    retries: int
    out: SimulatedBatch

    def one(self, index: int) -> None:
        """Simulate one row of a simulator that takes one at a time."""
        row = self.start + index
        one = attempt(self.call, self.parameters[index], self.stream, row, self.retries)
        self._keep(index, self._fitting(one))

    def block(self, rows: range, number: int) -> None:
        """Simulate one block at once, or its rows alone if that fails."""
        begin = time.perf_counter()
        given = self.parameters[rows.start : rows.stop]
        together = attempt(self.call, given, self.stream, number, self.retries)
        if together.x is None:
            seconds = (time.perf_counter() - begin) / together.tries
            for index, each in zip(rows, self._alone(rows, together, seconds), strict=True):
                self._keep(index, each)
            return
        wanted = (len(rows), *self.out.x.shape[1:])
        if text := _misfit(together.x, wanted, self.out.x.dtype):
            self.out.status[rows.start : rows.stop] = Outcome.WRONG_SHAPE
            self._note(rows.start, Outcome.WRONG_SHAPE, text)
        else:
            self.out.x[rows.start : rows.stop] = together.x
        if together.tries > 1:
            self.out.attempts[self.start + rows.start] = together.tries

    def _alone(self, rows: range, together: Attempt, seconds: float) -> list[Attempt]:
        """Return what each row of a block gives that failed together, after ``seconds``.

        If none of them fails alone for too long, one of them does, whichever: failures that are so
        rare keep their number, and rows that are left out at random leave no trace in what is
        learnt. But where a block ran too long since its rows together take that long, none does.
        """
        if len(rows) == 1:
            return [together]
        turns = max(ALONE // len(rows), 1)
        for turn in range(turns):
            begin = time.perf_counter()
            each = [self._one_alone(index, turn) for index in rows]
            slow = together.status is Outcome.TIMED_OUT and time.perf_counter() - begin > seconds
            if slow or any(one.status is not Outcome.OK for one in each):
                return each
        text = f"{together.text} (in a call with {len(rows)} rows; alone, none did {turns} times)"
        unlucky = int(np.random.default_rng(self.start + rows.start).integers(len(rows)))
        each[unlucky] = together._replace(text=text)
        return each

    def _one_alone(self, index: int, turn: int) -> Attempt:
        """Call a vectorised simulator on one row."""
        row, given = self.start + index + turn * AGAIN, self.parameters[index : index + 1]
        return self._fitting(attempt_alone(self.call, given, self.stream, row, self.retries))

    def _fitting(self, one: Attempt) -> Attempt:
        """Return what a row gave, without data that are none of this campaign."""
        text = "" if one.x is None else _misfit(one.x, self.out.x.shape[1:], self.out.x.dtype)
        return Attempt(None, Outcome.WRONG_SHAPE, text, one.tries) if text else one

    def _keep(self, index: int, one: Attempt) -> None:
        """Write what became of one row."""
        if one.x is not None:
            self.out.x[index] = one.x
        self.out.status[index] = one.status
        if one.tries > 1:
            self.out.attempts[self.start + index] = one.tries
        if one.status is not Outcome.OK:
            self._note(index, one.status, one.text)

    def _note(self, index: int, status: Outcome, text: str) -> None:
        _note(self.out, self.start + index, status, text, self.parameters[index])


def attempt_alone(
    call: Caller, parameters: Array, stream: Stream, row: int, retries: int
) -> Attempt:
    """Call a vectorised simulator on one row, ``(1, dim)``, that failed in a block."""
    one = attempt(call, parameters, stream.alone, row, retries)
    if one.x is None:
        return one
    if one.x.shape[:1] != (1,):
        return Attempt(None, Outcome.WRONG_SHAPE, not_vectorised(one.x, 1), one.tries)
    return one._replace(x=one.x[0])


def attempt(call: Caller, parameters: Array, stream: Stream, index: int, retries: int) -> Attempt:
    """Call the simulator with a stream at an index, again if it crashes."""
    for tries in range(1, retries + 2):
        try:
            return Attempt(call(parameters, stream, index), Outcome.OK, "", tries)
        except Raised as error:
            return Attempt(None, Outcome.RAISED, str(error), tries)
        except Crashed as error:
            status, text = Outcome.CRASHED, str(error)
        except TimedOut as error:
            status, text = Outcome.TIMED_OUT, str(error)
    return Attempt(None, status, text, tries)


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


def _mark_not_finite(out: SimulatedBatch, parameters: Array, start: int, gaps: bool) -> None:
    """Turn OK rows with infinity in their data into failed ones, and those with NaN.

    With ``gaps``, of the latter only those that are NaN altogether.
    """
    if out.x.dtype.kind not in "fc":
        return
    flat = out.x.reshape(len(out.x), -1)
    failed = np.isinf(flat) if gaps else ~np.isfinite(flat)
    nothing = np.isnan(flat).all(axis=1)
    bad = np.flatnonzero((failed.any(axis=1) | nothing) & (out.status == Outcome.OK))
    out.status[bad] = Outcome.NAN
    for index in bad[:1]:
        text = describe_not_finite(out.x[index], gaps)
        _note(out, start + int(index), Outcome.NAN, text, parameters[index])


def is_data(x: Array, gaps: bool) -> bool:
    """Say whether one row's data are finite, or some of them where others may be missing."""
    if not gaps:
        return bool(np.isfinite(x).all())
    return not (np.isinf(x).any() or np.isnan(x).all())


def describe_not_finite(x: Array, gaps: bool) -> str:
    """Say where one row's data are NaN or infinite, and what to do if that stands for something."""
    values = x.reshape(-1)
    if gaps and not np.isinf(values).any():
        return "x is NaN throughout"
    where = int(np.flatnonzero(np.isinf(values) if gaps else ~np.isfinite(values))[0])
    text = f"x has {values[where]} at flat index {where}"
    there = int(np.isfinite(x).all(axis=1).sum()) if x.ndim == 2 else 0
    if there and np.isfinite(x[:there]).all() and np.isnan(x[there:]).all():
        text += (
            "; a set that is padded with NaN? Pad it with 0, with a last column that is 1 for "
            "what is there and 0 for padding, and take embedding: {name: deep_set, mask: true}"
        )
    elif np.isnan(values[where]):
        text += "; if that stands for a missing element, say missing: {rows: true}"
    return text


def _note(out: SimulatedBatch, row: int, status: Outcome, text: str, parameters: Array) -> None:
    """Keep a failure as an example if its kind is new and there is room."""
    kinds = {error_kind(failure.text) for failure in out.failures if failure.status == status.label}
    if error_kind(text) not in kinds and len(kinds) < EXAMPLES:
        out.failures.append(Failure(row, status.label, text, parameters.tolist()))
