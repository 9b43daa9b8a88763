"""Simulations in Zarr: what lies where in a shard, and how rows are written and read back.

A shard store is a Zarr group with the arrays ``parameters`` ``(rows, dim)``, ``x``
``(rows, *x_shape)``, ``status`` and ``seconds`` ``(rows,)``, all cut into chunks of the same rows.
Beside them lie its journal and its lease, or far from them (`location`). An array is as long as the
rows planned so far, and a chunk may be written before it is committed: only the journal says which
rows exist.

Zarr replaces a chunk file in one step and checks its CRC-32C when reading; two writers of one chunk
would lose rows silently, so rows are only ever written inside one chunk, by one task.
"""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from ..types import Array
from . import location, sealing
from .arrays import (
    ARRAYS,
    BAD_METADATA,
    FORMAT,
    arrays_of,
    check_format,
    damage_named,
    description_named,
    group_of,
    misdescribed,
    new_array,
    no_store,
    open_group,
)

PRIOR_CHUNK = 10_000
UNKNOWN = 255  # status of rows not simulated yet


@dataclass(frozen=True)
class Layout:
    """What a shard store was made for, kept in the attributes of its group.

    Attributes:
        key: Simulation key.
        start: Global index of the shard's first row.
        names: Names of the columns of ``parameters``.
        x_shape: Shape of the data of one simulation.
        x_dtype: Their dtype, such as ``"float64"``.
        chunk_size: Rows in a chunk.
    """

    key: str
    start: int
    names: tuple[str, ...]
    x_shape: tuple[int, ...]
    x_dtype: str
    chunk_size: int


@dataclass(frozen=True)
class Rows:
    """Consecutive rows of a shard, ``n`` of them.

    Attributes:
        parameters: ``(n, dim)``.
        x: ``(n, *x_shape)``; failed rows hold NaN, or 0 where the dtype has no NaN.
        status: `types.Status` of each row, ``(n,)``.
        seconds: Time each row took, ``(n,)``.
    """

    parameters: Array
    x: Array
    status: Array
    seconds: Array

    def head(self, n: int) -> Rows:
        """Return the first ``n`` rows, or all if there are fewer."""
        return Rows(self.parameters[:n], self.x[:n], self.status[:n], self.seconds[:n])

    def checksum(self) -> str:
        """Return the CRC-32 of the rows' bytes; times are measurements and do not count."""
        total = 0
        for array in (self.parameters, self.x, self.status):
            total = zlib.crc32(np.ascontiguousarray(array).data, total)
        return f"{total:08x}"


