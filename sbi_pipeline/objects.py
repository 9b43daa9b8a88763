"""Objects in tables: which columns mean what, and where the data of objects are."""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from .observation_files import Wanted, read_observation
from .tables import INDEX, Table, check_real, first_names, float_type, instead_of, open_table
from .types import Array


@dataclass(frozen=True)
class Layout:
    """How a table holds objects.

    Attributes:
        table: Its path; with ``*`` or ``?`` those of files that hold an object each and give it
            its name.
        name: Column with the names of objects; otherwise they are numbered.
        columns: Columns of data, in this order; otherwise all that have no other use.
        files: Column with the path of a file of data for each object.
        truth: Columns with true parameters, by parameter.
        declared: What the simulator calls the columns of its data; empty for nothing.
        known: Columns with known conditions, by parameter, or a number that is the same for all.
    """

    table: str
    name: str | None = None
    columns: tuple[str, ...] = ()
    files: str | None = None
    truth: Mapping[str, str] = field(default_factory=dict)
    declared: tuple[str, ...] = ()
    known: Mapping[str, str | float] = field(default_factory=dict)

    @property
    def several(self) -> bool:
        """Whether the table is a pattern, of files that hold an object each."""
        return any(each in self.table for each in "*?")

    @property
    def known_columns(self) -> dict[str, str]:
        """Columns with known conditions, by parameter."""
        return {name: each for name, each in self.known.items() if isinstance(each, str)}


class Origin(Protocol):
    """Where the data of objects come from."""

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of the data of one object."""

    def __len__(self) -> int:
        """Return the number of objects."""

    def read(self, first: int, last: int) -> Array:
        """Return data of some objects, ``(last - first, *x_shape)``."""

    def place(self, row: int) -> str:
        """Return where an object stands, in words."""

    def part(self, index: tuple[int, ...]) -> str:
        """Return what an entry of the data is called, in words."""

    def check(self) -> None:
        """Refuse objects whose data are not there, as far as that is cheap to tell."""


@dataclass(frozen=True)
class InColumns:
    """Data in columns of a table."""

    table: Table
    columns: tuple[str, ...]
    x_shape: tuple[int, ...]

    def __len__(self) -> int:
        return self.table.columns[self.columns[0]].rows

    def read(self, first: int, last: int) -> Array:
        """Return data of some objects, ``(last - first, *x_shape)``."""
        x = self.table.numbers(self.columns, first, last)
        return x.reshape(len(x), *self.x_shape)

    def place(self, row: int) -> str:
        """Return where an object stands, in words."""
        return self.table.place(row)

    def part(self, index: tuple[int, ...]) -> str:
        """Return column and index of an entry."""
        column, shape = self.columns[0], self.table.columns[self.columns[0]].shape
        if len(index) > len(shape):
            column, index = self.columns[index[0]], index[1:]
        called = [f"column {column!r}"] if column else []
        return ", ".join(called + ([f"index {index}"] if index else [])) or "it"

    def check(self) -> None:
        """Do nothing: all columns have the same objects."""


@dataclass(frozen=True)
class InFiles:
    """Data in a file for each object; ``table`` says where its path stands."""

    paths: Sequence[str]
    x_shape: tuple[int, ...]
    table: Table | None = None
    declared: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, first: int, last: int) -> Array:
        """Return data of some objects, ``(last - first, *x_shape)``."""
        made = [self._one(row) for row in range(*slice(first, last).indices(len(self)))]
        return np.array(made).reshape(-1, *self.x_shape)

    def _one(self, row: int) -> Array:
        path = self.paths[row]
        at = f"{self.table.place(row)}: " if self.table else ""
        try:
            x = _read_file(path, self.declared)
        except ValueError as error:
            raise ValueError(f"{at}{error}") from error
        if x.shape != self.x_shape:
            text = f"{at}{path} has shape {x.shape}, {self.paths[0]} {self.x_shape}"
            raise ValueError(f"{text}; wanted one shape")
        return x

    def place(self, row: int) -> str:
        """Return where an object's path stands, or that path."""
        return self.table.place(row) if self.table else self.paths[row]

    def part(self, index: tuple[int, ...]) -> str:
        """Return index of an entry."""
        return f"index {index}"

    def check(self) -> None:
        """Refuse files that are not there."""
        absent = [row for row, path in enumerate(self.paths) if not Path(path).is_file()]
        if absent:
            row = absent[0]
            raise ValueError(
                f"{self.place(row)}: file {self.paths[row]!r} is not there (looked in "
                f"{Path.cwd()}), as {len(absent)} of {len(self.paths)}"
            )


def _read_file(path: str, declared: tuple[str, ...]) -> Array:
    """Read one object, in single precision where its file is, else in double."""
    # The catalogue says what it thinks of what is missing.
    x = read_observation(path, Wanted(declared=declared, gaps=True))
    return x.astype(float_type([x.dtype])).reshape(x.shape or (1,))


