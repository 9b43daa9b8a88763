"""Tables: every format gives the same objects; what is wrong with a file is said in one line."""

import sys
import tracemalloc
from decimal import Decimal

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.table import Table
from pyarrow import parquet
from tables_for_tests import COLUMNS, MASS, NAMES, ROLES, SERIES, N, X, comma, frame, refused

from sbi_pipeline.catalogues import Layout, check_objects, open_catalogue, shape_of


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def semicolon():
    frame().to_csv("t.csv", index=False, sep=";", encoding="utf-8-sig", lineterminator="\r\n")


def tabs():
    frame().to_csv("t.tsv", index=False, sep="\t")


def spaced():
    comma()
    with open("t.csv", encoding="utf-8") as file:
        header, *lines = file.read().splitlines()
    text = "\n".join(["# made by hand", "", header, "# units: mag", *lines, "", ""])
    with open("t.txt", "w", encoding="utf-8") as file:
        file.write(text)


def arrow():
    frame().to_parquet("t.parquet", index=False, row_group_size=3)


def hdf5():
    with h5py.File("t.h5", "w") as file:
        file["id"] = NAMES
        file["true mass"] = MASS
        for name, values in zip(COLUMNS, X.T, strict=True):
            file[name] = values


def binary_table():
    table = Table.from_pandas(frame())
    table["id"] = np.array([name.encode() for name in NAMES])
    table.write("t.fits")


WRITERS = {
    comma: "t.csv",
    semicolon: "t.csv",
    tabs: "t.tsv",
    spaced: "t.txt",
    arrow: "t.parquet",
    hdf5: "t.h5",
    binary_table: "t.fits",
}


@pytest.mark.parametrize(("write", "table"), WRITERS.items())
def test_every_format_holds_the_same_objects(write, table):
    write()
    layout = Layout(table, columns=COLUMNS, **ROLES)
    catalogue = open_catalogue(layout)
    assert shape_of(layout) == (N, 3) == (len(catalogue), *catalogue.x_shape)
    assert catalogue.names == NAMES
    np.testing.assert_array_equal(catalogue.truths["mass"], MASS)
    np.testing.assert_array_equal(catalogue.data(0, N), X)
    part = catalogue.data(2, 5)
    np.testing.assert_array_equal(part, X[2:5])
    assert part.dtype == np.float64
    assert part.dtype.isnative
    assert catalogue.data(3, 3).shape == (0, 3)
    check_objects(catalogue)


def test_parquet_knows_categories_decimals_and_times():
    columns = {
        "id": pa.array(["a", "b"]).dictionary_encode(),
        "cost": pa.array([Decimal("1.5"), Decimal("2.5")]),
        "half": pa.array(np.float16([0.5, 2])),
        "flag": [True, False],
        "unknown": [None, None],
        "part": pa.array([None, 3]),
        "when": pd.to_datetime(["2020-01-01", "2020-01-02"]).tz_localize("UTC"),
    }
    parquet.write_table(pa.table(columns), "t.parquet")
    data = ("cost", "half", "flag")
    layout = Layout("t.parquet", "id", data, truth={"m": "unknown", "n": "part"})
    catalogue = open_catalogue(layout)
    assert catalogue.names == ["a", "b"]
    np.testing.assert_array_equal(catalogue.data(0, 2), [[1.5, 0.5, 1], [2.5, 2, 0]])
    np.testing.assert_array_equal(catalogue.truths["m"], [np.nan, np.nan])
    np.testing.assert_array_equal(catalogue.truths["n"], [np.nan, 3])
    refused(Layout("t.parquet", columns=("when",)), "'when' holds dates")


@pytest.mark.parametrize("write", [comma, tabs, arrow, binary_table])
def test_columns_without_another_use_are_data(write):
    write()
    np.testing.assert_array_equal(open_catalogue(Layout(WRITERS[write], **ROLES)).data(0, N), X)


@pytest.mark.parametrize("write", WRITERS)
def test_columns_are_taken_in_the_order_asked_for(write):
    write()
    catalogue = open_catalogue(Layout(WRITERS[write], columns=("i", "g")))
    np.testing.assert_array_equal(catalogue.data(0, N), X[:, [2, 0]])
    assert catalogue.names == [str(row) for row in range(N)]
    assert not catalogue.truths


def test_blanks_separate_where_nothing_else_does():
    with open("t.txt", "w") as file:
        file.write("id  g   r\n007 1.5  2\n  8   -3e2 4 \n")
    catalogue = open_catalogue(Layout("t.txt", name="id"))
    assert catalogue.names == ["007", "8"]
    np.testing.assert_array_equal(catalogue.data(0, 2), [[1.5, 2], [-300, 4]])


