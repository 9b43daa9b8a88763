"""Files as people have them: each is read as what it unmistakably is, or refused in one line."""

import h5py
import numpy as np
import pandas as pd
import pytest
from astropy.table import Table

from sbi_pipeline.observation_files import ALL, Wanted, read_observation
from sbi_pipeline.observations import check_shape

TIME, FLUX = np.array([0.0, 0.5, 3.25]), np.array([1.5, 2.5, 4.5])
FLUXES = Wanted(columns=("flux",))


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def frame():
    return pd.DataFrame({"time": TIME, "flux": FLUX})


def written(text, name="x.csv", encoding="utf-8"):
    with open(name, "w", encoding=encoding) as file:
        file.write(text)
    return name


def of(text, wanted=ALL):
    return read_observation(written(text), wanted).tolist()


@pytest.mark.parametrize(
    ("text", "wanted", "expected"),
    [
        ("1.5\n2.5\n", ALL, [1.5, 2.5]),
        ("1.5,2.5\n", ALL, [1.5, 2.5]),
        ("1.5 # first\n2.5 # second\n", ALL, [1.5, 2.5]),
        ("# in mJy\n\nflux\n1.5\n2.5\n", ALL, [1.5, 2.5]),
        ("7\n", ALL, [7]),
        ("1.5;2.5\n3.5;4.5\n", ALL, [[1.5, 2.5], [3.5, 4.5]]),
        ("1.5\t2.5\n3.5\t4.5\n", ALL, [[1.5, 2.5], [3.5, 4.5]]),
        ("\ufeffflux\n1.5\n2.5\n", ALL, [1.5, 2.5]),
        (",flux\n0,1.5\n1,2.5\n", ALL, [1.5, 2.5]),  # the index of pandas
        ("time,flux\n0,1.5\n0.5,2.5\n", FLUXES, [1.5, 2.5]),
        ("time,flux\n0,1.5\n0.5,2.5\n", Wanted(declared=("flux",)), [1.5, 2.5]),
        ("date,flux\nmonday,1.5\ntuesday,2.5\n", FLUXES, [1.5, 2.5]),
        ("off,on\n1,2\n", Wanted(declared=("on", "off")), [2, 1]),
        ("y,x\n1,2\n3,4\n", Wanted(declared=("x", "y")), [[2, 1], [4, 3]]),
        ("500,400\n1,2\n", Wanted(declared=("400", "500")), [2, 1]),  # names that are numbers
        ("n_off,n_on\n1,2\n", Wanted(("n_on", "n_off"), ("on", "off")), [2, 1]),
        ("1,2\n3,4\n", Wanted(declared=("x", "y")), [[1, 2], [3, 4]]),  # without names
        ("-999\n-998\n-1000\n", ALL, [-999, -998, -1000]),  # a value among its like
        ("1.5D0 -25d-1 .5D+1\n", ALL, [1.5, -2.5, 5]),  # as Fortran writes
    ],
)
def test_texts_are_read(text, wanted, expected):
    assert of(text, wanted) == expected


@pytest.mark.parametrize(
    ("text", "wanted", "said"),
    [
        ("1,5;2,5\n", ALL, "got '1,5'; wanted a number: write decimals with a point"),
        ("1,5 2,5\n", ALL, "got '1,5'; wanted a number: write decimals with a point"),
        ("flux\n1,5\n2,5\n", ALL, "line 2: number of cells is 2; wanted 1.* decimals with a point"),
        ("a;b\n1;2\n3;4,5\n", ALL, "line 3, column 'b': got '4,5'"),
        ("1,2\n3\n", ALL, "line 2: number of cells is 1; wanted 2, as in the first line"),
        ("1.5\n-999\n1.25\n", ALL, "holds -999 at index .1,., far from all .*stands for a missing"),
        ("1.5\n9999\n1.25\n", ALL, "holds 9999 at index .1,., far from all .*stands for a missing"),
        ("1.5\n9.96921e36\n1.25\n", ALL, r"holds 9.96921e\+36 at index .1,., far from all other"),
        ("1.5\n\n1.25,\n", ALL, "number of cells"),
        (
            "a,b\n1,\n2,3\n",
            ALL,
            "is empty, NaN or infinite, first at index .0, 1.: leave",
        ),
        ("1\nnan\n", Wanted(events=True), "or keep them as NaN .selection: all."),
        (",flux\n2020-01-01,1.5\n", ALL, "first entry: got '2020-01-01'|index that pandas wrote"),
        (",flux\n3,1.5\n4,2.5\n", ALL, "first column has no name, as an index that pandas wrote"),
        ("time,flux\n0,1\n", Wanted(columns=("flx",)), "no column 'flx'; did you mean 'flux'"),
        ("a,b\n1,2\n", Wanted(declared=("on", "off")), "no column 'on'; there are a, b.*'columns'"),
        ("1,2\n3,4\n", FLUXES, "its columns have no names"),
        ("", ALL, "it is empty"),
        ("# nothing\n", ALL, "it is empty"),
        ("flux\n", ALL, "is empty"),
        ("flux\nbright\n", ALL, "got 'bright'; wanted a number"),
    ],
)
def test_texts_are_refused_in_one_line_that_says_why(text, wanted, said):
    with pytest.raises(ValueError, match=said) as caught:
        of(text, wanted)
    assert str(caught.value).startswith("observation x.csv")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("word", ["", "NA", "n/a", "null", "None", "--", "nan"])
