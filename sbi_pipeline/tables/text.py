"""Tables of text: a line of names, then a line a row, cells between ``,``, ``;``, tabs or blanks.

Lines that begin with ``#`` are comments. The header and one row are looked at first; numbers are
read in one pass and held as one array.
"""

from __future__ import annotations

import csv
import itertools
import math
import re
from array import array
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from ..types import Array
from .columns import DECIMAL_COMMA, Column, no_number

QUOTED = re.compile('"[^"]*"')
BLANKS = ""
MOST_HELD = 10_000_000
"""Numbers that are held as one array; of more, rows are read in the order they are asked for."""
MISSING = frozenset(("na", "n/a", "null", "none", "--"))
"""What other programs write in small or large letters for NaN, beside an empty cell."""
FORTRAN = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))[dD]([+-]?\d+)")
Row = list[str]


class TextTable:
    """A text file with a line of names, or without one, whose columns are then counted.

    Args:
        path: The file.
        names: Whether it has a line of names.
        known: Names that it may have, which may be numbers.
    """

    datasets = False

    def __init__(self, path: Path, names: bool = True, known: Collection[str] = ()) -> None:
        self._path, self._header = path, int(names)
        self._held: dict[tuple[str, ...], Array] = {}
        self._some: tuple[int, int, list[Row]] = (0, 0, [])
        self._rest: Iterator[Row] | None = None
        first_line = next(self._lines(), "")
        self._separator = _separator(path, first_line)
        first_cells = next(_split(self._separator, iter([first_line])), [])
        self._names = [cell.strip() for cell in first_cells]
        if names:
            _check_header(self._names, known)
        self._names = self._names if names else [str(each) for each in range(len(self._names))]
        self._rows = sum(1 for _ in self._lines()) - self._header
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
        numbers = (number for number, line in _numbered(self._path) if _is_content(line))
        return f"line {next(itertools.islice(numbers, row + self._header, None))}"

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
        lines = itertools.islice(self._lines(), self._header, None)
        for row, cells in enumerate(_split(self._separator, lines)):
            if len(cells) != len(self._names):
                raise ValueError(self._uneven(row, cells))
            yield cells
        if row + 1 != self._rows:
            raise ValueError("a cell goes over several lines; is a quotation mark not closed?")

    def _uneven(self, row: int, cells: Row) -> str:
        got, wanted = len(cells), len(self._names)
        like = "as of names" if self._header else "as in the first line"
        text = f"{self.place(row)}: number of cells is {got}; wanted {wanted}, {like}"
        if self._separator == "," and got > wanted:
            return f"{text}: write decimals with a point, and texts with a comma in quotes"
        if self._separator == BLANKS and got == wanted + 1:
            return f"{text}: if the first is an index that pandas wrote, write with index=False"
        return text

    def _lines(self) -> Iterator[str]:
        lines = _contents(self._path)
        # Numbers may have comments behind them; names of objects may hold a #.
        return lines if self._header else (line.partition("#")[0] for line in lines)


def _contents(path: Path) -> Iterator[str]:
    return (line for _, line in _numbered(path) if _is_content(line))


def _numbered(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file with their numbers.

    Raises:
        ValueError: A line is not UTF-8.
    """
    with path.open(encoding="utf-8-sig") as file:
        try:
            yield from enumerate(file, start=1)
        except UnicodeDecodeError as error:
            wrong = error.object[error.start]
            raise ValueError(f"byte {wrong:#x} is not UTF-8; save it as UTF-8") from error


def _split(separator: str, lines: Iterator[str]) -> Iterator[Row]:
    if separator == BLANKS:
        return map(str.split, lines)
    return csv.reader(lines, delimiter=separator, skipinitialspace=True)


def _is_content(line: str) -> bool:
    kept = line.lstrip()
    return bool(kept) and kept[0] != "#"


def names_in_comment(path: Path) -> list[str]:
    """Return the words of the comment just above the first line, such as numpy.savetxt writes."""
    before = ""
    for _, line in _numbered(path):
        if _is_content(line):
            break
        before = line if line.strip() else before
    return re.split(r"[\s,;]+", before.strip(" #\t\n"))


def has_names(path: Path, known: Collection[str]) -> bool:
    """Say whether a text file begins with a line of names.

    Args:
        path: The file.
        known: Names that it may have, which may be numbers.

    Raises:
        ValueError: It is empty, or begins with numbers that are written with a comma.
    """
    first = next(_contents(path), "").partition("#")[0]
    cells = next(_split(_separator(path, first), iter([first])), [])
    if not cells:
        raise ValueError("it is empty")
    if comma := next(filter(DECIMAL_COMMA.fullmatch, cells), ""):
        raise ValueError(no_number(comma))
    words = first.split()
    if len(words) > 1 and all(map(DECIMAL_COMMA.fullmatch, words)):  # no cells between commas
        raise ValueError(no_number(words[0]))
    return not all(map(_is_number, cells)) or bool(known and set(known) <= set(cells))


def _separator(path: Path, header: str) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    plain = QUOTED.sub("", header)
    return next((each for each in ";,\t" if each in plain), BLANKS if " " in plain else ",")


def _check_header(names: Row, known: Collection[str]) -> None:
    """Refuse a first line that names no columns, or not each of them once; ``known`` are names.

    Raises:
        ValueError: It is empty, holds numbers, or a name twice.
    """
    if not names:
        raise ValueError("it is empty")
    if all(map(_is_number, names)) and any(names) and not known:
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
    """Return the number that a cell is, NaN for a missing one.

    Raises:
        ValueError: It is none.
    """
    if "_" not in cell:  # which Python allows among digits
        with suppress(ValueError):
            return float(cell)
    cell = cell.strip()
    if not cell or cell.lower() in MISSING:
        return math.nan
    if (found := FORTRAN.fullmatch(cell)) is None:
        raise ValueError(no_number(cell))
    return float(f"{found[1]}e{found[2]}")


def _is_number(cell: str) -> bool:
    try:
        _number(cell)
    except ValueError:
        return False
    return True
