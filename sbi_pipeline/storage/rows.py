"""The rows of a shard, written and read back.

An array is as long as the rows planned so far, and a chunk may be written before it is committed:
only the journal says which rows exist.

Zarr replaces a chunk file in one step and checks its CRC-32C when reading; two writers of one chunk
would lose rows silently, so rows are only ever written inside one chunk, by one task.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..types import Array
from . import location
from .arrays import arrays_of, damage_named, damaged, open_group
from .chunks import chunk_key, is_sealed, unseal_arrays
from .layout import Layout


@dataclass(frozen=True)
class Rows:
    """Consecutive rows of a shard, ``n`` of them.

    Attributes:
        parameters: ``(n, dim)``.
        x: ``(n, *x_shape)``; failed rows hold NaN, or 0 where the dtype has no NaN.
        status: `types.Outcome` of each row, ``(n,)``.
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


def grow(path: Path, rows: int) -> None:
    """Lengthen the arrays to ``rows``; never shorten them, which would delete chunks."""
    place = location.of(path)
    arrays = arrays_of(path, open_group(path, "r+"))
    if arrays["status"].shape[0] < rows and any(map(is_sealed, arrays.values())):
        unseal_arrays(path)
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
    place.settle([chunk_key(name, array.ndim, start // chunk) for name, array in arrays.items()])
    return rows.checksum()


def read_rows(path: Path, start: int, stop: int) -> Rows:
    """Return the rows from local index ``start`` to ``stop``, committed or not.

    Raises:
        ValueError: A chunk is damaged.
    """
    arrays = arrays_of(path, open_group(path, "r"))
    with damage_named(path, arrays["status"].chunks[0], start, stop):
        return Rows(**{name: np.asarray(array[start:stop]) for name, array in arrays.items()})


def read_record(path: Path, layout: Layout, record: Mapping[str, Any]) -> Rows:
    """Return the rows of a record of the journal.

    Raises:
        ValueError: They are not what was committed.
    """
    start, stop = record["start"], record["stop"]
    rows = read_rows(path, start, stop)
    if rows.checksum() != record["checksum"]:
        reason = "these are not the rows committed"
        raise damaged(path, layout.chunk_size, start, stop, reason)
    return rows


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
