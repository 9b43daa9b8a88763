import json
import logging
import os
import shutil

import numpy as np
import pytest

from sbi_pipeline import campaign, journal, parallel, store
from sbi_pipeline.dataset import failed, read_committed

NAMES = ("a", "b")
SEED = 5


@pytest.fixture
def run(tmp_path):
    """Return a function that makes a shard in a folder of this test and reads it back."""

    def make(folder, rows, simulator="Noise", *, drawn=None, start=0, **options):
        shard = tmp_path / folder / "shard-0.zarr"
        shard.parent.mkdir(exist_ok=True)
        block = options.get("block_size", 1000)
        whole = drawn or -(-rows // block) * block
        prior = shard.with_name("prior-0.zarr")
        store.write_prior(prior, parameters(start, whole), NAMES, key="k", start=start)
        receipt = campaign.simulate(
            prior=prior,
            store=shard,
            receipt=shard.with_suffix(".json"),
            simulator=f"simulators_for_tests:{simulator}",
            options=options.pop("simulator_options", {}),
            seed=SEED,
            key="k",
            rows=rows,
            **options,
        )
        return shard, receipt

    return make


def parameters(start, rows):
    from sbi_pipeline import streams

    return streams.uniforms(SEED, "prior", start, rows, 2)


def content(shard, rows):
    """Return the bytes of what counts of a shard's first rows."""
    parts = [part for _, part in read_committed(shard, "k", rows)]
    arrays = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("parameters", "x", "status")
    )
    return [(array.dtype, array.shape, array.tobytes()) for array in arrays]


def simulated(shard):
    """Return how many rows the runs of a shard simulated, by its journal."""
    return sum(record.get("stop", 0) - record.get("start", 0) for record in rows_of(shard))


def rows_of(shard):
    return [record for record in journal.read(shard) if record["kind"] == "rows"]


def manifest_of(shard, rows, **changes):
    receipts = [shard.with_suffix(".json")]
    split = {"seed": 1, "validation": 0.1, "test": 0.05}
    made = campaign.manifest(receipts, rows=rows, key="m", store=".", split=split | changes)
    path = shard.with_name("simulations.json")
    path.write_text(json.dumps(made))
    return path


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


def test_rows_do_not_depend_on_workers(run, monkeypatch):
    wanted = content(run("one", 3000)[0], 3000)
    monkeypatch.setattr(campaign, "DASK_SECONDS", 0.0)
    shard, _ = run("two", 3000, chunk_size=1000, workers=2)
    assert content(shard, 3000) == wanted
    assert {record["pid"] for record in rows_of(shard)} - {os.getpid()}


def test_rows_are_what_their_streams_say(run):
    from simulators_for_tests import Noise, NoiseOneByOne

    from sbi_pipeline import streams

    drawn = parameters(2000, 2000)
    shard, _ = run("blocks", 2000, start=2000, block_size=500)
    block = Noise()(drawn[500:1000].copy(), streams.generator(SEED, "simulate", 5))
    np.testing.assert_array_equal(store.read_rows(shard, 500, 1000).x, block)
    np.testing.assert_array_equal(store.read_rows(shard, 0, 2000).parameters, drawn)
    shard, _ = run("rows", 2000, "NoiseOneByOne", start=2000)
    row = NoiseOneByOne()(drawn[7].copy(), streams.generator(SEED, "simulate", 2007))
    np.testing.assert_array_equal(store.read_rows(shard, 7, 8).x[0], row)


def test_lowering_and_repeating_simulate_nothing(run):
    shard, _ = run("a", 3000, "NoiseOneByOne")
    lines = journal.read(shard)
    for rows in (3000, 1000):
        _, receipt = run("a", rows, "NoiseOneByOne")
        assert receipt["rows"] == 3000
        assert journal.read(shard) == lines


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
    rows = store.read_rows(shard, 3000, 4000)
    rows.x[:] = 7.0  # as if the chunk had been written by something half way
    store.write_rows(shard, 3000, rows)
    with pytest.raises(ValueError, match="holds 3000 rows in sequence, wanted 4000"):
        content(shard, 4000)
    run("a", 4000)
    assert content(shard, 4000) == wanted


