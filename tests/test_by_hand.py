"""Stages by hand: the same files, keywords and specifications as the rules of the workflow."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import sbi_pipeline
from sbi_pipeline import new_study
from sbi_pipeline.by_hand import RULES

RULE_FILES = Path(__file__).parents[1] / "workflow/rules"


def rules() -> dict[str, str]:
    """Return the text of each rule by name."""
    texts = "\n".join(path.read_text() for path in sorted(RULE_FILES.glob("*.smk")))
    parts = re.split(r"^(?:rule|checkpoint) (\w+):$", texts, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def section(rule: str, name: str) -> str:
    """Return what stands under one word of a rule."""
    found = re.search(rf"^    {name}:\n(.*?)(?=^    \w+:|\Z)", rule, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


@pytest.mark.parametrize("stage", RULES)
def test_files_and_arguments_are_those_of_the_rule(stage: str) -> None:
    rule, mine = rules()[stage], RULES[stage]
    output = section(rule, "output")
    assert set(re.findall(r"^        (\w+)=", output, re.MULTILINE)) == {*mine.writes, "spec"}
    for path in (mine.spec, *mine.writes.values()):
        assert f'"{path}"' in output
    asked = section(rule, "input")
    for keyword, path in mine.reads.items():
        if isinstance(path, str):
            assert f'{keyword}="{path}"' in asked
    reads = set(re.findall(r"^ {12}(\w+)=", asked, re.MULTILINE)) - {"made"}
    left_out = {"refined_calibrations", "boxes", "rounds"} if stage == "report" else set()
    assert reads == {*mine.reads} | left_out
    told = set(re.findall(r"^        (\w+)=", section(rule, "params"), re.MULTILINE)) - {"spec"}
    assert told == {*mine.told}


def test_what_snakemake_alone_runs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    new_study.begin(tmp_path / "study", "rounds")
    monkeypatch.chdir(tmp_path / "study")
    with pytest.raises(ValueError, match=r"truncate.*, which snakemake alone runs"):
        sbi_pipeline.Study(yaml.safe_load(Path("config.yaml").read_text()))


def small(folder: Path) -> dict:
    """Begin a study of few simulations in a folder, and return its configuration."""
    new_study.begin(folder)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["campaigns"]["on_off"] |= {"simulations": 500}
    config["predictive"] = {"nuisances": "prior"}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return config


def test_what_only_shows_a_training_reaches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(tmp_path / "study")
    config["estimators"]["npe"]["training"] = {"max_epochs": 1, "tensorboard": True}
    monkeypatch.chdir(tmp_path / "study")
    sbi_pipeline.Study(config).make("train")
    assert list(Path("results/on_off/npe/tensorboard").rglob("events*"))


def test_a_simulator_that_was_edited_is_imported_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(tmp_path / "study")
    monkeypatch.chdir(tmp_path / "study")
    study = sbi_pipeline.Study(config)
    assert len(study.make("manifest")) == 4
    assert study.make("manifest") == []
    module = Path("on_off.py")
    module.write_text(module.read_text().replace("signal + background,", "0 * signal + 1000,"))
    again = sbi_pipeline.Study(config)
    assert len(again.make("manifest")) == 4
    rows = sbi_pipeline.storage.reading.load_simulations("results/on_off/simulations.json")
    assert rows.x[:, 0].min() > 500


def test_a_stage_that_is_not_known_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = small(tmp_path / "study")
    monkeypatch.chdir(tmp_path / "study")
    with pytest.raises(ValueError, match="the stage is 'trian'; it can be observe, "):
        sbi_pipeline.Study(config).make("trian")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # stages run in this process, as they do in a job
def test_snakemake_has_nothing_to_do_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(tmp_path / "study")
    config["posterior_calibration"] = 50
    (tmp_path / "study/config.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.chdir(tmp_path / "study")
    study = sbi_pipeline.Study(config)
    study.make()
    assert study.make() == []
    (line,) = study.verdicts()
    assert line.startswith("results/on_off/report.html: ")
    programs = Path(sys.executable).parent
    done = subprocess.run(
        [programs / "python", "-m", "snakemake", "--dry-run", "--cores", "1"],
        env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Nothing to be done" in done.stdout + done.stderr
    shutil.rmtree("results/on_off/npe/night")
    assert [Path(each).name for each in study.make()] == [
        *("sample-0.json", "diagnose-0.json", "posterior_sbc-0.json"),
        *("report.spec.json", "index.spec.json"),
    ]
