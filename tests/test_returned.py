"""What simulators return: right, or refused at the first row in one line that says what to do."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
import xarray as xr
from astropy import table, units

from sbi_pipeline.campaigns.returned import NoData, as_data

ROW, ROWS = np.ones(2), np.ones((3, 2))
LONG = np.arange(3, dtype=np.longdouble)


@pytest.mark.parametrize(
    ("returned", "given", "expected"),
    [
        (1.5, ROW, [1.5]),
        (np.float32(1.5), ROW, [1.5]),
        (True, ROW, [1]),
        ([1, 2], ROW, [1, 2]),
        (np.arange(3.0), ROWS, [[0], [1], [2]]),
        (np.ma.masked_array([1.0, 2.0], [False, False]), ROW, [1, 2]),
        (torch.tensor([1.0, 2.0], requires_grad=True), ROW, [1, 2]),
        (pd.Series([1.0, 2.0], index=[7, 8]), ROW, [1, 2]),
        (xr.DataArray([1.0, 2.0], dims="time"), ROW, [1, 2]),
        (LONG, ROW, [0, 1, 2]),
    ],
)
def test_numbers_of_any_library_are_data(returned, given, expected):
    x = as_data(returned, given)
    np.testing.assert_array_equal(np.asarray(x, float), expected)
    assert x.dtype.kind in "biuf"
    assert x.dtype.itemsize <= 8


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (np.ones(3) * 1j, "returned complex128; wanted real numbers: stack real and imag"),
        ([1j, 2.0], "complex128"),
        (np.array([1, 2]) * units.Jy, "a Quantity in Jy; return its values in that unit"),
        (np.array([1, 2]) * units.one, "a Quantity; return its values in that unit"),
        (table.Column([1.0, 2.0], unit="Jy"), "a Column in Jy; return its values in that unit"),
        (pd.DataFrame({"time": [1.0], "flux": [2.0]}), "a DataFrame; .* without index and times"),
        (table.Table({"flux": [2.0]}), "a Table; return the array of its data"),
        (xr.Dataset({"flux": ("t", [2.0])}), "a Dataset"),
        ({"flux": [1.0]}, "a dict; wanted an array of numbers"),
        ("1.5", "a str; wanted an array of numbers"),
        (b"1.5", "a bytes; wanted an array of numbers"),
        (["1.5", "2.5"], "returned <U3; wanted numbers"),
        ([[1.0, 2.0], [3.0]], "a list that makes no array: .*inhomogeneous"),
        ([1.0, None], "a list of objects such as a NoneType"),
        ([decimal.Decimal(1)], "such as a Decimal"),
        (np.array(["2020-01-01"], "M8[D]"), "a time as a number of seconds or days"),
        ([datetime.date(2020, 1, 1)], "such as a date"),
        (scipy.sparse.csr_array(np.eye(2)), "a sparse csr_array; return x.toarray()"),
        (np.zeros(2, [("a", "f8"), ("b", "f8")]), "records of a, b"),
        (np.zeros(2, [("a", "f8"), ("b", "f8")])[0], "records of a, b"),
        (object(), "objects"),
    ],
)
def test_what_is_no_data_is_refused(returned, said):
    with pytest.raises(NoData, match=said) as caught:
        as_data(returned, ROW)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "returned None; .* 'return' on every way out"),
        (np.ma.masked_array([1.0, 2.0], [False, True]), "of which 1 of 2 values are masked"),
    ],
)
def test_what_one_row_may_lack_is_a_failure_of_that_row(returned, said):
    with pytest.raises(ValueError, match=said):
        as_data(returned, ROW)