def test_blanks_about_names_are_none_of_theirs():
    with open("t.csv", "w") as file:
        file.write("id, g , r\na, 1.5, 2\n")
    catalogue = open_catalogue(Layout("t.csv", name="id", columns=("r", "g")))
    np.testing.assert_array_equal(catalogue.data(0, 1), [[2, 1.5]])


def test_one_column_may_be_in_quotes():
    with open("t.csv", "w") as file:
        file.write('"g"\n"1.5"\n')
    np.testing.assert_array_equal(open_catalogue(Layout("t.csv")).data(0, 1), [[1.5]])


def npy(x):
    np.save("t.npy", x)
    return Layout("t.npy")


def npz(x):
    np.savez("t.npz", x=x)
    return Layout("t.npz")


def one_dataset(x):
    with h5py.File("t.hdf5", "w") as file:
        file["id"] = NAMES
        file["group/x"] = x
        file["unit"] = "mJy"
    return Layout("t.hdf5", name="id")


def named_dataset(x):
    with h5py.File("t.hdf5", "w") as file:
        file["wavelengths"] = np.arange(5.0)
        file["group/x"] = x
    return Layout("t.hdf5", columns=("group/x",))


def image(x):
    fits.PrimaryHDU(x).writeto("t.fit")
    return Layout("t.fit")


def vector_column(x):
    Table({"x": x}).write("t.fits")
    return Layout("t.fits")


def vector_columns(x):
    Table({"first": x[:, 0], "second": x[:, 1]}).write("t.fits")
    return Layout("t.fits")


def lists(x):
    columns = {"first": list(x[:, 0]), "second": list(x[:, 1])}
    parquet.write_table(pa.table(columns), "t.parquet")
    return Layout("t.parquet")


def fixed_lists(x):
    kind = pa.list_(pa.from_numpy_dtype(x.dtype), x.shape[-1])
    columns = {str(k): pa.array(list(x[:, k]), kind) for k in range(x.shape[1])}
    parquet.write_table(pa.table(columns), "t.parquet")
    return Layout("t.parquet")


ARRAYS = [
    npy,
    npz,
    one_dataset,
    named_dataset,
    image,
    vector_column,
    vector_columns,
    lists,
    fixed_lists,
]


@pytest.mark.parametrize("write", ARRAYS)
@pytest.mark.parametrize(
    ("dtype", "wanted"), [("<f8", "f8"), ("<f4", "f4"), (">f8", "f8"), (">f4", "f4"), ("<i4", "f8")]
)
def test_arrays_keep_shape_and_precision(write, dtype, wanted):
    if write in (lists, fixed_lists):
        dtype = dtype.replace(">", "<")  # Arrow has native bytes alone
    x = (100 * SERIES).astype(dtype)
    layout = write(x)
    catalogue = open_catalogue(layout)
    assert shape_of(layout) == (N, 2, 5)
    for first, last in (0, N), (3, 6), (N - 1, N):
        part = catalogue.data(first, last)
        assert part.dtype == np.dtype(wanted)
        np.testing.assert_array_equal(part, x[first:last])


@pytest.mark.parametrize("write", [npy, npz, image])
def test_an_object_may_be_one_number(write):
    catalogue = open_catalogue(write(np.arange(4.0)))
    assert catalogue.x_shape == (1,)
    np.testing.assert_array_equal(catalogue.data(1, 3), [[1], [2]])


def test_scaled_images_and_columns_are_read():
    x = np.arange(12, dtype=np.uint16).reshape(3, 4)
    fits.PrimaryHDU(x).writeto("a.fits")
    np.testing.assert_array_equal(open_catalogue(Layout("a.fits")).data(1, 3), x[1:])
    columns = [
        fits.Column("a", "I", bzero=32768, array=x[:, 0]),
        fits.Column("b", "I", array=x[:, 1]),
        fits.Column("c", "L", array=x[:, 2] > 2),
    ]
    fits.BinTableHDU.from_columns(columns).writeto("b.fits")
    fits.setval("b.fits", "TSCAL2", value=0.5, ext=1)
    fits.setval("b.fits", "TZERO2", value=3, ext=1)
    wanted = np.stack([x[:, 0], x[:, 1] / 2 + 3, x[:, 2] > 2], axis=1)
    np.testing.assert_array_equal(open_catalogue(Layout("b.fits")).data(1, 3), wanted[1:])


