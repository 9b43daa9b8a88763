"""What all formats of tables agree on."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..types import Array

DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")
MINUS = "\N{MINUS SIGN}"
INDEX = ("", "Unnamed: 0", "__index_level_0__")
"""How pandas calls an index that has no name, where it writes it as a column."""
SHOWN = 30
LISTED = 12
HELD = {"V": "records, bits or vectors that differ in length", "M": "dates", "m": "times"}
"""What is called no numbers, by the kind of its dtype; all else is text."""


@dataclass(frozen=True)
class Column:
    """What a header tells of a column.

    Attributes:
        rows: How many entries it has.
        shape: Of one entry.
        dtype: Of what it holds.
        text: Where in a text file a number was wanted: its first entry, if that is none.
    """

    rows: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    text: str = ""


class Table(Protocol):
    """Columns of numbers and texts."""

    @property
    def columns(self) -> Mapping[str, Column]:
        """By name, in order; an array without columns is one column, whose name is empty."""

    @property
    def datasets(self) -> bool:
        """Whether each column is a data set: several are put together only where named."""

    def texts(self, name: str, first: int, last: int) -> list[str]:
        """Return entries of a column as text; those that are not there are empty."""

    def numbers(self, names: Sequence[str], first: int, last: int) -> Array:
        """Return ``(last - first, columns, *shape)``, float64, or float32 where all columns are.

        Entries that are not there are NaN.

        Raises:
            ValueError: An entry is no number.
        """

    def place(self, row: int) -> str:
        """Return where a row stands, in words."""


def check_real(name: str, column: Column) -> None:
    """Refuse a column that holds no real numbers, as far as the header tells.

    Raises:
        ValueError: It holds something else.
    """
    called = f"column {name!r}" if name else "the array"
    other = "leave it out, or say what it is" if name else ""
    kind = column.dtype.kind
    if kind == "c":
        text = "wanted real numbers: stack real and imaginary part"
        raise ValueError(f"{called} is complex; {text}")
    if kind not in "biuf":
        held = HELD.get(kind, "text")
        raise ValueError(f"{called} holds {held}; wanted numbers{other and ': '}{other}")
    if column.text:
        raise ValueError(f"{called}, first entry: {no_number(column.text, other)}")


def no_number(cell: str, other: str = "") -> str:
    """Return what is wrong with a text where a number was wanted.

    Args:
        cell: The text.
        other: What to do if that cannot be guessed.
    """
    shown = cell if len(cell) <= SHOWN else f"{cell[:SHOWN]}..."
    if "\n" in cell:
        return f"got {shown!r}, over several lines; is a quotation mark not closed?"
    if DECIMAL_COMMA.fullmatch(cell):
        other = "write decimals with a point"
    elif cell.startswith(MINUS):
        other = "its minus is a typeset one, write '-'"
    return f"got {shown!r}; wanted a number{other and ': '}{other}"


def text_of(value: Any) -> str:
    """Return an entry as text; nothing for none."""
    if isinstance(value, bytes):
        return value.decode(errors="replace").strip("\0 ")
    return "" if value is None else str(value).strip()


def float_type(columns: Iterable[np.dtype[Any]]) -> np.dtype[Any]:
    """Return single precision where all columns have it, else double, in native bytes."""
    single = all(each.kind == "f" and each.itemsize == 4 for each in columns)
    return np.dtype(np.float32 if single else np.float64)


def stacked(columns: Sequence[Array]) -> Array:
    """Return columns, each ``(n, *shape)``, as floats, ``(n, columns, *shape)``."""
    dtype = float_type(each.dtype for each in columns)
    return np.stack([np.asarray(each, dtype) for each in columns], axis=1)


def instead_of(name: str, known: Collection[str]) -> str:
    """Return the question whether a known name was meant, if one is like it, and what there is."""
    found = difflib.get_close_matches(name, list(known), n=1)
    asked = f"; did you mean {found[0]!r}?" if found else ";"
    return f"{asked} there are {first_names(tuple(known))}"


def first_names(names: Sequence[str]) -> str:
    """Return names of columns for a message, of many the first and how many more there are."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


@contextmanager
def naming(table: str) -> Iterator[None]:
    """Begin what is said of a failure with the table, and say it in one line."""
    try:
        yield
    except Exception as error:
        lines = str(error).splitlines() or [type(error).__name__]
        between = ": " if isinstance(error, ValueError) else " could not be read: "
        raise ValueError(f"table {table}{between}{lines[0]}") from error
