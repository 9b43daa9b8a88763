"""The chunks of a shard: which are there, deleted, and sealed into one file an array."""

from __future__ import annotations

from pathlib import Path

from . import location, sealing
from .arrays import ARRAYS, arrays_of, open_group
from .layout import Layout


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
        found.append({number for number in numbers if chunk_key(name, ndim, number) in keys})
    return set.intersection(*found)


def delete_chunk(path: Path, layout: Layout, chunk: int) -> None:
    """Delete a chunk of all arrays; its rows are then missing, whatever the journal says."""
    place = location.of(path)
    if any(map(sealing.is_sealed, arrays_of(path, open_group(path, "r")).values())):
        unseal(path)
    for name, ndim in _dimensions(layout).items():
        place.delete(chunk_key(name, ndim, chunk))


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


def sweep(path: Path) -> int:
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
