"""A failed verdict fails a strict study, after its report is written; a warning fails none."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from test_rerun import TESTS, snakemake

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
def test_a_strict_study_fails_after_its_report(tmp_path: Path) -> None:
    """The tiny study is too small to pass: forgiven by default, an error where strict."""
    for name in ("config.yaml", "tiny.py"):
        shutil.copy(TESTS / name, tmp_path)
    assert "report.html: fail. Do not rely" in snakemake(tmp_path)
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({**config, "strict": True}))
    for _ in range(2):  # for as long as the verdict stands
        with pytest.raises(AssertionError, match="judge: strict, and 1 of 1 verdicts failed"):
            snakemake(tmp_path)
        assert (tmp_path / "results/tiny/report.html").is_file()
    assert not (tmp_path / "results/accepted.json").exists()
