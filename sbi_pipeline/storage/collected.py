"""The objects of a catalogue as one netCDF file, of which some are read at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np

from ..sidecars import renamed_into
from ..types import Array

TRUTH, KNOWN = "truth_", "known_"
"""What names of variables begin with, of what is known of objects."""


@dataclass(frozen=True)
class Collected:
    """The objects of a catalogue, their data on the disk.

    Attributes:
        names: Of the objects.
        truths: Known ones by parameter, ``(objects,)``, NaN where an object's is not known.
        known: Known conditions by name, ``(objects,)``.
        x_shape: Of one object's data.
        key: Of the file.
        source: Where they came from, in words.
        x: The variable with the data.
    """

    names: Sequence[str]
    truths: Mapping[str, Array]
    known: Mapping[str, Array]
    x_shape: tuple[int, ...]
    key: str
    source: str
    x: Any

    def data(self, rows: slice) -> Array:
        """Return the data of some objects, ``(m, *x_shape)``."""
        return np.asarray(self.x[rows])

    def conditions(self, names: Sequence[str], rows: slice) -> Array:
        """Return known conditions of some objects, ``(m, known)``."""
        columns = [self.known[name][rows] for name in names]
        return np.stack(columns, axis=1) if columns else np.empty((len(self.names[rows]), 0))


def write(
    path: Path,
    names: Sequence[str],
    truths: Mapping[str, Array],
    x_shape: tuple[int, ...],
    data: Iterable[Array],
    attrs: Mapping[str, str],
    known: Mapping[str, Array] | None = None,
) -> None:
    """Write a catalogue to a sibling, then rename: a file that is there is whole.

    Args:
        path: Where.
        names: Of the objects.
        truths: By parameter, ``(objects,)``.
        x_shape: Of one object's data.
        data: Of all objects in order, some at a time, each ``(m, *x_shape)``.
        attrs: ``key`` and ``source``.
        known: Known conditions by name, ``(objects,)``.
    """
    dims = [f"x_dim_{axis}" for axis in range(len(x_shape))]
    with renamed_into(path) as partial, h5netcdf.File(partial, "w") as file:
        file.attrs.update(attrs)
        file.dimensions = {"object": len(names), **dict(zip(dims, x_shape, strict=True))}
        named = file.create_variable("object", ("object",), h5py.string_dtype())
        named[...] = np.array(names, dtype=object)
        columns = {f"{TRUTH}{name}": values for name, values in truths.items()}
        columns |= {f"{KNOWN}{name}": values for name, values in (known or {}).items()}
        for name, values in columns.items():
            column = file.create_variable(name, ("object",), "f8", fillvalue=np.nan)
            column[...] = values
        start, x = 0, None
        for each in data:
            if x is None:
                x = file.create_variable("x", ("object", *dims), each.dtype)
            x[start : start + len(each)] = each
            start += len(each)


@contextmanager
def opened(path: Path) -> Iterator[Collected]:
    """Open a catalogue for reading.

    Raises:
        ValueError: It is no such file.
    """
    try:
        opening = h5netcdf.File(path, "r")
    except OSError as error:
        text = f"{path} was damaged ({error}); delete it and run snakemake again"
        raise ValueError(text) from error
    with opening as file:
        x = file.variables["x"]
        yield Collected(
            names=[
                name.decode() if isinstance(name, bytes) else name for name in file["object"][...]
            ],
            truths=_named(file, TRUTH),
            known=_named(file, KNOWN),
            x_shape=tuple(x.shape[1:]),
            key=str(file.attrs["key"]),
            source=str(file.attrs["source"]),
            x=x,
        )


def _named(file: h5netcdf.File, prefix: str) -> dict[str, Array]:
    """Return the variables whose names begin alike, by the rest of their names."""
    return {
        name.removeprefix(prefix): np.asarray(variable[...])
        for name, variable in file.variables.items()
        if name.startswith(prefix)
    }
