import numpy as np
import pytest
from shard_for_tests import by_row, manifest_of, parameters

from sbi_pipeline.storage import reading
from sbi_pipeline.storage.manifest import split
from sbi_pipeline.storage.reading import PARTS, open_campaign

SPLIT = {"seed": 3, "validation": 0.2, "test": 0.1}


def test_parts_share_no_row_and_leave_none_out(run):
    shard, _ = run("a", 4000, chunk_size=1000)
    reader = open_campaign(manifest_of(shard, 3500, **SPLIT), ["b"])
    views = reader.collect(dict.fromkeys(PARTS, 10_000))
    whole = reading.load_simulations(manifest_of(shard, 3500, **SPLIT), ["b"])
    np.testing.assert_array_equal(
        np.sort(np.concatenate([view.row for view in views.values()])), np.arange(3500)
    )
    masks = split(0, int(whole.row[-1]) + 1, **SPLIT)
    for part, view in views.items():
        np.testing.assert_array_equal(view.row, np.flatnonzero(masks[part]))
        np.testing.assert_array_equal(view.x, whole.x[view.row])
        np.testing.assert_array_equal(view.theta, parameters(0, 4000)[view.row, 1:])
    counts = reader.counts()
    assert {part: counts[part] for part in PARTS} == {p: len(v.row) for p, v in views.items()}


def test_collecting_reads_no_further_than_needed(run):
    shard, _ = run("a", 4000, chunk_size=1000)
    (shard / "x" / "c" / "3" / "0").unlink()
    reader = open_campaign(manifest_of(shard, 4000, **SPLIT))
    few = reader.collect({"test": 200, "validation": 10})
    assert [len(view.row) for view in few.values()] == [200, 10]
    assert (few["test"].row[:10] == np.sort(few["test"].row)[:10]).all()
    assert len(reader.collect({"test": 0})["test"].x) == 0
    none = open_campaign(manifest_of(shard, 4000, **SPLIT), ["b"], known=["a"]).collect({"test": 0})
    assert none["test"].known.shape == (0, 1)
    assert none["test"].weight is None
    with pytest.raises(ValueError, match=r"chunk 3.*not the rows committed"):
        reader.collect({"test": 4000})


def test_failed_rows_are_counted_and_left_out(run):
    shard, receipt = run("a", 300, "Moody", time_limit=0.2, chunk_size=100)
    reader = open_campaign(manifest_of(shard, 250, **SPLIT))
    bad = np.array([label != "ok" for label in by_row(shard, receipt)])[:250]
    counts = reader.counts()
    assert counts["failed"] == bad.sum() > 0
    views = reader.collect(dict.fromkeys(PARTS, 300))
    np.testing.assert_array_equal(
        np.sort(np.concatenate([view.row for view in views.values()])), np.flatnonzero(~bad)
    )
    theta, status = reader.outcomes(170)
    np.testing.assert_array_equal(theta, parameters(0, 300)[:170])
    np.testing.assert_array_equal(status > 0, bad[:170])
