"""Tables of text: a line of names, then a line a row, cells between ``,``, ``;``, tabs or blanks.

Lines that begin with ``#`` are comments. The header and one row are looked at first; numbers are
read in one pass and held as one array.
"""

from __future__ import annotations

import csv
import itertools
import re
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..types import Array
from .columns import Column, no_number

QUOTED = re.compile('"[^"]*"')
BLANKS = ""
MOST_HELD = 10_000_000
"""Numbers that are held as one array; of more, rows are read in the order they are asked for."""
Row = list[str]


class TextTable:
    """A text file with a line of names."""

    datasets = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: dict[tuple[str, ...], Array] = {}
        self._some: tuple[int, int, list[Row]] = (0, 0, [])
        self._rest: Iterator[Row] | None = None
        header = next(self._lines(), "")
        self._separator = "\t" if path.suffix.lower() == ".tsv" else _separator(header)
        self._names = next(self._split(iter([header])), [])
        _check_header(self._names)
        self._rows = sum(1 for _ in self._lines()) - 1
        first = next(self._cells()) if self._rows else [""] * len(self._names)
        self.columns = {
            name: Column(self._rows, (), np.dtype(float), "" if _is_number(cell) else cell)
            for name, cell in zip(self._names, first, strict=True)
        }

    def texts(self, name: str, first: int, last: int) -> list[str]:
        """Return entries of a column as they are written."""
        column = self._names.index(name)
        return [cells[column].strip() for cells in itertools.islice(self._cells(), first, last)]

    def numbers(self, names: Sequence[str], first: int, last: int) -> Array:
        """Return ``(last - first, columns)``; empty cells are NaN."""
        key = tuple(names)
        if self._rows * len(key) > MOST_HELD:
            return self._read(key, first, iter(self._slice(first, min(last, self._rows))))
        if key not in self._held:
            self._held[key] = self._read(key, 0, self._cells())
        return self._held[key][first:last].copy()

    def place(self, row: int) -> str:
        """Return the number of a row's line."""
        numbers = (number for number, line in self._numbered() if _is_content(line))
        return f"line {next(itertools.islice(numbers, row + 1, None))}"

    def _slice(self, first: int, last: int) -> list[Row]:
        """Return rows, read on from where the reading before ended, or else from the beginning."""
        if self._some[:2] != (first, last):
            if self._rest is None or self._some[1] > first:
                self._some, self._rest = (0, 0, []), self._cells()
            at = self._some[1]
            self._some = (first, last, list(itertools.islice(self._rest, first - at, last - at)))
        return self._some[2]

    def _read(self, names: Sequence[str], first: int, rows: Iterator[Row]) -> Array:
        columns = [self._names.index(name) for name in names]
        values = array("d")
        for row, cells in enumerate(rows, first):
            try:
                values.extend([_number(cells[column]) for column in columns])
            except ValueError:
                wrong = next(each for each in columns if not _is_number(cells[each]))
                text = f"{self.place(row)}, column {self._names[wrong]!r}"
                raise ValueError(f"{text}: {no_number(cells[wrong])}") from None
        return np.frombuffer(values).reshape(-1, len(names))

    def _cells(self) -> Iterator[Row]:
        """Yield the cells of every row.

        Raises:
            ValueError: A row has more or fewer cells than there are names.
        """
        row = -1
        for row, cells in enumerate(self._split(itertools.islice(self._lines(), 1, None))):
            if len(cells) != len(self._names):
                raise ValueError(self._uneven(row, cells))
            yield cells
        if row + 1 != self._rows:
            raise ValueError("a cell goes over several lines; is a quotation mark not closed?")

    def _uneven(self, row: int, cells: Row) -> str:
        got, wanted = len(cells), len(self._names)
        text = f"{self.place(row)}: number of cells is {got}; wanted {wanted}, as of names"
        if self._separator == "," and got > wanted:
            return f"{text}: write decimals with a point, and texts with a comma in quotes"
        if self._separator == BLANKS and got == wanted + 1:
            return f"{text}: if the first is an index that pandas wrote, write with index=False"
        return text

    def _split(self, lines: Iterator[str]) -> Iterator[Row]:
        if self._separator == BLANKS:
            return map(str.split, lines)
        return csv.reader(lines, delimiter=self._separator, skipinitialspace=True)

    def _lines(self) -> Iterator[str]:
        return (line for _, line in self._numbered() if _is_content(line))

    def _numbered(self) -> Iterator[tuple[int, str]]:
        """Yield the lines of the file with their numbers.

        Raises:
            ValueError: A line is not UTF-8.
        """
        with self._path.open(encoding="utf-8-sig") as file:
            try:
                yield from enumerate(file, start=1)
            except UnicodeDecodeError as error:
                wrong = error.object[error.start]
                raise ValueError(f"byte {wrong:#x} is not UTF-8; save it as UTF-8") from error


def _is_content(line: str) -> bool:
    kept = line.lstrip()
    return bool(kept) and kept[0] != "#"


def _separator(header: str) -> str:
    plain = QUOTED.sub("", header)
    return next((each for each in ";,\t" if each in plain), BLANKS if " " in plain else ",")


def _check_header(names: Row) -> None:
    """Refuse a first line that names no columns, or not each of them once.

    Raises:
        ValueError: It is empty, holds numbers, or a name twice.
    """
    if not names:
        raise ValueError("it is empty")
    if all(map(_is_number, names)) and any(names):
        got = ", ".join(names[:3])
        raise ValueError(
            f"its first line is {got}{', ...' if len(names) > 3 else ''}; wanted names of columns "
            "that are no numbers: write such a line above, without #"
        )
    if "" in names[1:]:
        text = "take away the separator at the ends of lines, or write the name"
        raise ValueError(f"column {names.index('', 1) + 1} of {len(names)} has no name: {text}")
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"two columns are called {twice[0]!r}; wanted names that differ")


def _number(cell: str) -> float:
    return float(cell.strip() or "nan")


def _is_number(cell: str) -> bool:
    try:
        _number(cell)
    except ValueError:
        return False
    return True
