"""Tables of the same objects in files, and what a stage does with one."""

import numpy as np
import pandas as pd
import pytest

from sbi_pipeline.catalogues import check_objects, open_catalogue, shape_of

N = 7
NAMES = ["007", "7", "M 31", "ngc,1", "b #5", "é", "last"]
X = np.random.default_rng(1).normal(size=(N, 3))
MASS = np.array([1.5, np.nan, 2.5, 3.5, np.nan, 5.5, 6.5])
SERIES = np.random.default_rng(2).normal(size=(N, 2, 5))
ROLES = {"name": "id", "truth": {"mass": "true mass"}}
COLUMNS = ("g", "r", "i")


def frame():
    return pd.DataFrame({"id": NAMES, "true mass": MASS} | dict(zip(COLUMNS, X.T, strict=True)))


def comma():
    frame().to_csv("t.csv", index=False)


def refused(layout, match):
    """Everything a stage does; what is refused is one line that begins with the table."""
    with pytest.raises(ValueError, match=match) as caught:
        everything(layout)
    text = str(caught.value)
    assert text.startswith(f"table {layout.table}")
    assert "\n" not in text
    assert len(text) < 400


def everything(layout):
    shape_of(layout)
    catalogue = open_catalogue(layout)
    check_objects(catalogue)
    catalogue.data(0, len(catalogue))
