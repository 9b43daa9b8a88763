"""Files of existing simulations: every format, and what is refused in one line."""

import re
from pathlib import Path

import astropy.table
import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr
from astropy.io import fits

from sbi_pipeline.existing.contents import Naming, natural
from sbi_pipeline.existing.inventory import FileRows, RowsReader, take_inventory
from sbi_pipeline.tables import parquet, text

ROWS = 250
RNG = np.random.default_rng(1)
THETA = RNG.normal(size=(ROWS, 2))
X = RNG.normal(size=(ROWS, 5)).astype(np.float32)
A, B = THETA.T
TABLE = pd.DataFrame({"a": A, "b": B, **{f"f_{i}": X[:, i] for i in range(5)}})


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def naming(**entries):
    both = ("a", "b")
    return Naming(
        **{"names": both, "needed": both, "array": None, "renamed": {}, "x": ("x",)} | entries
    )


def read(patterns, beside=(), **entries):
    """Return all rows of files, a block at a time, as a shard reads them."""
    found = take_inventory(
        [patterns] if isinstance(patterns, str) else patterns, beside, naming(**entries)
    )
    rows = FileRows(found.naming, found.files, 0, found.x_shape, found.x_dtype)
    reader = RowsReader(FileRows.of_json(rows.as_json()))
    blocks = [reader.read(first, 100) for first in range(0, found.rows, 100)]
    theta, x = (np.concatenate(each)[: found.rows] for each in zip(*blocks, strict=True))
    return theta, x


def check(found, rows=ROWS):
    theta, x = found
    np.testing.assert_array_equal(theta, THETA[:rows])
    np.testing.assert_array_equal(x.astype(np.float32), X[:rows])


def h5(path="sims.h5", attributes=None, **arrays):
    Path(path).unlink(missing_ok=True)  # what was refused may be open still
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values
        file.attrs.update(attributes or {})


def write_zarr(path):
    group = zarr.open_group(path, mode="w")
    for name, values in {"a": A, "b": B, "x": X}.items():
        group.create_array(name, data=values)


def dataset():
    return xr.Dataset({"a": ("row", A), "b": ("row", B), "x": (("row", "bin"), X)})


FORMATS = {
    "h5": lambda: h5(a=A, b=B, x=X),
    "nc": lambda: dataset().to_netcdf("sims.nc", engine="h5netcdf"),
    "nc of netCDF 3": lambda: dataset().to_netcdf("sims.nc", engine="scipy"),
    "npz": lambda: np.savez("sims.npz", a=A, b=B, x=X),
    "npz, packed": lambda: np.savez_compressed("sims.npz", a=A, b=B, x=X),
    "npz by columns": lambda: np.savez("sims.npz", a=A, b=B, x=np.asfortranarray(X)),
    "zarr": lambda: write_zarr("sims.zarr"),
    "fits": lambda: astropy.table.Table({"a": A, "b": B, "x": X}).write("sims.fits"),
    "parquet": lambda: pd.DataFrame({"a": A, "b": B, "x": list(X)}).to_parquet("sims.parquet"),
}


@pytest.mark.parametrize("held", [10_000_000, 0])
@pytest.mark.parametrize("form", FORMATS)
def test_rows_of_every_format(form, held, monkeypatch):
    monkeypatch.setattr(text, "MOST_HELD", held)
    monkeypatch.setattr(parquet, "MOST_HELD", held)
    FORMATS[form]()
    check(read(f"sims.{form.split()[0].rstrip(',')}"))


@pytest.mark.parametrize("held", [10_000_000, 0])
def test_columns_of_data_by_pattern(held, monkeypatch):
    monkeypatch.setattr(text, "MOST_HELD", held)
    monkeypatch.setattr(parquet, "MOST_HELD", held)
    TABLE.to_csv("sims.csv", index=False)
    TABLE.to_parquet("sims.parquet")
    check(read("sims.csv", x=("f_*",)))
    check(read("sims.parquet", x=("f_*",)))
    two = read("sims.csv", x=("f_3", "f_0"))[1].astype(np.float32)
    np.testing.assert_array_equal(two, X[:, [3, 0]])


def test_an_array_of_parameters_and_arrays_called_otherwise():
    h5(params=THETA, spectra=X)
    check(read("sims.h5", array="params", x=("spectra",)))
    check(read("sims.h5", array="params", x=()))
    h5("deep.h5", **{"g/alpha": A, "b": B, "g/x": X})
    check(read("deep.h5", renamed={"a": "g/alpha"}, x=("g/x",)))


def test_parameters_in_files_of_their_own():
    np.save("x_1.npy", X[:100])
    np.save("x_2.npy", X[100:])
    np.save("theta_1.npy", THETA[:100])
    np.save("theta_2.npy", THETA[100:])
    check(read("x_*.npy", ["theta_*.npy"], array="", x=()))
    np.save("all.npy", X)
    TABLE[["a", "b"]].to_csv("design.csv", index=False)
    check(read("all.npy", ["design.csv"], x=()))


def test_a_file_a_run_in_the_order_of_their_numbers():
    for row in range(12):
        h5(f"run_{row}.h5", attributes={"a": A[row]}, b=B[row], x=X[row])
    check(read("run_*.h5"), 12)
    for row in range(3):
        cards = fits.Header({"A": A[row], "B": B[row]})
        fits.PrimaryHDU(X[row], cards).writeto(f"run_{row}.fits")
    check(read("run_*.fits", x=()), 3)
    assert sorted(["r10", "r9", "r1"], key=natural) == ["r1", "r9", "r10"]


