"""What the precision of stored numbers leaves of data.

Single precision holds numbers from 1.2e-38 to 3.4e38 in size, seven digits of each. Data in units
in which they are smaller, or that vary by less than these digits about a large value, are lost when
they are stored, and a network would learn that they say nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from .types import Array

logger = logging.getLogger(__name__)

STEPS = 8
"""Of the last digit, which the values of a column must span for it to say something."""
ENOUGH = 1000
"""Rows that are the same only where all are: fewer may lack what is rare."""
PRECISION = {2: "half", 4: "single"}


@dataclass
class Range:
    """The least and the largest value of each column of some rows of data.

    Attributes:
        low: Of each column, ``(columns,)``; NaN where no row has a value.
        high: Likewise.
        rows: Number of rows.
    """

    low: Array
    high: Array
    rows: int

    @classmethod
    def of(cls, x: Array) -> Range:
        """Return that of data, ``(n, *x_shape)``; what is not finite is no value."""
        flat = x.reshape(len(x), -1)
        if flat.dtype.kind == "f" and np.isinf(flat).any():  # of rows that failed
            flat = np.where(np.isinf(flat), np.nan, flat)
        return cls(np.fmin.reduce(flat, axis=0), np.fmax.reduce(flat, axis=0), len(x))

    def joined(self, other: Range) -> Range:
        """Return that of the rows of both."""
        low, high = np.fmin(self.low, other.low), np.fmax(self.high, other.high)
        return Range(low, high, self.rows + other.rows)


def check_resolution(x: Array) -> None:
    """Refuse training rows of which their precision leaves nothing; warn where nothing of some.

    Args:
        x: Data, ``(n, *x_shape)``; NaN stands for what is missing.

    Raises:
        ValueError: No column is resolved, and one or more should be.
    """
    if x.dtype.kind != "f":
        return
    found = Range.of(x)
    check_range(found, "training")
    span = _steps(found)
    lost = (span > 0) & (span < STEPS)
    if lost.any():
        logger.warning(
            "%d of %d columns of x vary by less than %d steps of the last digit of %s precision, "
            "first column %d: return double precision, or subtract what is constant",
            int(lost.sum()),
            lost.size,
            STEPS,
            _precision(found),
            int(lost.argmax()),
        )


def check_range(found: Range, part: str) -> None:
    """Refuse data of which their precision leaves nothing.

    Args:
        found: What lies between which values.
        part: Which rows these are, in messages.

    Raises:
        ValueError: No column is resolved.
    """
    if found.low.dtype.kind != "f" or np.isnan(found.low).all():
        return
    name, tiny = _precision(found), np.finfo(found.low.dtype).tiny
    least, most = np.nanmin(found.low) + 0.0, np.nanmax(found.high) + 0.0
    text = f"x lies between {least:.9g} and {most:.9g} in all {found.rows} {part} rows"
    remedy = "other units" if name == "double" else "double precision, or other units"
    if max(abs(least), abs(most)) < tiny:
        raise ValueError(
            f"{text}: data underflow {name} precision, which holds {tiny:.2g} and more; let the "
            f"simulator return {remedy}, or see why it returns zeros"
        )
    if not (_steps(found) >= STEPS).any():
        raise ValueError(
            f"{text}, no column by {STEPS} steps of the last digit of {name} precision: what the "
            f"parameters change is lost, or nothing; let the simulator return {remedy}, or "
            "subtract what is constant"
        )


def underflows(x: Array) -> bool:
    """Say whether data have values other than zero, and all are too small for their precision."""
    if x.dtype.kind != "f" or not x.any():
        return False
    return bool(np.fmax.reduce(np.abs(x), axis=None) < np.finfo(x.dtype).tiny)


def _steps(found: Range) -> Array:
    """Return how many steps of the last digit each column spans; NaN where it has no value."""
    largest = np.fmax(np.abs(found.low), np.abs(found.high))
    last_digit = np.nextafter(largest, largest.dtype.type(np.inf)) - largest
    return (found.high.astype(float) - found.low) / last_digit.astype(float)


def _precision(found: Range) -> str:
    return PRECISION.get(found.low.dtype.itemsize, "double")
