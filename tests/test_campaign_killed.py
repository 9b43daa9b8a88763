"""Campaigns that are killed, starved or started twice: nothing is lost, nothing is wrong."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from shard_for_tests import make

from sbi_pipeline.campaigns.parallel import AHEAD
from sbi_pipeline.storage import journal
from sbi_pipeline.storage.reading import blocks
from sbi_pipeline.storage.rows import read_rows

TESTS = Path(__file__).parent
LOOKED = 50  # rows simulated, at most, to size the chunks of a new store


def start(**orders):
    """Start a shard in a process group of its own."""
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    return subprocess.Popen(
        [sys.executable, str(TESTS / "shard_for_tests.py"), json.dumps(orders)],
        env=os.environ | {"PYTHONPATH": path},
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )


def finish(**orders):
    with start(**orders) as process:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    return Path(orders["folder"]) / "shard-0.zarr"


def kill_group(process):
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()


def committed(shard):
    """Return the bytes of every committed row, and the rows simulated in all runs."""
    records = [record for record in journal.read_records(shard) if record["kind"] == "rows"]
    simulated = sum(record["stop"] - record["start"] for record in records)
    end = max(record["stop"] for record in records)
    parts = [block.read() for block in blocks(shard, "k", end)]
    arrays = [
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("parameters", "x", "status")
    ]
    return [array.tobytes() for array in arrays], simulated


def committed_rows(shard):
    records = journal.committed(journal.read_records(shard)).values()
    return sum(record["stop"] - record["start"] for record in records)


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def rows_in(folder):
    return sum(
        record["kind"] == "rows" for record in journal.read_records(Path(folder) / "shard-0.zarr")
    )


@pytest.mark.slow
@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.study), 2])
def test_killed_at_twenty_random_moments_every_row_is_the_same(tmp_path, workers):
    orders = {
        "rows": 1500,
        "drawn": 1500,
        "simulator": "Moody",
        "workers": workers,
        "chunk_size": 20,
        "time_limit": 0.3,
        "simulator_options": {"seconds": 0.01},
        "dask_seconds": 0.0,
    }
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    calls = tmp_path / "calls"
    options = orders["simulator_options"] | {"calls": str(calls)}
    killed = orders | {"folder": str(tmp_path / "killed"), "simulator_options": options}
    moments = np.random.default_rng(1).uniform(0.0, 1.5, size=20)
    shard = tmp_path / "killed" / "shard-0.zarr"
    grown = lost = 0
    for moment in moments:
        before = rows_in(killed["folder"]) if shard.exists() else 0
        process = start(**killed)
        if not shard.exists():
            wait_for(shard.exists)
        else:  # let it reach its work, or it would only ever be killed while starting
            wait_for(partial(started, process, shard, grown))
        time.sleep(moment)
        kill_group(process)
        grown = runs(shard)
        assert rows_in(killed["folder"]) >= before
        lost, before = calls.stat().st_size - committed_rows(shard), lost
        assert lost - before <= AHEAD * workers * 20 + (LOOKED if grown <= 1 else 0)
    finish(**killed)
    rows, simulated = committed(shard)
    assert rows == committed(finish(**orders, folder=str(tmp_path / "whole")))[0]
    # A row that was committed is never simulated again, and the last run lost nothing.
    assert simulated == 1500
    assert calls.stat().st_size == 1500 + lost


def started(process, shard, before):
    return runs(shard) > before or process.poll() is not None


def runs(shard):
    return sum(record["kind"] == "run" for record in journal.read_records(shard))


def test_a_simulator_that_kills_this_process_is_found_by_the_next_run(tmp_path):
    orders = {
        "folder": str(tmp_path),
        "rows": 200,
        "drawn": 200,
        "simulator": "Moody",
        "chunk_size": 20,
        "simulator_options": {"spare": [3]},
    }
    with start(**orders) as process:
        process.wait(60)
        assert process.returncode in (-signal.SIGSEGV, 3)
    shard = finish(**orders)
    status = read_rows(shard, 0, 200).status
    assert sum(status == 4) >= 1


@pytest.mark.slow
def test_a_simulator_that_kills_its_dask_worker_is_found_in_the_same_run(tmp_path):
    shard = finish(
        folder=str(tmp_path),
        rows=200,
        drawn=200,
        simulator="Moody",
        workers=2,
        chunk_size=20,
        dask_seconds=0.0,
        simulator_options={"spare": [3]},
        max_failed_fraction=0.9,
    )
    assert sum(read_rows(shard, 0, 200).status == 4) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["worker", "all workers", "child"])
def test_dask_workers_and_their_children_may_die(tmp_path, victim):
    orders = {
        "rows": 400,
        "drawn": 400,
        "simulator": "Slow",
        "workers": 2,
        "chunk_size": 20,
        "dask_seconds": 0.0,
        "simulator_options": {"seconds": 0.02},
        "time_limit": 20.0,
    }
    for folder in ("whole", "hurt"):
        (tmp_path / folder).mkdir()
    process = start(**orders, folder=str(tmp_path / "hurt"))
    wait_for((tmp_path / "hurt" / "shard-0.zarr").exists)
    wait_for(lambda: rows_in(tmp_path / "hurt") >= 4)
    workers = [
        child
        for child in psutil.Process(process.pid).children()
        if "spawn_main" in " ".join(child.cmdline())
    ]
    assert len(workers) == 2
    victims = {"worker": workers[:1], "all workers": workers, "child": workers[0].children()[:1]}
    for doomed in victims[victim]:
        doomed.kill()
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    shard = tmp_path / "hurt" / "shard-0.zarr"
    hurt = read_rows(shard, 0, 400)
    whole = read_rows(finish(**orders, folder=str(tmp_path / "whole")), 0, 400)
    # The row in the hands of a child that is killed counts as crashed; no other may differ.
    differ = (hurt.x != whole.x).any(axis=1)
    assert differ.sum() <= (1 if victim == "child" else 0)
    assert (hurt.status[differ] == 4).all()


@pytest.mark.slow
def test_nothing_is_left_running_after_a_kill(tmp_path):
    orders = {"rows": 400, "drawn": 400, "simulator": "Slow", "workers": 2, "chunk_size": 20}
    orders |= {"folder": str(tmp_path), "dask_seconds": 0.0, "time_limit": 60.0}
    orders |= {"simulator_options": {"seconds": 5.0}}
    process = start(**orders)
    family = []
    wait_for(lambda: family.extend(psutil.Process(process.pid).children(recursive=True)) or family)
    time.sleep(3.0)
    family = psutil.Process(process.pid).children(recursive=True)
    assert family
    process.kill()
    process.wait()
    process.stderr.close()
    _, alive = psutil.wait_procs(family, timeout=15)
    assert not alive


def to_all(process):
    """Send SIGTERM as Slurm does: to the simulators' processes, too."""
    for member in psutil.Process(process.pid).children(recursive=True):
        member.terminate()
    process.terminate()


