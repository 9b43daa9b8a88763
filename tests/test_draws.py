"""The store of the draws of a catalogue: blocks that are whole, grown and replaced."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sbi_pipeline import summaries
from sbi_pipeline.model import Model
from sbi_pipeline.stages.catalogues import block_key, tabulate
from sbi_pipeline.status.rows import catalogue_table
from sbi_pipeline.status.tree import read_tree
from sbi_pipeline.storage import collected
from sbi_pipeline.storage.draws import DrawStore, Form, ObjectBlock, prepare_store

FORM = Form(
    recipe="0123456789abcdef",
    parameters=("m", "s"),
    columns=("m_mean", "p"),
    draws=5,
    block=4,
    shown=2,
    levels=(0.05, 0.5, 0.95),
    x_shape=(3,),
)


def names(n):
    return [f"o{number}" for number in range(n)]


def block(size, value, of=()):
    return ObjectBlock(
        draws={name: np.full((size, FORM.draws), value) for name in FORM.parameters},
        summary={name: np.full(size, value) for name in FORM.columns},
        of=np.array(of, dtype=int),
        predicted=np.full((len(of), 3, 3), value),
    )


def test_xarray_opens_what_is_written(tmp_path):
    store = prepare_store(tmp_path / "draws.zarr", FORM, names(6))
    store.add(0, block(4, 1.0), 7)
    store.add(1, block(2, 2.0), 8)
    found = xr.open_zarr(tmp_path / "draws.zarr", group="posterior", consolidated=False)
    assert dict(found.sizes) == {"object": 6, "draw": 5}
    assert found["object"].to_numpy().tolist() == names(6)
    assert found["m"].sel(object="o5").to_numpy().tolist() == [2.0] * 5
    assert store.summary()["p"].tolist() == [1, 1, 1, 1, 2, 2]


def test_a_block_that_is_not_written_has_no_key(tmp_path):
    store = prepare_store(tmp_path / "draws.zarr", FORM, names(6))
    store.add(1, block(2, 2.0), 8)
    assert DrawStore(tmp_path / "draws.zarr").made().tolist() == [0, 8]


def test_status_counts_objects_that_have_draws(tmp_path):
    store = prepare_store(tmp_path / "study/npe/survey/draws.zarr", FORM, names(6))
    assert counted(tmp_path) == [("study/npe/survey", "0", "6", "")]
    store.add(1, block(2, 2.0), 8)
    assert counted(tmp_path) == [("study/npe/survey", "2", "6", "")]
    (tmp_path / "study/nle/survey/draws.zarr").mkdir(parents=True)
    damaged, whole = counted(tmp_path)
    assert "is not there" in damaged[-1]
    assert whole == ("study/npe/survey", "2", "6", "")


def counted(folder):
    return [row.cells for row in catalogue_table(read_tree(folder)).rows]


def test_objects_that_are_shown_are_numbered_in_the_catalogue(tmp_path):
    store = prepare_store(tmp_path / "draws.zarr", FORM, names(6))
    store.add(0, block(4, 1.0), 7)
    store.add(1, block(2, 2.0, of=[1]), 8)
    ((which, predicted),) = store.worst()
    assert which == 5
    assert (predicted == 2).all()


def test_blocks_stay_where_objects_are_added(tmp_path):
    prepare_store(tmp_path / "draws.zarr", FORM, names(6)).add(0, block(4, 1.0), 7)
    grown = prepare_store(tmp_path / "draws.zarr", FORM, names(9))
    assert grown.made().tolist() == [7, 0, 0]
    assert grown.summary()["p"][:4].tolist() == [1] * 4


def test_blocks_go_where_objects_are_taken_away(tmp_path):
    store = prepare_store(tmp_path / "draws.zarr", FORM, names(9))
    for number, size in enumerate((4, 4, 1)):
        store.add(number, block(size, 1.0), 7)
    assert prepare_store(tmp_path / "draws.zarr", FORM, names(3)).made().tolist() == [7]


def test_a_store_of_another_form_is_replaced(tmp_path):
    prepare_store(tmp_path / "draws.zarr", FORM, names(6)).add(0, block(4, 1.0), 7)
    other = dataclasses.replace(FORM, recipe="another")
    assert prepare_store(tmp_path / "draws.zarr", other, names(6)).made().tolist() == [0, 0]


def test_a_store_is_made_once_where_two_jobs_begin_at_once(tmp_path):
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, 'tests');"
        "from test_draws import *;"
        "store = prepare_store(Path(sys.argv[1]), FORM, names(8));"
        "store.add(int(sys.argv[2]), block(4, 1.0), 7)"
    )
    jobs = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "draws.zarr"), str(number)])
        for number in range(2)
    ]
    assert [each.wait() for each in jobs] == [0, 0]
    assert DrawStore(tmp_path / "draws.zarr").made().tolist() == [7, 7]


def test_a_damaged_chunk_is_named(tmp_path):
    store = prepare_store(tmp_path / "draws.zarr", FORM, names(6))
    store.add(0, block(4, 1.0), 7)
    chunk = tmp_path / "draws.zarr/summary/c/0/0"
    content = bytearray(chunk.read_bytes())
    content[3] ^= 1
    chunk.write_bytes(content)
    with pytest.raises(ValueError, match=r"draws\.zarr.*damaged"):
        store.summary()


@pytest.mark.parametrize("name", ["posterior/m", "summary", "worst/of"])
def test_a_block_of_which_a_file_is_gone_is_not_made(tmp_path, name):
    store = prepare_store(tmp_path / "draws.zarr", FORM, names(6))
    store.add(0, block(4, 1.0), 7)
    store.add(1, block(2, 2.0), 8)
    (tmp_path / "draws.zarr" / name / "c/0/0").unlink()
    assert store.made().tolist() == [0, 8]


@pytest.mark.parametrize("key", ["zarr.json", "summary/zarr.json"])
def test_a_damaged_description_is_deleted_with_the_store(tmp_path, key):
    prepare_store(tmp_path / "draws.zarr", FORM, names(6))
    (tmp_path / "draws.zarr" / key).write_text("{")
    with pytest.raises(ValueError, match=r"draws\.zarr was damaged .*; delete it"):
        DrawStore(tmp_path / "draws.zarr")


def test_a_damaged_catalogue_is_named(tmp_path):
    (tmp_path / "survey.nc").write_bytes(b"")
    with (
        pytest.raises(ValueError, match=r"survey\.nc was damaged"),
        collected.opened(tmp_path / "survey.nc"),
    ):
        pass


def test_a_store_that_is_gone_is_named(tmp_path):
    with pytest.raises(ValueError, match="is not there"):
        DrawStore(tmp_path / "draws.zarr")


def test_a_catalogue_of_which_nothing_was_predicted_has_a_table(tmp_path):
    """Of very many objects nothing is, and with predictive_draws: 0."""
    columns = summaries.columns_of(("m",))
    form = dataclasses.replace(FORM, parameters=("m",), columns=columns)
    x, attrs = np.zeros((6, 3)), {"key": "k", "source": "table t.csv"}
    collected.write(tmp_path / "survey.nc", names(6), {}, (3,), [x], attrs)
    store = prepare_store(tmp_path / "draws.zarr", form, names(6))
    numbers = dict.fromkeys(columns, 1.0) | dict.fromkeys(("m_rank", "predictive_p"), np.nan)
    with collected.opened(tmp_path / "survey.nc") as known:
        for number, rows in enumerate((slice(0, 4), slice(4, 6))):
            size = rows.stop - rows.start
            summary = {name: np.full(size, value) for name, value in numbers.items()}
            made = ObjectBlock({"m": np.ones((size, 5))}, summary, np.array([], int), np.empty(0))
            store.add(number, made, block_key(form.recipe, number, known, rows))
    told = {"recipe": form.recipe, "reference": 9, "least_p": 0.1, "seconds": 1, "problems": []}
    (tmp_path / "infer-0.json").write_text(json.dumps(told))
    made = {each: tmp_path / each for each in ("table", "parquet", "worst", "facts")}
    normal = {"type": "normal", "mean": 0, "sd": 1}
    tabulate(
        catalogue=tmp_path / "survey.nc",
        receipts=[tmp_path / "infer-0.json"],
        store=tmp_path / "draws.zarr",
        model=Model("simulators_for_tests:Shifted", {}, ("m", "eta"), {"m": normal, "eta": normal}),
        inferred_parameters=["m"],
        key="k",
        **made,
    )
    table = pd.read_csv(made["table"])
    assert table["object"].tolist() == names(6)
    assert "predictive_p" not in table
