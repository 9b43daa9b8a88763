"""The chunks of a shard: which are there, deleted, and sealed into one file an array.

Arrays of a finished shard are sealed, since file systems count files. A sharded array of Zarr holds
its chunks one after the other in one file, and an index of them at the file's end. The chunks stay
encoded as they are: sealing copies bytes and changes none, and readers see the same arrays. The one
file, such as ``x/c.0.0``, lies beside the chunks' own, such as ``x/c/0/0``, and ``zarr.json`` says
which of the two count: killed at any moment, one of them does.
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

from . import location
from .arrays import ARRAYS, arrays_of, open_group
from .journal import sync
from .layout import Layout, describe_arrays, descriptions

Description = dict[str, Any]
EMPTY = 2**64 - 1  # what the index holds for a chunk that is not there
SHARDED = "sharding_indexed"


def whole_chunks(path: Path, layout: Layout) -> set[int]:
    """Return the numbers of the chunks that are there in all arrays, whatever is in them."""
    place, found = location.of(path), []
    for name, ndim in _dimensions(layout).items():
        keys = {key for key in place.keys(name) if not key.endswith(".partial")}
        if _one_key(name, ndim) in keys:
            array = arrays_of(path, open_group(path, "r"))[name]
            if is_sealed(array):
                found.append(set(range(_chunks_of(array))))
                continue
        numbers = {int(key.split("/")[2]) for key in keys if key.startswith(f"{name}/c/")}
        found.append({number for number in numbers if chunk_key(name, ndim, number) in keys})
    return set.intersection(*found)


def delete_chunk(path: Path, layout: Layout, chunk: int) -> None:
    """Delete a chunk of all arrays; its rows are then missing, whatever the journal says."""
    place = location.of(path)
    if any(map(is_sealed, arrays_of(path, open_group(path, "r")).values())):
        unseal_arrays(path)
    for name, ndim in _dimensions(layout).items():
        place.delete(chunk_key(name, ndim, chunk))


def in_chunks(path: Path) -> bool:
    """Say whether a shard lies in a folder, its chunks in files of their own."""
    arrays = arrays_of(path, open_group(path, "r")).values()
    return isinstance(location.of(path), location.Folder) and not all(map(is_sealed, arrays))


def seal_arrays(path: Path) -> None:
    """Make each array one file; `delete_stale_files` removes its chunks when that was checked."""
    for name, array in arrays_of(path, open_group(path, "r")).items():
        if not is_sealed(array):
            _pack(path / name, array)
    for name in ARRAYS:
        _switch(path / name, _as_one)


def unseal_arrays(path: Path) -> None:
    """Make each chunk a file again, so that it can be written or deleted."""
    for name, array in arrays_of(path, open_group(path, "r")).items():
        if is_sealed(array):
            _unpack(path / name, array)
            _switch(path / name, _as_chunks)
    delete_stale_files(path)


def delete_stale_files(path: Path) -> None:
    """Delete files that count no more: chunks of a sealed array, the one file of another."""
    for name, array in arrays_of(path, open_group(path, "r")).items():
        if is_sealed(array):
            _forget_chunks(path / name)
        else:
            _one_file(path / name, array).unlink(missing_ok=True)


def rebuild(path: Path, layout: Layout, rows: int) -> None:
    """Write what describes the arrays anew, as `layout.create` did; chunks stay as they are."""
    place = location.of(path)
    for key in descriptions():
        place.delete(key)
    describe_arrays(path, layout, rows, overwrite=False)
    if isinstance(place, location.Folder):
        for name, array in arrays_of(path, open_group(path, "r")).items():
            if _one_file(path / name, array).exists():
                _unpack(path / name, array)


def delete_partial_files(path: Path) -> int:
    """Delete files half written by a process that died, and return their number."""
    leftovers = list(path.glob("**/*.partial"))
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
    return len(leftovers)


def _dimensions(layout: Layout) -> dict[str, int]:
    return {"parameters": 2, "x": 1 + len(layout.x_shape), "status": 1, "seconds": 1}


def chunk_key(name: str, ndim: int, chunk: int) -> str:
    """Return the key of a chunk that is a file of its own."""
    return "/".join([name, "c", str(chunk), *["0"] * (ndim - 1)])


def is_sealed(array: zarr.Array[Any]) -> bool:
    """Say whether an array is one file."""
    return array.shards is not None


def _chunks_of(array: zarr.Array[Any]) -> int:
    """Return the number of chunks of an array, sealed or not."""
    return -(-array.shape[0] // array.chunks[0])


def _pack(folder: Path, array: zarr.Array[Any]) -> None:
    """Write the chunks of an array into one file; they count until `_switch` is called.

    Args:
        folder: That of the array; all its chunks are there.
        array: The array, not sealed.
    """
    entries, offset = [], 0
    partial = _one_file(folder, array).with_suffix(".partial")
    with partial.open("wb") as file:
        for number in range(_chunks_of(array)):
            content = _chunk(folder, array.ndim, number).read_bytes()
            file.write(content)
            entries.append((offset, len(content)))
            offset += len(content)
        index = np.array(entries, "<u8").tobytes()
        file.write(index + google_crc32c.value(index).to_bytes(4, "little"))
    _put(partial, _one_file(folder, array))


def _unpack(folder: Path, array: zarr.Array[Any]) -> None:
    """Write the chunks of a sealed array into files of their own; reverse of `_pack`.

    Raises:
        ValueError: The index is damaged.
    """
    file = np.memmap(_one_file(folder, array), np.uint8, "r")
    size = 16 * _chunks_of(array)
    index = file[-size - 4 : -4].tobytes()
    if google_crc32c.value(index).to_bytes(4, "little") != file[-4:].tobytes():
        raise ValueError(f"{_one_file(folder, array)}: its index is damaged")
    for number, (offset, length) in enumerate(np.frombuffer(index, "<u8").reshape(-1, 2)):
        if offset != EMPTY:
            chunk = _chunk(folder, array.ndim, number)
            chunk.parent.mkdir(parents=True, exist_ok=True)
            partial = chunk.with_suffix(".partial")
            partial.write_bytes(file[int(offset) : int(offset + length)].tobytes())
            _put(partial, chunk)


def _switch(folder: Path, change: Callable[[Description], Description]) -> None:
    """Change in one step which files of an array count: `_as_one` or `_as_chunks`."""
    description = folder / "zarr.json"
    partial = folder / "zarr.json.partial"
    partial.write_text(json.dumps(change(json.loads(description.read_text())), indent=2))
    _put(partial, description)


def _as_one(described: Description) -> Description:
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


def _as_chunks(described: Description) -> Description:
    """Return the description of an array in chunks; reverse of `_as_one`."""
    inner = described["codecs"][0]["configuration"]
    return described | {"codecs": inner["codecs"]} | _grid(inner["chunk_shape"], "/")


def _grid(chunk_shape: list[int], separator: str) -> Description:
    return {
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk_shape}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": separator}},
    }


def _forget_chunks(folder: Path) -> None:
    """Delete the files of an array's chunks, which count no more."""
    shutil.rmtree(folder / "c", ignore_errors=True)


def _one_file(folder: Path, array: zarr.Array[Any]) -> Path:
    """Return where the one file of an array is, sealed or not."""
    return folder.parent / _one_key(folder.name, array.ndim)


def _one_key(name: str, ndim: int) -> str:
    """Return Zarr's key of the one file of an array."""
    return f"{name}/{'.'.join(['c', *['0'] * ndim])}"


def _chunk(folder: Path, ndim: int, number: int) -> Path:
    return folder.joinpath("c", str(number), *["0"] * (ndim - 1))


def _put(partial: Path, path: Path) -> None:
    """Give a file its name when its content is on the disk."""
    sync(partial)
    partial.replace(path)
    sync(path.parent)