def test_damage_is_named_and_never_trained_on(run):
    shard, _ = run("a", 4000, chunk_size=1000)
    manifest = manifest_of(shard, 4000)
    file = shard / "x" / "c" / "2" / "0"
    good = file.read_bytes()
    file.write_bytes(good[:100] + b"\x00" + good[101:])
    with pytest.raises(ValueError, match=r"shard-0\.zarr, chunk 2, rows 2000 to 3000.*repair"):
        campaign.load(manifest)
    shutil.copy(shard / "x" / "c" / "1" / "0", file)  # whole, but another chunk's
    with pytest.raises(ValueError, match=r"chunk 2.*not the rows committed"):
        campaign.load(manifest)


def test_nuisance_parameters_are_dropped_in_the_view(run):
    shard, _ = run("a", 2000)
    manifest = manifest_of(shard, 1500)
    view = campaign.load(manifest, ["b"])
    assert (view.theta.shape, view.x.shape, view.names) == ((1500, 1), (1500, 2), ("b",))
    np.testing.assert_array_equal(view.theta[:, 0], parameters(0, 2000)[:1500, 1])
    np.testing.assert_array_equal(campaign.load(manifest).theta, parameters(0, 2000)[:1500])
    with pytest.raises(ValueError, match="c not among the stored parameters"):
        campaign.load(manifest, ["a", "c"])


def test_nuisance_parameters_need_never_be_written(run):
    wanted, _ = run("a", 1000)
    shard, _ = run("b", 1000, keep=["b"])
    rows = store.read_rows(shard, 0, 1000)
    np.testing.assert_array_equal(rows.parameters, parameters(0, 1000)[:, 1:])
    assert rows.x.tobytes() == store.read_rows(wanted, 0, 1000).x.tobytes()
    with pytest.raises(ValueError, match="store_nuisance"):
        campaign.load(manifest_of(shard, 1000), ["a"])


def test_data_keep_the_simulators_dtype(run):
    shard, receipt = run("a", 1000, simulator_options={"dtype": "float32"})
    assert receipt["x_dtype"] == "float32"
    assert campaign.load(manifest_of(shard, 1000)).x.dtype == np.float32
    shard, receipt = run("b", 1000, simulator_options={"dtype": ">i4"})
    assert receipt["x_dtype"] == "int32"


def test_split_keeps_every_row_when_the_campaign_grows():
    options = {"seed": 3, "validation": 0.1, "test": 0.05}
    row = np.setdiff1d(np.arange(50_000), np.arange(100, 300))
    whole = campaign.split(row, **options)
    assert (sum(whole.values()) == 1).all()
    assert whole["validation"].mean() == pytest.approx(0.1, abs=0.01)
    assert whole["test"].mean() == pytest.approx(0.05, abs=0.01)
    some = row[(row > 700) & (row % 3 > 0) & (row < 40_000)]
    for name, mask in campaign.split(some, **options).items():
        np.testing.assert_array_equal(mask, whole[name][np.isin(row, some)])


@pytest.mark.parametrize(
    ("row", "fractions", "message"),
    [
        (np.arange(10), (0.6, 0.5), "together below 1"),
        (np.arange(10), (-0.1, 0.5), "must be fractions"),
        (np.arange(0), (0.1, 0.1), "no simulation to split"),
        (np.arange(3), (0.001, 0.0), "none of 3 simulations fell to validation"),
    ],
)
def test_split_refuses_what_makes_no_sense(row, fractions, message):
    with pytest.raises(ValueError, match=message):
        campaign.split(row, seed=1, validation=fractions[0], test=fractions[1])


