import os

import dask
import pytest
from shard_for_tests import make
from slurm_for_tests import queue, wait_for

from sbi_pipeline.storage import journal
from sbi_pipeline.storage.rows import read_rows

pytest.importorskip("dask_jobqueue")  # which adds its defaults to the configuration


@pytest.mark.slurm
@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
@pytest.mark.filterwarnings("ignore::FutureWarning:dask_jobqueue")
def test_workers_come_from_slurm(tmp_path):
    settings = {
        "cores": 1,
        "processes": 1,
        "memory": "600MB",
        "walltime": "00:05:00",
        "interface": "lo",
        "log-directory": str(tmp_path / "logs"),
        "scheduler-options": {"interface": "lo"},
        "job-script-prologue": [f"export PYTHONPATH={os.path.dirname(__file__)}"],
    }
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
    options = {"simulator": "NoiseOneByOne", "rows": 400, "drawn": 400, "chunk_size": 50}
    with dask.config.set({f"jobqueue.slurm.{name}": value for name, value in settings.items()}):
        make(tmp_path / "there", cluster="slurm", workers=2, **options)
    make(tmp_path / "here", **options)
    shards = [tmp_path / folder / "shard-0.zarr" for folder in ("here", "there")]
    here, there = (read_rows(shard, 0, 400).checksum() for shard in shards)
    assert here == there
    pids = {record["pid"] for record in journal.read_records(shards[1]) if record["kind"] == "rows"}
    assert os.getpid() not in pids
    wait_for(lambda: ["dask-worker"] not in queue("%j"))


def test_a_slurm_that_is_not_configured_says_what_is_missing(tmp_path):
    with (
        dask.config.set({"jobqueue.slurm.cores": None}),
        pytest.raises(
            ValueError, match=r"has no cores.*jobqueue\.slurm in ~/\.config/dask/jobqueue"
        ),
    ):
        make(tmp_path, 10, "NoiseOneByOne", 10, cluster="slurm", workers=2)
