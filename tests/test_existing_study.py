"""Existing simulations in the workflow: real Snakemake, without a simulator."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from existing_for_tests import BOX, OBSERVED, configuration, simulate, sobol, write_rows_of
from test_rerun import snakemake, stages_run

MANIFEST = "results/linear/simulations.json"
ASKED = {"files": "runs/*.h5", "parameters": "params", "x": "spectra", "drawn_from": BOX}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def add(folder: Path, number: int, rows: int = 1024) -> None:
    (folder / "runs").mkdir(exist_ok=True)
    theta = sobol(rows, seed=number)
    write_rows_of(folder / f"runs/{number}.h5", theta, simulate(theta, number))


def test_a_study_without_a_simulator_and_with_a_file_more(tmp_path):
    for number in range(4):
        add(tmp_path, number)
    np.save(tmp_path / "event.npy", OBSERVED)
    config = configuration(ASKED, observations={"event": {"file": "event.npy"}})
    config["estimators"]["npe"]["training"] = {"max_epochs": 2}
    config["calibration"] = {"draws": 50}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    ran = stages_run(snakemake(tmp_path))
    assert (ran["import_rows"], ran["manifest"], ran["train"], ran["report"]) == (1, 1, 1, 1)
    assert not {"sample_prior", "simulate"} & set(ran)
    checks = json.loads((tmp_path / "results/linear/verdict.json").read_text())["checks"]
    found = {each["name"]: each for each in checks}
    assert found["prior of the rows"]["status"] == "pass"
    assert found["effective rows"]["status"] == "warn"
    assert found["effective rows"]["value"] == pytest.approx(0.196 * 4096, rel=0.05)
    page = (tmp_path / "results/linear/report.html").read_text()
    assert "existing simulations, parameters not drawn from their priors" in page
    assert "No data were predicted" in page
    assert stages_run(snakemake(tmp_path)) == {}
    add(tmp_path, 4)
    assert stages_run(snakemake(tmp_path, MANIFEST)) == {"import_rows": 1, "manifest": 1}
    assert json.loads((tmp_path / MANIFEST).read_text())["rows"] == 5120


def test_a_wrong_density_ends_in_one_line_before_training(tmp_path):
    add(tmp_path, 0, 2048)
    wrong = {key: value for key, value in ASKED.items() if key != "drawn_from"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(configuration(wrong)))
    line = r"train: .* has rows that do not follow the density that they were said to be drawn from"
    with pytest.raises(AssertionError, match=line) as caught:
        snakemake(tmp_path, "results/linear/npe/estimator.pt")
    assert "Traceback" not in str(caught.value)