def test_manifest_refuses_what_does_not_fit(run, tmp_path):
    shard, receipt = run("a", 1000)
    path = shard.with_suffix(".json")
    with pytest.raises(ValueError, match="hold 1000 rows, 2000 were asked for"):
        manifest_of(shard, 2000)
    other = tmp_path / "shard-1.json"
    options = {"rows": 2000, "key": "m", "store": ".", "split": {}}
    for changes, message in (
        ({"start": 1500}, "starts at row 1500, the shards before it end at 1000"),
        ({"start": 1000, "key": "z"}, "has key z, the first shard k"),
        ({"start": 1000, "x_dtype": "int64"}, "dtype depends on its parameters"),
        ({"start": 1000, "format": 0}, "has format 0, this version reads 1"),
    ):
        other.write_text(json.dumps(receipt | changes))
        with pytest.raises(ValueError, match=message):
            campaign.manifest([path, other], **options)


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
        store.write_prior(prior, parameters(0, 3000) + moved, NAMES, key=key, start=0)
        with pytest.raises(ValueError, match=message):
            campaign.simulate(
                prior=prior,
                store=shard,
                receipt=shard.with_suffix(".json"),
                simulator="simulators_for_tests:Noise",
                options={},
                seed=SEED,
                key="k",
            )
    assert before == sorted((path, path.stat().st_mtime_ns) for path in shard.glob("**/c/**/*"))


def test_new_stores_refuse_chunks_and_names_that_do_not_fit(run):
    for options, message in (
        ({"chunk_size": 1500}, "chunk_size is 1500; wanted a multiple of block_size 1000"),
        ({"chunk_size": -1000}, "chunk_size is -1000"),
        ({"keep": ["a", "mass"]}, r"keep names mass; .*prior-0\.zarr has a, b"),
    ):
        with pytest.raises(ValueError, match=message):
            run("a", 3000, **options)


def test_a_store_that_lost_its_layout_is_not_made_anew(run):
    shard, _ = run("a", 1000)
    (shard / "zarr.json").unlink()
    with pytest.raises(ValueError, match=r"lost its zarr\.json; restore"):
        run("a", 1000)
    assert (shard / "x" / "c" / "0" / "0").exists()


def test_a_cluster_of_another_kind_is_refused(run):
    with pytest.raises(ValueError, match="dask cluster is 'pbs'; wanted local, slurm"):
        run("a", 1000, cluster="pbs", workers=2)


def by_row(shard, receipt):
    """Return the status label of every row."""
    from sbi_pipeline.types import Status

    status = store.read_rows(shard, 0, receipt["rows"]).status
    assert receipt["failures"] == {
        label: count
        for label in ("nan", "raised", "wrong shape", "crashed", "timed out")
        if (count := sum(Status(code).label == label for code in status))
    }
    return [Status(code).label for code in status]


def expected(rows, moods):
    hundredths = (parameters(0, rows)[:rows, 0] * 100).astype(int)
    return [moods.get(value, "ok") for value in hundredths]


def test_every_way_to_fail_marks_its_row_and_no_other(run):
    moods = {1: "raised", 2: "crashed", 3: "timed out", 4: "crashed", 5: "nan", 6: "nan"}
    moods[7] = "wrong shape"
    shard, receipt = run("a", 300, "Moody", time_limit=0.5)
    assert by_row(shard, receipt) == expected(300, moods)
    assert {"raised", "crashed", "timed out", "nan", "wrong shape"} == set(receipt["failures"])
    texts = {example["status"]: example for example in receipt["examples"]}
    raised = texts["raised"]
    a = raised["parameters"]["a"]
    assert raised["text"] == f"RuntimeError: a is {a:.6f}"
    assert a == parameters(0, 300)[raised["row"], 0]
    assert texts["timed out"]["text"] == "ran longer than 0.5 s"
    assert texts["wrong shape"]["text"] == "x has shape (1,); the first rows had (2,)"
    crashes = {e["text"] for e in receipt["examples"] if e["status"] == "crashed"}
    assert crashes == {"its process ended with SIGSEGV", "its process ended with exit code 3"}


