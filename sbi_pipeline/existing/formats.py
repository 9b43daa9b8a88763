"""Files of arrays and tables: what they hold, by name, and slices of it.

A format is a class with the methods of `ArrayFile` and a line of `FILE_FORMATS`. What opens a file
reads its header; a file stays open as long as its object lives, so that rows in a row are read
without beginning anew.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..tables import open_table
from ..types import Array

CACHE = 64 * 2**20
"""Bytes of chunks that HDF5 keeps: else it would unpack a large one for every slice."""
HDF5_MAGIC = b"\x89HDF"


@dataclass(frozen=True)
class Held:
    """An array that a file holds.

    Attributes:
        shape: Its shape; ``()`` for one number.
        dtype: Of what it holds.
        text: Its first entry, if that is no number.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    text: str = ""


class ArrayFile(Protocol):
    """Arrays of a file by name; the only array of a file without names has an empty one."""

    @property
    def held(self) -> Mapping[str, Held]:
        """What it holds."""

    @property
    def attributes(self) -> Mapping[str, float]:
        """Single numbers beside the arrays, such as attributes and cards of a header."""

    def read(self, name: str, rows: slice | None = None) -> Array:
        """Return an array, or a slice of its first axis, in its own dtype."""

    def read_columns(self, names: Sequence[str], rows: slice | None = None) -> list[Array]:
        """Return several arrays at once, or slices of them."""


class SeparateArrays:
    """Arrays that are read one after the other."""

    read: Callable[..., Array]

    def read_columns(self, names: Sequence[str], rows: slice | None = None) -> list[Array]:
        """Return several arrays, or slices of them."""
        return [self.read(name, rows) for name in names]


