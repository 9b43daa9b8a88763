"""Whether a simulator takes one row or many: a plain function is called to find out.

It is called with rows of the prior, in guarded child processes, with random numbers of their own.
One that works with a row, ``(n_parameters,)``, is called with one row at a time. That is right
also where it works with many: ``parameters + rng.normal(size=2)`` gives many rows the same noise,
which their shape does not show. One that works with many rows only is called with many. Who
knows says it, ``simulate.vectorised = True``, and is not asked.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace

import numpy as np

from .. import streams
from ..fingerprint import canonical
from ..model import Model
from ..streams import Stream
from ..types import Array, is_vectorised
from .callers import Caller, Crashed, GuardedCaller, Raised, TimedOut
from .settings import Limits

ROWS = 20  # of the prior, of which one must work
STREAM = Stream(0, "functions")
LONGEST = 60.0  # seconds that a call with several rows may take, if a row takes no longer
LONGER = 10  # than one row is what several rows may take


@dataclass(frozen=True)
class Answer:
    """What one call gave.

    Attributes:
        x: The data; None if there are none.
        text: Why there are none.
        seconds: The time it took.
    """

    x: Array | None
    text: str
    seconds: float


def takes_many(model: Model, limits: Limits) -> bool:
    """Say whether a simulator takes many rows at once.

    Args:
        model: What simulates.
        limits: What guards a call.

    Raises:
        ValueError: It is a function that works neither with one row nor with many, or with both,
            and data of one row differ in shape.
    """
    said = is_vectorised(model.build_simulator())
    return _found_out(canonical(asdict(model)), limits) if said is None else said


@functools.cache
def _found_out(model: str, limits: Limits) -> bool:
    """Call a function to find out whether it takes many rows; a process asks once."""
    asked = Model(**json.loads(model))
    u = streams.uniforms(STREAM.seed, STREAM.stage, 0, ROWS, len(asked.parameters))
    return _find_out(asked, asked.build_prior().from_uniform(u), replace(limits, isolate=True))


def _find_out(model: Model, rows: Array, limits: Limits) -> bool:
    with closing(GuardedCaller(model, limits)) as call:
        index, alone = _first_that_works(call, rows)
    longest = limits.time_limit or max(LONGEST, LONGER * alone.seconds)
    tried = rows if alone.x is None else rows[index : index + 1]
    with closing(GuardedCaller(model, replace(limits, time_limit=longest))) as call:
        of_many, text = _shape_of_many(call, tried)
    if alone.x is None and of_many is None:
        raise ValueError(
            f"{model.simulator} works neither with a row, parameters of shape {rows.shape[1:]} "
            f"({alone.text}), nor with many, (n, {rows.shape[1]}) ({text})"
        )
    if alone.x is not None and of_many not in (None, alone.x.shape):
        name = model.simulator.rpartition(":")[2]
        raise ValueError(
            f"{model.simulator} gives data of shape {alone.x.shape} for a row, and of {of_many} "
            f"for each of many; say which it takes, {name}.vectorised = False or True, below it"
        )
    return alone.x is None


def _first_that_works(call: Caller, rows: Array) -> tuple[int, Answer]:
    """Return the first row with which a function works alone, or the first if none does."""
    first: Answer | None = None
    for index, row in enumerate(rows):
        answer = _ask(call, row)
        if answer.x is not None:
            return index, answer
        first = first or answer
    assert first is not None
    return 0, first


def _shape_of_many(call: Caller, rows: Array) -> tuple[tuple[int, ...] | None, str]:
    """Return the shape of the data of one row if a function takes many, or why it does not.

    Two numbers of rows, neither the number of parameters, so that no axis is one of rows by chance.
    """
    text = ""
    for row in rows:
        numbers = len(row) + 1, len(row) + 2
        answers = [_ask(call, np.repeat(row[None], number, axis=0)) for number in numbers]
        shapes = [None if each.x is None else each.x.shape for each in answers]
        if shapes[0] and shapes[1] and _are_of_rows(shapes[0], shapes[1], numbers):
            return shapes[0][1:], ""
        text = text or answers[0].text or f"{numbers[0]} rows gave data of shape {shapes[0]}"
    return None, text


def _are_of_rows(one: Sequence[int], other: Sequence[int], numbers: tuple[int, int]) -> bool:
    return (one[0], other[0]) == numbers and one[1:] == other[1:]


def _ask(call: Caller, parameters: Array) -> Answer:
    """Call a function once."""
    begin = time.perf_counter()
    try:
        x, text = call(parameters, STREAM, 0), ""
    except (Raised, Crashed, TimedOut) as error:
        x, text = None, str(error)
    return Answer(x, text, time.perf_counter() - begin)
