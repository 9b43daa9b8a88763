"""Which elements are missing: drawn when rows are read, refused where nobody said how."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from shard_for_tests import SEED, make, manifest_of

from sbi_pipeline import catalogues, estimators, posterior, study
from sbi_pipeline.campaigns.callers import DirectCaller
from sbi_pipeline.campaigns.simulation import simulate_rows
from sbi_pipeline.model import Model
from sbi_pipeline.observation_files import Wanted, read_observation
from sbi_pipeline.storage.missing_elements import MissingElements
from sbi_pipeline.storage.reading import PARTS, Reader, open_campaign
from sbi_pipeline.streams import Stream
from sbi_pipeline.training.sources import InMemory, Streamed, prepare
from sbi_pipeline.types import Outcome

SPLIT = {"seed": 3, "validation": 0.1, "test": 0.05}
LINEAR = {"theta_dim": 1, "nuisances": 1, "x_dim": 3}
PRIOR = {name: {"type": "normal", "mean": 0, "sd": 1} for name in ("theta_1", "theta_2")}


class Blind:
    """Data of which those above 1 are missing; all of them where a > 0.9."""

    parameters = ("a", "b")

    def __call__(self, parameters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        x = parameters[:, :1] + 0.3 * rng.normal(size=(len(parameters), 3))
        return np.where((x > 1) | (parameters[:, :1] > 0.9), np.nan, x)


def campaign_of(folder: Path, rows: int, chunk_size: int = 1000, **missing: object) -> Reader:
    orders = {"simulator_name": "linear_gaussian", "simulator_options": LINEAR}
    make(folder, rows, "linear_gaussian", rows, chunk_size=chunk_size, **orders)
    manifest = manifest_of(folder / "shard-0.zarr", rows, **SPLIT)
    return open_campaign(manifest, ["a"], missing=MissingElements(SEED, **missing))


def drawn(shape: tuple[int, ...], rows: int = 4000, **given: object) -> np.ndarray:
    """Return what is missing, ``(rows, *shape)``."""
    return np.isnan(MissingElements(1, **given)(np.zeros((rows, *shape)), np.arange(rows), "test"))


def test_elements_are_missing_with_their_probability_alone_in_runs_and_in_blocks() -> None:
    alone = drawn((20,), probability=0.3)
    runs = drawn((20,), probability=0.3, length=4)
    blocks = drawn((8, 9), probability=0.3, length=[2, 3])
    for found in (alone, runs, blocks):
        np.testing.assert_allclose(found.mean(0), 0.3, atol=0.04)
    together = [np.corrcoef(each[:, 10], each[:, 11])[0, 1] for each in (alone, runs)]
    assert abs(together[0]) < 0.06
    assert together[1] > 0.6
    starts = runs[:, 1:-4] & ~runs[:, :-5]
    assert all(runs[:, 1 + k : -4 + k][starts].all() for k in range(4))


def test_masks_are_drawn_from_the_rows_of_a_file(tmp_path: Path) -> None:
    there = np.array([[1, 1, 0], [0, 1, 1]])
    np.save(tmp_path / "masks.npy", there)
    (tmp_path / "masks.csv").write_text("u,v,w\n1,1,0\n0,1,1\n")
    for name in ("masks.npy", "masks.csv"):
        found = drawn((3,), patterns=str(tmp_path / name))
        assert {tuple(each) for each in found.tolist()} == {
            (False, False, True),
            (True,) + (False,) * 2,
        }
        assert found[:, 0].mean() == pytest.approx(0.5, abs=0.05)


def test_gaps_are_those_of_row_part_and_epoch_alone(tmp_path: Path) -> None:
    given = {"probability": 0.4}
    small = campaign_of(tmp_path / "small", 2000, **given)
    other = campaign_of(tmp_path / "large", 2000, chunk_size=2000, **given)
    for part in PARTS:
        one, two = (reader.collect({part: 2000})[part].x for reader in (small, other))
        assert one.tobytes() == two.tobytes()
        assert np.isnan(one).mean() == pytest.approx(0.4, abs=0.1)
    stored = small.read(small.blocks[0], "train")["train"]
    assert np.isfinite(stored.x).all()
    epochs = [small.observed(small.blocks[0], stored, "train", epoch).x for epoch in (0, 1, 0)]
    np.testing.assert_array_equal(epochs[0], epochs[2])
    assert (np.isnan(epochs[0]) != np.isnan(epochs[1])).mean() == pytest.approx(0.48, abs=0.05)


def test_training_reads_other_gaps_in_each_epoch(tmp_path: Path) -> None:
    rows = prepare(campaign_of(tmp_path, 2000, probability=0.4), lambda x: x, memory=1e6, seed=1)
    assert isinstance(rows.source, Streamed)
    first, second = (torch.cat([x for _, x in rows.source.epoch(n, 5)]) for n in (1, 2))
    assert first.isnan().sum() != second.isnan().sum()
    fixed = replace(campaign_of(tmp_path, 2000), missing=MissingElements(SEED, rows=True))
    assert isinstance(prepare(fixed, lambda x: x, memory=1e6, seed=1).source, InMemory)


def test_whole_numbers_become_floats_where_some_are_missing() -> None:
    found = MissingElements(1, probability=0.5)(np.ones((9, 4), np.int32), np.arange(9), "test")
    assert found.dtype.kind == "f"
    assert set(found[np.isfinite(found)]) == {1.0}


@pytest.mark.parametrize("gaps", [False, True])
def test_rows_with_nan_are_failed_unless_elements_may_be_missing(gaps: bool) -> None:
    model = Model("test_missing_elements:Blind", {}, ("a", "b"), {}, gaps)
    parameters = np.linspace(0, 1, 500)[:, None].repeat(2, 1)
    made = simulate_rows(
        DirectCaller(model),
        parameters,
        stream=Stream(1, "test"),
        start=0,
        block_size=500,
        x_shape=(3,),
        x_dtype="float64",
        gaps=model.gaps,
    )
    empty = np.isnan(made.x).all(1)
    failed = empty if gaps else np.isnan(made.x).any(1)
    assert empty[parameters[:, 0] > 0.9].all()
    np.testing.assert_array_equal(made.status == Outcome.NAN, failed)
    told = made.failures[0].text
    assert ("x is NaN throughout" if gaps else "missing: {rows: true}") in told


def test_an_observation_may_have_gaps_where_that_is_said(tmp_path: Path) -> None:
    path, gaps = tmp_path / "x.csv", Wanted(gaps=True)
    path.write_text("1.5\nnan\n2.5\n")
    with pytest.raises(ValueError, match=r"first at index \(1,\): leave .* under 'missing' of the"):
        read_observation(path)
    np.testing.assert_array_equal(read_observation(path, gaps), [1.5, np.nan, 2.5])
    path.write_text("nan\nnan\n")
    with pytest.raises(ValueError, match="empty or NaN throughout"):
        read_observation(path, gaps)
    path.write_text("1\ninf\n")
    with pytest.raises(ValueError, match="is infinite, first"):
        read_observation(path, gaps)
    path.write_text("1\nnan\n-999\n2\n")
    with pytest.raises(ValueError, match=r"holds -999 .* stands for a missing one"):
        read_observation(path, gaps)


def test_each_object_of_a_catalogue_has_gaps_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "objects.csv"
    path.write_text("u,v\n1,2\n,3\n4,\n")
    found = catalogues.open_catalogue(catalogues.Layout(str(path)))
    assert np.isnan(found.data(0, 3, gaps=True)).tolist() == [
        [False] * 2,
        [True, False],
        [False, True],
    ]
    with pytest.raises(ValueError, match=r"object '1' .* is empty.*say how gaps arise"):
        found.data(0, 3)
    path.write_text("u,v\n1,2\n,\n")
    with pytest.raises(ValueError, match=r"object '1' .* has no data at all"):
        catalogues.open_catalogue(catalogues.Layout(str(path))).data(0, 2, gaps=True)


def test_an_estimator_takes_gaps_if_it_was_trained_with_them() -> None:
    z, x = torch.randn(100, 1), torch.randn(100, 3)
    whole = estimators.build("npe", z, x, seed=1)
    x_o = np.array([[0.1, np.nan, 0.2]], np.float32)
    with pytest.raises(
        ValueError, match=r"1 values that are NaN .* under 'missing' of the campaign"
    ):
        posterior.check_x(whole, x_o)
    gapped = estimators.build("npe", z, x, seed=1, gaps=True)
    np.testing.assert_array_equal(posterior.check_x(gapped, x_o), x_o)
    with pytest.raises(ValueError, match=r"1 values that are infinite"):
        posterior.check_x(gapped, np.array([[0.1, np.inf, 0.2]]))
    with pytest.raises(ValueError, match="toy:ToyEstimator takes no data with missing elements"):
        estimators.build("toy:ToyEstimator", z, x, seed=1, gaps=True)


def config_of(missing: object = None, **changes: object) -> dict[str, Any]:
    campaign = {
        "simulator": "linear_gaussian",
        "options": {"x_dim": 6},
        "simulations": 1000,
        "priors": PRIOR,
        "inferred_parameters": ["theta_1", "theta_2"],
        "observations": {"mock": {"parameters": {}}},
        **({} if missing is None else {"missing": missing}),
        **changes,
    }
    return {"campaigns": {"c": campaign}, "estimators": {"npe": {"method": "npe"}}}


def keys_of(missing: object) -> dict[str, str]:
    plan = study.Plan(config_of(missing))
    return {Path(path).name: spec.key for path, spec in plan.items()}


def test_gaps_change_what_is_learnt_and_not_what_is_simulated() -> None:
    none, some, more = map(keys_of, (None, {"probability": 0.1}, {"probability": 0.2}))
    same = {name for name in none if none[name] == some[name]}
    assert {name for name in same if name.startswith("shard")} == {
        name for name in none if name.startswith("shard")
    }
    assert none["manifest.spec.json"] == some["manifest.spec.json"]
    for name in ("train.spec.json", "calibrate.spec.json", "report.spec.json", "mock.spec.json"):
        assert len({none[name], some[name], more[name]}) == 3, name
    rows = keys_of({"rows": True})
    assert none["manifest.spec.json"] != rows["manifest.spec.json"]


def test_rows_with_gaps_and_rows_without_are_not_taken_together() -> None:
    config = config_of({"rows": True}, reuse=["other"])
    other = {**config_of(None, seed=2)["campaigns"]["c"], "simulations": 500}
    config["campaigns"]["other"] = other
    with pytest.raises(
        ValueError, match=r"failed ones in the other; write missing: \{rows: true\}"
    ):
        study.take_configuration(config)
    other["missing"] = {"rows": True}
    study.take_configuration(config)


@pytest.mark.parametrize(
    ("missing", "wanted"),
    [
        ({}, "wanted one of 'probability', 'patterns' and 'rows: true'"),
        ({"rows": False}, "wanted one of 'probability', 'patterns' and 'rows: true'"),
        ({"probability": 0.1, "rows": True}, "wanted one of"),
        ({"probability": 1.5}, "probability"),
        ({"probability": 0}, "probability"),
        ({"probability": 0.1, "length": 0}, "a whole number from 1 to 1000000"),
        ({"probability": 0.1, "length": [2, 2]}, r"length is \[2, 2\]; the data have shape \(6,\)"),
        ({"rows": True, "length": 3}, "has no effect: it is of gaps with a probability"),
        ({"patterns": "absent.npy"}, "patterns absent.npy: no such file"),
        ({"patterns": "narrow.csv"}, r"a mask has shape \(3,\); the data have \(6,\)"),
        ({"patterns": "empty.csv"}, "all is missing in its mask 1"),
        ({"patterns": "words.csv"}, "it holds 7; wanted 1 where an element is there"),
        ({"patterns": "ragged.csv"}, "its rows differ in length"),
        ({"often": 0.1}, "often"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    missing: object, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("narrow.csv").write_text("1,0,1\n1,1,1\n")
    Path("empty.csv").write_text("1,0,1,1,1,1\n0,0,0,0,0,0\n")
    Path("words.csv").write_text("1,0,1,1,1,1\n7,0,0,0,0,0\n")
    Path("ragged.csv").write_text("1,0,1,1,1,1\n1,0,0\n")
    shaped = {"simulator": "shaped:Shaped", "options": {}}
    Path("shaped.py").write_text(
        "class Shaped:\n    parameters = ('theta_1', 'theta_2')\n    x_shape = (6,)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=wanted) as caught:
        study.take_configuration(config_of(missing, **shaped))
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named_where_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("o.csv").write_text("1,2,3\n1,bad,3\n")
    normal = PRIOR["theta_1"]
    blind = {"simulator": "test_missing_elements:Blind", "options": {}}
    blind |= {"priors": {"a": normal, "b": normal}, "inferred_parameters": ["a", "b"]}
    blind |= {"observations": {"o": {"file": "o.csv"}}}
    with pytest.raises(ValueError, match=r"campaigns\.c\.observations\.o\.file: .*got 'bad'"):
        study.take_configuration(config_of({"probability": 0.1}, **blind))


@pytest.mark.parametrize(
    ("observed", "said"),
    [
        ("1,,3,4,5,6", "element 1, counted from 0, is missing, and there in all masks"),
        ("1,2,3,4,5,6", "element 5, counted from 0, is there, and missing in all masks"),
        ("1,2,,4,5,", None),
    ],
)
def test_gaps_of_an_observation_are_among_the_masks(
    observed: str, said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("masks.csv").write_text("a;b;c;d;e;f\n1;1;0;1;True;0\nTrue;1;1;0;1;0\n")
    Path("o.csv").write_text(observed + "\n")
    given = config_of({"patterns": "masks.csv"}, observations={"o": {"file": "o.csv"}})
    if said is None:
        study.take_configuration(given)
        return
    with pytest.raises(ValueError, match=rf"campaigns\.c\.observations\.o\.file: {said}"):
        study.take_configuration(given)
