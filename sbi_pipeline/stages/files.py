"""What all stages need: inputs that carry the right key, outputs that are whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

Keys = Mapping[str, str]
"""Keys that inputs must carry, by keyword of the rule."""


def read_manifest(path: Path, keys: Keys | None, name: str = "simulations") -> dict[str, Any]:
    """Read a manifest and check its key."""
    listed: dict[str, Any] = json.loads(path.read_text())
    check_key(listed["key"], keys, name, path)
    return listed


def read_dataset(path: Path, keys: Keys | None = None, name: str = "") -> xr.Dataset:
    """Read a data set and check its key."""
    import xarray as xr  # noqa: PLC0415 - half a second, which stages without such files save

    with xr.open_dataset(path, engine="h5netcdf") as data:
        check_key(data.attrs["key"], keys, name, path)
        return data.load()


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


def write_dataset(path: Path, data: xr.Dataset | xr.DataTree) -> None:
    """Write netCDF to a sibling, then rename: a file that is there is whole."""
    partial = path.with_name(f"{path.name}.partial")
    data.to_netcdf(partial, engine="h5netcdf")
    partial.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write text to a sibling, then rename."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)