def test_whole_numbers_that_stand_for_none_are_none():
    columns = [
        fits.Column("a", "K", array=[1, -9, 3], null=-9),
        fits.Column("t", "K", array=[-9, 5, 6], null=-9),
    ]
    fits.BinTableHDU.from_columns(columns).writeto("t.fits")
    catalogue = open_catalogue(Layout("t.fits", truth={"mass": "t"}))
    np.testing.assert_array_equal(catalogue.truths["mass"], [np.nan, 5, 6])
    with pytest.raises(ValueError, match=r"object '1' \(index 1\): column 'a' is empty"):
        catalogue.data(0, 3)


def test_numbers_that_name_objects_are_those_that_the_header_means():
    ids = np.array([5, 2**64 - 3, 7], np.uint64)
    columns = [
        fits.Column("id", "K", bzero=2**63, array=ids),
        fits.Column("n", "J", array=[4, -9, 6], null=-9),
        fits.Column("x", "E", array=[1.0, 2.0, 3.0]),
    ]
    fits.BinTableHDU.from_columns(columns).writeto("t.fits")
    assert open_catalogue(Layout("t.fits", "id", ("x",))).names == [str(each) for each in ids]
    refused(Layout("t.fits", "n", ("x",)), "index 1: object without a name")


def test_large_arrays_are_read_in_slices():
    x = np.zeros((20_000, 100))
    layouts = [npy(x), named_dataset(x), image(x), vector_column(x)]
    for layout in layouts:
        open_catalogue(layout).data(0, 1)
        tracemalloc.start()
        catalogue = open_catalogue(layout)
        assert catalogue.data(10_000, 10_100).shape == (100, 100)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < x.nbytes / 10, layout.table


TEXTS = {
    "index and blanks": (" a b\n0 1 2\n", {}, "line 2: number .* is 3; wanted 2.*pandas"),
    "trailing": ("a,b,\n1,2,\n", {}, "column 3 of 3 has no name"),
    "twice": ("a,b,a\n1,2,3\n", {}, "two columns are called 'a'"),
    "numbers": ("400,500,600,700\n1,2,3,4\n", {}, "first line is 400, 500, 600, ...; wanted names"),
    "decimal comma": ("id,a\nx,1,5\n", {}, "line 2: number of cells is 3; wanted 2.* point"),
    "decimal comma;": ("id;a\nx;1,5\n", {"name": "id"}, "'a'.*'1,5'.*decimals with a point"),
    "minus": ("a\n−999\n", {}, "column 'a', first entry: got '−999'.* write '-'"),
    "few cells": (
        "# c\na;b\n\n1;2\n1\n",
        {},
        "line 5: number of cells is 1; wanted 2, as of names",
    ),
    "text": ("id,a\nx,1\n", {}, "column 'id', first entry: got 'x'; wanted a number: leave"),
    "later text": ("a,b\n1,2\n3,bad\n", {}, "line 3, column 'b': got 'bad'; wanted a number"),
    "long text": (f"a\n1\n{'x' * 99}\n", {}, r"got 'x{30}\.\.\.'"),
    "later comma": ("a;b\n1;2\n3;4,5\n", {}, "line 3, column 'b': got '4,5'.*point"),
    "empty file": ("", {}, "it is empty"),
    "comments": ("# a\n\n", {}, "it is empty"),
    "quotation": ('a,b\n1,2\n3,"4\n5,6\n', {}, "quotation mark"),
}


@pytest.mark.parametrize(("text", "roles", "match"), TEXTS.values(), ids=TEXTS)
def test_bad_texts_are_refused_in_one_line(text, roles, match):
    with open("t.csv", "w", encoding="utf-8") as file:
        file.write(text)
    refused(Layout("t.csv", **roles), match)


def test_what_a_header_tells_is_refused_while_planning():
    for name in ("twice", "numbers", "decimal comma", "minus", "text"):
        text, roles, match = TEXTS[name]
        with open("t.csv", "w", encoding="utf-8") as file:
            file.write(text)
        with pytest.raises(ValueError, match=match):
            shape_of(Layout("t.csv", **roles))


def test_other_encodings_are_refused():
    for encoding, byte in ("latin-1", "0xe9"), ("utf-16", "0xff"):
        frame().to_csv("t.csv", index=False, encoding=encoding)
        refused(Layout("t.csv", columns=("g",)), f"byte {byte} is not UTF-8; save it as UTF-8")


def complex_npy():
    np.save("t.npy", X + 1j)
    return Layout("t.npy"), "the array is complex; .*real and imaginary"


