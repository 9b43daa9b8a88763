"""Campaigns on a real Slurm: finished elsewhere, stopped, pre-empted, their head killed."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from slurm_for_tests import environment, queue, said, wait_for

from sbi_pipeline.storage import journal, reading

pytest.importorskip("snakemake_executor_plugin_slurm")
pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.usefixtures("cluster")]

ROOT = Path(__file__).parents[1]
MANIFEST = "results/slow/simulations.json"
CONFIG: dict[str, Any] = {
    "campaigns": {
        "slow": {
            "simulator": "dawdle:Dawdle",
            "simulations": 300,
            "shard_size": 300,
            "block_size": 10,
            "priors": {
                "place": {"type": "normal", "mean": 0, "sd": 1},
                "scatter": {"type": "halfnormal", "sd": 0.3},
            },
            "inferred_parameters": ["place"],
            "nuisance_parameters": ["scatter"],
            "dask": {"chunk_size": 10},
        }
    },
    "estimators": {"npe": {"method": "npe", "training": {"max_epochs": 80, "patience": 80}}},
}


def study(folder: Path, **entries: Any) -> Path:
    """Write a study whose simulator takes as long as the environment says."""
    folder.mkdir()
    (folder / "dawdle.py").write_text((ROOT / "tests/dawdle.py").read_text())
    campaign = CONFIG["campaigns"]["slow"] | entries
    config = CONFIG | {"campaigns": {"slow": campaign}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    profile = (ROOT / "profiles/slurm/profile.yaml").read_text()
    (folder / "profile").mkdir()
    impatient = profile.replace("status-checks: 20", "status-checks: 3")
    (folder / "profile/profile.yaml").write_text(impatient)
    return folder


def start(
    folder: Path, *arguments: str, seconds: float = 0.0, hoard: int = 0
) -> subprocess.Popen[str]:
    """Start a head; a row takes so many seconds, the simulator so many megabytes."""
    command = [sys.executable, "-m", "sbi_pipeline.head", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--configfile", "config.yaml", "--workflow-profile", "profile", *arguments]
    variables = environment(folder) | {"DAWDLE": str(seconds), "HOARD": str(hoard)}
    with (folder / "head.log").open("a") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=variables,
            stdout=log,
            stderr=log,
            text=True,
        )


def finish(process: subprocess.Popen[str], folder: Path) -> str:
    """Wait for a head that ends well; return what it said."""
    code = process.wait(timeout=800)
    said_so = (folder / "head.log").read_text()
    assert code == 0, said_so
    return said_so


def locally(folder: Path, *targets: str) -> None:
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--configfile", "config.yaml", "--cores", "2", *targets]
    done = subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def receipt(folder: Path, shard: int) -> str:
    """Return the target of a shard; its folder is named when the configuration is read."""
    (spec,) = folder.glob("results/simulations/*/spec.json")
    return str(spec.with_name(f"shard-{shard}.json").relative_to(folder))


def rows(folder: Path) -> list[bytes]:
    view = reading.load(folder / MANIFEST)
    return [view.theta.tobytes(), view.x.tobytes(), view.row.tobytes()]


def commits(folder: Path) -> list[dict[str, Any]]:
    """Return the records of all rows committed, twice if they were simulated twice."""
    stores = sorted(folder.glob("results/simulations/*/shard-*.zarr"))
    return [each for store in stores for each in journal.read(store) if each["kind"] == "rows"]


def simulated(folder: Path) -> int:
    return sum(record["stop"] - record["start"] for record in commits(folder))


def runs(folder: Path) -> int:
    stores = folder.glob("results/simulations/*/shard-*.zarr")
    return sum(record["kind"] == "run" for store in stores for record in journal.read(store))


def job_of(folder: Path, rule: str) -> str:
    """Return the id of the running job of a rule, once there is one."""
    found: list[str] = []

    def running() -> list[str]:
        found[:] = [
            number
            for number, comment, state, where in queue("%i|%k|%T|%Z")
            if where == str(folder) and comment.startswith(f"rule_{rule}") and state == "RUNNING"
        ]
        return found

    wait_for(running)
    return found[0]


def test_a_campaign_moves_between_this_machine_and_slurm(tmp_path: Path) -> None:
    here, there = (
        study(tmp_path / "here", shard_size=100),
        study(tmp_path / "there", shard_size=100),
    )
    locally(here, MANIFEST)
    locally(there, "--dry-run")  # which names the folder of the shards
    locally(there, receipt(there, 0))
    finish(start(there, MANIFEST), there)
    assert rows(there) == rows(here)
    assert simulated(there) == 300
    for folder in (here, there):
        config = yaml.safe_load((folder / "config.yaml").read_text())
        config["campaigns"]["slow"]["simulations"] = 320
        (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        locally(folder, MANIFEST)
    assert rows(there) == rows(here)
    assert simulated(there) == 320


def test_a_killed_head_loses_nothing_and_the_next_repeats_nothing(tmp_path: Path) -> None:
    folder = study(tmp_path / "study")
    first = start(folder, MANIFEST, seconds=0.2)
    wait_for(lambda: commits(folder))
    (snakemake,) = psutil.Process(first.pid).children()
    job = job_of(folder, "simulate")
    first.kill()
    first.wait()
    wait_for(lambda: not snakemake.is_running() or snakemake.status() == psutil.STATUS_ZOMBIE)
    said_so = finish(start(folder, MANIFEST, seconds=0.2), folder)
    assert f"1 jobs of an earlier head are left ({job}); waiting for them" in said_so
    assert simulated(folder) == 300
    assert runs(folder) == 1


def test_a_head_that_is_a_job_submits_the_next_one(tmp_path: Path) -> None:
    folder = study(tmp_path / "study")
    begun = start(folder, "--sbatch", "--time=60 --mem=500", MANIFEST, seconds=0.2)
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


def test_jobs_that_slurm_ends_go_on_in_the_next_one(tmp_path: Path) -> None:
    """Three at a time, since what they do is wait."""
    hurried = study(tmp_path / "hurried", simulations=320, shard_size=320)
    limits = ["simulate:runtime=3", "simulate:slurm_extra='--signal=TERM@60'"]
    beaten = start(hurried, "--set-resources", *limits, "--", MANIFEST, seconds=0.4)
    greedy = study(tmp_path / "greedy")
    memory = ["simulate:mem_mb=1500 * attempt", "simulate:runtime=30"]
    fed = start(greedy, "--set-resources", *memory, "--", MANIFEST, hoard=1500)
    insatiable = study(tmp_path / "insatiable")
    memory[0] = "simulate:mem_mb=1500"
    starved = start(
        insatiable, "--retries", "1", "--set-resources", *memory, "--", MANIFEST, hoard=1500
    )
    assert len(re.findall("SLURM-job '.*' failed", finish(fed, greedy))) == 1
    assert starved.wait(timeout=800) != 0
    last = last_line(insatiable)
    assert re.fullmatch(r"simulate: killed for memory; raise mem_mb .*; log: \S+", last), last
    finish(beaten, hurried)
    assert runs(hurried) >= 2
    assert simulated(hurried) == 320


def test_a_preempted_shard_goes_on(tmp_path: Path) -> None:
    folder = study(tmp_path / "study")
    spare = ["--set-resources", "simulate:slurm_partition=spare", "simulate:runtime=30"]
    process = start(folder, *spare, "--", MANIFEST, seconds=0.2)
    wait_for(lambda: len(commits(folder)) >= 3)
    urgent = ["--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=true"]
    assert said("sbatch", "--wait", *urgent).returncode == 0
    finish(process, folder)
    assert runs(folder) == 2
    assert simulated(folder) == 300


def catches_sigterm(folder: Path, script: str) -> bool:
    """Say whether a stage of a folder runs and has a handler for SIGTERM."""
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = process.info["cmdline"] or [""]
        if process.info["cwd"] == str(folder) and words[-1].endswith(script):
            status = Path(f"/proc/{process.pid}/status").read_text()
            caught = int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16)  # type: ignore[index]
            return bool(caught >> signal.SIGTERM - 1 & 1)
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
    wait_for(lambda: catches_sigterm(folder, "stage.py"))
    time.sleep(4)  # an epoch takes a fraction of that
    assert said("scancel", "--signal=TERM", job).returncode == 0
    finish(process, folder)
    assert "training goes on after epoch" in (folder / "results/slow/npe/train.log").read_text()


@pytest.mark.parametrize(
    ("demand", "reason"),
    [
        ("slurm_partition=nope", "invalid partition specified: nope"),
        ("mem_mb=99999999", "Memory specification can not be satisfied"),
    ],
)
def test_a_demand_that_slurm_refuses_is_named(tmp_path: Path, demand: str, reason: str) -> None:
    folder = study(tmp_path / "study")
    process = start(folder, "--retries", "0", "--default-resources", demand, "--", MANIFEST)
    assert process.wait(timeout=200) != 0
    assert re.fullmatch(f"sample_prior: sbatch: .*{reason}.*", last_line(folder))


def last_line(folder: Path) -> str:
    return (folder / "head.log").read_text().strip().splitlines()[-1]
