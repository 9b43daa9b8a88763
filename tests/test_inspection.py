import time

import numpy as np
import pytest
from shard_for_tests import make

from sbi_pipeline.campaigns import inspection
from sbi_pipeline.status.tree import read_tree
from sbi_pipeline.storage import journal
from sbi_pipeline.storage.chunks import whole_chunks
from sbi_pipeline.storage.layout import Layout
from sbi_pipeline.storage.lease import Lease
from sbi_pipeline.storage.rows import read_rows


@pytest.fixture
def shard(tmp_path):
    folder = tmp_path / "noise-key"
    folder.mkdir()
    make(folder, 300, "NoiseOneByOne", 300, chunk_size=100)
    return folder / "shard-0.zarr"


def damage(shard, chunk):
    file = shard / "x" / "c" / str(chunk) / "0"
    content = bytearray(file.read_bytes())
    content[10] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("chunk", [0, 1, 2])
def test_a_damaged_chunk_is_found_deleted_and_simulated_again(shard, tmp_path, chunk):
    whole = read_rows(shard, 0, 300).checksum()
    assert inspection.verify(tmp_path) == []
    damage(shard, chunk)
    start = 100 * chunk
    (found,) = inspection.verify(tmp_path)
    assert (found.store, found.chunk, found.start, found.stop) == (shard, chunk, start, start + 100)
    assert "checksum" in found.reason
    assert inspection.repair(tmp_path) == [found]
    assert not shard.with_suffix(".json").exists()
    before = len(journal.read_records(shard))
    make(shard.parent, 300, "NoiseOneByOne", 300)
    lines = journal.read_records(shard)[before:]
    assert [(line["kind"], line["start"]) for line in lines] == [("run", 0), ("rows", start)]
    assert inspection.verify(tmp_path) == []
    assert read_rows(shard, 0, 300).checksum() == whole


def test_a_chunk_committed_in_two_parts_is_repaired_as_one(tmp_path):
    for rows in (150, 300):
        make(tmp_path, rows, "NoiseOneByOne", 300, chunk_size=100)
    damage(tmp_path / "shard-0.zarr", 1)
    assert [(d.start, d.stop) for d in inspection.repair(tmp_path)] == [(100, 150), (150, 200)]
    receipt = make(tmp_path, 300, "NoiseOneByOne", 300)
    assert (receipt["rows"], inspection.verify(tmp_path)) == (300, [])


def test_what_describes_the_arrays_is_written_anew_and_nothing_simulated(shard, tmp_path):
    whole = read_rows(shard, 0, 300).checksum()
    (shard / "x" / "zarr.json").write_text("{")
    (found,) = inspection.repair(tmp_path)
    assert (found.chunk, found.start, found.stop) == (None, 0, 300)
    assert "x/zarr.json was damaged or edited" in found.reason
    assert inspection.verify(tmp_path) == []
    assert shard.with_suffix(".json").exists()
    assert read_rows(shard, 0, 300).checksum() == whole


def test_a_lost_description_and_a_damaged_chunk_are_repaired_together(shard, tmp_path):
    whole = read_rows(shard, 0, 300).checksum()
    damage(shard, 1)
    (shard / "zarr.json").unlink()
    assert [found.chunk for found in inspection.repair(tmp_path)] == [None, 1]
    make(shard.parent, 300, "NoiseOneByOne", 300)
    assert inspection.verify(tmp_path) == []
    assert read_rows(shard, 0, 300).checksum() == whole


def test_a_journal_that_cannot_describe_the_arrays_says_what_to_do(shard, tmp_path):
    lines = [line for line in journal.read_records(shard) if line["kind"] == "rows"]
    (shard / journal.FILE).write_bytes(b"".join(map(journal.encode, lines)))
    (shard / "zarr.json").write_text("")
    with pytest.raises(ValueError, match=r"restore zarr\.json, or delete shard-0\.zarr"):
        inspection.repair(tmp_path)
    assert whole_chunks(shard, Layout("k", 0, ("a", "b"), (3,), "float64", 100))


@pytest.mark.parametrize("text", ["{", "[1]", '{"rows": 300}'])
def test_a_damaged_receipt_says_that_it_can_be_deleted(shard, tmp_path, text):
    shard.with_suffix(".json").write_text(text)
    with pytest.raises(ValueError, match=r"shard-0\.json was damaged or edited .*delete it"):
        inspection.shard_status(shard)


def test_a_shard_being_written_is_not_repaired(shard, tmp_path, monkeypatch):
    damage(shard, 1)
    monkeypatch.setattr(Lease.__init__, "__kwdefaults__", {"beat": 1, "patience": 1, "grace": 0.1})
    with Lease(shard), pytest.raises(ValueError, match="is being written by"):
        inspection.repair(tmp_path)


def test_status_follows_a_shard(shard, tmp_path):
    done = inspection.shard_status(shard)
    assert (done.rows, done.wanted, done.failures, done.state) == (300, 300, {}, "done")
    with journal.Journal(shard) as ledger:
        lines = journal.read_records(shard)
        ledger.append(lines[0] | {"rows": 700, "time": 1000.0})
        ledger.append(
            lines[1] | {"start": 300, "stop": 400, "time": 1010.0, "failures": {"nan": 4}}
        )
    stopped = inspection.shard_status(shard)
    assert (stopped.rows, stopped.wanted, stopped.state) == (400, 700, "stopped")
    assert (stopped.rate, stopped.failures) == (pytest.approx(10.0), {"nan": 4})
    with Lease(shard):
        running = inspection.shard_status(shard)
    assert running.state == "running"


def test_status_of_a_thousand_shards_takes_less_than_two_seconds(shard, tmp_path):
    receipt = shard.with_suffix(".json").read_bytes()
    lines = (shard / journal.FILE).read_bytes()
    for number in range(1, 1000):
        path = shard.with_name(f"shard-{number}.zarr")
        path.mkdir()
        (path / journal.FILE).write_bytes(lines)
        if number % 2:
            path.with_suffix(".json").write_bytes(receipt)
    begin = time.perf_counter()
    stores = read_tree(tmp_path).stores
    shards = [inspection.shard_status(store) for store in stores]
    assert time.perf_counter() - begin < 2.0
    assert [int(s.store.stem[6:]) for s in shards] == list(np.arange(1000))
