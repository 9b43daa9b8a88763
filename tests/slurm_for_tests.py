"""A Slurm for tests: the one that answers, or a throw-away one where the packages are installed.

And a study to run on it, whose simulator takes as long as the environment says.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from sbi_pipeline.storage import journal, reading

SCRIPTS = Path(__file__).parent / "slurm"
ROOT = Path(__file__).parents[1]
MANIFEST = "results/slow/simulations.json"
CONFIG: dict[str, Any] = {
    "campaigns": {
        "slow": {
            "simulator": "dawdle:Dawdle",
            "simulations": 300,
            "split": {"test": 0.2},
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
    "estimators": {"npe": {"method": "npe", "training": {"max_epochs": 300, "patience": 300}}},
}


def answers() -> bool:
    return bool(shutil.which("sinfo")) and not said("sinfo", "--noheader").returncode


def said(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def slurm() -> Iterator[None]:
    """Make sure that a Slurm answers; bring one up, and take it down at the end, if none does."""
    if answers():
        yield
        return
    started = said(str(SCRIPTS / "up"))
    if started.returncode:
        pytest.skip(f"no Slurm answers, and none can be brought up: {started.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run([str(SCRIPTS / "down")], check=True, capture_output=True)


@pytest.fixture
def cluster(slurm: None, tmp_path: Path) -> Iterator[None]:
    """Leave no head and no job of a test behind."""
    yield
    for process in psutil.process_iter(["cwd", "cmdline"]):
        is_head = "sbi_pipeline.head" in (process.info["cmdline"] or ())
        if is_head and (process.info["cwd"] or "").startswith(str(tmp_path)):
            process.kill()
    if left := [job for job, folder in queue("%i|%Z") if folder.startswith(str(tmp_path))]:
        said("scancel", *left)
        wait_for(lambda: not {job for (job,) in queue("%i")} & set(left))


def queue(form: str) -> list[list[str]]:
    """Return the jobs in the queue, the fields of a format of squeue."""
    lines = said("squeue", "--noheader", "--array", "--me", f"--format={form}").stdout.splitlines()
    return [line.split("|") for line in lines]


def wait_for(condition: Callable[[], object], seconds: float = 400) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def environment(folder: Path, *, impatient: bool = False) -> dict[str, str]:
    """Return the environment of a user in a folder, this source tree first."""
    paths = [str(SCRIPTS.parents[1]), str(folder)]
    paths += [str(SCRIPTS.with_name("impatience"))] if impatient else []
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


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


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a study whose parameters are drawn, to be copied: one job less for each test."""
    folder = study(tmp_path_factory.mktemp("prepared") / "study")
    locally(folder, receipt(folder, 0).replace("shard-0.json", "prior-0.zarr"))
    return folder


def copied(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to, dirs_exist_ok=True))


def start(
    folder: Path, *arguments: str, seconds: float = 0.0, hoard: int = 0
) -> subprocess.Popen[str]:
    """Start a head; a row takes so many seconds, the simulator so many megabytes."""
    command = [sys.executable, "-m", "sbi_pipeline.head", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--configfile", "config.yaml", "--workflow-profile", "profile", *arguments]
    variables = environment(folder, impatient=True)
    variables |= {"DAWDLE": str(seconds), "HOARD": str(hoard)}
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


FOLDER = """
from sbi_pipeline.study import Plan, load_configuration
(made,) = Plan(load_configuration(["config.yaml"])).simulations.values()
print(made.folder)
"""


def receipt(folder: Path, shard: int) -> str:
    """Return the target of a shard."""
    command = [sys.executable, "-c", FOLDER]
    done = subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=True
    )
    return f"{done.stdout.strip()}/shard-{shard}.json"


def rows(folder: Path, n: int) -> list[bytes]:
    """Return the first rows of a campaign, none of which failed."""
    view = reading.load_simulations(folder / MANIFEST)
    return [array[:n].tobytes() for array in (view.theta, view.x, view.row)]


def commits(folder: Path) -> list[dict[str, Any]]:
    """Return the records of all rows committed, twice if they were simulated twice."""
    stores = sorted(folder.glob("results/simulations/*/shard-*.zarr"))
    return [
        each for store in stores for each in journal.read_records(store) if each["kind"] == "rows"
    ]


def simulated(folder: Path) -> int:
    return sum(record["stop"] - record["start"] for record in commits(folder))


def runs(folder: Path) -> int:
    stores = folder.glob("results/simulations/*/shard-*.zarr")
    return sum(
        record["kind"] == "run" for store in stores for record in journal.read_records(store)
    )


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


def last_line(folder: Path) -> str:
    return (folder / "head.log").read_text().strip().splitlines()[-1]