def text_npy():
    np.save("t.npy", np.array(["a", "b"]))
    return Layout("t.npy"), "the array holds text"


def record_npy():
    np.save("t.npy", np.zeros(3, [("a", float), ("b", float)]))
    return Layout("t.npy"), "the array holds records"


def object_npy():
    np.save("t.npy", np.array([[1], [1, 2]], dtype=object))
    return Layout("t.npy"), "object"


def scalar_npy():
    np.save("t.npy", 3.0)
    return Layout("t.npy"), "it holds one number"


def broken_npy():
    with open("t.npy", "wb") as file:
        file.write(b"")
    return Layout("t.npy"), "could not be read"


def two_arrays():
    np.savez("t.npz", a=X, b=X)
    return Layout("t.npz"), r"2 arrays \(a, b\)"


def broken_npz():
    with open("t.npz", "wb") as file:
        file.write(b"PK\x03\x04 and so on")
    return Layout("t.npz"), "could not be read"


def broken_h5():
    with open("t.h5", "w") as file:
        file.write("text")
    return Layout("t.h5"), "could not be read"


def parquet_text():
    arrow()
    return Layout("t.parquet"), "column 'id' holds text; wanted numbers"


def parquet_ragged():
    parquet.write_table(pa.table({"a": [[1.0, 2.0], [1.0]]}), "t.parquet")
    return Layout("t.parquet"), r"index 1: column 'a' has shape \(1,\), at index 0 shape \(2,\)"


def parquet_lacking():
    parquet.write_table(pa.table({"a": [[1.0, 2.0], None]}), "t.parquet")
    return Layout("t.parquet"), "index 1: column 'a' has no entry"


def parquet_dates():
    pd.DataFrame({"a": pd.to_datetime(["2020-01-01"])}).to_parquet("t.parquet", index=False)
    return Layout("t.parquet"), "column 'a' holds dates"


def broken_parquet():
    with open("t.parquet", "w") as file:
        file.write("text")
    return Layout("t.parquet"), "Parquet"


def fits_ragged():
    values = np.array([[1, 2], [1]], dtype=object)
    columns = [fits.Column("a", "PE()", array=values)]
    fits.BinTableHDU.from_columns(columns).writeto("t.fits")
    return Layout("t.fits"), "column 'a' holds"


def fits_complex():
    Table({"a": X[:, 0] * 1j}).write("t.fits")
    return Layout("t.fits"), "column 'a' is complex"


def fits_tables():
    units = [fits.BinTableHDU(Table({"a": X}), name=name) for name in ("first", "second")]
    fits.HDUList([fits.PrimaryHDU(), *units]).writeto("t.fits")
    return Layout("t.fits"), r"2 binary tables \(FIRST, SECOND\); wanted one"


def fits_empty():
    fits.PrimaryHDU().writeto("t.fits")
    return Layout("t.fits"), "neither a binary table nor an image"


def broken_fits():
    with open("t.fits", "w") as file:
        file.write("text")
    return Layout("t.fits"), "could not be read"


def no_file():
    return Layout("t.csv"), "no such file .looked in"


def other_extension():
    pd.DataFrame({"a": [1]}).to_csv("t.xlsx")
    return Layout("t.xlsx"), r"got extension .xlsx; wanted one of .csv"


def no_extension():
    pd.DataFrame({"a": [1]}).to_csv("table")
    return Layout("table"), "got no extension"


BAD = [
    complex_npy,
    text_npy,
    record_npy,
    object_npy,
    scalar_npy,
    broken_npy,
    two_arrays,
    broken_npz,
    broken_h5,
    parquet_text,
    parquet_ragged,
    parquet_lacking,
    parquet_dates,
    broken_parquet,
    fits_ragged,
    fits_complex,
    fits_tables,
    fits_empty,
    broken_fits,
    no_file,
    other_extension,
    no_extension,
]


@pytest.mark.parametrize("make", BAD)
def test_bad_tables_are_refused_in_one_line(make):
    refused(*make())


@pytest.mark.parametrize(
    ("module", "make", "match"),
    [
        ("astropy.io", vector_column, r"pip install 'sbi-pipeline\[fits\]'"),
        ("pyarrow", lists, "Parquet needs pyarrow: pip install pyarrow"),
    ],
)
def test_packages_that_are_missing_are_named(module, make, match, monkeypatch):
    layout = make(SERIES)
    monkeypatch.setitem(sys.modules, module, None)
    refused(layout, match)
