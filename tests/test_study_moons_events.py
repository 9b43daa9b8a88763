"""The study of five hundred points of a moon, against the exact posterior on a grid."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

from sbi_pipeline import priors
from sbi_pipeline.simulators.moons import MoonPoint, log_mixture
from sbi_pipeline.types import Array

ROOT = Path(__file__).parents[1]
STUDY = "config/studies/moons_events.yaml"
pytestmark = [pytest.mark.study, pytest.mark.timeout(2400)]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("moons_events")
    shutil.copytree(ROOT / "config", folder / "config")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    options = ["--configfile", STUDY, "--config", "quick=true"]
    done = subprocess.run(
        [*command, *options], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "results/moons_events"


@pytest.fixture(scope="module")
def exact(study: Path) -> dict[str, tuple[float, float]]:
    """Return mean and sd of sigma and t, and P(d = 1) with 0, from a grid of 2 x 53 x 51 points."""
    with xr.open_dataset(study / "observations/points.nc", engine="h5netcdf") as data:
        points = data["x"].to_numpy()
    entries = yaml.safe_load((ROOT / STUDY).read_text())["campaigns"]["moons_events"]["priors"]
    prior = priors.build(entries, MoonPoint.parameters)
    nodes = np.array([0.0, 1.0]), np.linspace(0.066, 0.092, 53), np.linspace(3.2, 3.4, 51)
    theta = np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1).reshape(-1, 3)
    log_likelihood = [log_mixture(points, *row[:, None, None]).sum() for row in theta]
    log_joint = np.array(log_likelihood) + prior.log_prob(theta)
    mass = np.exp(log_joint - log_joint.max()).reshape([len(each) for each in nodes])
    mass /= mass.sum()
    by_d, by_sigma, by_t = mass.sum((1, 2)), mass.sum((0, 2)), mass.sum((0, 1))
    assert max(by_sigma[[0, -1]].max(), by_t[[0, -1]].max()) < 1e-5  # the grid holds it all
    return {
        "d": (by_d[1], 0.0),
        "sigma": moments(nodes[1], by_sigma),
        "t": moments(nodes[2], by_t),
    }


def moments(nodes: Array, mass: Array) -> tuple[float, float]:
    mean = float(mass @ nodes)
    return mean, float(np.sqrt(mass @ (nodes - mean) ** 2))


@pytest.mark.parametrize("estimator", ["nle", "nre"])
def test_posterior_of_all_points_is_exact(
    study: Path, exact: dict[str, tuple[float, float]], estimator: str
) -> None:
    with xr.open_datatree(study / estimator / "points/posterior.nc", engine="h5netcdf") as tree:
        draws = {name: tree["posterior"][name].to_numpy().ravel() for name in ("sigma", "t")}
        probability = tree["posterior"]["d"].attrs["probabilities"]
        assert tree["sample_stats"].attrs["converged"] == 1
    assert probability[1] == pytest.approx(exact["d"][0], abs=1e-3)
    for name, values in draws.items():
        mean, sd = exact[name]
        assert abs(values.mean() - mean) < sd, name
        assert abs(values.std() / sd - 1) < 0.25, name


def test_whole_sets_say_the_same_less_precisely(
    study: Path, exact: dict[str, tuple[float, float]]
) -> None:
    path = study.parent / "moons_events_sets/npe/points/posterior.nc"
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        draws = {name: tree["posterior"][name].to_numpy().ravel() for name in ("sigma", "t")}
    for name, values in draws.items():
        mean, sd = exact[name]
        assert abs(values.mean() - mean) < 2 * values.std(), name
        assert 0.9 < values.std() / sd < 6, name