def ctrl_c_twice(process):
    """Send SIGINT as a terminal does: to all processes that have not left its session."""
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("interrupt", "name"), [(to_all, "SIGTERM"), (ctrl_c_twice, "SIGINT")])
def test_a_signal_to_all_processes_keeps_what_is_whole_and_nothing_else(
    tmp_path, workers, interrupt, name
):
    orders = {"rows": 400, "drawn": 400, "simulator": "Slow", "workers": workers}
    orders |= {"chunk_size": 20, "dask_seconds": 0.0, "time_limit": 20.0}
    orders |= {"simulator_options": {"seconds": 0.02}}
    for folder in ("whole", "stopped"):
        (tmp_path / folder).mkdir()
    process = start(**orders, folder=str(tmp_path / "stopped"))
    wait_for((tmp_path / "stopped" / "shard-0.zarr").exists)
    wait_for(lambda: rows_in(tmp_path / "stopped") >= 2)
    family = psutil.Process(process.pid).children(recursive=True)
    begin = time.monotonic()
    interrupt(process)
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - begin < 10
    assert process.returncode == 128 + signal.Signals[name], errors
    before = rows_in(tmp_path / "stopped")
    assert errors == (
        f"simulate: interrupted by {name} with {20 * before} of 400 rows committed; "
        "run snakemake again to go on\n"
    )
    assert not psutil.wait_procs(family, timeout=10)[1]
    assert 2 <= before < 20
    shard = finish(**orders, folder=str(tmp_path / "stopped"))
    rows, simulated = committed(shard)
    assert rows == committed(finish(**orders, folder=str(tmp_path / "whole")))[0]
    assert simulated == 400


@pytest.mark.slow
def test_two_runs_at_once_do_not_meet(tmp_path):
    orders = {"folder": str(tmp_path), "rows": 50, "drawn": 50, "simulator": "Slow"}
    orders |= {"chunk_size": 10, "simulator_options": {"seconds": 0.15}}
    first = start(**orders)
    wait_for((tmp_path / "shard-0.zarr" / "lease.json").exists)
    second = start(**orders)
    _, errors = second.communicate(timeout=60)
    assert second.returncode != 0
    assert f"is being written by process {first.pid}" in errors
    _, errors = first.communicate(timeout=60)
    assert first.returncode == 0, errors


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_full_disk_loses_nothing(small_disk, tmp_path, workers):
    orders = {"rows": 4000, "drawn": 4000, "simulator": "Noise", "workers": workers}
    orders |= {"chunk_size": 1000, "dask_seconds": 0.0}
    with start(**orders, folder=str(small_disk)) as process:
        _, errors = process.communicate(timeout=100)
        assert process.returncode != 0
    assert "No space left on device; what is committed is kept, make room" in errors
    assert 0 < rows_in(small_disk) < 4
    subprocess.run(["mount", "-o", "remount,size=2M", str(small_disk)], check=True)
    shard = finish(**orders, folder=str(small_disk))
    (tmp_path / "whole").mkdir()
    whole = finish(**orders, folder=str(tmp_path / "whole"))
    assert committed(shard) == committed(whole)  # of rows simulated once each


@pytest.mark.slow
def test_a_million_rows_take_little_memory_and_resume_at_once(tmp_path):
    orders = {"folder": str(tmp_path), "rows": 1_000_000, "drawn": 1_000_000, "simulator": "Noise"}
    with start(**orders) as process:
        peak = 0
        while process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                peak = max(peak, psutil.Process(process.pid).memory_info().rss)
            time.sleep(0.02)
        assert process.returncode == 0, process.stderr.read()
    assert 0 < peak < 1.5e9
    begin = time.monotonic()
    make(**orders)
    assert time.monotonic() - begin < 5.0


def test_a_read_only_disk_says_so(small_disk):
    orders = {
        "folder": str(small_disk),
        "drawn": 20,
        "simulator": "NoiseOneByOne",
        "chunk_size": 10,
    }
    make(**orders, rows=10)
    before = rows_in(small_disk)
    remount = ["mount", "-o", "remount,{}", str(small_disk)]
    subprocess.run([word.format("ro") for word in remount], check=True)
    with pytest.raises(
        ValueError, match=r"shard-0\.zarr: Read-only file system; what is committed"
    ):
        make(**orders, rows=20)
    subprocess.run([word.format("rw") for word in remount], check=True)
    make(**orders, rows=20)
    assert rows_in(small_disk) == before + 1
