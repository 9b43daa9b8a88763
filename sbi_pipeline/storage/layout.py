"""What lies where in a shard store: what it was made for, and its arrays.

A shard store is a Zarr group with the arrays ``parameters`` ``(rows, dim)``, ``x``
``(rows, *x_shape)``, ``status`` and ``seconds`` ``(rows,)``, all cut into chunks of the same rows.
Beside them lie its journal and its lease, or far from them (`location`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr

from . import location
from .arrays import (
    ARRAYS,
    FORMAT,
    arrays_of,
    check_format,
    description_named,
    group_of,
    misdescribed,
    new_array,
)

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


def create(path: Path, layout: Layout, rows: int, prefix: str | None = None) -> None:
    """Make the arrays of a shard, empty; the layout is written last and makes them valid.

    Args:
        path: Folder of the shard.
        layout: What it is made for.
        rows: Rows planned.
        prefix: Address in an object store for the arrays; None for the folder itself.
    """
    location.assign(path, prefix)
    describe_arrays(path, layout, rows, overwrite=True)


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


def descriptions() -> list[str]:
    """Return the keys of what describes the arrays."""
    return ["zarr.json", *(f"{name}/zarr.json" for name in ARRAYS)]


def describe_arrays(path: Path, layout: Layout, rows: int, *, overwrite: bool) -> None:
    """Write what describes the arrays, the layout last; chunks that are there stay as they are.

    Args:
        path: Folder of the shard.
        layout: What it is made for.
        rows: Rows planned.
        overwrite: Whether descriptions may be there already.
    """
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
    place.settle(descriptions())