def test_words_for_a_missing_element(word):
    text = f"1.5,{word},4.5\n"
    with pytest.raises(ValueError, match=r"NaN or infinite, first at index \(1,\)"):
        of(text)
    np.testing.assert_array_equal(of(text, Wanted(gaps=True)), [1.5, np.nan, 4.5])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1.5,inf,2\n", r"is infinite, first at index \(1,\): write nan in its place"),
        ("1.5,-999,2\n", "stands for a missing one: write nan in its place"),
        ("10%,20%\n", "it is empty below its first line, of names: got '10%'; wanted a number"),
        (
            '"1,234.5",x\n',
            "it is empty below its first line, of names: got '1,234.5'; wanted a number",
        ),
        ("1_0,2\n", "empty below its first line, of names: got '1_0'"),
    ],
)
def test_what_is_no_value_where_elements_may_be_missing(text, said):
    with pytest.raises(ValueError, match=said) as caught:
        of(text, Wanted(gaps=True))
    assert "\n" not in str(caught.value)


def test_another_encoding_is_refused():
    name = written("flux\n1.5\n", encoding="utf-16")
    with pytest.raises(ValueError, match=r"is not UTF-8; save it as UTF-8"):
        read_observation(name)


@pytest.mark.parametrize(
    ("text", "x_shape", "said"),
    [
        ("time,flux\n0,1.5\n0.5,2.5\n1,2\n", (3,), "its columns are time, flux: say in 'columns'"),
        ("0\n1.5\n2.5\n", (2,), "is its first line one of names"),
        ("0,1,2\n1.5,2.5,3.5\n", (3,), "is its first line one of names"),
        ("1,5\n2,5\n3,5\n", (3,), "an index, a time, or what a decimal comma made"),
        ("1,2,3\n4,5,6\n", (3, 2), "transposed"),
    ],
)
def test_another_shape_comes_with_its_likely_cause(text, x_shape, said):
    x = read_observation(written(text))
    with pytest.raises(ValueError, match=said):
        check_shape("x.csv", x, x_shape, several=False)


def arrays():
    np.savez("x.npz", time=TIME, flux=FLUX)
    return "x.npz"


def parquet():
    frame().to_parquet("x.parquet")
    return "x.parquet"


def fits_table():
    Table.from_pandas(frame()).write("x.fits")
    return "x.fits"


def hdf5():
    with h5py.File("x.h5", "w") as file:
        file["time"], file["flux"] = TIME, FLUX
    return "x.h5"


@pytest.mark.parametrize("write", [arrays, parquet, fits_table, hdf5])
def test_other_formats_give_their_columns_by_name(write):
    name = write()
    np.testing.assert_array_equal(read_observation(name, FLUXES), FLUX)
    np.testing.assert_array_equal(read_observation(name, Wanted(declared=("flux",))), FLUX)
    both = read_observation(name, Wanted(columns=("flux", "time")))
    np.testing.assert_array_equal(both, np.stack([FLUX, TIME], axis=1))


@pytest.mark.parametrize("write", [arrays, hdf5])
def test_of_several_arrays_one_must_be_asked_for(write):
    with pytest.raises(ValueError, match=r"it holds .*; say in 'columns' which are data"):
        read_observation(write())


def test_arrays_keep_their_axes_and_one_is_taken_whatever_its_name():
    np.save("x.npy", np.ones((1, 4, 4)))
    np.savez("x.npz", image=np.ones((4, 4)))
    assert read_observation("x.npy").shape == (1, 4, 4)
    assert read_observation("x.npz", Wanted(declared=("flux",))).shape == (4, 4)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.array([1.0, np.inf]), "NaN or infinite, first at index .1,."),
        (np.array([1j, 2.0]), "complex.*stack real and imaginary part"),
        (np.array(["a", "b"]), "holds <U1; wanted numbers"),
        (np.array(["2020-01-01"], dtype="M8[D]"), "wanted numbers"),
        (np.array([(1.0, 2.0)], dtype=[("a", "f8"), ("b", "f8")]), "wanted numbers"),
    ],
)
def test_arrays_that_are_no_real_numbers_are_refused(x, said):
    np.save("x.npy", x)
    with pytest.raises(ValueError, match=said):
        read_observation("x.npy")


def test_a_measured_number_may_look_like_a_sign():
    np.save("x.npy", np.array([1.5, -999.0, 1.25]))
    assert read_observation("x.npy").tolist() == [1.5, -999.0, 1.25]


def test_names_in_a_comment_do_not_let_columns_change_places():
    np.savetxt("x.csv", [[1, 10], [2, 20]], delimiter=",", header="y,x")
    with pytest.raises(ValueError, match="calls its columns y, x, and wanted are x, y: take away"):
        read_observation("x.csv", Wanted(declared=("x", "y")))
    np.savetxt("x.csv", [[1, 10], [2, 20]], delimiter=",", header="x,y")
    assert read_observation("x.csv", Wanted(declared=("x", "y"))).tolist() == [[1, 10], [2, 20]]
