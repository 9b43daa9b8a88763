"""Files of stages are what xarray would have written by itself."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sbi_pipeline.observations import label_observation
from sbi_pipeline.sidecars import renamed_into, write_text
from sbi_pipeline.stages.files import read_dataset, write_arrays, write_dataset
from sbi_pipeline.types import Array

NAMES = ("a", "β", "rate of decay")
ATTRS = {"source": "file räumlich.csv", "key": "k"}


def by_xarray(path: Path, x: Array, truth: Array | None) -> xr.Dataset:
    dims = [f"x_dim_{axis}" for axis in range(x.ndim)]
    data = xr.Dataset({"x": (dims, x)}, attrs=ATTRS)
    if truth is not None:
        data = data.assign(truth=("parameter", truth)).assign_coords(parameter=list(NAMES))
    data.to_netcdf(path, engine="h5netcdf")
    return read_dataset(path)


@pytest.mark.parametrize("truth", [None, np.array([1.5, np.nan, 3.0])])
@pytest.mark.parametrize("shape", [(), (3,), (4, 3), (2, 3, 4)])
@pytest.mark.parametrize("kind", ["f4", "f8", ">f8", "i2", "i8", "u1", "bool"])
def test_an_observation_is_written_as_xarray_would(
    tmp_path: Path, kind: str, shape: tuple[int, ...], truth: Array | None
) -> None:
    x = np.arange(np.prod(shape)).reshape(shape).astype(kind)
    write_arrays(tmp_path / "ours.nc", label_observation(x, truth, NAMES), ATTRS)
    ours, theirs = read_dataset(tmp_path / "ours.nc"), by_xarray(tmp_path / "theirs.nc", x, truth)
    xr.testing.assert_identical(ours, theirs)
    for name, variable in theirs.variables.items():
        assert ours[name].dtype == variable.dtype
        assert repr(ours[name].encoding.get("_FillValue")) == repr(
            variable.encoding.get("_FillValue")
        )
    assert not (tmp_path / "ours.nc.partial").exists()


def tree() -> xr.DataTree:
    draws = xr.Dataset(
        {
            "mass": (("chain", "draw"), np.arange(8.0).reshape(2, 4), {"label": "M", "unit": ""}),
            "count": (("chain", "draw"), np.arange(8).reshape(2, 4), {"values": np.arange(3.0)}),
        },
        {"chain": [0, 1], "draw": np.arange(4), "ensemble": ("chain", [0, 1])},
    )
    stats = xr.Dataset({"tau": ("parameter", [1.0, 2.0])}, {"parameter": ["mass", "count"]})
    stats.attrs |= {"independent": 1, "seconds": 0.5, "statement": "it has not converged"}
    observed = xr.Dataset({"x": ("x_dim_0", np.arange(5, dtype="f4"))})
    groups = {"/": xr.Dataset(attrs=ATTRS), "/posterior": draws, "/sample_stats": stats}
    return xr.DataTree.from_dict({**groups, "/observed_data": observed})


def test_a_posterior_is_written_as_xarray_would(tmp_path: Path) -> None:
    write_dataset(tmp_path / "ours.nc", tree())
    tree().to_netcdf(tmp_path / "theirs.nc", engine="h5netcdf")
    ours, theirs = (
        xr.open_datatree(tmp_path / name, engine="h5netcdf") for name in ("ours.nc", "theirs.nc")
    )
    with ours, theirs:
        xr.testing.assert_identical(ours, theirs)
        for node in theirs.subtree:
            for name, variable in node.variables.items():
                mine = ours[node.path].variables[name]
                assert mine.dtype == variable.dtype
                assert mine.encoding.keys() == variable.encoding.keys()
        assert list(ours.groups) == list(theirs.groups)


def test_a_dataset_is_written_over_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "data.nc"
    write_dataset(path, tree())
    data = tree()["sample_stats"].to_dataset().assign_attrs(key="k")
    write_dataset(path, data)
    xr.testing.assert_identical(read_dataset(path), data)
    with xr.open_datatree(path, engine="h5netcdf") as found:
        assert list(found.groups) == ["/"]


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_text(path, "before")

    def disk_filling_up() -> None:
        with renamed_into(path) as partial:
            partial.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        disk_filling_up()
    assert [each.read_text() for each in tmp_path.iterdir()] == ["before"]
