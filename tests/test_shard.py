import logging

import numpy as np
import pytest
from shard_for_tests import NAMES, SEED, content, parameters, simulate, simulated

from sbi_pipeline.campaigns import tasks
from sbi_pipeline.campaigns.settings import Limits
from sbi_pipeline.model import Model
from sbi_pipeline.storage import journal
from sbi_pipeline.storage.layout import read_layout
from sbi_pipeline.storage.prior import write_prior
from sbi_pipeline.storage.rows import read_rows, write_rows


@pytest.mark.parametrize("simulator", ["Noise", "NoiseOneByOne"])
def test_rows_do_not_depend_on_chunks_growth_or_history(run, simulator):
    whole, _ = run("whole", 6000, simulator)
    wanted = content(whole, 6000)
    for folder, steps in (("grown", (4000, 6000)), ("inside", (1, 2500, 2501, 6000))):
        for rows in steps:
            shard, receipt = run(folder, rows, simulator, chunk_size=2000)
            assert receipt["rows"] >= rows
        assert content(shard, 6000) == wanted
        assert simulated(shard) == 6000  # nothing twice
    shard, _ = run("small chunks", 6000, simulator, chunk_size=1000)
    assert content(shard, 6000) == wanted


def test_rows_are_what_their_streams_say(run):
    from simulators_for_tests import Noise, NoiseOneByOne

    from sbi_pipeline import streams

    drawn = parameters(2000, 2000)
    shard, _ = run("blocks", 2000, start=2000, block_size=500)
    block = Noise()(drawn[500:1000].copy(), streams.generator(SEED, "simulate", 5))
    np.testing.assert_array_equal(read_rows(shard, 500, 1000).x, block)
    np.testing.assert_array_equal(read_rows(shard, 0, 2000).parameters, drawn)
    shard, _ = run("rows", 2000, "NoiseOneByOne", start=2000)
    row = NoiseOneByOne()(drawn[7].copy(), streams.generator(SEED, "simulate", 2007))
    np.testing.assert_array_equal(read_rows(shard, 7, 8).x[0], row)


def test_lowering_and_repeating_simulate_nothing(run):
    shard, _ = run("a", 3000, "NoiseOneByOne")
    lines = journal.read_records(shard)
    for rows in (3000, 1000):
        _, receipt = run("a", rows, "NoiseOneByOne")
        assert receipt["rows"] == 3000
        assert journal.read_records(shard) == lines


def test_one_at_a_time_makes_exactly_the_rows_asked_for(run):
    shard, receipt = run("a", 37, "NoiseOneByOne")
    assert receipt["rows"] == simulated(shard) == 37
    _, receipt = run("b", 37, "Noise", block_size=50)
    assert receipt["rows"] == 50  # whole blocks: growing to 50 is then free


def test_a_torn_journal_costs_the_torn_rows_only(run):
    shard, _ = run("a", 4000, chunk_size=1000)
    wanted = content(shard, 4000)
    path = shard / journal.FILE
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b'"stop"', b'"spot"')
    path.write_bytes(b"".join(lines)[:-9])
    run("a", 4000)
    assert content(shard, 4000) == wanted
    assert len(path.read_bytes().splitlines()) == 7  # of 5 one torn off; a run, two chunks


def test_a_deleted_chunk_is_simulated_again(run, caplog):
    shard, _ = run("a", 4000, chunk_size=1000)
    wanted = content(shard, 4000)
    (shard / "x" / "c" / "2" / "0").unlink()
    with caplog.at_level(logging.WARNING):
        run("a", 4000)
    assert "chunk 2 is gone" in caplog.text
    assert content(shard, 4000) == wanted


def test_what_is_written_but_not_committed_does_not_count(run):
    shard, _ = run("a", 4000, chunk_size=1000)
    wanted = content(shard, 4000)
    path = shard / journal.FILE
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    rows = read_rows(shard, 3000, 4000)
    rows.x[:] = 7.0  # as if the chunk had been written by something half way
    write_rows(shard, 3000, rows)
    with pytest.raises(ValueError, match="holds 3000 rows in sequence, wanted 4000"):
        content(shard, 4000)
    run("a", 4000)
    assert content(shard, 4000) == wanted


