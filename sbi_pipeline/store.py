"""Simulations in Zarr: what lies where in a shard, and how rows are written and read back.

A shard store is a Zarr group with the arrays ``parameters`` ``(rows, dim)``, ``x``
``(rows, *x_shape)``, ``status`` and ``seconds`` ``(rows,)``, all cut into chunks of the same rows.
Beside them lie its journal and its lease. An array is as long as the rows planned so far, and a
chunk may be written before it is committed: only the journal says which rows exist.

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
from zarr.codecs import BytesCodec, Crc32cCodec

from .journal import sync
from .types import Array

FORMAT = 1
PRIOR_CHUNK = 10_000
UNKNOWN = 255  # status of rows not simulated yet
# A chunk that equals its fill value (-0.0 passes for 0.0) must be written all the same.
zarr.config.set({"array.write_empty_chunks": True})


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
    array = _array(group, "parameters", parameters.shape, chunks, np.dtype("float64"), np.nan)
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
    group = _open(path, "r")
    attrs = dict(group.attrs)
    _check_format(path, attrs)
    try:
        parameters = np.asarray(group["parameters"][rows])
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); delete it and draw it again") from error
    return parameters, tuple(attrs["names"]), attrs


def prior_rows(path: Path) -> int:
    """Return how many rows a store of parameters holds."""
    return int(_open(path, "r")["parameters"].shape[0])


def create(path: Path, layout: Layout, rows: int) -> None:
    """Make the arrays of a shard, empty; the layout is written last and makes them valid."""
    group = zarr.open_group(path, mode="a")
    dtype = np.dtype(layout.x_dtype)
    missing = np.nan if dtype.kind in "fc" else 0
    chunk = layout.chunk_size
    dim = len(layout.names)
    floats = np.dtype("float64")
    _array(group, "parameters", (rows, dim), (chunk, dim), floats, np.nan)
    _array(group, "x", (rows, *layout.x_shape), (chunk, *layout.x_shape), dtype, missing)
    _array(group, "status", (rows,), (chunk,), np.dtype("uint8"), UNKNOWN)
    _array(group, "seconds", (rows,), (chunk,), np.dtype("float32"), np.nan)
    group.attrs.update(
        {
            "format": FORMAT,
            "key": layout.key,
            "start": layout.start,
            "names": list(layout.names),
            "chunk_size": chunk,
        }
    )
    for file in path.glob("**/zarr.json"):
        _sync_up(file, path)


def read_layout(path: Path) -> Layout | None:
    """Return the layout of a shard store, or None if its arrays were never made.

    Raises:
        ValueError: The store was made by another version.
    """
    if not (path / "zarr.json").exists():
        return None
    group = _open(path, "r")
    attrs = dict(group.attrs)
    if not attrs:
        return None
    _check_format(path, attrs)
    x = group["x"]
    return Layout(
        key=attrs["key"],
        start=int(attrs["start"]),
        names=tuple(attrs["names"]),
        x_shape=tuple(x.shape[1:]),
        x_dtype=str(x.dtype),
        chunk_size=int(attrs["chunk_size"]),
    )


def grow(path: Path, rows: int) -> None:
    """Lengthen the arrays to ``rows``; never shorten them, which would delete chunks."""
    group = _open(path, "r+")
    for name in ("parameters", "x", "status", "seconds"):
        array = group[name]
        if array.shape[0] < rows:
            array.resize((rows, *array.shape[1:]))


def write_rows(path: Path, start: int, rows: Rows) -> str:
    """Write rows from local index ``start`` on, all in one chunk, and return their checksum.

    Rows already in the chunk stay. The files are on the disk when this returns.
    """
    group = _open(path, "r+")
    stop = start + len(rows.status)
    chunk = group["status"].chunks[0]
    if start // chunk != (stop - 1) // chunk:
        raise ValueError(f"{path}: rows {start} to {stop} cross a chunk of {chunk} rows")
    for name in ("parameters", "x", "status", "seconds"):
        array = group[name]
        with _damage_named(path, chunk, start, stop):
            array[start:stop] = getattr(rows, name)
        indices = (start // chunk, *(0 for _ in array.shape[1:]))
        _sync_up(path.joinpath(name, "c", *map(str, indices)), path / name)
    return rows.checksum()


def read_rows(path: Path, start: int, stop: int) -> Rows:
    """Return the rows from local index ``start`` to ``stop``, committed or not.

    Raises:
        ValueError: A chunk is damaged.
    """
    group = _open(path, "r")
    names = ("parameters", "x", "status", "seconds")
    with _damage_named(path, group["status"].chunks[0], start, stop):
        return Rows(*(np.asarray(group[name][start:stop]) for name in names))


def read_status(path: Path, stop: int) -> Array:
    """Return the status of the rows up to local index ``stop``, ``(stop,)``."""
    return np.asarray(_open(path, "r")["status"][:stop])


def read_outcomes(path: Path, start: int, stop: int) -> tuple[Array, Array]:
    """Return parameters, ``(n, dim)``, and status, ``(n,)``, of rows, without reading their data.

    Raises:
        ValueError: A chunk is damaged.
    """
    group = _open(path, "r")
    with _damage_named(path, group["status"].chunks[0], start, stop):
        return (
            np.asarray(group["parameters"][start:stop]),
            np.asarray(group["status"][start:stop]),
        )


def chunk_exists(path: Path, layout: Layout, chunk: int) -> bool:
    """Say whether the files of a chunk are there, whatever is in them."""
    return all(file.is_file() for file in _chunk_files(path, layout, chunk))


def delete_chunk(path: Path, layout: Layout, chunk: int) -> None:
    """Delete the files of a chunk; its rows are then missing, whatever the journal says."""
    for file in _chunk_files(path, layout, chunk):
        file.unlink(missing_ok=True)


def _chunk_files(path: Path, layout: Layout, chunk: int) -> list[Path]:
    dims = {"parameters": 2, "x": 1 + len(layout.x_shape), "status": 1, "seconds": 1}
    return [path.joinpath(name, "c", str(chunk), *["0"] * (dim - 1)) for name, dim in dims.items()]


def sweep(path: Path) -> int:
    """Delete files half written by a process that died, and return their number."""
    leftovers = list(path.glob("**/*.partial"))
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
    return len(leftovers)


def _array(
    group: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dtype: np.dtype[Any],
    missing: float,
) -> zarr.Array[Any]:
    return group.create_array(
        name,
        shape=shape,
        chunks=chunks,
        dtype=dtype,
        fill_value=missing,
        serializer=BytesCodec(),
        compressors=[Crc32cCodec()],
        overwrite=True,
    )


def damaged(path: Path, chunk: int, start: int, stop: int, reason: str) -> ValueError:
    """Return the error for rows, in chunks of ``chunk``, that are not what was written."""
    return ValueError(
        f"{path}, chunk {start // chunk}, rows {start} to {stop}: {reason}; 'sbi-pipeline repair' "
        "simulates them again"
    )


@contextmanager
def _damage_named(path: Path, chunk: int, start: int, stop: int) -> Iterator[None]:
    """Say where the damage is that Zarr's checksums found."""
    try:
        yield
    except ValueError as error:
        raise damaged(path, chunk, start, stop, str(error)) from error


def _sync_up(file: Path, top: Path) -> None:
    """Flush a file and the folders it lies in, up to ``top``, to the disk."""
    sync(file)
    for folder in file.parents:
        sync(folder)
        if folder == top:
            return


def _open(path: Path, mode: Any) -> Any:
    try:
        return zarr.open_group(path, mode=mode, use_consolidated=False)
    except FileNotFoundError as error:
        raise ValueError(f"{path} is no Zarr store; was it deleted or moved?") from error


def _check_format(path: Path, attrs: dict[str, Any]) -> None:
    if attrs.get("format") != FORMAT:
        raise ValueError(
            f"{path} has format {attrs.get('format')!r}, this version reads {FORMAT}; "
            "use the version that made it, or simulate into another folder"
        )
