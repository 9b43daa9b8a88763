"""SIGINT and SIGTERM, sent to real processes: one line, nothing lost, and the next run goes on."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
TESTS = Path(__file__).parent
BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


def started(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a script in a process group of its own and wait for what it prints first."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"from sbi_pipeline import signals\n{script}", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return the exit code of a process and what it wrote to standard error."""
    _, errors = process.communicate(timeout=30)
    return process.returncode, errors


HOLDS = """
import sys, time
with signals.told("train"), signals.interruptible(lambda: "after epoch 3"):
    with signals.held():
        print("ready", flush=True)
        time.sleep(0.5)
        open(sys.argv[1], "w").write("whole")
    time.sleep(60)
"""


@BOTH
@pytest.mark.parametrize("times", [1, 2])
def test_a_stage_ends_with_one_line_when_what_is_held_is_whole(
    tmp_path: Path, number: signal.Signals, times: int
) -> None:
    process = started(HOLDS, tmp_path / "file")
    for _ in range(times):
        os.killpg(process.pid, number)
        time.sleep(0.1)
    line = f"train: interrupted by {number.name} after epoch 3; run snakemake again to go on\n"
    assert ended(process) == (128 + number, line)
    assert (tmp_path / "file").read_text() == "whole"


STUCK = """
import hashlib, threading
signals.GRACE = 0.2
with signals.told("simulate"):
    threading.Timer(0.3, print, ["ready"], {"flush": True}).start()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)  # compiled code that takes minutes
"""


@BOTH
def test_a_call_that_does_not_come_back_is_ended(number: signal.Signals) -> None:
    process = started(STUCK)
    process.send_signal(number)
    code, errors = ended(process)
    assert code == 128 + number
    assert errors == (
        f"simulate: interrupted by {number.name}, ended after 0.2 s without an answer; "
        "run snakemake again to go on\n"
    )


SWALLOWS = """
import time
with signals.told("simulate"), signals.interruptible(lambda: "with 1 of 9 rows committed"):
    try:
        print("ready", flush=True)
        time.sleep(60)
    except:
        pass
    with signals.held():
        assert signals.asked()
    time.sleep(60)
"""


def test_a_simulator_that_swallows_everything_does_not_swallow_it() -> None:
    process = started(SWALLOWS)
    process.send_signal(signal.SIGINT)
    code, errors = ended(process)
    assert (code, "SIGINT with 1 of 9 rows committed" in errors) == (130, True)


IGNORES = """
import os, signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
with signals.told("train"):
    print("ready", flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.1)
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_a_job_in_the_background_and_one_that_has_ended_take_no_notice() -> None:
    assert ended(started(IGNORES)) == (0, "")


SNAKEMAKE = """
import time
signals.GRACE = 0.5
signals.once()
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    try:
        print("once", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("again", flush=True)
"""


def test_a_second_ctrl_c_is_taken_for_the_first_but_not_for_ever() -> None:
    process = started(SNAKEMAKE)
    assert process.stdout is not None
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "once\n"
    process.send_signal(signal.SIGINT)
    time.sleep(0.7)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == ("again\n", "")


HEEDING = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("snakemake", run_name="__main__", alter_sys=True)
"""


def snakemake(folder: Path, target: str) -> subprocess.Popen[str]:
    """Start Snakemake as in a terminal of its own, where Ctrl-C is not ignored.

    Of tests that a shell runs in the background it would be, and so of what they start.
    """
    command = [sys.executable, "-c", HEEDING, target, "--snakefile", str(ROOT / "Snakefile")]
    command += ["--configfile", str(folder / "config.yaml"), "--directory", str(folder)]
    path = os.pathsep.join(map(str, [TESTS / "eagerness", folder, ROOT]))
    return subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 180
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_snakemake_interrupted_goes_on_where_it_was(tmp_path: Path) -> None:
    """Ctrl-C twice in a training, then SIGTERM to all in the MCMC of another."""
    config = yaml.safe_load((TESTS / "config.yaml").read_text())
    config["estimators"]["npe"]["training"] = {"max_epochs": 80, "patience": 80}
    chains = {"proposal": "none", "min_steps": 1500, "max_steps": 1500}
    config["estimators"]["nle"]["sampler"] |= chains
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    shutil.copy(TESTS / "tiny.py", tmp_path)
    results = tmp_path / "results" / "tiny"
    chain = "nle/sample-*.chain/block-*.npz"
    for target, log, kept, number, said in [
        ("npe/estimator.pt", "npe/train.log", "npe/train-*.checkpoint", signal.SIGINT, "epoch"),
        ("nle/mock/posterior.nc", "nle/mock/sample.log", chain, signal.SIGTERM, "step"),
    ]:
        process = snakemake(tmp_path, f"results/tiny/{target}")
        wait_for(lambda kept=kept: list(results.glob(kept)), process)
        begin = time.monotonic()
        os.killpg(process.pid, number)
        time.sleep(0.2)
        os.killpg(process.pid, number)
        output, _ = process.communicate(timeout=60)
        assert time.monotonic() - begin < 20
        assert process.returncode not in (0, None)
        assert "Traceback" not in output
        (line,) = re.findall(rf".*: interrupted by {number.name}.*", output)
        assert (found := re.search(rf"after {said} (\d+); run snakemake again to go on$", line))
        assert not (results / target).exists()

        process = snakemake(tmp_path, f"results/tiny/{target}")
        output, _ = process.communicate(timeout=400)
        assert process.returncode == 0, output
        assert f"goes on after {said} {found[1]}" in (results / log).read_text()
        assert not list(results.glob(kept))
