"""What all stages need: inputs that carry the right key, outputs that are whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..storage.noise import Noise

if TYPE_CHECKING:
    import xarray as xr


def read_manifest(path: Path, key: str | None) -> dict[str, Any]:
    """Read a manifest and check its key."""
    listed: dict[str, Any] = json.loads(path.read_text())
    expect(listed["key"], key, path)
    return listed


def read_dataset(path: Path, key: str | None = None) -> xr.Dataset:
    """Read a data set and check its key."""
    import xarray as xr  # noqa: PLC0415 - half a second, which stages without such files save

    with xr.open_dataset(path, engine="h5netcdf") as data:
        expect(data.attrs["key"], key, path)
        return data.load()


def noise_at_load(entry: Mapping[str, Any] | None) -> Noise | None:
    """Return what draws the noise that a specification leaves for loading, if it does."""
    return None if entry is None else Noise(**entry)


def expect(found: str, wanted: str | None, path: Path) -> None:
    """Refuse an input that something else than the configured stage has made.

    Raises:
        ValueError: The keys differ.
    """
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


def write(path: Path, text: str) -> None:
    """Write text to a sibling, then rename."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)