def test_isolation_changes_no_row(run):
    for simulator in ("Noise", "NoiseOneByOne"):
        here, _ = run(f"here {simulator}", 200, simulator, block_size=100)
        there, _ = run(f"there {simulator}", 200, simulator, block_size=100, isolate=True)
        assert content(here, 200) == content(there, 200)


def test_a_bad_row_in_a_block_fails_alone_whatever_the_chunks(run):
    moods = {1: "raised", 2: "crashed", 3: "timed out", 4: "crashed", 5: "nan"}
    options = {"time_limit": 0.2, "block_size": 50}
    whole, receipt = run("whole", 200, "MoodyBlocks", **options)
    assert by_row(whole, receipt) == expected(200, moods)
    shard, _ = run("cut", 50, "MoodyBlocks", chunk_size=100, **options)
    shard, _ = run("cut", 200, "MoodyBlocks", **options)
    assert content(shard, 200) == content(whole, 200)
    x = store.read_rows(whole, 0, 200)
    noise = (x.x - x.parameters)[x.status == 0]
    assert len(np.unique(noise)) == noise.size  # no two rows share their noise


def test_retries_use_the_same_stream_and_are_counted(run):
    once, _ = run("once", 100, "Moody", time_limit=0.3)
    again, _ = run("again", 100, "Moody", time_limit=0.3, retries=2)
    assert content(once, 100) == content(again, 100)
    attempts = {row: n for record in rows_of(again) for row, n in record["attempts"].items()}
    status = store.read_rows(again, 0, 100).status
    assert attempts == {str(row): 3 for row in np.flatnonzero((status == 4) | (status == 5))}
    assert attempts


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("raise", "first rows all failed, nothing is stored; .*raised; row 0 with a=.*no luck"),
        ("not vectorised", "x has shape \\(5,\\) for 1000 rows .* vectorised = False"),
        ("text", "returned <U4 in row 0; wanted numbers"),
        ("nan", "1000 of 1000 simulations failed, more than max_failed_fraction 0.5; .*1000 nan"),
    ],
)
def test_a_campaign_that_fails_always_stops_and_says_why(run, how, message):
    with pytest.raises(ValueError, match=message):
        run("a", 3000, "Broken", simulator_options={"how": how}, chunk_size=1000)


def test_failures_beyond_the_fraction_stop_and_allowing_more_goes_on(run):
    options = {"simulator": "Moody", "chunk_size": 100, "time_limit": 0.2}
    with pytest.raises(ValueError, match=r"max_failed_fraction 0\.001; mend .* row \d+ with a="):
        run("a", 300, max_failed_fraction=0.001, **options)
    shard, receipt = run("a", 300, max_failed_fraction=0.2, **options)
    assert simulated(shard) == receipt["rows"] == 300


def test_failed_rows_are_left_out_of_the_view_and_can_be_looked_at(run):
    shard, receipt = run("a", 300, "Moody", time_limit=0.2)
    manifest = manifest_of(shard, 200)
    bad = np.array([label != "ok" for label in by_row(shard, receipt)])[:200]
    view = campaign.load(manifest)
    np.testing.assert_array_equal(view.row, np.flatnonzero(~bad))
    assert np.isfinite(view.x).all()
    theta, status, row = failed(manifest)
    np.testing.assert_array_equal(row, np.flatnonzero(bad))
    np.testing.assert_array_equal(theta, parameters(0, 300)[row])
    assert (status > 0).all()
    assert sum(json.loads(manifest.read_text())["failures"].values()) == bad.sum()


def test_a_dtype_that_depends_on_parameters_fails_the_odd_rows(run):
    # The first row has a >= 0.5 and floats, into which the integers of others fit exactly.
    assert parameters(0, 1)[0, 0] >= 0.5
    _, receipt = run("a", 100, "Shifty")
    assert (receipt["x_dtype"], receipt["failures"]) == ("float64", {})
    start = 1000 * next(n for n in range(20) if parameters(1000 * n, 1)[0, 0] < 0.5)
    _, receipt = run("b", 100, "Shifty", start=start, max_failed_fraction=0.9)
    assert receipt["x_dtype"] == "int64"
    assert receipt["failures"] == {
        "wrong shape": int((parameters(start, 100)[:100, 0] >= 0.5).sum())
    }


