"""Files are read as xarray reads them, only sooner."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sbi_pipeline.stages.files import write_arrays, write_dataset
from sbi_pipeline.storage.netcdf import read_groups, read_root


@pytest.fixture
def posterior() -> xr.DataTree:
    """All that files of this package hold: texts, flags, gaps, scalars, inner coordinates."""
    draws = xr.Dataset(
        {
            "mass": (("chain", "draw"), np.array([[1.5, np.nan, 2.5]]), {"label": r"$m$"}),
            "kind": (("chain", "draw"), np.array([[0, 1, 1]]), {"values": [0, 1]}),
            "converged": ("chain", np.array([True])),
            "told": ((), "a text"),
        },
        coords={"chain": [0], "draw": np.arange(3), "ensemble": ("chain", [4])},
    )
    stats = xr.Dataset(
        {"scores": (("draw", "parameter"), np.zeros((3, 2), dtype=np.float32))},
        coords={"parameter": ["mass", "spin"]},
        attrs={"seconds": 0.5, "independent": 1, "steps": [1, 2, 3], "names": ["a", "b"]},
    )
    return xr.DataTree.from_dict(
        {"/": xr.Dataset(attrs={"key": "k", "empty": ""}), "posterior": draws, "stats": stats}
    )


def test_a_tree_is_the_one_that_xarray_reads(posterior: xr.DataTree, tmp_path: Path) -> None:
    write_dataset(tmp_path / "posterior.nc", posterior)
    with xr.open_datatree(tmp_path / "posterior.nc", engine="h5netcdf") as tree:
        xr.testing.assert_identical(read_groups(tmp_path / "posterior.nc"), tree.load())


def test_a_data_set_is_the_one_that_xarray_reads(tmp_path: Path) -> None:
    write_arrays(
        tmp_path / "ranks.nc",
        {
            "ranks": (("row", "parameter"), np.arange(4).reshape(2, 2)),
            "parameter": (("parameter",), np.array(["mass", "spin"])),
            "converged": (("row",), np.array([True, False])),
            "mean": (("row",), np.array([np.nan, 1.0])),
        },
        {"key": "k"},
    )
    with xr.open_dataset(tmp_path / "ranks.nc", engine="h5netcdf") as data:
        xr.testing.assert_identical(read_root(tmp_path / "ranks.nc"), data.load())


def test_what_is_no_file_of_netcdf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "posterior.nc").write_text("no such thing")
    with pytest.raises(OSError, match="signature"):
        read_groups(tmp_path / "posterior.nc")
