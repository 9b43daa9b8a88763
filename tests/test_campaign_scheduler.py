"""A Dask scheduler and workers that are not ours, and may die."""

import contextlib
import json
import os
import subprocess
import sys

import pytest
from shard_for_tests import make
from test_campaign_killed import TESTS, committed, finish, rows_in, start, wait_for

from sbi_pipeline.campaigns import cluster
from sbi_pipeline.storage.rows import read_status

ORDERS = {
    "rows": 400,
    "drawn": 400,
    "simulator": "Slow",
    "workers": 2,
    "chunk_size": 20,
    "simulator_options": {"seconds": 0.02},
}


@contextlib.contextmanager
def dask_processes(folder):
    """Start a scheduler and two workers, each with a nanny, and yield its address and them."""
    file = folder / "scheduler.json"
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])

    def command(what, *options):
        return subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + what, "--no-dashboard", *options],
            env=os.environ | {"PYTHONPATH": path},
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    where = ["--scheduler-file", str(file)]
    processes = [command("scheduler", "--host", "127.0.0.1", "--port", "0", *where)]
    try:
        wait_for(lambda: file.exists() and file.stat().st_size)
        local = ["--local-directory", str(folder), "--nthreads", "1"]
        processes += [command("worker", *where, *local) for _ in range(2)]
        yield json.loads(file.read_text())["address"], processes
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["scheduler", "nanny"])
def test_schedulers_and_nannies_may_die(tmp_path, victim):
    for folder in ("whole", "hurt", "dask"):
        (tmp_path / folder).mkdir()
    hurt = tmp_path / "hurt"
    with dask_processes(tmp_path / "dask") as (address, (scheduler, nanny, _)):
        process = start(**ORDERS, folder=str(hurt), cluster=address)
        wait_for((hurt / "shard-0.zarr").exists)
        wait_for(lambda: rows_in(hurt) >= 4)
        (scheduler if victim == "scheduler" else nanny).kill()
        _, errors = process.communicate(timeout=200)
    if victim == "scheduler":
        assert process.returncode != 0
        assert f"lost the Dask scheduler of '{address}'; what is committed is kept" in errors
        before = rows_in(hurt)
        finish(**ORDERS | {"workers": 1}, folder=str(hurt))
        assert rows_in(hurt) == 400 // 20  # those committed before were not simulated again
        assert before >= 4
    assert process.returncode == 0 or victim == "scheduler", errors
    whole = finish(**ORDERS | {"workers": 1}, folder=str(tmp_path / "whole"))
    assert committed(hurt / "shard-0.zarr") == committed(whole)
    assert not list((hurt / "shard-0.zarr").glob("**/*.partial"))
    assert read_status(whole, 400).sum() == 0


def test_an_address_where_nobody_answers_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "ANSWER", 1.0)
    with pytest.raises(ValueError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9 \("):
        make(**ORDERS, folder=str(tmp_path), cluster="tcp://127.0.0.1:9")
