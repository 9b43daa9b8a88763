"""Data of which their precision leaves nothing are refused in one line."""

import logging

import pytest
import torch
from estimators_for_tests import gaussian

from sbi_pipeline import estimators


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x * 1e-46, "underflow single precision, .*1.2e-38"),
        (lambda x: x * 1e-45, "underflow single precision"),
        (lambda x: x * 1e-40, "underflow single precision"),
        (lambda x: x * 0, "between 0 and 0 in all 500 training rows.*see why it returns zeros"),
        (lambda x: x * 0 + 7, "between 7 and 7 in all 500 training rows, no column"),
        (lambda x: x.half() * 1e-8, "underflow half precision"),
        (lambda x: 1e9 + x, "last digit of single precision.*return double"),
        (lambda x: 1e18 + x.double(), "last digit of double precision.*other units"),
        (lambda x: x * 1e39, "NaN or infinity in 500 of 500 rows"),
    ],
)
def test_what_precision_does_not_hold_is_refused(change, message):
    z, x = gaussian(500)
    with pytest.raises(ValueError, match=message) as refused:
        estimators.build("npe", z, change(x), seed=1)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("unit", [1e-46, 1e-40])
def test_gaps_do_not_hide_it(unit):
    z, x = gaussian(500)
    x[::2, 0] = torch.nan
    with pytest.raises(ValueError, match="underflow single precision"):
        estimators.build("npe", z, x * unit, seed=1, gaps=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x * 1e-37,
        lambda x: 1e5 + x,
        lambda x: 1e9 + x.double(),
        lambda x: (10 * x).long(),
        lambda x: (x > 0).float(),
    ],
)
def test_what_precision_holds_is_taken(change, caplog):
    z, x = gaussian(500)
    with caplog.at_level(logging.WARNING):
        estimators.build("npe", z, change(x), seed=1)
    assert not caplog.records


def test_one_column_of_rounding_is_named(caplog):
    z, x = gaussian(500)
    with caplog.at_level(logging.WARNING):
        estimators.build("npe", z, torch.cat((x, 3e7 + x[:, :1]), 1), seed=1)
    assert "1 of 3 columns of x vary by less than 8 steps" in caplog.text
    assert "first column 2" in caplog.text