def test_inconsistent_orders_are_refused_and_cost_nothing(run, tmp_path):
    shard, _ = run("a", 2000)
    before = sorted((path, path.stat().st_mtime_ns) for path in shard.glob("**/c/**/*"))
    for options, message in (
        ({"start": 1500}, "starts at row 1500, inside a block of 1000"),
        ({"start": 1000}, "made for key k from row 0 on, wanted k and 1000"),
        ({"rows": 1500, "drawn": 1500}, "holds 1500 rows, wanted 2000"),
        ({"rows": 0}, "holds 2000 rows, wanted 0"),
        (
            {"rows": 3000, "drawn": 3000, "block_size": 1500},
            "chunks of 10000 rows, no multiple of block_size",
        ),
        ({"simulator_options": {"dtype": "float32", "c": 1}}, "keyword arguments"),
        ({"simulator_options": {"dtype": np.float32}}, r"value\.dtype is"),
        ({"simulator": "Nothing"}, "has no 'Nothing'"),
    ):
        with pytest.raises(ValueError, match=message):
            run("a", options.pop("rows", 2000), drawn=options.pop("drawn", 2000), **options)
    prior = tmp_path / "a" / "prior-0.zarr"
    for key, moved, message in (
        ("z", 0.0, "drawn for key z, this is k"),
        ("k", 1.0, "simulated from other parameters"),
    ):
        write_prior(prior, parameters(0, 3000) + moved, NAMES, key=key, start=0)
        with pytest.raises(ValueError, match=message):
            simulate(prior, shard, "Noise")
    assert before == sorted((path, path.stat().st_mtime_ns) for path in shard.glob("**/c/**/*"))


def test_new_stores_refuse_chunks_and_names_that_do_not_fit(run):
    for options, message in (
        ({"chunk_size": 1500}, "chunk_size is 1500; wanted a multiple of block_size 1000"),
        ({"chunk_size": -1000}, "chunk_size is -1000; wanted"),
        ({"keep": ["a", "mass"]}, r"keep names mass; .*prior-0\.zarr has a, b"),
    ):
        with pytest.raises(ValueError, match=message):
            run("a", 3000, **options)


def test_a_store_that_lost_its_layout_is_not_made_anew(run):
    shard, _ = run("a", 1000)
    (shard / "zarr.json").unlink()
    with pytest.raises(ValueError, match=r"lost its zarr\.json; 'sbi-pipeline repair'"):
        run("a", 1000)
    assert (shard / "x" / "c" / "0" / "0").exists()


def test_parameters_replaced_under_a_running_campaign_are_never_simulated(run):
    shard, _ = run("a", 2000, chunk_size=1000)
    prior, lines = shard.with_name("prior-0.zarr"), journal.read_records(shard)
    model = Model("simulators_for_tests:Noise", {}, NAMES, {})
    recipe = tasks.Recipe(model, SEED, 1000, Limits())
    work = tasks.Work(recipe, read_layout(shard), prior, shard)
    assert tasks.simulate_gaps(work, tasks.Gaps(((0, 1000),)))[0].start == 0
    for rows, key in ((2000, "other"), (500, "k")):
        write_prior(prior, parameters(0, rows), NAMES, key=key, start=0)
        with pytest.raises(ValueError, match=r"prior-0\.zarr was replaced while its rows were"):
            tasks.simulate_gaps(work, tasks.Gaps(((0, 1000),)))
    tasks.release_simulators()
    assert journal.read_records(shard) == lines


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers is 0; wanted a number of processes, 1 or more"),
        ({"workers": 2, "minimum": 3}, "minimum is 3; wanted 1 to workers, which is 2"),
        ({"workers": 2, "minimum": 0}, "minimum is 0; wanted 1 to workers, which is 2"),
        ({"chunk_size": 0}, "chunk_size is 0; wanted a number of rows, 1 or more"),
        ({"retries": -1}, "retries is -1; wanted 0 or more"),
        ({"time_limit": 0.0}, "time_limit is 0.0; wanted seconds above 0, or none at all"),
        ({"memory_limit": -5}, "memory_limit is -5; wanted bytes above 0"),
        ({"block_size": -10}, "block_size is -10; wanted a number of rows, 1 or more"),
        ({"max_failed_fraction": 1.5}, "max_failed_fraction is 1.5; wanted a fraction from 0 to 1"),
        ({"max_failed_fraction": float("nan")}, "max_failed_fraction is nan; wanted a fraction"),
        ({"simulator_options": {"dtype": {1, 2}}}, r"value\.dtype is {1, 2} of type set; wanted"),
        ({"simulator_options": {"dtype": float("inf")}}, r"value\.dtype is inf; wanted a finite"),
    ],
)
def test_numbers_and_options_without_sense_are_refused_in_one_line(run, options, message):
    with pytest.raises(ValueError, match=message) as error:
        run("a", 1000, drawn=1000, **options)
    assert "\n" not in str(error.value)
