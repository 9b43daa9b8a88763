"""A comparison of models on a real Slurm: its jobs, and one that Slurm stops."""

import json
from pathlib import Path

import pytest
import yaml
from slurm_for_tests import finish, job_of, locally, said, start, study, wait_for

pytest.importorskip("snakemake_executor_plugin_slurm")
pytestmark = [pytest.mark.slurm, pytest.mark.study, pytest.mark.usefixtures("cluster")]

SEEN = {"mock": {"parameters": {"place": 0.3, "scatter": 0.2}, "seed": 3}}
VERDICT = "results/places/verdict.json"


def comparison(folder: Path) -> Path:
    """Write a study of two campaigns and their comparison; all before it is made here."""
    study(folder, simulations=400, shard_size=400, observations=SEEN)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    narrow = config["campaigns"]["slow"]
    broad = {**narrow, "priors": {**narrow["priors"]}}
    broad["priors"]["place"] = {"type": "normal", "mean": 0, "sd": 3}
    config["campaigns"] = {"narrow": narrow, "broad": broad}
    config["estimators"]["npe"]["training"] = {"max_epochs": 2}
    config["comparisons"] = {
        "places": {
            "models": {"near": "narrow", "far": "broad"},
            "network": {"pairs": 3},
            "training": {"max_epochs": 150, "patience": 150},
        }
    }
    config |= {"calibration": {"simulations": 20, "draws": 50}, "predictive_draws": 0}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    made = [f"results/{name}/npe/sample-0.json" for name in ("narrow", "broad")]
    locally(folder, *made)
    return folder


def asked(folder: Path, rule: str) -> dict[str, str]:
    """Return what the running job of a rule was given, as Slurm says it."""
    words = said("scontrol", "show", "job", job_of(folder, rule)).stdout.split()
    return dict(word.split("=", 1) for word in words if "=" in word)


def epochs(folder: Path) -> float:
    """Return how many epochs of the classifier are done, as its job says every few seconds."""
    told = folder / "results/places/classify.progress.json"
    counts = json.loads(told.read_text())["counts"] if told.is_file() else []
    return max((each["done"] for each in counts if each["unit"] == "epochs"), default=0)


def test_a_comparison_is_made_of_jobs_and_its_classifier_goes_on_when_stopped(
    tmp_path: Path,
) -> None:
    folder = comparison(tmp_path / "study")
    process = start(folder, VERDICT)
    given = asked(folder, "classify")
    assert given["TimeLimit"] == "04:00:00"
    assert given["MinMemoryNode"] in ("4000M", "4G")
    wait_for(lambda: epochs(folder) >= 1)
    assert said("scancel", "--signal=TERM", given["JobId"]).returncode == 0
    finish(process, folder)
    log = (folder / "results/places/classify.log").read_text()
    assert "training goes on after epoch" in log
    checks = json.loads((folder / VERDICT).read_text())["checks"]
    assert {each["subject"] for each in checks} >= {"classifier", "mock"}
