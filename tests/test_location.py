"""Arrays in an object store: moto's S3 on loopback stands for the real one."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from shard_for_tests import make
from test_campaign_killed import committed, finish, kill_group, rows_in, start, wait_for

from sbi_pipeline.campaigns import inspection
from sbi_pipeline.storage import journal, location
from sbi_pipeline.storage.chunks import whole_chunks
from sbi_pipeline.storage.layout import read_layout
from sbi_pipeline.storage.rows import read_rows

moto = pytest.importorskip("moto.server", reason="needs moto: the extra dev")
obstore = pytest.importorskip("obstore", reason="needs obstore: the extra s3")

SERVER = """
import sys, time
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def server():
    """Return the address of an S3 in a process of its own, which outlives those that are killed."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as run:
        yield f"http://127.0.0.1:{run.stdout.readline().strip()}"
        run.kill()


@pytest.fixture
def bucket(server, monkeypatch, request):
    """Return the address of an empty bucket."""
    import boto3

    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    for name, value in {**keys, "AWS_ENDPOINT_URL": server}.items():
        monkeypatch.setenv(name, value)
    name = f"bucket{abs(hash(request.node.name))}"
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=name)
    location._client.cache_clear()
    return f"s3://{name}/some/prefix"


def content(shard, rows):
    part = read_rows(shard, 0, rows)
    return part.parameters.tobytes(), part.x.tobytes(), part.status.tobytes()


def folders(tmp_path, *names):
    made = [tmp_path / name for name in names]
    for folder in made:
        folder.mkdir()
    return made


@pytest.mark.parametrize("simulator", ["Noise", "NoiseOneByOne"])
def test_rows_in_a_bucket_are_those_in_a_folder(bucket, tmp_path, simulator):
    here, there = folders(tmp_path, "here", "there")
    options = {"chunk_size": 100, "block_size": 50}
    make(here, 300, simulator, 400, **options)
    for rows in (150, 300):  # growing inside a chunk
        make(there, rows, simulator, 400, bucket=bucket, **options)
    far = there / "shard-0.zarr"
    assert content(far, 300) == content(here / "shard-0.zarr", 300)
    assert sorted(path.name for path in far.iterdir()) == [
        "journal.jsonl",
        "lease.json",
        "location",
    ]
    assert (far / "location").read_text().startswith(f"{bucket}/there/shard-0-")
    layout = read_layout(far)
    assert whole_chunks(far, layout) == {0, 1, 2}
    done = inspection.shard_status(there / "shard-0.zarr")
    assert (done.rows, done.state) == (300, "done")


def test_a_store_stays_where_it_is_and_two_trees_do_not_meet(bucket, tmp_path):
    one, two = folders(tmp_path, "one", "two")
    make(one, 100, "NoiseOneByOne", 200, bucket=bucket, chunk_size=100)
    make(one, 200, "NoiseOneByOne", 200)
    address = (one / "shard-0.zarr" / "location").read_text()
    make(two, 200, "NoiseOneByOne", 200, bucket=bucket, chunk_size=100)
    assert (two / "shard-0.zarr" / "location").read_text() != address
    assert inspection.verify(tmp_path) == []
    assert content(one / "shard-0.zarr", 200) == content(two / "shard-0.zarr", 200)


def test_damage_in_a_bucket_is_found_and_repaired(bucket, tmp_path):
    make(tmp_path, 300, "NoiseOneByOne", 300, chunk_size=100, bucket=bucket)
    shard = tmp_path / "shard-0.zarr"
    whole = content(shard, 300)
    client = location._client((shard / "location").read_text().strip())
    flipped = bytearray(bytes(obstore.get(client, "x/c/1/0").bytes()))
    flipped[40] ^= 1
    obstore.put(client, "x/c/1/0", bytes(flipped))
    obstore.delete(client, "status/c/2")
    obstore.put(client, "x/zarr.json", b"{")
    found = inspection.repair(tmp_path)
    assert [damage.chunk for damage in found] == [None, 1, 2]
    assert whole_chunks(shard, read_layout(shard)) == {0}
    before = len(journal.read_records(shard))
    make(tmp_path, 300, "NoiseOneByOne", 300)
    lines = [
        line["start"] for line in journal.read_records(shard)[before:] if line["kind"] == "rows"
    ]
    assert lines == [100, 200]
    assert (content(shard, 300), inspection.verify(tmp_path)) == (whole, [])


def test_a_bucket_that_is_not_there_is_one_line(bucket, tmp_path):
    with pytest.raises(ValueError, match=r"what is committed is kept\. Are the address") as error:
        make(tmp_path, 100, "NoiseOneByOne", 100, bucket="s3://nothing-here/prefix")
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.study), 2])
def test_killed_while_writing_to_a_bucket_every_row_is_the_same(bucket, tmp_path, workers):
    here, there = folders(tmp_path, "here", "there")
    orders = {"rows": 600, "drawn": 600, "simulator": "Slow", "chunk_size": 20}
    orders |= {"simulator_options": {"seconds": 0.02}, "workers": workers, "dask_seconds": 0.0}
    far = orders | {"folder": str(there), "bucket": bucket}
    for moment in np.random.default_rng(2).uniform(0.0, 0.5, size=4):  # of at least 6 s
        before = rows_in(there)
        process = start(**far)
        wait_for(lambda before=before: rows_in(there) > before)
        time.sleep(moment)
        kill_group(process)
    assert 0 < rows_in(there) < 30
    shard = finish(**far)
    assert committed(shard) == committed(finish(**orders, folder=str(here)))
    assert Path(shard / "location").exists()
