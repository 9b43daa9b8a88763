"""A failed verdict fails a strict study, after its report is written; a warning fails none."""

import json
from pathlib import Path

import pytest
import yaml
from test_rerun import finished, snakemake, study  # noqa: F401 - fixtures

from sbi_pipeline import stages


def _verdict(folder, name, status):
    path = folder / name / "verdict.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"status": status, "sentence": f"{name} said {status}."}))
    return path


@pytest.mark.parametrize("status", ["pass", "warn"])
def test_what_did_not_fail_is_accepted(tmp_path, status):
    verdicts = [_verdict(tmp_path, "a", "pass"), _verdict(tmp_path, "b", status)]
    accepted = tmp_path / "accepted.json"
    stages.judge(verdicts=verdicts, index=tmp_path, accepted=accepted)
    assert json.loads(accepted.read_text()) == {"a": "pass", "b": status}


def test_a_failed_verdict_is_refused_by_name(tmp_path):
    verdicts = [_verdict(tmp_path, "a", "pass"), _verdict(tmp_path, "b", "fail")]
    with pytest.raises(ValueError, match=r"1 of 2 verdicts failed. b: b said fail\."):
        stages.judge(verdicts=verdicts, index=tmp_path, accepted=tmp_path / "accepted.json")
    assert not (tmp_path / "accepted.json").exists()


@pytest.mark.slow
def test_a_strict_study_fails_after_its_report(study: Path) -> None:  # noqa: F811
    """A failed verdict, here by its thresholds, is forgiven by default, an error where strict."""
    config = yaml.safe_load((study / "config.yaml").read_text())
    config["thresholds"] = {"predictive": {"p": [1, 0.999]}}
    (study / "config.yaml").write_text(yaml.safe_dump(config))
    assert "report.html: fail. " in snakemake(study)
    (study / "config.yaml").write_text(yaml.safe_dump({**config, "strict": True}))
    for _ in range(2):  # for as long as the verdict stands
        with pytest.raises(AssertionError, match="judge: strict, and 1 of 1 verdicts failed"):
            snakemake(study)
        assert (study / "results/tiny/report.html").is_file()
    assert not (study / "results/accepted.json").exists()
