import logging
import os

import pytest
from shard_for_tests import content, parameters, rows_of

from sbi_pipeline.campaigns import missing_rows, parallel, sequential


def test_rows_do_not_depend_on_workers(run, monkeypatch):
    wanted = content(run("one", 3000)[0], 3000)
    monkeypatch.setattr(missing_rows, "DASK_SECONDS", 0.0)
    shard, _ = run("two", 3000, chunk_size=1000, workers=2)
    assert content(shard, 3000) == wanted
    assert {record["pid"] for record in rows_of(shard)} - {os.getpid()}


def test_a_cluster_of_another_kind_is_refused(run):
    with pytest.raises(ValueError, match="dask cluster is 'pbs'; wanted local, slurm"):
        run("a", 1000, cluster="pbs", workers=2)


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
    monkeypatch.setattr(missing_rows, "DASK_SECONDS", 0.0)
    _, receipt = run("a", 4, "Slow", chunk_size=2, workers=2, simulator_options={"seconds": 1.0})
    assert receipt["rows"] == 4


@pytest.mark.slow
def test_silent_workers_are_restarted_and_given_up_in_the_end(run, monkeypatch, caplog):
    monkeypatch.setattr(parallel, "POLL", 0.2)
    monkeypatch.setattr(parallel, "BUSY_STALL", 2.0)
    monkeypatch.setattr(parallel, "RESTARTS", 1)
    monkeypatch.setattr(missing_rows, "DASK_SECONDS", 0.0)
    hang = {"seconds": 0.001, "at": parameters(0, 40)[30, 0]}
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(ValueError, match=r"2 Dask workers returned nothing .* give it a time_limit"),
    ):
        run("a", 40, "Hang", chunk_size=20, workers=2, simulator_options=hang)
    assert "restarting the Dask workers" in caplog.text


@pytest.mark.slow
def test_a_cluster_grows_when_there_is_work_for_it(run):
    options = {"chunk_size": 20, "simulator_options": {"seconds": 0.05}}
    shard, receipt = run("a", 400, "Slow", workers=2, minimum=1, **options)
    assert receipt["rows"] == 400
    assert len({record["pid"] for record in rows_of(shard)}) == 2


def test_a_window_grows_with_its_cluster(monkeypatch):
    class Growing:
        def __init__(self):
            self.threads = {}

        def nthreads(self):
            return self.threads

    monkeypatch.setattr(parallel, "POLL", -1.0)
    client = Growing()
    window = parallel._Window(client, 2)
    assert window.size() == 2 * parallel.AHEAD
    client.threads = {"one": 1, "two": 4}
    assert window.size() == 5 * parallel.AHEAD
    client.threads = {"one": 1}  # workers that died may come back
    assert window.size() == 5 * parallel.AHEAD


def test_a_simulation_that_takes_suspiciously_long_is_told_of(run, monkeypatch, caplog):
    monkeypatch.setattr(sequential, "suspicious", lambda work, seconds: 0.2)
    with caplog.at_level(logging.WARNING):
        run("a", 4, "Slow", simulator_options={"seconds": 0.2})
    assert "if the simulator can hang, stop this run and set limits: {time_limit" in caplog.text
