import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from shard_for_tests import make, manifest_of
from test_training import Interrupted, Line

from sbi_pipeline import signals
from sbi_pipeline.storage.reading import open_campaign
from sbi_pipeline.training.fit import fit_source
from sbi_pipeline.training.sources import InMemory, Streamed, ahead, cut, prepare

SPLIT = {"seed": 3, "validation": 0.1, "test": 0.05}
ROWS = 20_000
FEW = 160_000  # bytes: 8 000 rows of one parameter and two numbers fill them


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulations")
    make(folder, ROWS, "Noise", ROWS, chunk_size=1000)
    return open_campaign(manifest_of(folder / "shard-0.zarr", ROWS, **SPLIT), ["b"])


def to_normal(theta):
    return 2 * theta - 1


def streamed(reader, seed=1, memory=FEW):
    source = prepare(reader, to_normal, memory=memory, seed=seed).source
    assert isinstance(source, Streamed)
    return source


def whole(epoch):
    z, x = (torch.cat(part) for part in zip(*epoch, strict=True))
    return z.numpy(), x.numpy()


def test_a_campaign_without_rows_that_worked_is_one_line():
    class Reader:
        def counts(self):
            return Counter(failed=300)

    message = "no row is left for train and validation: 300 simulations failed"
    with pytest.raises(ValueError, match=message):
        prepare(Reader(), to_normal, memory="2 GB", seed=1)


def test_rows_that_fit_are_read_at_once(reader):
    rows = prepare(reader, to_normal, memory="2 GB", seed=1)
    views = reader.collect({"train": ROWS, "validation": ROWS})
    assert isinstance(rows.source, InMemory)
    for found, part in ((rows.source, "train"), (rows.held_out, "validation")):
        np.testing.assert_array_equal(found.x, views[part].x)
        np.testing.assert_array_equal(found.z, to_normal(views[part].theta).astype("f4"))
    assert torch.equal(rows.sample[1], rows.source.x)


def test_an_epoch_streams_every_training_row_once(reader):
    source = streamed(reader)
    train = reader.collect({"train": ROWS})["train"]
    assert source.rows == len(train.row)
    assert [len(z) for z, _ in source.epoch(0, 77)] == 77 * [source.rows // 77]
    z, x = whole(source.epoch(0, 1))
    order = np.argsort(x[:, 0])
    expected = np.argsort(train.x[:, 0])
    np.testing.assert_array_equal(x[order], train.x[expected])
    np.testing.assert_array_equal(z[order], to_normal(train.theta).astype("f4")[expected])


def test_streamed_rows_are_mixed_anew_in_every_epoch_and_the_same_for_a_seed(reader):
    source = streamed(reader)
    first, again = whole(source.epoch(0, 40))[1], whole(source.epoch(0, 40))[1]
    np.testing.assert_array_equal(first, again)
    other = whole(source.epoch(1, 40))[1], whole(streamed(reader, seed=2).epoch(0, 40))[1]
    for x in other:
        assert (x[:, 0] == first[:, 0]).mean() < 0.01
    row = {value: row for row, value in enumerate(reader.collect({"all": ROWS})["all"].x[:, 0])}
    blocks = [{row[value] // 1000 for value in part} for part in np.array_split(first[:, 0], 40)]
    assert np.median([len(part) for part in blocks]) >= 3  # of 20: about 2 000 rows are pooled


def test_held_out_rows_and_sample_are_bounded(reader):
    rows = prepare(reader, to_normal, memory=FEW, seed=1)
    views = reader.collect({"train": 1000, "validation": 1000})
    assert rows.held_out.rows == 1000
    np.testing.assert_array_equal(rows.held_out.x, views["validation"].x)
    np.testing.assert_array_equal(rows.sample[1], views["train"].x)


class Slope(Line):
    """Learns from the number of x that follows b."""

    def loss(self, z, x):
        return super().loss(z, x[:, 1:].float())


def learnt(reader, checkpoint=None, line=None):
    rows = prepare(reader, to_normal, memory=FEW, seed=1)
    options = {"max_epochs": 4, "batch_size": 500, "learning_rate": 0.1, "progress": False}
    line = line or Slope()
    fit_source(
        line, rows.source, rows.held_out, seed=1, device="cpu", checkpoint=checkpoint, **options
    )
    return line


class StoppedSlope(Interrupted):
    def loss(self, z, x):
        return super().loss(z, x[:, 1:].float())


def test_a_killed_training_on_a_stream_resumes_to_the_same_result(reader, tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(signals.Interrupted, match="SIGTERM"):
        learnt(reader, checkpoint, StoppedSlope(60))  # in epoch 2, of 34 batches and 1 validation
    assert checkpoint.exists()
    expected, resumed = learnt(reader), learnt(reader, checkpoint)
    assert len(resumed.seen) < len(expected.seen)
    assert torch.equal(expected.a, resumed.a)
    assert torch.equal(expected.b, resumed.b)


def test_a_stream_learns_what_memory_learns(reader):
    line = learnt(reader)
    # x is b plus noise and z is 2 b - 1
    assert line.a.item() == pytest.approx(0.5, abs=0.05)
    assert line.b.item() == pytest.approx(0.5, abs=0.05)


def test_damage_found_while_streaming_is_named(run):
    shard, _ = run("a", 6000, chunk_size=1000)
    reader = open_campaign(manifest_of(shard, 6000, **SPLIT), ["b"])
    source = streamed(reader, memory=8000)
    file = shard / "x" / "c" / "4" / "0"
    good = file.read_bytes()
    file.write_bytes(good[:100] + b"\x00" + good[101:])
    with pytest.raises(ValueError, match=r"shard-0\.zarr, chunk 4, rows 4000 to 5000.*repair"):
        whole(source.epoch(0, 10))


def test_reading_ahead_passes_on_errors_and_ends():
    def items():
        yield 1
        raise RuntimeError("no more")

    given = ahead(items())
    assert next(given) == 1
    with pytest.raises(RuntimeError, match="no more"):
        next(given)
    assert list(ahead(iter(range(1, 5)))) == [1, 2, 3, 4]


def test_rows_lost_underway_are_an_error():
    portion = torch.zeros(10, 1), torch.zeros(10, 1)
    with pytest.raises(ValueError, match="lost rows"):
        list(cut(iter([portion, portion]), 2, 15))


def test_memory_that_makes_no_sense_is_refused(reader):
    with pytest.raises(ValueError, match="'cups' as a byte unit"):
        prepare(reader, to_normal, memory="2 cups", seed=1)


def in_a_process(*arguments):
    script = Path(__file__).with_name("memory_for_tests.py")
    path = os.pathsep.join([str(script.parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(script), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.slow
def test_memory_is_bounded_whatever_the_size_of_the_campaign(tmp_path):
    """A campaign of 2 GB takes as much memory as one of 300 MB."""
    grown = {}
    for rows in (150_000, 1_000_000):
        folder = tmp_path / str(rows)
        folder.mkdir()
        in_a_process("simulate", folder, rows)
        found = json.loads(in_a_process("train", folder, "200 MB"))
        grown[found["rows"]] = found["peak"] - found["before"]
        shutil.rmtree(folder)
    small, large = grown.values()
    assert large < 1.25 * small
    assert large < 700e6  # three of `memory`, with blocks on the way and what torch allocates
