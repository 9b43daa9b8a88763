"""Only what changed reruns: real Snakemake on a tiny study, and which stages ran after a change.

The study is made once; every change starts from a copy of it.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import typing
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from shared_for_tests import made_once

from sbi_pipeline import cli, registry, stages

ROOT = Path(__file__).parents[1]
TESTS = Path(__file__).parent
MANIFEST = "results/tiny/simulations.json"
AGAIN = {"simulate": 1, "manifest": 1}  # of one shard whose receipt is gone

AFTER_TRAINING = {"calibrate": 2, "sample": 2, "diagnose": 2, "report": 1, "index": 1}
TRAINING = {"train": 2, "learn_nuisances": 1, **AFTER_TRAINING}
EVERYTHING = {"sample_prior": 2, "simulate": 2, "manifest": 1, "observe": 1, **TRAINING}


def snakemake(folder: Path, *arguments: str) -> str:
    """Run Snakemake in a folder as a user would; return what it printed."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--configfile", str(folder / "config.yaml"), "--directory", str(folder)]
    path = os.pathsep.join([str(folder), str(ROOT)])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output


def stages_run(output: str) -> dict[str, int]:
    """Return how often each stage ran, from Snakemake's own account."""
    ran = Counter(re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", output))
    return {rule: count for rule, count in ran.items() if rule != "all"}


def rows_simulated(folder: Path) -> int:
    """Return the rows in all journals: they only ever grow."""
    journals = folder.glob("results/simulations/*/shard-*.zarr/journal.jsonl")
    return sum(
        record["stop"] - record["start"]
        for journal in journals
        for record in map(json.loads, journal.read_text().splitlines())
        if "stop" in record
    )


def make_tiny_study(folder: Path) -> None:
    for name in ("config.yaml", "tiny.py"):
        shutil.copy(TESTS / name, folder)
    assert stages_run(snakemake(folder)) == EVERYTHING
    assert rows_simulated(folder) == 2000


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tiny study, from nothing to its report."""
    return made_once(tmp_path_factory, "tiny-study", make_tiny_study)


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of the finished study, time stamps and Snakemake's records included."""
    shutil.copytree(finished, tmp_path / "study", copy_function=shutil.copy2)
    return tmp_path / "study"


def edit(folder: Path, change: Callable[[Any], Any]) -> None:
    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text())
    changed = change(config)
    path.write_text(yaml.safe_dump(changed or config, sort_keys=False))


def in_simulator(folder: Path, old: str, new: str) -> None:
    path = folder / "tiny.py"
    source = path.read_text()
    assert old in source
    path.write_text(source.replace(old, new))


def tiny(config: Any) -> Any:
    return config["campaigns"]["tiny"]


def reversed_keys(value: Any) -> Any:
    """Return the same mapping written in another order, at every depth but for priors' order."""
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return value


