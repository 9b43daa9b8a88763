"""The head with programs in Slurm's place; with Slurm itself in test_slurm.py."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from sbi_pipeline import head

ROOT = Path(__file__).parents[1]


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Return a function that puts a program of a name, one line of shell, first on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def put(name, line):
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)

    return put


def test_only_jobs_of_snakemake_in_this_folder_are_its_jobs(programs, tmp_path):
    lines = [
        f"7_1|rule_simulate_wildcards_a_0|RUNNING|None|{tmp_path}",
        "8|rule_train|RUNNING|None|/elsewhere",
        f"9|(null)|RUNNING|None|{tmp_path}",
    ]
    programs("squeue", "printf '%s\\n' " + " ".join(f"'{line}'" for line in lines))
    assert head.jobs(tmp_path) == [head.Job("7_1", "simulate a_0", "RUNNING", "None")]


def test_a_slurm_that_does_not_answer_is_an_error(programs, tmp_path):
    programs("squeue", "echo 'slurm_load_jobs error: Unable to contact' >&2; exit 1")
    with pytest.raises(ValueError, match=r"Slurm does not answer: .*Unable to contact"):
        head.jobs(tmp_path)


def test_a_slurm_without_a_cluster_has_no_jobs(programs, tmp_path):
    said = "squeue: fatal: Could not establish a configuration source"
    programs("squeue", f"echo '{said}' >&2; exit 1")
    assert head.jobs(tmp_path) == []


def test_jobs_of_an_earlier_head_are_waited_for(programs, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(head, "POLL", 0.01)
    left = tmp_path / "left"
    left.write_text("".join(f"{n}|rule_train|RUNNING|None|{tmp_path}\n" for n in range(3)))
    programs("squeue", f"cat {left}; sed -i 1d {left}")
    with caplog.at_level(logging.INFO):
        head.outwait(tmp_path)
    assert not left.read_text()
    assert "3 jobs of an earlier head are left (0,1,2); waiting" in caplog.text


def test_a_job_that_will_never_start_is_named_once(caplog):
    known = set()
    job = head.Job("5", "train a_npe", "PENDING", "PartitionTimeLimit")
    for _ in range(2):
        head.warn_of_hopeless([job, head.Job("6", "train", "PENDING", "Resources")], known)
    assert caplog.text.count("job 5 (train a_npe) will never start: PartitionTimeLimit") == 1
    assert "job 6" not in caplog.text


def test_a_head_is_submitted_with_all_it_needs_to_submit_the_next(programs, tmp_path):
    programs("sbatch", f"printf '%s\\n' \"$@\" > {tmp_path}/given; echo '12;cluster'")
    number = head.submit("--time=10 --comment='a b'", ["--config", "x y"], after="11")
    assert number == "12"
    given = (tmp_path / "given").read_text().splitlines()
    assert {"--time=10", "--comment=a b", "--dependency=afterany:11"} <= set(given)
    assert given[-1].endswith("--sbatch '--time=10 --comment='\"'\"'a b'\"'\"'' --config 'x y'")


def test_a_partition_that_does_not_exist_is_one_line(programs):
    programs("sbatch", "echo 'sbatch: error: invalid partition specified: nope' >&2; exit 1")
    with pytest.raises(ValueError, match=r"cannot be submitted: .*invalid partition"):
        head.submit("--partition=nope", [])


@pytest.fixture
def started(tmp_path, programs):
    """Return a function that starts a head whose Snakemake only sleeps, and waits until it does."""
    programs("squeue", "")
    (tmp_path / "snakemake.py").write_text(
        "import sys, time\n"
        "if '--unlock' not in sys.argv:\n"
        "    open('here', 'w')\n"
        "    time.sleep(60)\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    heads = []

    def start():
        command = [sys.executable, "-m", "sbi_pipeline.head"]
        heads.append(subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=-1, text=True))
        return heads[-1]

    yield start
    for process in heads:
        process.kill()
        process.communicate()


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_there_is_one_head_and_its_snakemake_dies_with_it(started, tmp_path):
    first = started()
    wait_for((tmp_path / "here").exists)
    second = started()
    _, errors = second.communicate(timeout=60)
    assert f"is being written by process {first.pid}" in errors
    (snakemake,) = psutil.Process(first.pid).children()
    first.kill()
    wait_for(lambda: not snakemake.is_running() or snakemake.status() == psutil.STATUS_ZOMBIE)


def test_sigterm_is_passed_on(started, tmp_path):
    process = started()
    wait_for((tmp_path / "here").exists)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert "SIGTERM: no more jobs are submitted" in errors
    assert process.returncode in (-signal.SIGTERM, 256 - signal.SIGTERM)