class Hdf5Arrays(SeparateArrays):
    """Data sets of an HDF5 file by their path; attributes of the file and of data sets."""

    def __init__(self, path: Path) -> None:
        import h5py  # noqa: PLC0415 - for this format alone

        self._file = h5py.File(path, rdcc_nbytes=CACHE)
        self.held: dict[str, Held] = {}
        self.attributes: dict[str, float] = {}

        def note(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                self.held[name] = Held(item.shape or (), item.dtype)
            self.attributes = {**_numbers(item.attrs), **self.attributes}

        note("", self._file)
        self._file.visititems(note)

    def read(self, name: str, rows: slice | None = None) -> Array:
        """Return a data set, or rows of it."""
        return np.asarray(self._file[name][() if rows is None else rows])


class NetcdfArrays(SeparateArrays):
    """Variables of a netCDF file, scaled and masked as their attributes say."""

    def __init__(self, path: Path) -> None:
        import xarray as xr  # noqa: PLC0415 - for this format alone

        with path.open("rb") as file:
            engine: Any = "h5netcdf" if file.read(4) == HDF5_MAGIC else "scipy"
        self._data = xr.open_dataset(path, engine=engine, decode_times=False, cache=False)
        self.held = {
            str(name): Held(each.shape, each.dtype) for name, each in self._data.variables.items()
        }
        self.attributes = _numbers(self._data.attrs)

    def read(self, name: str, rows: slice | None = None) -> Array:
        """Return a variable, or rows of it."""
        found = self._data[name]
        return np.asarray(found if rows is None else found[rows])


class ZarrArrays(SeparateArrays):
    """Arrays of a Zarr group by their path, or the one array that a store is."""

    def __init__(self, path: Path) -> None:
        import zarr  # noqa: PLC0415 - for this format alone

        root = zarr.open(path, mode="r")
        if isinstance(root, zarr.Array):
            self._arrays: dict[str, Any] = {"": root}
        else:
            members = root.members(max_depth=None)
            self._arrays = {name: each for name, each in members if isinstance(each, zarr.Array)}
        self.held = {name: Held(each.shape, each.dtype) for name, each in self._arrays.items()}
        self.attributes = _numbers(dict(root.attrs))

    def read(self, name: str, rows: slice | None = None) -> Array:
        """Return an array, or rows of it."""
        found = self._arrays[name]
        return np.asarray(found[...] if rows is None else found[rows])


class NpyArray(SeparateArrays):
    """The array of an .npy file, mapped to memory."""

    attributes: Mapping[str, float] = {}

    def __init__(self, path: Path) -> None:
        self._array = np.load(path, mmap_mode="r", allow_pickle=False)
        self.held = {"": Held(self._array.shape, self._array.dtype)}

    def read(self, name: str, rows: slice | None = None) -> Array:
        """Return the array, or rows of it."""
        return np.array(self._array[() if rows is None else rows])


class NpzArrays(SeparateArrays):
    """Arrays of an .npz file; rows are unpacked one after the other, not all at once."""

    attributes: Mapping[str, float] = {}

    def __init__(self, path: Path) -> None:
        self._path, self._zip = path, zipfile.ZipFile(path)
        self._open: dict[str, tuple[Any, int]] = {}
        self.held: dict[str, Held] = {}
        self._fortran: set[str] = set()
        for member in self._zip.namelist():
            if member.endswith(".npy"):
                with self._zip.open(member) as file:
                    shape, fortran, dtype = _npy_header(file)
                self.held[member.removesuffix(".npy")] = Held(shape, dtype)
                self._fortran |= {member.removesuffix(".npy")} if fortran else set()

    def read(self, name: str, rows: slice | None = None) -> Array:
        """Return an array, or rows of it; of one stored by columns all is read."""
        held = self.held[name]
        if rows is None or name in self._fortran:
            with np.load(self._path, allow_pickle=False) as arrays:
                return np.asarray(arrays[name][() if rows is None else rows])
        if name not in self._open:
            file = self._zip.open(f"{name}.npy")
            _npy_header(file)
            self._open[name] = file, file.tell()
        file, begin = self._open[name]
        first, last, _ = rows.indices(held.shape[0])
        size = held.dtype.itemsize * int(np.prod(held.shape[1:], dtype=int))
        file.seek(begin + first * size)
        content = file.read((last - first) * size)
        return np.frombuffer(content, held.dtype).reshape(last - first, *held.shape[1:])


class TabledArrays:
    """Columns of a table as arrays: of text, Parquet and FITS; the cards of a FITS header."""

    def __init__(self, path: Path) -> None:
        self._table = open_table(path)
        self.held = {
            name: Held((each.rows, *each.shape), each.dtype, each.text)
            for name, each in self._table.columns.items()
        }
        is_fits = path.suffix.lower() in (".fits", ".fit")
        self.attributes: Mapping[str, float] = _cards(path) if is_fits else {}

    def read(self, name: str, rows: slice | None = None) -> Array:
        """Return a column, or rows of it."""
        return self.read_columns([name], rows)[0]

    def read_columns(self, names: Sequence[str], rows: slice | None = None) -> list[Array]:
        """Return columns of one shape, or rows of them."""
        if not names:
            return []
        first, last, _ = (rows or slice(None)).indices(self.held[names[0]].shape[0])
        return list(np.moveaxis(self._table.numbers(names, first, last), 1, 0))


class Records(SeparateArrays):
    """Arrays of another file, of records each field by itself: ``table/mass``, or its name alone.

    Args:
        file: What holds them.
    """

    def __init__(self, file: ArrayFile) -> None:
        self._file, self.attributes = file, file.attributes
        self._fields: dict[str, tuple[str, str]] = {}
        self.held: dict[str, Held] = {}
        for name, each in file.held.items():
            for field in each.dtype.names or ():
                place = f"{name}/{field}" if name else field
                of_field = each.dtype[field]
                self._fields[place] = name, field
                self.held[place] = Held((*each.shape, *of_field.shape), of_field.base)
            if not each.dtype.names:
                self.held[name] = each

    def read(self, name: str, rows: slice | None = None) -> Array:
        """Return an array or a field, or rows of it."""
        if name not in self._fields:
            return self._file.read(name, rows)
        array, field = self._fields[name]
        return np.ascontiguousarray(self._file.read(array, rows)[field])


FILE_FORMATS: dict[str, Callable[[Path], ArrayFile]] = {
    ".h5": Hdf5Arrays,
    ".hdf5": Hdf5Arrays,
    ".nc": NetcdfArrays,
    ".nc4": NetcdfArrays,
    ".npy": NpyArray,
    ".npz": NpzArrays,
    ".zarr": ZarrArrays,
    ".parquet": TabledArrays,
    ".csv": TabledArrays,
    ".tsv": TabledArrays,
    ".txt": TabledArrays,
    ".fits": TabledArrays,
    ".fit": TabledArrays,
}
"""What reads a file, by extension."""


def open_arrays(path: Path) -> ArrayFile:
    """Open a file by its extension.

    Raises:
        ValueError: No such file, unknown extension, or nothing that can be read.
    """
    with naming_file(path):
        if not path.exists():
            raise ValueError(f"no such file (looked in {Path.cwd()})")
        if path.suffix.lower() not in FILE_FORMATS:
            got = f"extension {path.suffix}" if path.suffix else "no extension"
            raise ValueError(f"got {got}; wanted one of {', '.join(FILE_FORMATS)}")
        opened = FILE_FORMATS[path.suffix.lower()](path)
        has_records = any(each.dtype.names for each in opened.held.values())
        return Records(opened) if has_records else opened


@contextmanager
def naming_file(path: Path | str) -> Iterator[None]:
    """Begin what is said of a failure with the file, and say it in one line."""
    try:
        yield
    except Exception as error:
        lines = str(error).splitlines() or [type(error).__name__]
        between = ": " if isinstance(error, ValueError) else " could not be read: "
        raise ValueError(f"{path}{between}{lines[0]}") from error


def _npy_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0}
    return readers.get(version, np.lib.format.read_array_header_2_0)(file)


def _numbers(attributes: Mapping[str, Any]) -> dict[str, float]:
    """Return those attributes that are one number each."""
    found = {}
    for name, value in attributes.items():
        number = np.asarray(value)
        if number.size == 1 and number.dtype.kind in "biuf":
            found[str(name)] = float(number.reshape(()))
    return found


def _cards(path: Path) -> dict[str, float]:
    """Return the numbers in the headers of a FITS file by keyword."""
    from astropy.io import fits  # noqa: PLC0415 - an optional extra, which the table has asked for

    found: dict[str, float] = {}
    with fits.open(path, memmap=False) as units:
        for unit in units:
            plain = {key: value for key, value in unit.header.items() if key}
            found = {**_numbers(plain), **found}
    return found