def test_numbers_for_data_and_whole_numbers_keep_their_kind():
    h5(a=A, b=B, x=np.arange(ROWS))
    _, x = read("sims.h5")
    assert (x.shape, x.dtype) == ((ROWS, 1), np.int64)
    h5("sims.h5", a=A, b=B, x=X.astype(">f4"))
    assert read("sims.h5")[1].dtype.isnative


def test_fields_of_records_are_columns():
    records = np.zeros(ROWS, [("a", float), ("b", ">f8"), ("x", X.dtype, X.shape[1:])])
    records["a"], records["b"], records["x"] = A, B, X
    np.save("sims.npy", records)
    check(read(["sims.npy"]))
    np.savez("sims.npz", runs=records)
    h5(table=records)
    for path in ("sims.npz", "sims.h5"):
        array = "runs" if path == "sims.npz" else "table"
        renamed = {"a": f"{array}/a", "b": f"{array}/b"}
        check(read([path], x=(f"{array}/x",), renamed=renamed))
        refused(f"no parameter 'a'; there are {array}/a, {array}/b, {array}/x", path)


@pytest.mark.parametrize("value", [-999.0, 1e20])
def test_what_stands_for_missing_ones_in_a_table_of_text(value):
    x = X[:, 0].copy()
    x[[3, 70]] = value
    table = pd.DataFrame({"a": A, "b": B, "x": x})
    table.to_csv("sims.csv", index=False)
    refused(f"sims.csv: column 'x' holds {value:g}, far from all other values", ["sims.csv"])
    table.replace(value, np.nan).to_csv("sims.csv", index=False)
    assert np.isnan(read(["sims.csv"])[1][[3, 70]]).all()


def test_decimal_commas_and_a_parameter_among_the_data():
    table = pd.DataFrame({"a": A, "b": B, "x": X[:, 0]})
    table.to_csv("sims.csv", index=False, sep=";", decimal=",")
    refused("sims.csv: column 'a', first entry: got '", ["sims.csv"])
    refused("wanted a number: write decimals with a point", ["sims.csv"])
    table.to_csv("sims.csv", index=False)
    refused(
        "sims.csv: 'a' (x) is a parameter; leave it out of the data", ["sims.csv"], x=("a", "x")
    )


def test_scaled_variables_of_netcdf():
    packed = dataset()
    packed["x"].encoding = {"dtype": "int16", "scale_factor": 1e-3, "_FillValue": -9999}
    packed["x"][3, 1] = np.nan
    packed.to_netcdf("sims.nc", engine="h5netcdf")
    x = read("sims.nc")[1]
    assert np.argwhere(np.isnan(x)).tolist() == [[3, 1]]
    np.testing.assert_allclose(np.delete(x, 3, 0), np.delete(X, 3, 0), atol=6e-4)


def refused(words, *arguments, **entries):
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        read(*arguments, **entries)
    assert "\n" not in str(caught.value)


def test_no_file_and_files_that_hold_something_else():
    refused("no file matches nothing/*.h5 (looked in", "nothing/*.h5")
    h5(a=A, b=B[:-1], x=X)
    refused("'a' has 250 rows, 'b' 249; wanted as many", "sims.h5")
    h5(a=A, b=B, x=X[:-3])
    refused("x has shape (247, 5), and there are parameters of 250 rows", "sims.h5")
    h5(a=A, b=B, spectrum=X, noise=X)
    refused(
        "sims.h5: no array or column 'spectra' (x); did you mean 'spectrum'?",
        "sims.h5",
        x=("spectra",),
    )
    refused("which of noise, spectrum are the data? Say 'x'", "sims.h5", x=())
    h5(a=A, bb=B, x=X)
    refused("sims.h5: no parameter 'b'; did you mean 'bb'?", "sims.h5")
    refused("no array 'parms'; there are a, bb, x", "sims.h5", array="parms")
    h5(a=A, b=B, x=X * 1j)
    refused("'x' holds complex numbers (complex64); wanted real numbers: stack", "sims.h5")
    h5(a=A, b=B, x=np.array(["one"] * ROWS, object))
    refused("'x' holds objects or text (object); wanted real numbers", "sims.h5")
    h5(params=np.c_[THETA, A], x=X)
    refused(
        "'params' has shape (250, 3); wanted a column for each of a, b", "sims.h5", array="params"
    )
    np.save("sims.npy", np.array([{}], object))
    refused("sims.npy: ", "sims.npy", ["sims.h5"], array="params")
    refused("got extension .doc; wanted one of .h5", _written("sims.doc"))


def _written(path):
    with open(path, "w") as file:
        file.write("nothing")
    return path


def test_files_that_differ_from_the_first():
    h5("1.h5", a=A, b=B, x=X)
    h5("2.h5", a=A, b=B, x=X[:, :4])
    refused("2.h5 holds data of shape (4,), 1.h5 (5,); wanted the same in all files", "?.h5")
    np.save("x_1.npy", X)
    refused("1 files match x_?.npy, and 2 match", "x_?.npy", ["?.h5"], x=())


def test_a_truncated_file():
    h5(a=A, b=B, x=X)
    with open("sims.h5", "r+b") as file:
        file.truncate(2000)
    refused("sims.h5 could not be read: ", "sims.h5")


def test_what_was_found_is_remembered_until_a_file_changes():
    h5(a=A, b=B, x=X)
    before = take_inventory(["sims.h5"], (), naming())
    assert take_inventory(["sims.h5"], (), naming()) == before
    h5(a=A, b=B, x=X + 1)
    after = take_inventory(["sims.h5"], (), naming())
    assert (before.content == after.content, before.rows == after.rows) == (False, True)
    rows = FileRows(before.naming, before.files, 0, before.x_shape, before.x_dtype)
    with pytest.raises(ValueError, match=r"sims\.h5 was edited after this run was planned"):
        rows.check_unchanged()
