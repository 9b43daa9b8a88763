"""Zarr groups and arrays made and opened; where they are damaged, one line says what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec

from . import location

FORMAT = 1
ARRAYS = ("parameters", "x", "status", "seconds")
BAD_METADATA = (ValueError, KeyError, TypeError, AttributeError)  # what Zarr trips over them with
# A chunk that equals its fill value (-0.0 passes for 0.0) must be written all the same.
zarr.config.set({"array.write_empty_chunks": True})


def damaged(path: Path, chunk: int, start: int, stop: int, reason: str) -> ValueError:
    """Return the error for rows, in chunks of ``chunk``, that are not what was written."""
    return ValueError(
        f"{path}, chunk {start // chunk}, rows {start} to {stop}: {reason}; 'sbi-pipeline repair' "
        "simulates them again"
    )


@contextmanager
def damage_named(path: Path, chunk: int, start: int, stop: int) -> Iterator[None]:
    """Say where the damage is that Zarr's checksums found."""
    with location.reached(path):
        try:
            yield
        except ValueError as error:
            raise damaged(path, chunk, start, stop, str(error)) from error


def misdescribed(path: Path, key: str, reason: object) -> ValueError:
    """Return the error for a ``zarr.json`` that is not what was written."""
    return ValueError(
        f"{path / key} was damaged or edited ({reason}); 'sbi-pipeline repair' writes it anew, and "
        "no simulation is lost"
    )


@contextmanager
def description_named(path: Path, key: str) -> Iterator[None]:
    """Say which description of arrays cannot be read."""
    with location.reached(path):
        try:
            yield
        except FileNotFoundError:  # to Zarr also a ValueError
            raise
        except KeyError as error:
            raise misdescribed(path, key, f"no {error} in it or beside it") from error
        except BAD_METADATA as error:
            raise misdescribed(path, key, str(error).splitlines()[0]) from error


def group_of(path: Path, mode: Any) -> Any:
    """Return the group of a store, wherever it lies, with Zarr's own errors."""
    return zarr.open_group(location.of(path).zarr(), mode=mode, use_consolidated=False)


def arrays_of(path: Path, group: Any) -> Mapping[str, Any]:
    """Return the arrays of a shard by name."""
    arrays = {}
    for name in ARRAYS:
        with description_named(path, f"{name}/zarr.json"):
            arrays[name] = group[name]
            if not isinstance(arrays[name], zarr.Array):
                raise TypeError("no array")
    return arrays


def open_group(path: Path, mode: Any) -> Any:
    """Return the group of a shard store.

    Raises:
        ValueError: There is none, or it was damaged or edited.
    """
    try:
        with description_named(path, "zarr.json"):
            return group_of(path, mode)
    except FileNotFoundError as error:
        raise no_store(path) from error


def no_store(path: Path) -> ValueError:
    """Return the error for a store that is not there."""
    return ValueError(f"{path} is no Zarr store; was it deleted or moved?")


def check_format(path: Path, attrs: Mapping[str, Any]) -> None:
    """Refuse a store that another version made.

    Raises:
        ValueError: It did.
    """
    if attrs.get("format") != FORMAT:
        raise ValueError(
            f"{path} has format {attrs.get('format')!r}, this version reads {FORMAT}; "
            "use the version that made it, or simulate into another folder"
        )


def new_array(
    group: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dtype: np.dtype[Any],
    missing: float,
    *,
    overwrite: bool = False,
    one_file: bool = False,
) -> zarr.Array[Any]:
    """Make an array whose chunks carry a CRC-32C; as one file only if it is written at once."""
    whole = (max(1, -(-shape[0] // chunks[0])) * chunks[0], *chunks[1:])
    return group.create_array(
        name,
        shape=shape,
        chunks=chunks,
        shards=whole if one_file else None,
        chunk_key_encoding={"name": "default", "separator": "." if one_file else "/"},
        dtype=dtype,
        fill_value=missing,
        serializer=BytesCodec(),
        compressors=[Crc32cCodec()],
        overwrite=overwrite,
    )