def matching(layout: Layout) -> InFiles:
    """Return the files of a pattern, sorted.

    Raises:
        ValueError: There are none, or columns are asked of them.
    """
    if layout.name or layout.columns or layout.files or layout.truth or layout.known_columns:
        text = "wanted 'table' alone, or a table with a column of paths ('files')"
        raise ValueError(f"files that hold an object each have no columns; {text}")
    pattern = layout.table.replace("[", "[[]")
    paths = [each for each in sorted(glob.glob(pattern, recursive=True)) if Path(each).is_file()]
    if not paths:
        raise ValueError(f"no file matches (looked in {Path.cwd()})")
    shape = _read_file(paths[0], layout.declared).shape
    return InFiles(paths, shape, declared=layout.declared)


def table_of(layout: Layout) -> Table:
    """Open the table and check the columns it is asked for.

    Raises:
        ValueError: It lacks one, or one has two uses.
    """
    table = open_table(Path(layout.table))
    uses: dict[str, str] = {}
    for use, column in _uses(layout):
        if column not in table.columns:
            raise ValueError(_missing(use, column, table))
        if column in uses:
            raise ValueError(f"column {column!r} is {uses[column]} and {use}; wanted one use of it")
        uses[column] = use
        shape = table.columns[column].shape
        if shape and column not in layout.columns:
            text = f"column {column!r} is {use}, and holds arrays of shape {shape}"
            raise ValueError(f"{text}; wanted one entry an object")
    for column in (*layout.truth.values(), *layout.known_columns.values()):
        check_real(column, table.columns[column])
    return table


def _uses(layout: Layout) -> Iterator[tuple[str, str]]:
    for column in layout.columns:
        yield "data", column
    if layout.name is not None:
        yield "the name", layout.name
    if layout.files is not None:
        yield "the file", layout.files
    for parameter, column in layout.truth.items():
        yield f"the truth of {parameter!r}", column
    for parameter, column in layout.known_columns.items():
        yield f"the known {parameter}", column


def _missing(use: str, column: str, table: Table) -> str:
    if set(table.columns) == {""}:
        return f"it holds an array without columns, so none is {use}; leave {column!r} out"
    return f"no column {column!r} ({use}){instead_of(column, table.columns)}"


def within(layout: Layout, table: Table) -> InColumns | InFiles:
    """Return where data are, of a table or of files it names.

    Raises:
        ValueError: There are none, or their shapes or numbers differ.
    """
    used = [column for _, column in _uses(layout)]
    columns = layout.columns if layout.files is None else (layout.files,)
    columns = columns or _declared(table, _rest(table, used), layout.declared)
    rows = table.columns[columns[0]].rows
    for each in (*columns, *used):
        if table.columns[each].rows != rows:
            got = f"{each!r} has {table.columns[each].rows} rows, {columns[0]!r} {rows}"
            raise ValueError(f"{got}; wanted one an object")
    if not rows:
        raise ValueError("it holds no object")
    if layout.files is None:
        return InColumns(table, columns, _shape(table, columns))
    if layout.columns:
        raise ValueError("data are to be in files and in columns; wanted either")
    paths = table.texts(layout.files, 0, rows)
    return InFiles(paths, _read_file(paths[0], layout.declared).shape, table, layout.declared)


def _rest(table: Table, used: Collection[str]) -> tuple[str, ...]:
    """Return columns that have no use: those of the data.

    Raises:
        ValueError: There are none, several data sets, or what pandas calls its index.
    """
    rest = tuple(each for each in table.columns if each not in used)
    if not rest:
        raise ValueError("no column of data is left; wanted one or more")
    if table.datasets and len(rest) > 1:
        raise ValueError(f"it holds {first_names(rest)}; say in 'columns' which are data")
    if set(table.columns) != {""} and (index := [each for each in rest if each in INDEX]):
        raise ValueError(
            f"column {index[0]!r} is an index that pandas wrote; write the table with index=False, "
            "or say in 'columns' which are data"
        )
    return rest


def _declared(table: Table, rest: tuple[str, ...], declared: tuple[str, ...]) -> tuple[str, ...]:
    """Return those columns that are called like the simulator's, in its order, or all.

    Raises:
        ValueError: They are as many numbers of other names.
    """
    if declared and set(declared) <= set(rest):
        return declared
    numbers = all(not table.columns[each].shape for each in rest)
    if declared and numbers and set(table.columns) != {""}:
        absent = next(each for each in declared if each not in rest)
        raise ValueError(
            f"no column {absent!r}; there are {first_names(rest)}, and the simulator's are "
            f"{first_names(declared)}: say in 'columns' which are these, in this order"
        )
    return rest


def _shape(table: Table, columns: Sequence[str]) -> tuple[int, ...]:
    """Return the shape of one object's data: of a vector, or of columns put together.

    Raises:
        ValueError: Columns differ in shape, or hold no numbers.
    """
    shape = table.columns[columns[0]].shape
    for each in columns:
        check_real(each, table.columns[each])
        if table.columns[each].shape != shape:
            got = f"{each!r} has entries of shape {table.columns[each].shape}"
            text = f"{got}, {columns[0]!r} {shape}; wanted one shape"
            raise ValueError(f"{text}: say in 'columns' which are data")
    if 0 in shape:
        raise ValueError(f"its objects have data of shape {shape}; wanted some")
    return shape if shape and len(columns) == 1 else (len(columns), *shape)
