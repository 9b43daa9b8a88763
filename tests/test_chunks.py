"""Sealed shards: few files, the same rows, and grown or repaired as any other."""

import json

import pytest
import zarr

from sbi_pipeline.campaigns import inspection
from sbi_pipeline.storage import chunks, journal
from sbi_pipeline.storage.layout import read_layout
from sbi_pipeline.storage.rows import read_record, read_rows

OPTIONS = {"chunk_size": 100, "block_size": 50, "drawn": 600}


@pytest.fixture(params=["Noise", "NoiseOneByOne"])
def finished(run, request):
    """Return a function that makes the same shard with so many rows."""

    def make(rows):
        return run("study", rows, request.param, **OPTIONS)[0]

    return make


def files(shard):
    return sorted(str(path.relative_to(shard)) for path in shard.rglob("*") if path.is_file())


def committed(shard, rows):
    layout, done = read_layout(shard), journal.committed(journal.read_records(shard))
    assert sum(each["stop"] - each["start"] for each in done.values()) >= rows
    return [read_record(shard, layout, each).checksum() for each in done.values()]


def test_a_sealed_shard_has_one_file_an_array_and_the_same_rows(finished):
    shard = finished(530)
    before = committed(shard, 530)
    assert inspection.seal_finished(shard.parent) == [shard]
    assert committed(shard, 530) == before
    assert len(files(shard)) == 11
    assert [name for name in files(shard) if name.startswith("status/")] == [
        "status/c.0",
        "status/zarr.json",
    ]
    assert inspection.seal_finished(shard.parent) == []
    assert inspection.verify(shard.parent) == []


def test_a_sealed_array_is_what_zarr_itself_calls_sharded(finished, tmp_path):
    shard = finished(500)
    inspection.seal_finished(shard.parent)
    ours = zarr.open_array(shard / "parameters", mode="r")
    copy = zarr.create_array(
        tmp_path / "copy.zarr",
        shape=ours.shape,
        dtype=ours.dtype,
        shards=ours.shards,
        chunks=ours.chunks,
        serializer=zarr.codecs.BytesCodec(),
        compressors=[zarr.codecs.Crc32cCodec()],
        fill_value=float("nan"),
        chunk_key_encoding={"name": "default", "separator": "."},
    )
    copy[...] = ours[...]
    written = (tmp_path / "copy.zarr/c.0.0").read_bytes()
    assert sorted(written) == sorted((shard / "parameters/c.0.0").read_bytes())
    described = [json.loads((path / "zarr.json").read_text()) for path in (copy.store.root, shard)]
    assert (
        described[0]["codecs"] == json.loads((shard / "parameters/zarr.json").read_text())["codecs"]
    )


def test_nothing_is_simulated_again_for_a_sealed_shard(finished):
    shard = finished(500)
    inspection.seal_finished(shard.parent)
    lines = len(journal.read_records(shard))
    finished(500)
    assert len(journal.read_records(shard)) == lines
    assert len(files(shard)) == 11


def test_a_sealed_shard_grows(finished, run):
    shard = finished(430)
    inspection.seal_finished(shard.parent)
    simulated = sum(
        line["stop"] - line["start"] for line in journal.read_records(shard) if "stop" in line
    )
    finished(600)
    after = sum(
        line["stop"] - line["start"] for line in journal.read_records(shard) if "stop" in line
    )
    assert after - simulated == 600 - simulated
    assert read_layout(shard) is not None
    assert "status/c.0" not in files(shard)
    rows = read_rows(shard, 0, 600).checksum()
    assert inspection.seal_finished(shard.parent) == [shard]
    assert read_rows(shard, 0, 600).checksum() == rows


def test_a_flipped_bit_in_a_sealed_shard_is_found_and_repaired(finished):
    shard = finished(500)
    before = committed(shard, 500)
    inspection.seal_finished(shard.parent)
    file = shard / "x/c.0.0"
    content = bytearray(file.read_bytes())
    content[5000] ^= 1
    file.write_bytes(content)
    (damage,) = inspection.repair(shard.parent)
    assert damage.chunk is not None
    finished(500)
    assert committed(shard, 500) == before


def test_a_damaged_description_of_a_sealed_shard_is_written_anew(finished):
    shard = finished(500)
    before = committed(shard, 500)
    inspection.seal_finished(shard.parent)
    (shard / "x/zarr.json").write_text("{")
    assert len(inspection.repair(shard.parent)) == 1
    assert committed(shard, 500) == before


@pytest.mark.parametrize("moment", ["_pack", "_switch", "delete_stale_files"])
def test_killed_while_sealing_the_rows_are_there(finished, monkeypatch, moment):
    shard = finished(500)
    before = committed(shard, 500)
    whole, calls = getattr(chunks, moment), []

    def killed(*arguments):
        calls.append(arguments)
        if len(calls) == (1 if moment == "delete_stale_files" else 2):
            raise KeyboardInterrupt
        return whole(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(chunks, moment, killed)
        with pytest.raises(KeyboardInterrupt):
            inspection.seal_finished(shard.parent)
    assert committed(shard, 500) == before
    finished(500)
    assert committed(shard, 500) == before
    inspection.seal_finished(shard.parent)
    assert committed(shard, 500) == before
    assert len(files(shard)) == 11