def test_a_memory_limit_fails_the_greedy_rows(run):
    shard, receipt = run("a", 50, "Greedy", memory_limit=900_000_000)
    greedy = parameters(0, 50)[:50, 0] > 0.9
    assert greedy.any()
    np.testing.assert_array_equal(store.read_rows(shard, 0, 50).status, 2 * greedy)
    (example,) = receipt["examples"]
    assert "MemoryError" in example["text"]


@pytest.mark.slow
def test_an_existing_scheduler_is_used(run):
    from distributed import LocalCluster

    wanted = content(run("here", 2000)[0], 2000)
    with LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=":0") as cluster:
        address = cluster.scheduler_address
        shard, _ = run("there", 2000, chunk_size=1000, cluster=address, workers=2)
        pids = {record["pid"] for record in rows_of(shard)}
        assert os.getpid() not in pids
    assert content(shard, 2000) == wanted


@pytest.mark.slow
def test_tasks_may_take_longer_than_a_look_at_the_cluster(run, monkeypatch):
    monkeypatch.setattr(parallel, "POLL", 0.2)
    monkeypatch.setattr(campaign, "DASK_SECONDS", 0.0)
    _, receipt = run("a", 4, "Slow", chunk_size=2, workers=2, simulator_options={"seconds": 1.0})
    assert receipt["rows"] == 4


@pytest.mark.slow
def test_silent_workers_are_restarted_and_given_up_in_the_end(run, monkeypatch, caplog):
    monkeypatch.setattr(parallel, "POLL", 0.2)
    monkeypatch.setattr(parallel, "BUSY_STALL", 2.0)
    monkeypatch.setattr(parallel, "RESTARTS", 1)
    monkeypatch.setattr(campaign, "DASK_SECONDS", 0.0)
    hang = {"seconds": 0.001, "at": parameters(0, 40)[30, 0]}
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(ValueError, match=r"2 Dask workers returned nothing .* give it a time_limit"),
    ):
        run("a", 40, "Hang", chunk_size=20, workers=2, simulator_options=hang)
    assert "restarting the Dask workers" in caplog.text


def test_shards_join_into_one_campaign_that_grows_inside_the_last(tmp_path):
    folder = tmp_path / "simulations"
    folder.mkdir()

    def make(number, rows):
        prior, shard = folder / f"prior-{number}.zarr", folder / f"shard-{number}.zarr"
        store.write_prior(
            prior, parameters(2000 * number, rows), NAMES, key="k", start=2000 * number
        )
        campaign.simulate(
            prior=prior,
            store=shard,
            receipt=shard.with_suffix(".json"),
            simulator="simulators_for_tests:NoiseOneByOne",
            options={},
            seed=SEED,
            key="k",
        )
        return shard.with_suffix(".json")

    def view(receipts, rows):
        made = campaign.manifest(receipts, rows=rows, key="m", store="../simulations", split={})
        path = tmp_path / "campaign" / "simulations.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(made))
        return campaign.load(path)

    first, second, third = make(0, 2000), make(1, 2000), make(2, 700)
    small = view([first, second, third], 4700)
    make(2, 1500)
    grown = view([first, second, third], 5500)
    np.testing.assert_array_equal(grown.row, np.arange(5500))
    np.testing.assert_array_equal(grown.theta, parameters(0, 5500))
    assert grown.x[:4700].tobytes() == small.x.tobytes()
    fewer = view([first, second, third], 3000)  # a third shard that is not needed does no harm
    assert fewer.x.tobytes() == small.x[:3000].tobytes()
    with pytest.raises(ValueError, match=r"shard-2\.json starts at row 4000, .* end at 2000"):
        view([first, third], 2500)
