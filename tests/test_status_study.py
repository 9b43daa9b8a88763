"""`sbi-pipeline status` of a study that Snakemake runs, from its first rows on, kills and all."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO
from urllib.request import urlopen

import pytest
import yaml

from sbi_pipeline import job_reports, study
from sbi_pipeline.status.study import status_of

ROOT, TESTS = Path(__file__).parents[1], Path(__file__).parent
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
LONG = {"max_epochs": 5000, "patience": 5000, "compile": False}
CONFIG = {
    "campaigns": {
        "one": {
            "simulator": "dawdle:Dawdle",
            "simulations": 600,
            "priors": {
                "place": {"type": "normal", "mean": 0, "sd": 1},
                "scatter": {"type": "halfnormal", "sd": 1},
            },
            "inferred_parameters": ["place"],
            "nuisance_parameters": ["scatter"],
            "observations": {"mock": {"parameters": {"place": 0.5}}},
            "dask": {"chunk_size": 50},
        }
    },
    "estimators": {
        "npe": {
            "method": "npe",
            "training": LONG,
        },
        "nle": {
            "method": "nle",
            "training": {"max_epochs": 2},
            "sampler": {"ensembles": 2, "walkers": 8, "min_steps": 20, "max_steps": 40},
        },
    },
    "calibration": {
        "simulations": 30,
        "draws": 50,
        "sampler": {"ensembles": 2, "walkers": 8, "min_steps": 20, "max_steps": 20},
    },
    "predictive_draws": 50,
    "posterior_calibration": 0,
}

OUTPUT = Path("snakemake.log")
STARTED: list[subprocess.Popen[str]] = []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in the folder of the study; what still runs of it in the end is ended."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(TESTS / "dawdle.py", tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for process in STARTED:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def begin(*command: str, output: int | IO[str] = subprocess.PIPE) -> subprocess.Popen[str]:
    path = os.pathsep.join(map(str, [Path.cwd(), ROOT]))
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "DAWDLE": "0.02"},
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )
    STARTED.append(process)
    return process


def snakemake() -> subprocess.Popen[str]:
    snakefile = ("--snakefile", str(ROOT / "Snakefile"), "--workflow-profile", "none")
    options = ("--cores", "1", "--keep-going", "--rerun-triggers", "mtime", "--rerun-incomplete")
    with OUTPUT.open("w") as output:
        return begin(
            *("snakemake", *snakefile, *options, "--configfile", "config.yaml"), output=output
        )


def write(**training: object) -> None:
    """Write the configuration, with how an estimator is trained."""
    for name, options in training.items():
        CONFIG["estimators"][name]["training"] = options  # type: ignore[index]
    Path("config.yaml").write_text(yaml.safe_dump(CONFIG))


def look() -> str:
    plan = study.Plan(study.load_configuration(["config.yaml"], check=False))
    return str(status_of(Path("results"), plan))


def table(text: str, head: str) -> str:
    """Return the lines of the table whose first column is called so; empty without one."""
    return next((each for each in text.split("\n\n") if each.startswith(f"{head} ")), "")


def wait_for(seen: Callable[[], str | None], process: subprocess.Popen[str]) -> str:
    deadline = time.monotonic() + 400
    while True:
        if found := seen():
            return found
        assert process.poll() is None, OUTPUT.read_text()
        assert time.monotonic() < deadline, look()
        time.sleep(0.2)


def simulating() -> str | None:
    if not Path("results").exists():
        return None
    rows = re.search(r"shard-0 +(\d+) +600 .* running, .* to go$", look(), re.MULTILINE)
    return rows[1] if rows else None


def training() -> str | None:
    found = re.search(r"one/npe/train +(\d+) +5000 +.* running, .* to go$", look(), re.MULTILINE)
    return found[1] if found and int(found[1]) > 1 else None


def test_a_study_is_seen_from_its_first_rows_to_its_verdict(folder: Path) -> None:
    write()
    process = snakemake()
    assert 0 < int(wait_for(simulating, process)) < 600
    wait_for(training, process)
    text = look()
    assert "snakemake runs, or was killed" in text
    assert re.search(r"^train +[01] +2 +1$", table(text, "results"), re.MULTILINE)
    log = Path("results/one/npe/train.log")
    told = r"INFO one/npe/train: [\d,]+ of at most 5,000 epochs, training loss \S+, validation"
    wait_for(lambda: "told" if re.search(told, log.read_text()) else None, process)

    server = begin("sbi_pipeline.cli", "status", "--serve", "0")
    assert server.stdout is not None
    address = server.stdout.readline().split()[0]
    with urlopen(address, timeout=60) as answer:
        page = answer.read().decode()
    assert "of at most 5,000 epochs" in page
    assert page.count("<polyline") in (2, 4)  # of the other training, if that was the first
    server.send_signal(signal.SIGINT)
    server.communicate(timeout=30)
    assert server.returncode == 0

    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    report = log.with_suffix(job_reports.SUFFIX)
    old = time.time() - 3 * job_reports.ALIVE
    os.utime(report, (old, old))
    assert re.search(r"one/npe/train +3 min \d\d s ago +no word from", table(look(), "not done"))

    write(npe={"max_epochs": 3}, nle={"max_epochs": 3, "learning_rate": 1e30, "clip_norm": 1e30})
    shutil.rmtree(".snakemake/locks")
    process = snakemake()
    assert process.wait(600) == 1, OUTPUT.read_text()
    text = look()
    failed = table(text, "not done").splitlines()[1]
    assert re.match(r"one/nle/train .* failed: the loss is not finite in epoch", failed)
    assert failed.endswith("results/one/nle/train.log")
    assert "Traceback" in Path("results/one/nle/train.log").read_text()
    assert re.search(r"one/npe +3 .* done$", table(text, "trainings"), re.MULTILINE)
    assert re.search(r"^train +1 +2 +1$", table(text, "results"), re.MULTILINE)

    write(nle={"max_epochs": 2})
    process = snakemake()
    assert process.wait(600) == 0, OUTPUT.read_text()
    assert "ArviZ" not in OUTPUT.read_text()
    text = look()
    made = re.search(r"(\d+) of (\d+) results are made; snakemake rests", text)
    assert made is not None
    assert made[1] == made[2]
    assert "results/one/report.html: " in text
    assert not table(text, "not done") + table(text, "at work")
    assert not list(Path("results").rglob(f"*{job_reports.SUFFIX}*"))
    for name in ("npe", "nle"):
        assert re.search(rf"^one/{name} +1 ", table(text, "posteriors"), re.MULTILINE)
