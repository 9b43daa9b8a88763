"""Files that hold one observed data set: which of their columns are data, and what may be wrong.

Text, Parquet, FITS and HDF5 are read as tables. Where a file names its columns, those are taken
that are asked for, else those that the simulator says (``columns``), in its order, else all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .shapes import fits
from .storage.missing_elements import TO_DECLARE
from .tables import (
    FORMATS,
    INDEX,
    Table,
    TextTable,
    check_real,
    first_names,
    has_names,
    instead_of,
    names_in_comment,
    no_number,
    open_table,
    placeholder_in,
)
from .types import Array

RECIPES = f"leave that part of the data out of simulator and file, or {TO_DECLARE}"
OF_EVENTS = (
    "leave events that failed out of the file (selection: detected, or tried), or keep them as NaN "
    f"(selection: all); for elements of an event, {TO_DECLARE}"
)


@dataclass(frozen=True)
class Wanted:
    """Columns of a file that are data.

    Attributes:
        columns: What the configuration says; empty for nothing.
        declared: What the simulator calls its own; empty for nothing.
        gaps: Whether elements may be missing, NaN.
        events: Whether it is a set of events, some of which may have failed.
    """

    columns: tuple[str, ...] = ()
    declared: tuple[str, ...] = ()
    gaps: bool = False
    events: bool = False


ALL = Wanted()


def read_observation(path: str | Path, wanted: Wanted = ALL) -> Array:
    """Read one data set from a file of one of `tables.FORMATS`.

    A text file may begin with comments (``#``) and a line of column names; one column, or one line,
    is read as a vector. Of several arrays in an .npz file one must be asked for.

    Raises:
        ValueError: No such file, not real numbers, values that are NaN or infinite or stand for
            missing ones, or columns that are not those wanted.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"observation {path}: no such file (looked in {Path.cwd()})")
    try:
        x = np.atleast_1d(_values(path, wanted))
    except Exception as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise ValueError(f"observation {path} could not be read: {lines[0]}") from error
    if np.iscomplexobj(x):
        raise ValueError(
            f"observation {path} is complex; wanted real numbers: stack real and imaginary part"
        )
    if x.dtype.kind not in "biuf":
        raise ValueError(f"observation {path} holds {x.dtype}; wanted numbers")
    if not x.size:
        raise ValueError(f"observation {path} is empty")
    _check_values(path, x, wanted)
    return x


def _values(path: Path, wanted: Wanted) -> Array:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return np.load(path, allow_pickle=False)
    if suffix == ".npz":
        return _of_arrays(path, wanted)
    if suffix in FORMATS and FORMATS[suffix] is not TextTable:
        return _of_columns(open_table(path), wanted, named=True)
    known = wanted.columns or wanted.declared
    named = has_names(path, known)
    if not named:
        _check_comment(path, known)
    table = TextTable(path, named, known)
    if not next(iter(table.columns.values())).rows:
        name = next(iter(table.columns))
        raise ValueError(f"it is empty below its first line, of names: {no_number(name)}")
    x = _of_columns(table, wanted, named)
    return np.atleast_1d(np.squeeze(x))


def _check_comment(path: Path, known: Sequence[str]) -> None:
    """Refuse names of columns in a comment that stand in another order than columns are read."""
    said = names_in_comment(path)
    if known and set(said) == set(known) and said != list(known):
        raise ValueError(
            f"a comment calls its columns {', '.join(said)}, and wanted are {', '.join(known)}: "
            "take away the # before the names, and they are read by name"
        )


def _of_arrays(path: Path, wanted: Wanted) -> Array:
    """Return the array of an .npz file, or those that are asked for along a last axis."""
    with np.load(path, allow_pickle=False) as arrays:
        if len(arrays.files) == 1 and not wanted.columns:
            return arrays[arrays.files[0]]
        names = _picked(arrays.files, wanted)
        if len(names) > 1 and not (wanted.columns or wanted.declared):
            raise ValueError(
                f"it holds arrays {first_names(names)}; say in 'columns' which are data"
            )
        found = [arrays[name] for name in names]
    return found[0] if len(found) == 1 else np.stack(found, axis=-1)


