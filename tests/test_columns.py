"""Names of columns, from a simulator to files, tables and the axes of figures."""

import numpy as np
import pytest
import xarray as xr

from sbi_pipeline.catalogues import Layout, open_catalogue
from sbi_pipeline.observations import axis_values, with_texts
from sbi_pipeline.simulators.function import PlainFunction
from sbi_pipeline.types import declared_columns

TIMES = [0.0, 0.5, 3.25]


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def of(text, layout):
    with open("t.csv", "w", encoding="utf-8") as file:
        file.write(text)
    return open_catalogue(layout).data(0, 2).tolist()


def test_columns_of_a_catalogue_have_the_order_of_the_simulators():
    text = "name,off,on\nsun,1,2\nvega,3,4\n"
    layout = Layout("t.csv", name="name", declared=("on", "off"))
    assert of(text, layout) == [[2, 1], [4, 3]]
    given = Layout("t.csv", name="name", columns=("off", "on"), declared=("on", "off"))
    assert of(text, given) == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match=r"no column 'on'; there are n_off, n_on.* 'columns'"):
        of(text.replace(",o", ",n_o"), layout)


def test_objects_in_files_have_their_columns_picked_too():
    for name in "ab":
        with open(f"{name}.csv", "w", encoding="utf-8") as file:
            file.write("time,flux\n0,1.5\n1,2.5\n")
    made = open_catalogue(Layout("?.csv", declared=("flux",)))
    assert made.data(0, 2).tolist() == [[1.5, 2.5], [1.5, 2.5]]


@pytest.mark.parametrize("said", ["flux", (1, 2), ("a", "a")])
def test_columns_are_names_that_differ(said):
    def simulate(parameters, rng):
        return parameters

    simulate.columns = said
    simulator = PlainFunction(simulate, {}, ("a",))
    with pytest.raises(ValueError, match=r"says columns = .* wanted a tuple of names that differ"):
        declared_columns(simulator)
    simulate.columns = ("on", "off")
    assert declared_columns(simulator) == ("on", "off")


def test_irregular_times_come_to_the_axes():
    x = xr.DataArray(np.zeros(3), dims="x_dim_0")
    with open("lc.csv", "w", encoding="utf-8") as file:
        file.write("time,flux\n0,1\n0.5,2\n3.25,3\n")
    for axis in ({"values": TIMES}, {"values": "lc.csv", "column": "time"}):
        shown = with_texts(x, {"axis": {"label": "time", **axis}})["x_dim_0"]
        assert (shown.to_numpy().tolist(), shown.attrs["label"]) == (TIMES, "time")
    assert axis_values({"start": 2, "step": 3}, 3).tolist() == [2, 5, 8]
    with pytest.raises(ValueError, match=r"values of shape \(3,\); the data have 4 elements"):
        axis_values({"values": TIMES}, 4)