def touch_everything(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and ".snakemake" not in path.parts and ".zarr" not in str(path):
            path.touch()


def recalibrated(config: Any) -> None:
    """Leave NPE alone, correct it by its ranks, and ask for as many ranks as that wants."""
    del config["estimators"]["nle"], config["calibration"]["sampler"]
    config["calibration"]["simulations"] = 200
    config["refine"] = {"moved": {"proposal": "npe", "recalibrate": True}}


CHANGES: dict[str, tuple[Callable[[Path], Any], dict[str, int], int]] = {
    "nothing": (lambda f: None, {}, 0),
    "title": (
        lambda f: edit(f, lambda c: tiny(c).update(title="Other")),
        {"report": 1, "index": 1},
        0,
    ),
    "a comment in the simulator": (
        lambda f: in_simulator(f, "        time =", "        # seconds\n\n        time ="),
        {},
        0,
    ),
    "order of keys": (lambda f: edit(f, reversed_keys), {}, 0),
    "touching the configuration and the simulator": (
        lambda f: [(f / name).touch() for name in ("config.yaml", "tiny.py")],
        {},
        0,
    ),
    "workers": (lambda f: edit(f, lambda c: tiny(c).update(dask={"workers": 2})), {}, 0),
    "learning rate of nle": (
        lambda f: edit(f, lambda c: c["estimators"]["nle"]["training"].update(learning_rate=1e-3)),
        {"train": 1, "calibrate": 1, "sample": 1, "diagnose": 1, "report": 1, "index": 1},
        0,
    ),
    "learning rate of npe": (
        lambda f: edit(f, lambda c: c["estimators"]["npe"]["training"].update(learning_rate=1e-3)),
        {"train": 1, **AFTER_TRAINING},  # nle draws by npe
        0,
    ),
    "walkers": (
        lambda f: edit(f, lambda c: c["estimators"]["nle"]["sampler"].update(walkers=10)),
        {"sample": 1, "diagnose": 1, "report": 1, "index": 1},
        0,
    ),
    "a bound of a prior": (
        lambda f: edit(f, lambda c: tiny(c)["priors"]["offset"].update(max=2)),
        EVERYTHING,
        2000,
    ),
    "the unit of a parameter": (
        lambda f: edit(f, lambda c: tiny(c)["priors"]["slope"].update(unit="km/s")),
        {"sample": 2, "diagnose": 2, "report": 1, "index": 1},
        0,
    ),
    "an edit of the simulator": (
        lambda f: in_simulator(f, "linspace(0, 1, 4)", "linspace(0, 2, 4)"),
        EVERYTHING,
        2000,
    ),
    "more simulations, the last shard too": (
        lambda f: edit(f, lambda c: tiny(c).update(simulations=2350)),
        {"sample_prior": 1, "simulate": 1, "manifest": 1, **TRAINING},
        400,
    ),
    "fewer simulations": (
        lambda f: edit(f, lambda c: tiny(c).update(simulations=1500)),
        {"manifest": 1, **TRAINING},
        0,
    ),
    "another observation": (
        lambda f: edit(
            f, lambda c: tiny(c)["observations"].update(more={"parameters": {"slope": -1}})
        ),
        {"observe": 1, "sample": 2, "diagnose": 2, "report": 1, "index": 1},
        0,
    ),
    "a nuisance made inferred": (
        lambda f: edit(
            f,
            lambda c: tiny(c).update(
                inferred_parameters=["slope", "offset"], nuisance_parameters=["scatter"]
            ),
        ),
        TRAINING,
        0,
    ),
    "nuisances of predictions from their prior": (
        lambda f: edit(f, lambda c: c.update(predictive={"nuisances": "prior"})),
        {"diagnose": 2, "report": 1, "index": 1},
        0,
    ),
    "what was learnt of nuisances deleted": (
        lambda f: (f / "results/tiny/nuisances.pt").unlink(),
        {"learn_nuisances": 1, "diagnose": 2, "report": 1, "index": 1},
        0,
    ),
    "a posterior reweighted, too": (
        lambda f: edit(
            f, lambda c: c.update(refine={"both": {"proposal": "npe", "likelihood": "nle"}})
        ),
        {"refine": 1, "calibrate_refined": 1, "diagnose": 1, "report": 1, "index": 1},
        0,
    ),
    "a posterior recalibrated, and the ranks that it wants": (
        lambda f: edit(f, recalibrated),
        {"calibrate": 1, "recalibrate": 1, "refine": 1, "diagnose": 1, "report": 1, "index": 1},
        0,
    ),
    "simulations where posteriors are": (
        lambda f: edit(f, lambda c: c.update(posterior_calibration=50)),
        {"posterior_sbc": 2, "report": 1, "index": 1},
        0,
    ),
    "a threshold": (
        lambda f: edit(f, lambda c: c.update(thresholds={"coverage": {"p": [0.01, 0.002]}})),
        {"report": 1, "index": 1},
        0,
    ),
    "Snakemake's records lost": (lambda f: shutil.rmtree(f / ".snakemake"), {}, 0),
    "records lost and a learning rate": (
        lambda f: (
            shutil.rmtree(f / ".snakemake"),
            edit(f, lambda c: c["estimators"]["npe"]["training"].update(learning_rate=1e-3)),
        ),
        {"train": 1, **AFTER_TRAINING},  # nle draws by npe
        0,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_exactly_what_changed_reruns(study: Path, change: str) -> None:
    apply, expected, simulated = CHANGES[change]
    before = rows_simulated(study)
    apply(study)
    assert stages_run(snakemake(study)) == expected
    assert rows_simulated(study) - before == simulated
    if expected:  # else the run above has shown it
        assert stages_run(snakemake(study)) == {}


@pytest.mark.slow
def test_touching_every_file_reruns_nothing(study: Path) -> None:
    touch_everything(study)
    shutil.rmtree(study / ".snakemake")
    assert stages_run(snakemake(study)) == {}


def checksums(folder: Path) -> dict[str, str]:
    """Return the hash of every file below ``results``."""
    files = (path for path in (folder / "results").rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
def test_a_dry_run_changes_no_byte(study: Path, tmp_path: Path) -> None:
    before = checksums(study)
    for change in CHANGES:
        folder = tmp_path / "other"
        shutil.copytree(study, folder, copy_function=shutil.copy2)
        CHANGES[change][0](folder)
        for name in ("config.yaml", "tiny.py"):
            shutil.copy(folder / name, study)
        shutil.rmtree(folder)
        snakemake(study, "--dry-run")
        assert checksums(study) == before, change


def test_a_dry_run_creates_nothing(tmp_path: Path) -> None:
    for name in ("config.yaml", "tiny.py"):
        shutil.copy(TESTS / name, tmp_path)
    assert "sample_prior" in snakemake(tmp_path, "--dry-run")
    assert {path.name for path in tmp_path.iterdir()} <= {
        "config.yaml",
        "tiny.py",
        ".snakemake",
        "__pycache__",
    }


@pytest.mark.slow
def test_an_edit_taken_back_simulates_nothing(study: Path) -> None:
    in_simulator(study, "linspace(0, 1, 4)", "linspace(0, 2, 4)")
    snakemake(study)
    simulated = rows_simulated(study)
    in_simulator(study, "linspace(0, 2, 4)", "linspace(0, 1, 4)")
    assert stages_run(snakemake(study)) == {"manifest": 1, "observe": 1, **TRAINING}
    assert rows_simulated(study) == simulated


@pytest.mark.slow
def test_growing_and_asking_at_once_give_the_same_bytes(study: Path, tmp_path: Path) -> None:
    from sbi_pipeline.storage import reading

    edit(study, lambda c: tiny(c).update(simulations=2350))
    manifest = "results/tiny/simulations.json"
    snakemake(study, manifest)
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    for name in ("config.yaml", "tiny.py"):
        shutil.copy(study / name, fresh)
    snakemake(fresh, manifest)
    grown, once = (reading.load_simulations(folder / manifest) for folder in (study, fresh))
    np.testing.assert_array_equal(grown.theta, once.theta)
    np.testing.assert_array_equal(grown.x, once.x)
    assert len(grown.x) == 2350


@pytest.mark.slow
def test_an_input_of_another_configuration_is_refused(study: Path) -> None:
    """Where Snakemake is told to believe a stale file, the stage does not."""
    edit(study, lambda c: c["estimators"]["npe"]["training"].update(learning_rate=1e-3))
    with pytest.raises(AssertionError, match=r"sample: .*estimator.pt has key \w+; .* wants \w+"):
        snakemake(
            study,
            "results/tiny/npe/mock/posterior.nc",
            "--allowed-rules",
            "single_sample",
            "--forcerun",
            "single_sample",
        )


@pytest.mark.slow
def test_one_posterior_alone_and_what_is_deleted(study: Path) -> None:
    """A posterior that is named is a job of its own; one that is deleted is made with what follows.

    What is there as planned is not made anew, whoever asks for it.
    """
    folder = study / "results/tiny/npe"
    edit(study, lambda c: tiny(c)["observations"].update(more={"parameters": {"slope": -1}}))
    printed = snakemake(study, "results/tiny/npe/more/predictive.nc")
    ran = stages_run(printed)
    assert ran == {"single_observe": 1, "single_sample": 1, "single_diagnose": 1}
    assert "report.html: of results that were made anew since" in printed
    assert stages_run(snakemake(study, "results/tiny/npe/more/predictive.nc")) == {}
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/posterior.nc")}
    assert len(before) == 2
    assert stages_run(snakemake(study, "results/tiny/npe/sample-0.json")) == {
        "observe": 1,
        "sample": 1,
    }
    assert {path: path.stat().st_mtime_ns for path in before} == before  # both were there
    report = snakemake(study, "results/tiny/report.html")
    assert stages_run(report) == {"sample": 1, "diagnose": 2, "report": 1}
    forced = snakemake(study, "results/tiny/npe/sample-0.json", "--forcerun", "sample")
    assert "0 of 2 are to be made" in forced
    (folder / "mock/posterior.nc").unlink()
    ran = stages_run(snakemake(study, "results/tiny/npe/mock/posterior.nc"))
    assert ran == {"single_sample": 1}
    told = (study / "results/tiny/npe/diagnose-0.json").read_bytes()
    ran = stages_run(snakemake(study, "results/tiny/report.html"))
    assert ran == {"diagnose": 1, "report": 1}  # of draws made since
    assert (study / "results/tiny/npe/diagnose-0.json").read_bytes() == told
    assert "1 of 2 are to be made" in (study / "results/tiny/npe/diagnose-0.log").read_text()
    (study / "results/tiny/observe-0.json").unlink()
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/posterior.nc")}
    snakemake(study, "results/tiny/report.html")  # a lost receipt is written anew
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.slow
def test_snakemake_collects_pages_and_figures_in_categories(study: Path) -> None:
    snakemake(study, "--report", "all.html")
    text = (study / "all.html").read_text()
    for word in ("Reports", "Figures", "corner-mock", "coverage"):
        assert word in text


def arguments(stage: Callable[..., Any]) -> set[str]:
    """Return the names of arguments of a stage, those of its observations among them."""
    known = typing.get_type_hints(stage)
    own = [field.name for each in typing.get_args(known.get("each")) for field in fields(each)]
    return {*known, *own}


def test_every_rule_has_its_stage_with_its_keywords() -> None:
    """Rule name = stage function; keywords of inputs and outputs = arguments."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "workflow/rules").glob("*.smk")))
    rules = dict(re.findall(r"^(?:rule|checkpoint) (\w+):\n((?:    .*\n)+)", text, re.MULTILINE))
    several = ("observe", "sample", "refine", "diagnose", "posterior_sbc")
    assert set(rules) == {*registry.STAGES, *(f"single_{name}" for name in several)}
    for name, body in rules.items():
        section = re.search(r"    input:\n(.*?)    log:", body, re.DOTALL)
        assert section is not None
        keywords = set(re.findall(r"^(?:        |            )(\w+)=", section[1], re.MULTILINE))
        keywords -= {"category", "subcategory", "labels", "patterns"}  # of report()
        wanted = arguments(getattr(stages, name.removeprefix("single_")))
        assert keywords - {"spec", "made"} <= wanted, name
        assert ("spec" in keywords) == ("spec=JOBS.specification" in body), name


def test_lint_finds_nothing_but_the_missing_container() -> None:
    """The environment is `.venv` or the user's own, pinned in constraints.txt."""
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--lint"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Lints for rule" in done.stderr
    found = set(re.findall(r"^    \* (.*)$", done.stderr, re.MULTILINE))
    assert found == {"Specify a conda environment or container for each rule.:"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('raise RuntimeError("no licence")', "RuntimeError: no licence"),
        ("return np.zeros(3)", r"x has shape \(3,\) for 1 rows"),
    ],
)
def test_a_broken_simulator_ends_in_one_line(tmp_path: Path, body: str, problem: str) -> None:
    for name in ("config.yaml", "tiny.py"):
        shutil.copy(TESTS / name, tmp_path)
    in_simulator(tmp_path, "slope, offset, scatter = parameters.T", body)
    with pytest.raises(
        AssertionError, match=f"observe: the simulator failed on 20.*{problem}"
    ) as e:
        snakemake(tmp_path)
    assert "Traceback" not in str(e.value)
    assert "Traceback" in (tmp_path / "results/tiny/observe-0.log").read_text()


@pytest.mark.slow
def test_a_flipped_bit_is_named_and_repaired_by_simulating_its_rows_alone(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from sbi_pipeline.storage import reading

    whole = reading.load_simulations(study / MANIFEST)
    shard = next(study.glob("results/simulations/*/shard-1.zarr"))
    chunk = shard / "x/c/0/0"
    content = bytearray(chunk.read_bytes())
    content[100] ^= 1
    chunk.write_bytes(content)
    with pytest.raises(ValueError, match=r"shard-1\.zarr, chunk 0, rows 0 to 1000: .*repair"):
        reading.load_simulations(study / MANIFEST)
    repair = ["repair", str(study / "results/simulations")]
    cli.main(repair)
    assert "shard-1.zarr: chunk 0 deleted" in capsys.readouterr().out
    assert stages_run(snakemake(study, MANIFEST)) == AGAIN
    assert rows_simulated(study) == 3000
    cli.main(repair)
    assert capsys.readouterr().out.startswith("0 damaged chunks")
    repaired = reading.load_simulations(study / MANIFEST)
    assert repaired.x.tobytes() == whole.x.tobytes()
    assert repaired.theta.tobytes() == whole.theta.tobytes()


@pytest.mark.slow
def test_files_edited_by_hand_are_restored_or_named(study: Path) -> None:
    folder = next(study.glob("results/simulations/*"))
    spec, receipt = folder / "shard-0.spec.json", folder / "shard-0.json"
    good = spec.read_text()
    edited = good.replace('"seed": 3', '"seed": 4')
    assert edited != good
    spec.write_text(edited)
    assert stages_run(snakemake(study, MANIFEST)) == {"simulate": 1}  # of which nothing is missing
    assert spec.read_text() == good
    assert rows_simulated(study) == 2000
    receipt.write_text(receipt.read_text()[:50])
    with pytest.raises(AssertionError, match=r"shard-0\.json was damaged or edited .*delete it"):
        snakemake(study, MANIFEST)
    receipt.unlink()  # as the line says
    assert stages_run(snakemake(study, MANIFEST)) == AGAIN
    assert rows_simulated(study) == 2000
