"""Files of netCDF that this package wrote, read whole: a page of many observations opens hundreds.

`xarray.open_datatree` asks for sizes of dimensions, filters and chunks of every variable before it
reads any, which takes most of its time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

ONLY_DIMENSION = b"This is a netCDF dimension but not a netCDF variable."
HIDDEN = {"CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST", "_NCProperties"}
"""Attributes of the format, and not of what is stored; so are those that begin with _Netcdf4."""


def read_groups(path: Path) -> xr.DataTree:
    """Return all groups of a file, as `xarray.open_datatree` reads them.

    Args:
        path: The file, written by `files.write_dataset`.

    Raises:
        OSError: There is no such file, or it is no HDF5.
    """
    with h5py.File(path) as file:
        return xr.DataTree.from_dict({group.name: _dataset(group) for group in _groups(file)})


def read_root(path: Path) -> xr.Dataset:
    """Return what lies in the root of a file, as `xarray.open_dataset` reads it."""
    with h5py.File(path) as file:
        return _dataset(file)


def _groups(group: h5py.Group) -> Iterator[h5py.Group]:
    yield group
    for inner in group.values():
        if isinstance(inner, h5py.Group):
            yield from _groups(inner)


def _dataset(group: h5py.Group) -> xr.Dataset:
    stored = {name: each for name, each in group.items() if isinstance(each, h5py.Dataset)}
    variables = {
        name: xr.Variable(_dimensions(name, each), _values(each), _attributes(each))
        for name, each in stored.items()
        if not each.attrs.get("NAME", b"").startswith(ONLY_DIMENSION)
    }
    decoded, attributes, coordinates = xr.conventions.decode_cf_variables(
        variables, _attributes(group)
    )
    return xr.Dataset(decoded, attrs=attributes).set_coords(coordinates)


def _dimensions(name: str, stored: h5py.Dataset) -> list[str]:
    if "CLASS" in stored.attrs:  # a scale of its own dimension
        return [name]
    return [scales[0].name.rpartition("/")[2] for scales in stored.dims]


def _values(stored: h5py.Dataset) -> Any:
    text = h5py.check_string_dtype(stored.dtype) is not None
    return (stored.asstr() if text else stored)[...]


def _attributes(owner: h5py.Group | h5py.Dataset) -> dict[str, Any]:
    names = [each for each in owner.attrs if each not in HIDDEN]
    return {
        name: _attribute(owner.attrs[name]) for name in names if not name.startswith("_Netcdf4")
    }


def _attribute(value: Any) -> Any:
    """Return a value as netCDF tells it: one of an array is that number, texts are a list."""
    if not isinstance(value, np.ndarray):
        return value
    if value.size == 1:
        return value[0]
    return value.tolist() if value.dtype.kind == "O" else value
