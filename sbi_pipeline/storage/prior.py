"""The parameters of a shard, drawn before it is simulated: a Zarr store of their own.

They are written once and whole, so their chunks lie in one file from the start.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from ..types import Array
from .arrays import BAD_METADATA, FORMAT, check_format, group_of, new_array, no_store

PRIOR_CHUNK = 10_000


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
    array = new_array(
        group,
        "parameters",
        parameters.shape,
        chunks,
        np.dtype("float64"),
        np.nan,
        one_file=True,
    )
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
