"""What goes wrong on a real Slurm is one line, with the log to read, at the end of head.log."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from slurm_for_tests import (
    MANIFEST,
    copied,
    finish,
    last_line,
    locally,
    said,
    simulated,
    start,
    study,
)

pytest.importorskip("snakemake_executor_plugin_slurm")
pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.usefixtures("cluster")]

ONCE = ("--retries", "0")


def check(process: subprocess.Popen[str], folder: Path, expected: str) -> None:
    """Make sure that a head failed, and said so in a last line that names a log that there is."""
    assert process.wait(timeout=400) != 0
    last = last_line(folder)
    found = re.fullmatch(f"{expected}; log: (\\S+)", last)
    assert found is not None, last
    assert (folder / found[1]).is_file()


def test_demands_that_slurm_refuses_are_named(tmp_path: Path) -> None:
    demands = {
        "slurm_partition=nope": "sbatch: .*invalid partition specified: nope.*",
        "mem_mb=99999999": "sbatch: .*Memory specification can not be satisfied.*",
    }
    started = []
    for number, (demand, reason) in enumerate(demands.items()):
        folder = study(tmp_path / str(number))
        process = start(folder, *ONCE, "--default-resources", demand, "--", MANIFEST)
        started.append((process, folder, f"sample_prior: {reason}"))
    for each in started:
        check(*each)


def test_a_job_killed_for_memory_is_tried_with_more(tmp_path: Path, prepared: Path) -> None:
    greedy, insatiable = (copied(prepared, tmp_path / name) for name in ("greedy", "insatiable"))
    demand = ["--set-resources", "simulate:runtime=30", "simulate:mem_mb=1500"]
    starved = start(insatiable, *ONCE, *demand, "--", MANIFEST, hoard=1500)
    demand[-1] += " * attempt"
    fed = start(greedy, *demand, "--", MANIFEST, hoard=1500)
    check(starved, insatiable, "simulate: killed for memory; raise mem_mb .*")
    assert len(re.findall("SLURM-job '.*' failed", finish(fed, greedy))) == 1


def test_a_module_that_a_node_lacks_is_named(tmp_path: Path) -> None:
    mock = {"parameters": {"place": 0, "scatter": 1}, "seed": 1}
    folder = study(tmp_path / "module", observations={"mock": mock})
    simulator = folder / "dawdle.py"
    absent = "if 'SLURM_JOB_ID' in os.environ:\n    import licensed_code\n"
    simulator.write_text(f"{simulator.read_text()}\n\n{absent}")
    process = start(folder, *ONCE, "--", "results/slow/observations/mock.nc")
    reason = "importing 'dawdle' failed with ModuleNotFoundError: No module named 'licensed_code'"
    check(process, folder, f"single_observe: .*'dawdle:Dawdle': {reason}.*")


@pytest.fixture
def quota(tmp_path: Path) -> Iterator[Callable[[Path, str], None]]:
    """Return a function that makes a folder a file system of a size, or changes its size."""
    mounted = []

    def limit(folder: Path, size: str) -> None:
        options = f"remount,size={size}" if folder in mounted else f"size={size}"
        folder.mkdir(parents=True, exist_ok=True)
        if (done := said("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder))).returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        mounted.append(folder)

    yield limit
    for folder in set(mounted):
        said("umount", "--lazy", str(folder))


def test_a_full_disk_is_named_and_what_was_committed_is_kept(
    tmp_path: Path, prepared: Path, quota: Callable[[Path, str], None]
) -> None:
    folder = tmp_path / "study"
    quota(folder / "results", "300k")
    copied(prepared, folder)
    reason = ".*No space left on device; what is committed is kept, make room and start again"
    check(start(folder, *ONCE, "--", MANIFEST), folder, f"simulate: {reason}")
    assert 0 < simulated(folder) < 300
    quota(folder / "results", "10m")
    finish(start(folder, MANIFEST), folder)
    assert simulated(folder) == 300


def test_clocks_that_differ_are_named_and_what_was_simulated_is_kept(
    tmp_path: Path, prepared: Path
) -> None:
    folder = copied(prepared, tmp_path / "study")
    (prior,) = folder.glob("results/simulations/*/prior-0.zarr")
    for path in (prior, prior / ".snakemake_timestamp"):  # of a folder Snakemake looks at either
        os.utime(path, (4e9, 4e9))
    check(start(folder, *ONCE, "--", MANIFEST), folder, "simulate: clocks differ, .*")
    mend = ["find", "results", "-newermt", "now", "-exec", "touch", "{}", "+"]
    subprocess.run(mend, cwd=folder, check=True)
    locally(folder, MANIFEST)
    assert simulated(folder) == 300