def _of_columns(table: Table, wanted: Wanted, named: bool) -> Array:
    """Return columns of a table, ``(rows, columns)``, one as a vector."""
    every = tuple(table.columns)
    names = _picked(every, wanted) if named else _counted(every, wanted)
    if table.datasets and len(names) > 1 and not (wanted.columns or wanted.declared):
        raise ValueError(f"it holds {first_names(names)}; say in 'columns' which are data")
    for name in names:
        check_real(name, table.columns[name])
    rows = table.columns[names[0]].rows
    if names == every and named and every[0] in INDEX and len(every) > 1:
        names = _without_index(table, names, rows)
    x = table.numbers(names, 0, rows)
    if len(names) == 1:
        return x[:, 0]
    return np.moveaxis(x, 1, -1)


def _picked(names: Sequence[str], wanted: Wanted) -> tuple[str, ...]:
    """Return which of the named columns of a file are data, in the order of the simulator's.

    Raises:
        ValueError: It lacks some.
    """
    for column in wanted.columns:
        if column not in names:
            raise ValueError(f"no column {column!r}{instead_of(column, names)}")
    declared = wanted.declared
    if wanted.columns or not declared:
        return wanted.columns or tuple(names)
    if absent := [column for column in declared if column not in names]:
        raise ValueError(
            f"no column {absent[0]!r}; there are {first_names(tuple(names))}, and the simulator's "
            f"are {first_names(declared)}: say in 'columns' which are these, in this order"
        )
    return declared


def _counted(names: Sequence[str], wanted: Wanted) -> tuple[str, ...]:
    """Return the columns of a file without names: those of the simulator, if it says them.

    Raises:
        ValueError: Some are asked for by name.
    """
    if wanted.columns:
        raise ValueError(f"its columns have no names, such as {wanted.columns[0]!r}: write them")
    return tuple(names)


def _without_index(table: Table, names: tuple[str, ...], rows: int) -> tuple[str, ...]:
    """Return columns without the index that pandas wrote, which counts the rows.

    Raises:
        ValueError: What has no name is something else.
    """
    if not np.array_equal(table.numbers(names[:1], 0, rows)[:, 0], np.arange(rows)):
        raise ValueError(
            "its first column has no name, as an index that pandas wrote; write the table with "
            "index=False, or say in 'columns' which are data"
        )
    return names[1:]


def _check_values(path: Path, x: Array, wanted: Wanted) -> None:
    """Refuse what is no value: NaN where none may be missing, and numbers that stand for it.

    Raises:
        ValueError: With the first of them.
    """
    bad = np.isinf(x) if wanted.gaps else ~np.isfinite(x)
    if np.isnan(x).all():
        raise ValueError(f"observation {path} is empty or NaN throughout: nothing is known of it")
    if bad.any():
        where = tuple(int(axis[0]) for axis in np.nonzero(bad))
        if wanted.gaps:
            text = "write nan in its place if it is missing"
            raise ValueError(f"observation {path} is infinite, first at index {where}: {text}")
        recipes = OF_EVENTS if wanted.events else RECIPES
        raise ValueError(
            f"observation {path} is empty, NaN or infinite, first at index {where}: {recipes}"
        )
    if path.suffix.lower() in FORMATS and FORMATS[path.suffix.lower()] is not TextTable:
        return
    if (value := placeholder_in(x)) is not None:
        where = tuple(int(axis[0]) for axis in np.nonzero(x == value))
        recipes = "write nan in its place" if wanted.gaps else RECIPES
        raise ValueError(
            f"observation {path} holds {value:g} at index {where}, far from all other values, "
            f"which stands for a missing one: {recipes}. If it was measured, give an .npy file"
        )


def advice(path: str | Path, x: Array, x_shape: tuple[int, ...]) -> str:
    """Return what may be wrong with a file whose data have another shape than the simulator's."""
    path = Path(path)
    is_text = FORMATS.get(path.suffix.lower(), TextTable) is TextTable
    if is_text and has_names(path, ()):
        names = first_names(tuple(TextTable(path).columns))
        return f"; its columns are {names}: say in 'columns' which are data"
    if is_text and fits(x[1:].shape, x_shape):
        return "; is its first line one of names? Put # before it. Is each a data set? Say 'table'"
    if is_text and x.ndim == 2 and fits(x[:, 1:].shape, x_shape):
        return (
            "; is one of its columns an index, a time, or what a decimal comma made? Leave it out, "
            "write points, or name them in a first line and say in 'columns' which are data"
        )
    if len(x_shape) == 3 and fits(np.moveaxis(x, -1, 0).shape, x_shape):
        return "; channels come first: np.moveaxis(x, -1, 0)"
    return "; is it transposed?" if fits(x.T.shape, x_shape) else ""
