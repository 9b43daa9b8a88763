"""What a simulator returned, as an array of real numbers, or in one line why it is none."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..types import Array

STACK = "stack real and imaginary parts, np.stack([x.real, x.imag])"


class NoData(TypeError):  # noqa: N818 - what happened
    """What was returned is of a type that holds no data; the text says what to return."""


def as_data(x: Any, parameters: Array) -> Array:
    """Return data as an array; one number for a row is data of one element, ``(1,)``.

    Args:
        x: What was returned.
        parameters: What it was returned for, one row or many.

    Raises:
        NoData: It is of a type that holds no real numbers, or loses a part of its meaning.
        ValueError: It is data of no row: None, or values are masked.
    """
    if type(x) is not np.ndarray or x.dtype.kind not in "biuf" or x.dtype.itemsize > 8:
        x = _real(x)
    return x[..., None] if x.shape == parameters.shape[:-1] else x


def _real(x: Any) -> Array:
    """Return real numbers of at most double precision."""
    _check_kind(x)
    if callable(getattr(x, "detach", None)):  # torch: from its graph and its device
        x = x.detach().cpu()
    try:
        array = np.asarray(x)
    except Exception as error:  # ragged lists, and whatever a library says of its own arrays
        raise NoData(f"returned {_called(x)} that makes no array: {_first_line(error)}") from error
    kind = array.dtype.kind
    if kind == "c":
        raise NoData(f"returned {array.dtype}; wanted real numbers: {STACK}")
    if kind == "O":
        raise NoData(f"returned {_called(x)} of objects{_example(array)}; wanted numbers alone")
    if kind not in "biuf":
        hint = ": a time as a number of seconds or days" if kind in "mM" else ""
        raise NoData(f"returned {array.dtype}; wanted numbers{hint}")
    return array.astype(np.float64) if array.dtype.itemsize > 8 else array


def _check_kind(x: Any) -> None:
    """Refuse what NumPy would take, and lose a mask, a unit or the names of columns of.

    Raises:
        NoData: It is of such a type.
        ValueError: It is None, or a value is masked.
    """
    if x is None:
        raise ValueError("returned None; wanted an array (is there a 'return' on every way out?)")
    if np.ma.isMaskedArray(x) and np.ma.is_masked(x):
        raise ValueError(
            f"returned an array of which {np.ma.count_masked(x)} of {x.size} values are masked; "
            "fill them with a value and return beside it which are there"
        )
    name = type(x).__name__
    unit = getattr(x, "unit", getattr(x, "units", None))
    if unit is not None:
        inside = f" in {unit}" if str(unit) else ""
        raise NoData(f"returned a {name}{inside}; return its values in that unit as an array")
    if name in ("DataFrame", "Table", "QTable", "Dataset", "DataTree"):
        raise NoData(f"returned a {name}; return the array of its data, without index and times")
    if isinstance(x, dict | set | str | bytes):
        raise NoData(f"returned a {name}; wanted an array of numbers")
    if callable(getattr(x, "toarray", None)):
        raise NoData(f"returned a sparse {name}; return x.toarray()")
    if isinstance(x, np.ndarray | np.void) and x.dtype.names:
        columns = ", ".join(x.dtype.names)
        raise NoData(f"returned records of {columns}; return an array of those that are data")


def _called(x: Any) -> str:
    return f"a {type(x).__name__}"


def _example(array: Array) -> str:
    flat = array.reshape(-1)
    wrong = [each for each in flat if not isinstance(each, int | float)]
    return f" such as a {type(wrong[0]).__name__}" if wrong else ""


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
