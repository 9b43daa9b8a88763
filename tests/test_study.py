"""The default study, run as a user runs it, against MCMC on the exact likelihood."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml
from samplers_for_tests import emcee

from sbi_pipeline import priors
from sbi_pipeline.simulators.influenza import Influenza
from sbi_pipeline.types import Array

ROOT = Path(__file__).parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


def snakemake(folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("influenza")
    shutil.copytree(ROOT / "config", folder / "config")
    assert "results/influenza/report.html: " in snakemake(folder)
    yield folder / "results/influenza"
    assert "Nothing to be done" in snakemake(folder)


@pytest.fixture(scope="module")
def exact() -> tuple[Array, Array]:
    """Return mean and sd of (beta, gamma), the nuisances sampled too and then dropped."""
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())["campaigns"]["influenza"]
    prior, simulator = priors.build(config["priors"], Influenza.parameters), Influenza()
    counts = np.loadtxt(ROOT / "config/data/influenza_1978.csv", skiprows=3)

    def log_density(z: Array) -> Array:
        rows = prior.from_normal(z.reshape(-1, 4))
        log_likelihood = simulator.log_likelihood(rows, counts).reshape(z.shape[:2])
        return np.asarray(log_likelihood - 0.5 * np.sum(z**2, axis=-1))

    drawn = emcee(log_density, 1, 4, 100_000, seed=1, ess=40_000)
    assert drawn.converged.all()
    theta = prior.from_normal(drawn.flat(100_000)[0])[:, :2]
    return theta.mean(axis=0), theta.std(axis=0)


@pytest.mark.parametrize("estimator", ["npe", "nle"])
def test_real_counts_give_the_exact_posterior(
    study: Path, exact: tuple[Array, Array], estimator: str
) -> None:
    mean, sd = exact
    path = study / estimator / "school_1978/posterior.nc"
    tree = xr.open_datatree(path, engine="h5netcdf")
    draws = np.stack([tree["posterior"][name].to_numpy().ravel() for name in ("beta", "gamma")])
    assert np.abs((draws.mean(axis=1) - mean) / sd).max() < 0.25
    assert np.abs(draws.std(axis=1) / sd - 1).max() < 0.2
