"""Catalogues: which columns mean what; what suits no layout or prior is said in one line."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from joint_prior import Disc
from tables_for_tests import COLUMNS, NAMES, ROLES, SERIES, N, X, comma, frame, refused

from sbi_pipeline import priors
from sbi_pipeline.catalogues import (
    Layout,
    check_against_prior,
    check_objects,
    files_of,
    open_catalogue,
    shape_of,
)


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_an_index_is_no_matter_where_columns_are_named():
    frame().to_csv("t.csv")
    np.testing.assert_array_equal(open_catalogue(Layout("t.csv", columns=COLUMNS)).data(0, N), X)


def test_planning_imports_no_pandas():
    comma()
    code = (
        "import sys; from sbi_pipeline.catalogues import Layout, shape_of; "
        f"assert shape_of(Layout('t.csv', columns=('g',))) == ({N}, 1); "
        "assert not {'pandas', 'pyarrow', 'astropy', 'h5py', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def write_files():
    for row in range(N):
        np.save(f"o{row}.npy", SERIES[row])
    return [f"o{row}.npy" for row in range(N)]


@pytest.mark.parametrize("table", ["o?.npy", "*.npy", "t.csv"])
def test_an_object_may_have_a_file(table):
    pd.DataFrame({"id": NAMES, "path": write_files()}).to_csv("t.csv", index=False)
    named = {"name": "id", "files": "path"} if table == "t.csv" else {}
    layout = Layout(table, **named)
    catalogue = open_catalogue(layout)
    assert shape_of(layout) == (N, 2, 5)
    assert catalogue.names == (NAMES if named else [f"o{row}" for row in range(N)])
    read = [*(["t.csv"] if named else []), *(f"o{row}.npy" for row in range(N))]
    assert files_of(layout) == [Path(each) for each in read]
    np.testing.assert_array_equal(catalogue.data(2, 4), SERIES[2:4])
    assert catalogue.data(2, 2).shape == (0, 2, 5)
    check_objects(catalogue)


def test_data_in_columns_are_read_from_the_table_alone():
    comma()
    assert files_of(Layout("t.csv", columns=COLUMNS)) == [Path("t.csv")]


def test_files_keep_single_precision():
    np.save("a.npy", np.float32([1, 2]))
    np.save("b.npy", np.float32([3, 4]))
    assert open_catalogue(Layout("*.npy")).data(0, 2).dtype == np.float32


def test_files_of_other_shape_or_absent_are_named():
    pd.DataFrame({"path": write_files()}).to_csv("t.csv", index=False)
    np.save("o4.npy", SERIES[0, 0])
    for table, file, at in ("t.csv", "path", "line 6: "), ("o?.npy", None, ""):
        catalogue = open_catalogue(Layout(table, files=file))
        catalogue.data(0, 4)
        text = rf"table {table}: {at}o4.npy has shape \(5,\), o0.npy \(2, 5\); wanted one shape"
        with pytest.raises(ValueError, match=text.replace("?", r"\?")):
            catalogue.data(3, 6)
    with open("t.csv", "a") as file:
        file.write("nowhere.npy\n")
    catalogue = open_catalogue(Layout("t.csv", files="path"))
    with pytest.raises(ValueError, match=r"line 9: file 'nowhere.npy' is not there .*, as 1 of 8"):
        check_objects(catalogue)
    with pytest.raises(ValueError, match=r"line 9: observation nowhere.npy: no such file"):
        catalogue.data(7, 8)


TEXTS = {
    "index": (",a,b\n0,1,2\n", {}, "column '' is an index that pandas wrote; write"),
    "index kept": ("Unnamed: 0,a\n0,1\n", {}, "column 'Unnamed: 0' is an index that pandas"),
    "no rows": ("a,b\n", {}, "it holds no object"),
    "no column": ("flux,b\n1,2\n", {"columns": ("flx",)}, "no column 'flx' .*mean 'flux'.*flux, b"),
    "no truth": (
        "a,b\n1,2\n",
        {"truth": {"m": "zz"}},
        r"'zz' \(the truth of 'm'\); there are a, b",
    ),
    "two uses": ("a,b\n1,2\n", {"name": "a", "columns": ("a",)}, "'a' is data and the name"),
    "same twice": ("a,b\n1,2\n", {"columns": ("a", "a")}, "'a' is data and data; wanted one use"),
    "none left": ("a\n1\n", {"name": "a"}, "no column of data is left"),
    "both": ("a,b\n1,2\n", {"files": "a", "columns": ("b",)}, "in files and in columns"),
    "truth": ("a,b\n1,x\n", {"truth": {"m": "b"}}, "column 'b', first entry: got 'x'"),
    "later truth": ("a,b\n1,\n2,x\n", {"truth": {"m": "b"}}, "line 3, column 'b': got 'x'"),
    "empty cell": (
        "id,a\nx,1\ny,\n",
        {"name": "id"},
        r"object 'y' \(line 3\): column 'a' is empty",
    ),
    "infinite": ("a,b\n1,2\n3,inf\n", {}, r"object '1' \(line 3\): column 'b' is .*infinite"),
    "empty name": ("id,a\nx,1\n ,2\n", {"name": "id"}, "line 3: object without a name"),
    "same name": (
        "id,a\nx,1\ny,2\nx,3\nx,4\n",
        {"name": "id"},
        r"called 'x' \(line 2, line 4\), and 2 of 4 names repeat another",
    ),
    "infinite truth": (
        "a,b\n1,2\n3,-inf\n",
        {"truth": {"m": "b"}},
        r"object '1' \(line 3\): truth of 'm' is infinite",
    ),
}


@pytest.mark.parametrize(("text", "roles", "match"), TEXTS.values(), ids=TEXTS)
def test_bad_texts_are_refused_in_one_line(text, roles, match):
    with open("t.csv", "w", encoding="utf-8") as file:
        file.write(text)
    refused(Layout("t.csv", **roles), match)


def test_what_suits_no_layout_is_refused_while_planning():
    for name in ("index", "no column"):
        text, roles, match = TEXTS[name]
        with open("t.csv", "w", encoding="utf-8") as file:
            file.write(text)
        with pytest.raises(ValueError, match=match):
            shape_of(Layout("t.csv", **roles))


def empty_npy():
    np.save("t.npy", np.empty((0, 3)))
    return Layout("t.npy"), "it holds no object"


def narrow_npy():
    np.save("t.npy", np.empty((3, 0)))
    return Layout("t.npy"), r"data of shape \(0,\)"


def named_npy():
    np.save("t.npy", X)
    return Layout("t.npy", name="id"), "an array without columns, so none is the name; leave 'id'"


def nan_npy():
    x = SERIES.copy()
    x[3, 1, 2] = np.nan
    np.save("t.npy", x)
    return Layout("t.npy"), r"object '3' \(index 3\): index \(1, 2\) is empty, NaN"


def nan_number():
    np.save("t.npy", np.array([1, np.nan]))
    return Layout("t.npy"), r"object '1' \(index 1\): it is empty"


def two_datasets():
    with h5py.File("t.h5", "w") as file:
        file["a"], file["b"] = X, X
    return Layout("t.h5"), "it holds a, b; say in 'columns' which are data"


def other_length():
    with h5py.File("t.h5", "w") as file:
        file["a"], file["id"] = X, NAMES[:3]
    return Layout("t.h5", name="id"), "'id' has 3 rows, 'a' 7; wanted one an object"


def other_shape():
    with h5py.File("t.h5", "w") as file:
        file["a"], file["b"] = X, X[:, 0]
    return Layout("t.h5", columns=("a", "b")), r"'b' has entries of shape \(\), 'a' \(3,\)"


def no_dataset():
    with h5py.File("t.h5", "w") as file:
        file["group/flux"] = X
    return Layout("t.h5", columns=("flux",)), r"no column 'flux' \(data\); there are group/flux"


def vector_truth():
    with h5py.File("t.h5", "w") as file:
        file["a"], file["t"] = X, X
    return Layout("t.h5", truth={"m": "t"}), r"'t' is the truth of 'm', and holds arrays"


def parquet_index():
    frame().set_index(pd.Index([f"row {k}" for k in range(N)])).to_parquet("t.parquet")
    return Layout("t.parquet", **ROLES), "'__index_level_0__' is an index that pandas wrote"


def parquet_null():
    pd.DataFrame({"a": [1.0, None]}).to_parquet("t.parquet", index=False)
    return Layout("t.parquet"), r"object '1' \(index 1\): column 'a' is empty"


def parquet_null_name():
    pd.DataFrame({"id": ["x", None], "a": [1.0, 2.0]}).to_parquet("t.parquet", index=False)
    return Layout("t.parquet", name="id"), "index 1: object without a name"


def no_match():
    return Layout("o*.npy"), "no file matches"


def pattern_with_columns():
    return Layout("o*.npy", columns=("a",)), "files that hold an object each have no columns"


def same_stem():
    np.save("a.npy", X[0])
    pd.DataFrame(X[0]).to_csv("a.csv", index=False, header=False)
    return Layout("a.*"), r"two objects are called 'a' \(a.csv, a.npy\), and 1 of 2"


BAD = [
    empty_npy,
    narrow_npy,
    named_npy,
    nan_npy,
    nan_number,
    two_datasets,
    other_length,
    other_shape,
    no_dataset,
    vector_truth,
    parquet_index,
    parquet_null,
    parquet_null_name,
    no_match,
    pattern_with_columns,
    same_stem,
]


@pytest.mark.parametrize("make", BAD)
def test_bad_tables_are_refused_in_one_line(make):
    refused(*make())


def catalogue_of(**truths):
    pd.DataFrame({"a": range(len(next(iter(truths.values()))))} | truths).to_csv(
        "t.csv", index=False
    )
    return open_catalogue(Layout("t.csv", columns=("a",), truth={name: name for name in truths}))


PRIOR = priors.build(
    {
        "b": {"type": "uniform", "min": 0, "max": "a0"},
        "a0": {"type": "uniform", "min": 1, "max": 2},
        "n": {"type": "integer", "min": 0, "max": 9},
    },
    ("b", "a0", "n"),
)


def test_truths_inside_the_prior_pass():
    check_against_prior(catalogue_of(a0=[1, 2, np.nan], b=[0, 2, 7], n=[0, 5, np.nan]), PRIOR)
    check_against_prior(catalogue_of(b=[99.0]), PRIOR)  # nobody knows what it depends on


def test_truths_outside_the_prior_are_refused():
    text = r"object '1' \(line 3\): truth a0 = 2.5 lies outside .* excludes 2 of 3 objects"
    with pytest.raises(ValueError, match=text):
        check_against_prior(catalogue_of(a0=[1, 2.5, 0], b=[0, 0, -1]), PRIOR)
    with pytest.raises(ValueError, match=r"truth b = 1.6 lies outside"):
        check_against_prior(catalogue_of(a0=[1.5, 1.5], b=[1.4, 1.6]), PRIOR)
    with pytest.raises(ValueError, match=r"truth n = 1.5 lies outside"):
        check_against_prior(catalogue_of(n=[1.5]), PRIOR)
    with pytest.raises(ValueError, match=r"truth of 'a00': no such parameter; did you mean 'a0'\?"):
        check_against_prior(catalogue_of(a00=[1.5]), PRIOR)


def test_what_depends_on_an_excluded_truth_is_not_asked_about():
    entries = {
        "c": {"type": "uniform", "min": 0, "max": "b"},
        "b": {"type": "uniform", "min": 0, "max": "a0"},
        "a0": {"type": "uniform", "min": 1, "max": 2},
    }
    prior = priors.build(entries, tuple(entries))
    with pytest.raises(ValueError, match=r"truth b = 1.6 lies outside the prior, which"):
        check_against_prior(catalogue_of(a0=[1.5], b=[1.6], c=[1.7]), prior)


def test_joint_priors_are_asked_where_all_parameters_are_known():
    prior = Disc()
    check_against_prior(catalogue_of(right=[5.0]), prior)
    check_against_prior(catalogue_of(right=[5.0, 0.1], up=[np.nan, 0.2]), prior)
    check_against_prior(catalogue_of(right=[5.0], up=[np.nan]), prior)
    with pytest.raises(
        ValueError, match=r"'0'.*: truth right = 0.9, up = 0.9 lies outside.* 1 of 2"
    ):
        check_against_prior(catalogue_of(up=[0.9, 0.2], right=[0.9, 0.1]), prior)
