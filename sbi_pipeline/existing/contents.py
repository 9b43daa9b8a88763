"""Which arrays of a file are parameters and which are data, and how many rows it has.

A file holds many rows, along the first axis of its arrays, or it is one run: its parameters are
single numbers, and its data one data set.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..tables import FORMATS, TextTable, instead_of, no_number, placeholder_in
from ..types import Array
from .formats import ArrayFile, Held, naming_file, open_arrays

WILD = set("*?[")
KINDS_OF_OTHERS = {"c": "complex numbers", "O": "objects or text", "V": "records"}


@dataclass(frozen=True)
class Naming:
    """What arrays are called in all files.

    Attributes:
        names: Parameters that the configuration names, in its order.
        needed: Those that must be there.
        array: Name of an array with a column for each of ``names``; None where each parameter
            has an array, column or attribute of its own.
        renamed: What is called otherwise than its parameter, by parameter.
        x: Name of the data, names of columns, or patterns of these; none for all there is beside
            the parameters.
    """

    names: tuple[str, ...]
    needed: tuple[str, ...]
    array: str | None
    renamed: Mapping[str, str]
    x: tuple[str, ...]


@dataclass(frozen=True)
class Contents:
    """What one file holds, or a pair of one with parameters and one with data.

    Attributes:
        rows: How many.
        x_shape: Shape of the data of one row.
        x_dtype: Of the data, in native bytes.
        parameters: Which of the parameters there are, in the order of the configuration.
        one_run: Whether its arrays have no axis of rows.
        others: Some arrays of numbers, one a row, that are neither.
    """

    rows: int
    x_shape: tuple[int, ...]
    x_dtype: str
    parameters: tuple[str, ...]
    one_run: bool
    others: tuple[str, ...] = ()


class RowFile:
    """A file whose rows are read in slices.

    Args:
        path: Of the file with the data.
        beside: Of that with the parameters, which may be the same.
        naming: What arrays are called.

    Raises:
        ValueError: It lacks something, or arrays do not go together.
    """

    def __init__(self, path: str, beside: str, naming: Naming) -> None:
        self.path, self.beside, self._naming = path, beside, naming
        self._data = open_arrays(Path(path))
        self._parameters = self._data if path == beside else open_arrays(Path(beside))
        with naming_file(beside):
            self._places = _places(self._parameters, naming)
        with naming_file(path):
            used = set(self._places.values()) if path == beside else set()
            self._x = _data_names(self._data, naming.x, used, tables_too=path != beside)
        with naming_file(path):
            self.contents = self._look()

    def read(self, first: int, last: int) -> tuple[Array, Array]:
        """Return parameters of some rows, ``(n, dim)``, and data, ``(n, *x_shape)``."""
        theta = self.parameters(first, last)
        rows = None if self.contents.one_run else slice(first, last)
        with naming_file(self.path):
            columns = self._data.read_columns(self._x, rows)
        x = columns[0] if len(columns) == 1 else np.stack(columns, axis=0 if rows is None else 1)
        x = np.asarray(x, self.contents.x_dtype)
        if FORMATS.get(Path(self.path).suffix.lower()) is TextTable:
            with naming_file(self.path):
                self._check_placeholders(columns)
        return theta, x.reshape(last - first, *self.contents.x_shape)

    def _check_placeholders(self, columns: Sequence[Array]) -> None:
        """Refuse numbers of a file of text that stand for missing ones.

        Raises:
            ValueError: There is one.
        """
        for name, column in zip(self._x, columns, strict=True):
            if (value := placeholder_in(column)) is not None:
                raise ValueError(
                    f"column {name!r} holds {value:g}, far from all other values, which stands for "
                    "a missing one: write nan, and say missing: {rows: true}, or such rows count "
                    "as failed. If it was simulated, give an .npz file"
                )

    def parameters(self, first: int, last: int) -> Array:
        """Return parameters of some rows, ``(n, dim)``."""
        with naming_file(self.beside):
            return self._theta(None if self.contents.one_run else slice(first, last), last - first)

    def _theta(self, rows: slice | None, count: int) -> Array:
        names = self.contents.parameters
        if self._naming.array is not None:
            found = np.asarray(self._parameters.read(self._naming.array, rows), float)
            return found.reshape(count, len(names))
        columns = self._arrays([self._places[name] for name in names], rows)
        return np.stack([np.broadcast_to(each, (count,)) for each in columns], axis=1)

    def _arrays(self, places: Sequence[str], rows: slice | None) -> list[Array]:
        """Return what parameters are called, each ``(n,)`` or ``(1,)``."""
        held = self._parameters.held
        several = list(dict.fromkeys(each for each in places if each in held and held[each].shape))
        found = dict(zip(several, self._parameters.read_columns(several, rows), strict=True))
        for each in set(places) - set(several):
            alone = each in held
            found[each] = self._parameters.read(each) if alone else self._attribute(each)
        return [np.asarray(found[each], float).reshape(-1) for each in places]

    def _attribute(self, name: str) -> Array:
        return np.array([self._parameters.attributes[name]])

    def _look(self) -> Contents:
        rows = self._rows_of_parameters()
        held = [self._data.held[name] for name in self._x]
        for name, each in zip(self._x, held, strict=True):
            _check_numbers(name, each)
        if len({each.shape for each in held}) > 1:
            some = ", ".join(f"{n!r} {each.shape}" for n, each in zip(self._x, held, strict=True))
            raise ValueError(f"columns of the data differ in shape: {some[:200]}")
        shape = held[0].shape
        one_run = rows is None or (rows == 1 and shape[:1] != (1,))
        if not one_run:
            self._check_lengths(rows, shape)
        shape = shape if one_run else shape[1:]
        shape = shape if len(held) == 1 else (len(held), *shape)
        dtype = np.result_type(*(each.dtype for each in held))
        if dtype.kind == "f" and dtype.itemsize > 8:
            dtype = np.dtype(float)
        return Contents(
            rows=1 if rows is None else rows,
            x_shape=shape or (1,),
            x_dtype=str(dtype.newbyteorder("=")),
            parameters=tuple(name for name in self._naming.names if name in self._places),
            one_run=one_run,
            others=self._others(1 if rows is None else rows),
        )

    def _check_lengths(self, rows: int | None, shape: tuple[int, ...]) -> None:
        if shape[:1] != (rows,):
            name = self._x[0] or "the array"
            text = f"{name} has shape {shape}, and there are parameters of {rows} rows"
            raise ValueError(f"{text}; wanted as many along its first axis")

    def _rows_of_parameters(self) -> int | None:
        """Return how many rows of parameters there are; None for one run without such an axis."""
        known, held = self._naming, self._parameters.held
        if known.array is not None:
            return _rows_of_array(known.array, held[known.array], known.names)
        counts: dict[int, str] = {}
        for name, place in self._places.items():
            shape = held[place].shape if place in held else ()
            if len(shape) > 1:
                raise ValueError(f"{place!r} ({name}) has shape {shape}; wanted one number a row")
            if shape:
                counts.setdefault(shape[0], place)
        if len(counts) > 1:
            (one, first), (other, second) = list(counts.items())[:2]
            raise ValueError(f"{first!r} has {one} rows, {second!r} {other}; wanted as many")
        return next(iter(counts), None)

    def _others(self, rows: int) -> tuple[str, ...]:
        """Return names of numbers that may be parameters, and are none here."""
        used = {*self._places.values(), *self._x}
        arrays = [
            name
            for name, each in self._parameters.held.items()
            if name not in used
            and each.dtype.kind in "biuf"
            and not each.text
            and each.shape in ((), (rows,))
        ]
        return tuple(arrays[:20])


def _rows_of_array(name: str, held: Held, names: Sequence[str]) -> int | None:
    """Return the rows of an array of all parameters; None for one row without an axis of rows."""
    _check_numbers(name, held)
    wanted = f"a column for each of {', '.join(names)}, in this order"
    if len(held.shape) not in (1, 2) or held.shape[-1] != len(names):
        called = repr(name) if name else "the array"
        raise ValueError(f"{called} has shape {held.shape}; wanted {wanted}")
    return None if len(held.shape) == 1 else held.shape[0]


def _places(file: ArrayFile, naming: Naming) -> dict[str, str]:
    """Return under which name each parameter is found, of those that are there."""
    there = [*file.held, *file.attributes]
    if naming.array is not None:
        if naming.array not in file.held:
            known = tuple(file.held)
            raise ValueError(f"no array {naming.array!r}{instead_of(naming.array, known)}")
        return dict.fromkeys(naming.names, naming.array)
    if set(file.held) == {""} and not file.attributes:
        raise ValueError("its array has no names; say 'parameters', a file of their own")
    for name, place in naming.renamed.items():
        if place not in there:
            raise ValueError(f"nothing is called {place!r} ({name}){instead_of(place, there)}")
    wanted = {name: naming.renamed.get(name, name) for name in naming.names}
    found = {name: place for name, place in wanted.items() if place in there}
    found |= _without_case(wanted, file)
    for name in naming.needed:
        if name not in found:
            raise ValueError(f"no parameter {name!r}{instead_of(name, there)}")
    for place in found.values():
        if place in file.held:
            _check_numbers(place, file.held[place])
    return {name: found[name] for name in naming.names if name in found}


def _without_case(wanted: Mapping[str, str], file: ArrayFile) -> dict[str, str]:
    """Return parameters found as an attribute in capitals, as FITS has all its keywords."""
    return {
        name: place.upper()
        for name, place in wanted.items()
        if place not in file.held
        and place not in file.attributes
        and place.upper() in file.attributes
    }


def _data_names(
    file: ArrayFile, asked: Sequence[str], used: set[str], tables_too: bool
) -> list[str]:
    """Return the names of the arrays with the data.

    Args:
        file: The file.
        asked: Names or patterns; none where they are not given.
        used: Names of parameters in this file.
        tables_too: Whether all columns of a file may be meant.
    """
    known = tuple(file.held)
    found: list[str] = []
    for name in asked:
        if set(name) & WILD and name not in known:
            several = sorted(fnmatch.filter([k for k in known if k not in used], name), key=natural)
        else:
            several = [name] if name in known else []
        if not several:
            raise ValueError(f"no array or column {name!r} (x){instead_of(name, known)}")
        found += several
    if both := [name for name in found if name in used]:
        raise ValueError(f"{both[0]!r} (x) is a parameter; leave it out of the data")
    if asked:
        return found
    rest = [name for name, each in file.held.items() if name not in used and each.shape]
    if len(rest) == 1 or (rest and tables_too and all(len(file.held[n].shape) == 1 for n in rest)):
        return rest
    raise ValueError(f"which of {', '.join(rest[:12]) or 'nothing'} are the data? Say 'x'")


def natural(name: str) -> list[Any]:
    """Return a key by which run_2 comes before run_10."""
    return [int(each) if each.isdigit() else each for each in re.split(r"(\d+)", name)]


def _check_numbers(name: str, held: Held) -> None:
    """Refuse what holds no real numbers.

    Raises:
        ValueError: It does.
    """
    if held.text:
        raise ValueError(f"column {name!r}, first entry: {no_number(held.text)}")
    if held.dtype.kind not in "biuf":
        kind = KINDS_OF_OTHERS.get(held.dtype.kind, "text or dates")
        hint = ": stack real and imaginary part" if held.dtype.kind == "c" else ""
        called = repr(name) if name else "the array"
        raise ValueError(f"{called} holds {kind} ({held.dtype}); wanted real numbers{hint}")
