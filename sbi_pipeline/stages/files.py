"""What all stages need: inputs that carry the right key, outputs that are whole."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..sidecars import renamed_into
from ..types import Array

if TYPE_CHECKING:
    import xarray as xr

    from ..estimators import Estimator

logger = logging.getLogger(__name__)

Share = TypeVar("Share")

Keys = Mapping[str, str]
"""Keys that inputs must carry, by keyword of the rule."""


def one_by_one(
    each: Sequence[Share], work: Callable[[Share], None], name: Callable[[Share], str]
) -> Iterator[Share]:
    """Work on what a job serves, one after the other; what fails keeps none of the others.

    Args:
        each: Shares of the job.
        work: What is done with one.
        name: How one is called.

    Yields:
        Those that are made.

    Raises:
        ValueError: At the end, if some failed.
    """
    failed = []
    for one in each:
        try:
            work(one)
        except (ValueError, OSError) as error:
            if len(each) == 1:
                raise
            logger.exception("%s failed", name(one))
            failed.append(f"{name(one)}: {error}")
        else:
            yield one
    complain(failed, each)


def complain(failed: Sequence[str], each: Sequence[object]) -> None:
    """Tell at the end of a job of what failed; do nothing if nothing did.

    Raises:
        ValueError: With the first of them.
    """
    if failed:
        raise ValueError(f"{len(failed)} of {len(each)} observations failed; {failed[0]}")


def read_manifest(path: Path, keys: Keys | None, name: str = "simulations") -> dict[str, Any]:
    """Read a manifest and check its key."""
    listed: dict[str, Any] = json.loads(path.read_text())
    check_key(listed["key"], keys, name, path)
    return listed


def read_dataset(path: Path, keys: Keys | None = None, name: str = "") -> xr.Dataset:
    """Read a data set and check its key."""
    # xarray takes half a second, which stages without such files save.
    from ..storage.netcdf import read_root  # noqa: PLC0415

    data = read_root(path)
    check_key(data.attrs["key"], keys, name, path)
    return data


def data_of(observed: xr.Dataset) -> Array:
    """Return the data of an observation, ``x_shape``, or ``(events, *x_shape)``."""
    return np.asarray(observed["x"].to_numpy())


def known_of(observed: xr.Dataset) -> Array:
    """Return the known conditions of an observation, ``(known,)``, or ``(events, known)``."""
    if "known" not in observed:
        return np.empty(0)
    return np.asarray(observed["known"].to_numpy())


def tried_of(observed: xr.Dataset) -> int | None:
    """Return how many events were tried for an observation; None where nobody knows."""
    return int(observed.attrs["tried"]) if "tried" in observed.attrs else None


def conditions_named(observed: xr.Dataset) -> dict[str, Array]:
    """Return known conditions of an observation by name, a number each, or one for each event."""
    if "known" not in observed:
        return {}
    return dict(zip(observed["condition"].to_numpy().tolist(), known_of(observed).T, strict=True))


def check_key(found: str, keys: Keys | None, name: str, path: Path) -> None:
    """Refuse an input that something else than the configured stage has made.

    Args:
        found: The key it carries.
        keys: Keys wanted, by name of the input; None, as in a notebook, wants nothing.
        name: Of this input.
        path: Where it is.

    Raises:
        ValueError: The keys differ.
    """
    wanted = None if keys is None else keys[name]
    if wanted is not None and found != wanted:
        raise ValueError(
            f"{path} has key {found}; the configuration wants {wanted}: it was made with another "
            "configuration or code, so delete it and run snakemake again"
        )


def read_proposal(paths: Sequence[Path], keys: Keys | None) -> Estimator | None:
    """Read the estimator that MCMC proposes from, if there is one, and check its key."""
    from ..trained import load  # noqa: PLC0415 - torch takes seconds, most stages do without

    for path in paths:
        trained = load(path)
        check_key(trained.header["key"], keys, "proposals", path)
        return trained.estimator
    return None


def write_dataset(path: Path, data: xr.Dataset | xr.DataTree) -> None:
    """Write netCDF whole or not at all.

    Group by group into a store without a lock; to choose one, `to_netcdf` imports distributed.
    """
    import xarray as xr  # noqa: PLC0415 - half a second, as in `read_dataset`

    root = data if isinstance(data, xr.DataTree) else xr.DataTree(data)
    with renamed_into(path) as partial:
        for node in root.subtree:
            mode = "w" if node is root else "a"
            store = xr.backends.H5NetCDFStore.open(partial, mode, group=node.path, lock=False)
            with closing(store):
                node.to_dataset(inherit=node is root).dump_to_store(store)


def write_arrays(
    path: Path, variables: Mapping[str, tuple[tuple[str, ...], Array]], attrs: Mapping[str, str]
) -> None:
    """Write netCDF as `write_dataset` does, for stages that do without xarray.

    Args:
        path: The file.
        variables: Numbers or texts by name, with the names of their dimensions; a name that is
            also that of a dimension holds its coordinates.
        attrs: Of the file.
    """
    import h5netcdf  # noqa: PLC0415 - most stages write no such files, or have xarray do it
    import h5py  # noqa: PLC0415

    sizes = [zip(dims, values.shape, strict=True) for dims, values in variables.values()]
    with renamed_into(path) as partial, h5netcdf.File(partial, "w") as file:
        file.attrs.update(attrs)
        file.dimensions = dict(itertools.chain(*sizes))
        for name, (dims, values) in variables.items():
            kind = values.dtype.kind
            stored = {"U": h5py.string_dtype(), "b": "i1"}.get(kind, values.dtype)
            fill = values.dtype.type("nan") if kind == "f" else None
            made = file.create_variable(name, dims, stored, fillvalue=fill)
            made[...] = values.astype(object if kind == "U" else stored)
            if kind == "b":
                made.attrs["dtype"] = "bool"  # so xarray reads what netCDF has no type for
