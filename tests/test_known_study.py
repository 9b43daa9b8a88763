"""Known parameters in the workflow: real Snakemake, from a table of noise levels to the page."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from scipy import stats

import sbi_pipeline

ROOT = Path(__file__).parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
OBJECTS = 200
SIMULATOR = """
import numpy as np


class Noisy:
    parameters = ("a", "b", "sigma")
    x_shape = (2,)

    def __call__(self, parameters, rng):
        theta, sigma = parameters[:, :2], parameters[:, 2:]
        return theta + sigma * rng.normal(size=theta.shape)
"""
NORMAL = {"type": "normal", "mean": 0, "sd": 1}
CONFIG = {
    "campaigns": {
        "noisy": {
            "simulator": "noisy:Noisy",
            "simulations": 10_000,
            "priors": {
                "a": NORMAL,
                "b": NORMAL,
                "sigma": {"type": "loguniform", "min": 0.1, "max": 1, "unit": "mJy"},
            },
            "inferred_parameters": ["a", "b"],
            "known_parameters": ["sigma"],
            "observations": {
                "quiet": {"file": "quiet.csv", "known": {"sigma": 0.15}},
                "loud": {"file": "quiet.csv", "known": {"sigma": 0.8}},
                "objects": {
                    "table": "objects.csv",
                    "name": "name",
                    "truth": {"a": "a", "b": "b"},
                    "known": {"sigma": "noise"},
                },
            },
        }
    },
    "estimators": {"npe": {"method": "npe"}},
    "calibration": {"simulations": 200},
    "predictive_draws": 100,
}
X_O = np.array([0.7, -0.4])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("known")
    (folder / "noisy.py").write_text(SIMULATOR)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    np.savetxt(folder / "quiet.csv", X_O)
    rng = np.random.default_rng(5)
    theta = rng.normal(size=(OBJECTS, 2))
    noise = 10 ** rng.uniform(-1, 0, OBJECTS)
    x = theta + noise[:, None] * rng.normal(size=(OBJECTS, 2))
    columns = dict(zip(("a", "b", "noise", "x0", "x1"), (*theta.T, noise, *x.T), strict=True))
    names = [f"object_{number}" for number in range(OBJECTS)]
    pd.DataFrame({"name": names, **columns}).to_csv(folder / "objects.csv", index=False)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--configfile", "config.yaml", "--cores", "2"]
    path = os.pathsep.join([str(folder), str(ROOT)])
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "results/noisy"


def exact(x: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x / (1 + sigma**2), sigma / np.sqrt(1 + sigma**2)


def test_one_data_set_has_the_posterior_of_its_noise(study: Path) -> None:
    posterior = sbi_pipeline.load(study / "npe/estimator.pt")
    for name, sigma in {"quiet": 0.15, "loud": 0.8}.items():
        with xr.open_datatree(study / f"npe/{name}/posterior.nc", engine="h5netcdf") as tree:
            assert float(tree["constant_data"]["sigma"]) == sigma
            drawn = np.stack([tree["posterior"][each].to_numpy().ravel() for each in "ab"], axis=1)
        mean, sd = exact(X_O, np.array(sigma))
        for theta in (drawn, posterior.sample(8000, X_O, known={"sigma": sigma})):
            assert np.abs((theta.mean(axis=0) - mean) / sd).max() < 0.15
            assert np.abs(theta.std(axis=0) / sd - 1).max() < 0.1


def test_predictions_scatter_by_the_known_noise(study: Path) -> None:
    for name, sigma in {"quiet": 0.15, "loud": 0.8}.items():
        with xr.open_dataset(study / f"npe/{name}/predictive.nc", engine="h5netcdf") as made:
            scatter = made["replicates"].to_numpy().std(axis=0)  # of one draw: noise alone
        np.testing.assert_allclose(scatter, sigma, rtol=0.3)


def test_each_object_has_the_posterior_of_its_noise(study: Path) -> None:
    table = pd.read_csv(study / "npe/objects/objects.csv")
    given = pd.read_csv(study.parents[1] / "objects.csv")
    np.testing.assert_allclose(table["sigma_known"], given["noise"])
    _, sd = exact(given[["x0", "x1"]].to_numpy(), given[["noise"]].to_numpy())
    for name, x in (("a", "x0"), ("b", "x1")):
        ratio = table[f"{name}_sd"] / sd[:, 0]
        assert abs(ratio.median() - 1) < 0.05
        assert ratio.between(0.85, 1.15).mean() > 0.95
        mean, _ = exact(given[x].to_numpy(), given["noise"].to_numpy())
        assert (np.abs(table[f"{name}_mean"] - mean) / sd[:, 0]).quantile(0.95) < 0.2
        assert stats.kstest(table[f"{name}_rank"], "uniform").pvalue > 0.01
    # Widths that are right on average only would leave ranks of quiet and of loud objects wrong.
    for some in (table["sigma_known"] < 0.3, table["sigma_known"] > 0.3):
        ranks = table.loc[some, ["a_rank", "b_rank"]].to_numpy().ravel()
        assert stats.kstest(ranks, "uniform").pvalue > 0.01


def test_the_page_names_the_known_values(study: Path) -> None:
    page = (study / "report.html").read_text()
    assert "known with each observation" in page
    assert page.count("= 0.15") >= 2
    checks = json.loads((study / "verdict.json").read_text())["checks"]
    failed = [each["name"] for each in checks if each["status"] == "fail"]
    assert failed == []
