"""The arrays of a finished shard, each as one file, since file systems count files.

A sharded array of Zarr holds its chunks one after the other in one file, and an index of them at
the file's end. The chunks stay encoded as they are: sealing copies bytes and changes none, and
readers see the same arrays. The one file, such as ``x/c.0.0``, lies beside the chunks' own, such as
``x/c/0/0``, and ``zarr.json`` says which of the two count: killed at any moment, one of them does.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import zarr

from .journal import sync

Description = dict[str, Any]
EMPTY = 2**64 - 1  # what the index holds for a chunk that is not there
SHARDED = "sharding_indexed"


def is_sealed(array: zarr.Array[Any]) -> bool:
    """Say whether an array is one file."""
    return array.shards is not None


def chunks_of(array: zarr.Array[Any]) -> int:
    """Return the number of chunks of an array, sealed or not."""
    return -(-array.shape[0] // array.chunks[0])


def pack(folder: Path, array: zarr.Array[Any]) -> None:
    """Write the chunks of an array into one file; they count until `switch` is called.

    Args:
        folder: That of the array; all its chunks are there.
        array: The array, not sealed.
    """
    entries, offset = [], 0
    partial = one_file(folder, array).with_suffix(".partial")
    with partial.open("wb") as file:
        for number in range(chunks_of(array)):
            content = _chunk(folder, array.ndim, number).read_bytes()
            file.write(content)
            entries.append((offset, len(content)))
            offset += len(content)
        index = np.array(entries, "<u8").tobytes()
        file.write(index + google_crc32c.value(index).to_bytes(4, "little"))
    _put(partial, one_file(folder, array))


def unpack(folder: Path, array: zarr.Array[Any]) -> None:
    """Write the chunks of a sealed array into files of their own; reverse of `pack`.

    Raises:
        ValueError: The index is damaged.
    """
    file = np.memmap(one_file(folder, array), np.uint8, "r")
    size = 16 * chunks_of(array)
    index = file[-size - 4 : -4].tobytes()
    if google_crc32c.value(index).to_bytes(4, "little") != file[-4:].tobytes():
        raise ValueError(f"{one_file(folder, array)}: its index is damaged")
    for number, (offset, length) in enumerate(np.frombuffer(index, "<u8").reshape(-1, 2)):
        if offset != EMPTY:
            chunk = _chunk(folder, array.ndim, number)
            chunk.parent.mkdir(parents=True, exist_ok=True)
            partial = chunk.with_suffix(".partial")
            partial.write_bytes(file[int(offset) : int(offset + length)].tobytes())
            _put(partial, chunk)


def switch(folder: Path, change: Callable[[Description], Description]) -> None:
    """Change in one step which files of an array count: `as_one` or `as_chunks`."""
    description = folder / "zarr.json"
    partial = folder / "zarr.json.partial"
    partial.write_text(json.dumps(change(json.loads(description.read_text())), indent=2))
    _put(partial, description)


def as_one(described: Description) -> Description:
    """Return the description of an array as one file; that of a sealed one as it is."""
    if described["codecs"][0]["name"] == SHARDED:
        return described
    chunk = described["chunk_grid"]["configuration"]["chunk_shape"]
    whole = [-(-described["shape"][0] // chunk[0]) * chunk[0], *chunk[1:]]
    inner = {
        "chunk_shape": chunk,
        "codecs": described["codecs"],
        "index_codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "crc32c"},
        ],
        "index_location": "end",
    }
    codecs = [{"name": SHARDED, "configuration": inner}]
    return described | {"codecs": codecs} | _grid(whole, ".")


def as_chunks(described: Description) -> Description:
    """Return the description of an array in chunks; reverse of `as_one`."""
    inner = described["codecs"][0]["configuration"]
    return described | {"codecs": inner["codecs"]} | _grid(inner["chunk_shape"], "/")


def _grid(chunk_shape: list[int], separator: str) -> Description:
    return {
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk_shape}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": separator}},
    }


def forget_chunks(folder: Path) -> None:
    """Delete the files of an array's chunks, which count no more."""
    shutil.rmtree(folder / "c", ignore_errors=True)


def one_file(folder: Path, array: zarr.Array[Any]) -> Path:
    """Return where the one file of an array is, sealed or not."""
    return folder.parent / one_key(folder.name, array.ndim)


def one_key(name: str, ndim: int) -> str:
    """Return Zarr's key of the one file of an array."""
    return f"{name}/{'.'.join(['c', *['0'] * ndim])}"


def _chunk(folder: Path, ndim: int, number: int) -> Path:
    return folder.joinpath("c", str(number), *["0"] * (ndim - 1))


def _put(partial: Path, path: Path) -> None:
    """Give a file its name when its content is on the disk."""
    sync(partial)
    partial.replace(path)
    sync(path.parent)
