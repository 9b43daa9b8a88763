"""A Slurm for tests: the one that answers, or a throw-away one where the packages are installed."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

SCRIPTS = Path(__file__).parent / "slurm"


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


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a user in a folder, this source tree first."""
    root = str(Path(__file__).parents[1])
    return os.environ | {"PYTHONPATH": os.pathsep.join([root, str(folder)])}
