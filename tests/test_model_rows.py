"""Rows of several campaigns as those of one: in turns, with digits, by each one's own reader."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from models_for_tests import NORMAL, Campaign, nested

from sbi_pipeline.comparison.classifier import check_models
from sbi_pipeline.comparison.rows import DIGITS, ModelBlock, ModelRows, model_numbers
from sbi_pipeline.conditions import NO_CONDITIONS
from sbi_pipeline.storage.reading import PARTS, Reader
from sbi_pipeline.training import sources

ROWS = (4000, 1000)


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> list[Reader]:
    folder = tmp_path_factory.mktemp("models")
    options = [{"fail_above": 1.0}, {}]
    made = [nested(i + 1, i + 1, ROWS[i], **options[i]) for i in (0, 1)]
    return [one.reader(folder / str(i)) for i, one in enumerate(made)]


@pytest.fixture
def joined(readers: list[Reader]) -> ModelRows:
    return ModelRows.of(readers, ["one", "two"], seed=3)


def test_parameters_are_models_and_digits(joined: ModelRows) -> None:
    assert joined.names == ("one", "two", DIGITS)
    view = joined.collect({"train": 100_000})["train"]
    own = view.theta[:, :-1]
    assert set(np.unique(own)) == {0, 1}
    assert (own.sum(axis=1) == 1).all()
    digits = view.theta[:, -1]
    assert ((digits >= 0) & (digits < 1)).all()
    for bit in (1, 2, 3):
        shares = [np.floor(digits[model_numbers(view.theta) == k] * 2**bit) % 2 for k in (0, 1)]
        assert all(abs(each.mean() - 0.5) < 4 / np.sqrt(4 * len(each)) for each in shares)


def test_counts_are_those_of_all(joined: ModelRows, readers: list[Reader]) -> None:
    counts, own = joined.counts(), [each.counts() for each in readers]
    assert own[0]["failed"] > 100
    assert own[1]["failed"] == 0
    for part in (*PARTS, "failed"):
        assert counts[part] == own[0][part] + own[1][part]
    assert joined.rows == sum(ROWS)


def test_all_rows_are_there_once(joined: ModelRows, readers: list[Reader]) -> None:
    views = joined.collect(dict.fromkeys(PARTS, 100_000))
    for part, view in views.items():
        for model, reader in enumerate(readers):
            own = reader.collect({part: 100_000})[part]
            mine = model_numbers(view.theta) == model
            np.testing.assert_array_equal(view.row[mine], own.row)
            np.testing.assert_array_equal(view.x[mine], own.x)


@pytest.mark.parametrize("limit", [50, 333, 2000])
def test_some_rows_have_their_share_of_each_campaign(joined: ModelRows, limit: int) -> None:
    """Each campaign is one block here: those of the first alone would be all of its model."""
    assert len(joined.blocks) == 2
    counts = [each.counts()["train"] for each in joined.readers]
    view = joined.collect({"train": limit})["train"]
    assert len(view.row) == limit
    share = counts[0] / sum(counts)
    for first in (limit // 2, limit):
        assert np.sum(model_numbers(view.theta)[:first] == 0) == pytest.approx(
            share * first, abs=1.5
        )


def test_no_more_rows_than_wanted(joined: ModelRows) -> None:
    found = joined.collect({"train": 1, "test": 0})
    assert [len(view.row) for view in found.values()] == [1, 0]
    assert found["test"].x.shape == (0, 6)
    assert found["test"].theta.shape == (0, 3)


def test_digits_belong_to_the_row(joined: ModelRows, readers: list[Reader]) -> None:
    def digits(rows: ModelRows, part: str = "train", limit: int = 100_000) -> dict[object, float]:
        view = rows.collect({part: limit})[part]
        keys = zip(model_numbers(view.theta).tolist(), view.row.tolist(), strict=True)
        return dict(zip(keys, view.theta[:, -1].tolist(), strict=True))

    every = digits(joined)
    assert len(set(every.values())) == len(every)
    assert digits(joined, limit=77).items() <= every.items()
    again = ModelRows.of(readers, ["one", "two"], seed=3)
    assert digits(again) == every
    assert set(digits(ModelRows.of(readers, ["one", "two"], seed=4)).values()).isdisjoint(
        every.values()
    )
    longer = [dataclasses.replace(readers[0], split={**readers[0].split, "validation": 0.2})]
    other = digits(ModelRows.of([*longer, readers[1]], ["one", "two"], seed=3))
    both = set(other) & set(every)
    assert len(both) > 100
    assert all(other[key] == every[key] for key in both)


def test_blocks_take_turns(tmp_path: Path, readers: list[Reader]) -> None:
    blocks = [
        [dataclasses.replace(each.blocks[0])] * n for each, n in zip(readers, (4, 2), strict=True)
    ]
    many = [
        dataclasses.replace(each, blocks=own) for each, own in zip(readers, blocks, strict=True)
    ]
    joined = ModelRows.of(many, ["one", "two"], seed=1)
    assert [block.model for block in joined.blocks if isinstance(block, ModelBlock)] == [
        0,
        1,
        0,
        0,
        1,
        0,
    ]


def test_noise_and_gaps_are_those_of_the_own_campaign(tmp_path: Path) -> None:
    campaigns = [
        Campaign(
            "simulated_models:Nested",
            {"theta_dim": 1, "noise_at_load": True},
            rows=600,
            seed=seed,
            missing={"probability": 0.2},
        )
        for seed in (1, 2)
    ]
    readers = [one.reader(tmp_path / str(i)) for i, one in enumerate(campaigns)]
    joined = ModelRows.of(readers, ["one", "two"], seed=1)
    assert joined.varies
    for block in joined.blocks:
        assert isinstance(block, ModelBlock)
        reader = readers[block.model]
        own = reader.read(reader.blocks[0], "train")["train"]
        view = joined.read(block, "train")["train"]
        np.testing.assert_array_equal(view.x, own.x)
        for epoch in (0, 3):
            seen = joined.observed(block, view, "train", epoch)
            expected = reader.observed(reader.blocks[0], own, "train", epoch)
            np.testing.assert_array_equal(seen.x, expected.x)
            assert np.isnan(seen.x).mean() == pytest.approx(0.2, abs=0.03)
            np.testing.assert_array_equal(seen.theta[:, block.model], 1)
    first, second = (
        joined.observed(b, joined.read(b, "train")["train"], "train").x for b in joined.blocks
    )
    assert not np.array_equal(np.isnan(first), np.isnan(second[: len(first)]))


def test_known_conditions_stay_beside_the_data(tmp_path: Path) -> None:
    priors = {"theta_1": NORMAL, "eta_1": {"type": "uniform", "min": 1, "max": 2}}
    campaigns = [
        Campaign(
            "simulated_models:Nested",
            {"theta_dim": 1, "nuisances": 1},
            priors,
            known=["eta_1"],
            rows=300,
            seed=seed,
        )
        for seed in (1, 2)
    ]
    readers = [one.reader(tmp_path / str(i)) for i, one in enumerate(campaigns)]
    view = ModelRows.of(readers, ["one", "two"], seed=1).collect({"train": 1000})["train"]
    assert view.known.shape == (len(view.row), 1)
    assert (view.known > 1).all()
    mine = model_numbers(view.theta) == 1
    np.testing.assert_array_equal(
        view.known[mine], readers[1].collect({"train": 1000})["train"].known
    )


def test_data_of_one_precision_are_the_wider_of_both(readers: list[Reader]) -> None:
    single = dataclasses.replace(readers[1], x_dtype="float32")
    assert ModelRows.of([readers[0], single], ["one", "two"], seed=1).x_dtype == "float64"


def test_rows_are_streamed_as_they_are_read_at_once(joined: ModelRows) -> None:
    def told(memory: float) -> torch.Tensor:
        made = sources.prepare(joined, lambda z: z, memory=memory, seed=1, conditions=NO_CONDITIONS)
        assert isinstance(made.source, sources.InMemory) == (memory > 1e6)
        batches = [torch.cat((z, x), 1) for z, x in made.source.epoch(0, 10)]
        rows = torch.cat(batches)
        return rows[rows[:, 2].argsort()]

    torch.manual_seed(1)
    in_memory, streamed = told(1e9), told(1e5)
    assert abs(len(in_memory) - len(streamed)) < 10
    digits = set(in_memory[:, 2].tolist()) & set(streamed[:, 2].tolist())
    assert len(digits) > len(in_memory) - 20


def test_a_model_with_few_rows_is_named() -> None:
    many = {"train": 100, "validation": 10}
    check_models(["wide", "thin"], [many, many])
    with pytest.raises(ValueError, match="model thin: there are 3 rows"):
        check_models(["wide", "thin"], [many, {"train": 3, "validation": 10}])
