"""Campaigns on a real Slurm: finished elsewhere, stopped, pre-empted, their head killed."""

import re
import shutil
import time
from pathlib import Path

import psutil
import pytest
from slurm_for_tests import (
    MANIFEST,
    commits,
    copied,
    finish,
    job_of,
    locally,
    queue,
    receipt,
    rows,
    runs,
    said,
    simulated,
    start,
    study,
    wait_for,
)

pytest.importorskip("snakemake_executor_plugin_slurm")
pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.usefixtures("cluster")]


def test_a_campaign_moves_between_this_machine_and_slurm(tmp_path: Path) -> None:
    here = study(tmp_path / "here", shard_size=100, simulations=320)
    there = study(tmp_path / "there", shard_size=100)
    locally(here, MANIFEST)
    locally(there, receipt(here, 0))
    finish(start(there, MANIFEST), there)
    assert rows(there, 320) == rows(here, 300)
    assert simulated(there) == 300
    shutil.copy(here / "config.yaml", there)
    locally(there, MANIFEST)
    assert rows(there, 320) == rows(here, 320)
    assert simulated(there) == 320


def test_a_killed_head_loses_nothing_and_the_next_repeats_nothing(
    tmp_path: Path, prepared: Path
) -> None:
    folder = copied(prepared, tmp_path / "study")
    first = start(folder, MANIFEST, seconds=0.1)
    wait_for(lambda: commits(folder))
    (snakemake,) = psutil.Process(first.pid).children()
    job = job_of(folder, "simulate")
    first.kill()
    first.wait()
    wait_for(lambda: not snakemake.is_running() or snakemake.status() == psutil.STATUS_ZOMBIE)
    said_so = finish(start(folder, MANIFEST, seconds=0.1), folder)
    assert f"1 jobs of an earlier head are left ({job}); waiting for them" in said_so
    assert simulated(folder) == 300
    assert runs(folder) == 1


def test_a_head_that_is_a_job_submits_the_next_one(tmp_path: Path, prepared: Path) -> None:
    folder = copied(prepared, tmp_path / "study")
    begun = start(folder, "--sbatch", "--time=60 --mem=500", MANIFEST, seconds=0.1)
    job = re.search(r"job (\d+);", finish(begun, folder))
    assert job is not None
    wait_for(lambda: commits(folder))
    assert said("scancel", "--batch", "--signal=USR1", job[1]).returncode == 0
    wait_for(lambda: "USR1: no more jobs are submitted" in (folder / "head.log").read_text())
    successor = re.search(r"job (\d+) will go on", (folder / "head.log").read_text())
    assert successor is not None
    wait_for((folder / MANIFEST).is_file)
    wait_for(lambda: [successor[1]] not in queue("%i"))
    assert simulated(folder) == 300
    assert runs(folder) == 1


def test_jobs_shorter_than_the_work_go_on_in_the_next_one(tmp_path: Path, prepared: Path) -> None:
    folder = copied(prepared, tmp_path / "study")
    limits = ["simulate:runtime=2", "simulate:slurm_extra='--signal=TERM@30'"]
    finish(start(folder, "--set-resources", *limits, "--", MANIFEST, seconds=0.33), folder)
    assert runs(folder) >= 2
    assert simulated(folder) == 300


def test_a_preempted_shard_goes_on(tmp_path: Path, prepared: Path) -> None:
    folder = copied(prepared, tmp_path / "study")
    spare = ["--set-resources", "simulate:slurm_partition=spare", "simulate:runtime=30"]
    process = start(folder, *spare, "--", MANIFEST, seconds=0.1)
    wait_for(lambda: len(commits(folder)) >= 3)
    urgent = ["--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=true"]
    assert said("sbatch", "--wait", *urgent).returncode == 0
    finish(process, folder)
    assert runs(folder) == 2
    assert simulated(folder) == 300


def has_torch(folder: Path, script: str) -> bool:
    """Say whether a stage of a folder runs and has imported what it trains with."""
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = process.info["cmdline"] or [""]
        if process.info["cwd"] == str(folder) and words[-1].endswith(script):
            return "libtorch_python" in Path(f"/proc/{process.pid}/maps").read_text()
    return False


def test_a_training_stopped_by_slurm_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    folder = study(tmp_path / "study", simulations=1000, shard_size=1000)
    locally(folder, MANIFEST)
    gpu = ["--set-resources", "train:gpu=1", "train:slurm_partition=gpu"]
    process = start(folder, *gpu, "--", "results/slow/npe/estimator.pt")
    job = job_of(folder, "train")
    granted = said("scontrol", "show", "job", job).stdout
    assert "gpu:1" in granted
    assert "Partition=gpu" in granted
    wait_for(lambda: has_torch(folder, "stage.py"))
    time.sleep(10)  # the rest of the imports, then an epoch, which takes a fraction of that
    assert said("scancel", "--signal=TERM", job).returncode == 0
    finish(process, folder)
    assert "training goes on after epoch" in (folder / "results/slow/npe/train.log").read_text()
