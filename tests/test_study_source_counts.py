"""The study of source counts, its quick variant: coverage on held-out maps, and a map to flag.

With NPE alone: nothing is asserted of NRE, which costs as much.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from sbi_pipeline.diagnostics.coverage import coverage
from sbi_pipeline.diagnostics.information import information

ROOT = Path(__file__).parents[1]
LEVELS = np.array([0.6827, 0.9545])
pytestmark = [pytest.mark.study, pytest.mark.timeout(2400)]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source_counts")
    shutil.copytree(ROOT / "config", folder / "config")
    (folder / "npe.yaml").write_text("campaigns: {source_counts: {estimators: [npe]}}")
    study = ["--configfile", "config/studies/source_counts.yaml", "npe.yaml"]
    study += ["--config", "quick=true"]
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), *study],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "results/source_counts"


@pytest.fixture(scope="module")
def calibration(results: Path) -> xr.Dataset:
    with xr.open_dataset(results / "npe/calibration.nc", engine="h5netcdf") as data:
        return data.load()


@pytest.mark.parametrize("name", ["number", "sigma", "height"])
def test_intervals_cover_held_out_truths(calibration: xr.Dataset, name: str) -> None:
    ranks = calibration["ranks"].sel(parameter=name).to_numpy()
    assert len(ranks) == 1000
    found = coverage(ranks, int(calibration.attrs["draws"]), LEVELS)
    low, high = stats.binom.interval(0.9973, len(ranks), LEVELS)  # three sigma
    assert (found.observed >= low / len(ranks)).all()
    assert (found.observed <= high / len(ranks)).all()


def test_every_parameter_is_learnt(calibration: xr.Dataset) -> None:
    learnt = information(calibration)
    assert learnt.nats > 4
    assert max(learnt.sd_ratio.values()) < 0.35


@pytest.mark.parametrize(("observation", "typical"), [("mock", True), ("glow", False)])
def test_only_the_map_with_a_glow_is_unlike_its_predictions(
    results: Path, observation: str, typical: bool
) -> None:
    checks = json.loads((results / "verdict.json").read_text())["checks"]
    subject = f"npe, {observation}"
    (found,) = (
        check for check in checks if (check["name"], check["subject"]) == ("predictive", subject)
    )
    assert (found["status"] == "pass") == typical
    assert (found["value"] > 0.005) == typical