def write_prior(
    path: Path, parameters: Array, names: Sequence[str], *, key: str, start: int
) -> None:
    """Write the parameters of a shard, ``(n, dim)``, replacing what is there.

    Args:
        path: The store, ``prior-{shard}.zarr``.
        parameters: In the order of ``names``.
        names: Every parameter of the simulator.
        key: Simulation key.
        start: Global index of the first row.
    """
    partial = path.with_name(f"{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    group = zarr.create_group(store=partial)
    chunks = (max(1, min(len(parameters), PRIOR_CHUNK)), parameters.shape[1])
    array = new_array(group, "parameters", parameters.shape, chunks, np.dtype("float64"), np.nan)
    array[...] = parameters
    group.attrs.update({"format": FORMAT, "key": key, "names": list(names), "start": start})
    if path.exists():
        shutil.rmtree(path)
    partial.rename(path)


def read_prior(
    path: Path, rows: slice = slice(None)
) -> tuple[Array, tuple[str, ...], dict[str, Any]]:
    """Return rows of the parameters, ``(n, dim)``, their names and the attributes of the store.

    Raises:
        ValueError: There is no such store, or it was damaged or made by another version.
    """
    with _prior_named(path):
        group = group_of(path, "r")
        attrs = dict(group.attrs)
    check_format(path, attrs)
    with _prior_named(path):
        return np.asarray(group["parameters"][rows]), tuple(attrs["names"]), attrs


def prior_rows(path: Path) -> int:
    """Return how many rows a store of parameters holds."""
    with _prior_named(path):
        return int(group_of(path, "r")["parameters"].shape[0])


@contextmanager
def _prior_named(path: Path) -> Iterator[None]:
    """Say that parameters cannot be read, which cost nothing to draw again."""
    try:
        yield
    except FileNotFoundError as error:
        raise no_store(path) from error
    except BAD_METADATA as error:
        raise ValueError(f"{path} is damaged ({error}); delete it and draw it again") from error


def create(path: Path, layout: Layout, rows: int, prefix: str | None = None) -> None:
    """Make the arrays of a shard, empty; the layout is written last and makes them valid.

    Args:
        path: Folder of the shard.
        layout: What it is made for.
        rows: Rows planned.
        prefix: Address in an object store for the arrays; None for the folder itself.
    """
    location.assign(path, prefix)
    _describe(path, layout, rows, overwrite=True)


def rebuild(path: Path, layout: Layout, rows: int) -> None:
    """Write what describes the arrays anew, as `create` did; chunks stay as they are."""
    place = location.of(path)
    for key in _descriptions():
        place.delete(key)
    _describe(path, layout, rows, overwrite=False)
    if isinstance(place, location.Folder):
        for name, array in arrays_of(path, open_group(path, "r")).items():
            if sealing.one_file(path / name, array).exists():
                sealing.unpack(path / name, array)


def _descriptions() -> list[str]:
    return ["zarr.json", *(f"{name}/zarr.json" for name in ARRAYS)]


def _describe(path: Path, layout: Layout, rows: int, *, overwrite: bool) -> None:
    place = location.of(path)
    dtype = np.dtype(layout.x_dtype)
    missing = np.nan if dtype.kind in "fc" else 0
    chunk, dim, floats = layout.chunk_size, len(layout.names), np.dtype("float64")
    with location.reached(path, making=isinstance(place, location.Bucket)):
        group = zarr.open_group(place.zarr(), mode="a")
        for name, shape, kind, fill in (
            ("parameters", (dim,), floats, np.nan),
            ("x", layout.x_shape, dtype, missing),
            ("status", (), np.dtype("uint8"), UNKNOWN),
            ("seconds", (), np.dtype("float32"), np.nan),
        ):
            new_array(group, name, (rows, *shape), (chunk, *shape), kind, fill, overwrite=overwrite)
        group.attrs.update(
            {
                "format": FORMAT,
                "key": layout.key,
                "start": layout.start,
                "names": list(layout.names),
                "chunk_size": chunk,
            }
        )
    place.settle(_descriptions())


def read_layout(path: Path) -> Layout | None:
    """Return the layout of a shard store, or None if its arrays were never made.

    Raises:
        ValueError: The store was made by another version, damaged or edited.
    """
    try:
        with description_named(path, "zarr.json"):
            group = group_of(path, "r")
    except FileNotFoundError:
        return None
    attrs = dict(group.attrs)
    if not attrs:
        return None
    check_format(path, attrs)
    arrays = arrays_of(path, group)
    with description_named(path, "zarr.json"):
        layout = Layout(
            key=attrs["key"],
            start=int(attrs["start"]),
            names=tuple(attrs["names"]),
            x_shape=tuple(arrays["x"].shape[1:]),
            x_dtype=str(arrays["x"].dtype),
            chunk_size=int(attrs["chunk_size"]),
        )
    widths = {"parameters": (len(layout.names),), "x": layout.x_shape}
    for name, array in arrays.items():
        chunks = (layout.chunk_size, *widths.get(name, ()))
        if array.chunks != chunks:
            raise misdescribed(path, f"{name}/zarr.json", f"chunks {array.chunks}, not {chunks}")
    return layout


def grow(path: Path, rows: int) -> None:
    """Lengthen the arrays to ``rows``; never shorten them, which would delete chunks."""
    place = location.of(path)
    arrays = arrays_of(path, open_group(path, "r+"))
    if arrays["status"].shape[0] < rows and any(map(sealing.is_sealed, arrays.values())):
        unseal(path)
        arrays = arrays_of(path, open_group(path, "r+"))
    for name, array in arrays.items():
        if array.shape[0] < rows:
            with location.reached(path):
                array.resize((rows, *array.shape[1:]))
            place.settle([f"{name}/zarr.json"])


def write_rows(path: Path, start: int, rows: Rows) -> str:
    """Write rows from local index ``start`` on, all in one chunk, and return their checksum.

    Rows already in the chunk stay. The rows are on the disk when this returns.
    """
    arrays = arrays_of(path, open_group(path, "r+"))
    place = location.of(path)
    stop = start + len(rows.status)
    chunk = arrays["status"].chunks[0]
    if start // chunk != (stop - 1) // chunk:
        raise ValueError(f"{path}: rows {start} to {stop} cross a chunk of {chunk} rows")
    for name, array in arrays.items():
        with damage_named(path, chunk, start, stop):
            array[start:stop] = getattr(rows, name)
    place.settle([_chunk_key(name, array.ndim, start // chunk) for name, array in arrays.items()])
    return rows.checksum()


def read_rows(path: Path, start: int, stop: int) -> Rows:
    """Return the rows from local index ``start`` to ``stop``, committed or not.

    Raises:
        ValueError: A chunk is damaged.
    """
    arrays = arrays_of(path, open_group(path, "r"))
    with damage_named(path, arrays["status"].chunks[0], start, stop):
        return Rows(**{name: np.asarray(array[start:stop]) for name, array in arrays.items()})


def read_status(path: Path, stop: int) -> Array:
    """Return the status of the rows up to local index ``stop``, ``(stop,)``."""
    array = arrays_of(path, open_group(path, "r"))["status"]
    with damage_named(path, array.chunks[0], 0, stop):
        return np.asarray(array[:stop])


def read_outcomes(path: Path, start: int, stop: int) -> tuple[Array, Array]:
    """Return parameters, ``(n, dim)``, and status, ``(n,)``, of rows, without reading their data.

    Raises:
        ValueError: A chunk is damaged.
    """
    arrays = arrays_of(path, open_group(path, "r"))
    with damage_named(path, arrays["status"].chunks[0], start, stop):
        return (
            np.asarray(arrays["parameters"][start:stop]),
            np.asarray(arrays["status"][start:stop]),
        )


def whole_chunks(path: Path, layout: Layout) -> set[int]:
    """Return the numbers of the chunks that are there in all arrays, whatever is in them."""
    place, found = location.of(path), []
    for name, ndim in _dimensions(layout).items():
        keys = {key for key in place.keys(name) if not key.endswith(".partial")}
        if sealing.one_key(name, ndim) in keys:
            array = arrays_of(path, open_group(path, "r"))[name]
            if sealing.is_sealed(array):
                found.append(set(range(sealing.chunks_of(array))))
                continue
        numbers = {int(key.split("/")[2]) for key in keys if key.startswith(f"{name}/c/")}
        found.append({number for number in numbers if _chunk_key(name, ndim, number) in keys})
    return set.intersection(*found)


def delete_chunk(path: Path, layout: Layout, chunk: int) -> None:
    """Delete a chunk of all arrays; its rows are then missing, whatever the journal says."""
    place = location.of(path)
    if any(map(sealing.is_sealed, arrays_of(path, open_group(path, "r")).values())):
        unseal(path)
    for name, ndim in _dimensions(layout).items():
        place.delete(_chunk_key(name, ndim, chunk))


def in_chunks(path: Path) -> bool:
    """Say whether a shard lies in a folder, its chunks in files of their own."""
    arrays = arrays_of(path, open_group(path, "r")).values()
    return isinstance(location.of(path), location.Folder) and not all(
        map(sealing.is_sealed, arrays)
    )


def seal(path: Path) -> None:
    """Make each array one file; the files of chunks are left to `tidy`, when that was checked."""
    for name, array in arrays_of(path, open_group(path, "r")).items():
        if not sealing.is_sealed(array):
            sealing.pack(path / name, array)
    for name in ARRAYS:
        sealing.switch(path / name, sealing.as_one)


def unseal(path: Path) -> None:
    """Make each chunk a file again, so that it can be written or deleted."""
    for name, array in arrays_of(path, open_group(path, "r")).items():
        if sealing.is_sealed(array):
            sealing.unpack(path / name, array)
            sealing.switch(path / name, sealing.as_chunks)
    tidy(path)


def tidy(path: Path) -> None:
    """Delete files that count no more: chunks of a sealed array, the one file of another."""
    for name, array in arrays_of(path, open_group(path, "r")).items():
        if sealing.is_sealed(array):
            sealing.forget_chunks(path / name)
        else:
            sealing.one_file(path / name, array).unlink(missing_ok=True)


def _dimensions(layout: Layout) -> dict[str, int]:
    return {"parameters": 2, "x": 1 + len(layout.x_shape), "status": 1, "seconds": 1}


def _chunk_key(name: str, ndim: int, chunk: int) -> str:
    return "/".join([name, "c", str(chunk), *["0"] * (ndim - 1)])


def sweep(path: Path) -> int:
    """Delete files half written by a process that died, and return their number."""
    leftovers = list(path.glob("**/*.partial"))
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
    return len(leftovers)
