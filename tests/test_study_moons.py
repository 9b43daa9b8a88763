"""The study of two moons, its quick variant, against the exact posterior."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import synthetic
import torch
import xarray as xr
from scipy import stats

import sbi_pipeline
from sbi_pipeline import importance
from sbi_pipeline.simulators.moons import Moons
from sbi_pipeline.storage import reading
from sbi_pipeline.types import Array, Prior

ROOT = Path(__file__).parents[1]
NAMES = ("d", "sigma", "t")
SETS, DRAWS = 24, 2000
pytestmark = [pytest.mark.study, pytest.mark.timeout(2400)]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("moons")
    shutil.copytree(ROOT / "config", folder / "config")
    study = ["--configfile", "config/studies/moons.yaml", "--config", "quick=true"]
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), *study],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "results"


@dataclass(frozen=True)
class Weighed:
    """Draws of a density, reweighted to the exact posterior of one set, in normal space."""

    log_evidence: float
    efficiency: float
    mean: Array
    cov: Array
    sd: Array


def weigh(prior: Prior, z: Array, log_q: Array, x: Array) -> Weighed:
    """Reweight draws z, ``(n, 3)``, of log density ``log_q``, ``(n,)``."""
    log_weight = log_joint(prior, z, x) - log_q
    found = importance.weigh(log_weight, np.random.default_rng(1))
    mean, cov = found.weight @ z, np.cov(z.T, aweights=found.weight)
    sd = spread(prior.from_normal(z), found.weight)
    return Weighed(found.log_mean, found.effective / len(z), mean, cov, sd)


def log_joint(prior: Prior, z: Array, x: Array) -> Array:
    """Return log likelihood plus log prior density of z, ``(n,)``."""
    log_likelihood = Moons().log_likelihood(prior.from_normal(z), x)
    return np.asarray(log_likelihood + stats.norm.logpdf(z).sum(axis=1))


def spread(theta: Array, weight: Array) -> Array:
    """Return weighted sds of (d, ln sigma, t), ``(3,)``."""
    y = np.column_stack([theta[:, 0], np.log(theta[:, 1]), theta[:, 2]])
    return np.asarray(np.sqrt(weight @ (y - weight @ y) ** 2))


def exact(prior: Prior, z: Array, x: Array) -> Weighed:
    """Weigh draws of Student distributions, each fitted to what the one before found."""
    mean, cov, rng = np.median(z, axis=0), np.cov(z.T), np.random.default_rng(2)
    for _ in range(4):
        wide = stats.multivariate_t(mean, 1.3 * cov, df=5, seed=rng)
        drawn = wide.rvs(DRAWS)
        found = weigh(prior, drawn, wide.logpdf(drawn), x)
        mean, cov = found.mean, found.cov
    assert found.efficiency > 0.3
    return found


@pytest.fixture(scope="module")
def held_out(results: Path) -> dict[str, Array]:
    """Return log q(truth), ``(sets,)``, and sds, ``(sets, 3)``, of (d, ln sigma, t)."""
    posterior = sbi_pipeline.load(results / "moons/npe/estimator.pt")
    prior, npe = posterior.prior, posterior.estimator
    rows = reading.open_campaign(results / "moons/simulations.json", NAMES)
    test = rows.collect({"test": SETS})["test"]
    compared = []
    torch.manual_seed(1)
    for truth, x in zip(test.theta, test.x, strict=True):
        data, own = torch.as_tensor(x).float(), prior.to_normal(truth[None])
        with torch.no_grad():
            draws = npe.sample(DRAWS, data)
            log_q = npe.log_prob(draws, data).numpy().astype(float)
            network = npe.log_prob(torch.as_tensor(own).float(), data).item()
        z = draws.numpy().astype(float)
        refined, known = weigh(prior, z, log_q, x), exact(prior, z, x)
        joint = log_joint(prior, own, x)[0]
        # From densities in z to those in (d, ln sigma, t).
        change = stats.norm.logpdf(own).sum() - prior.log_prob(truth[None])[0] - np.log(truth[1])
        compared.append(
            {
                "network": network - change,
                "refined": joint - refined.log_evidence - change,
                "exact": joint - known.log_evidence - change,
                "network_sd": spread(prior.from_normal(z), np.full(DRAWS, 1 / DRAWS)),
                "refined_sd": refined.sd,
                "exact_sd": known.sd,
            }
        )
    return {name: np.array([row[name] for row in compared]) for name in compared[0]}


def test_the_network_alone(held_out: dict[str, Array]) -> None:
    assert held_out["network"].mean() > 4.5
    assert np.median(held_out["network_sd"] / held_out["exact_sd"], axis=0)[0] < 1.5


def test_refined_it_is_exact(held_out: dict[str, Array]) -> None:
    assert abs(held_out["refined"].mean() - held_out["exact"].mean()) < 0.5
    ratio = np.median(held_out["refined_sd"] / held_out["exact_sd"], axis=0)
    assert (ratio < 1.2).all()
    assert (ratio > 0.8).all()


@pytest.mark.parametrize("n", [50, 200, 500])
def test_one_network_refined_is_exact_for_sets_of_many_sizes(results: Path, n: int) -> None:
    folder = results / "moons_sizes"
    prior = sbi_pipeline.load(folder / "npe_masked/estimator.pt").prior
    with xr.open_datatree(folder / f"exact_masked/n_{n}/posterior.nc", engine="h5netcdf") as tree:
        drawn, padded = tree["posterior"], tree["observed_data"]["x"].to_numpy()
        theta = np.stack([drawn[name].to_numpy().ravel() for name in NAMES], axis=1)
    x = padded[padded[:, 2] > 0.5, :2]
    assert len(x) == n
    z = prior.to_normal(theta)
    known = exact(prior, z, x)
    assert (np.abs(z.mean(axis=0) - known.mean) / np.sqrt(np.diag(known.cov))).max() < 0.25
    sd = spread(theta, np.full(len(theta), 1 / len(theta)))
    assert np.abs(sd / known.sd - 1).max() < 0.2


@pytest.mark.parametrize(
    ("path", "flagged"), [("moons/npe", False), ("moons_deep_set/deep_set", True)]
)
def test_a_network_that_learned_nothing_of_sigma_is_flagged(
    results: Path, path: str, flagged: bool
) -> None:
    with xr.open_dataset(results / path / "calibration.nc", engine="h5netcdf") as data:
        check = synthetic.asked("information", data)
    assert check.status == ("warn" if flagged else "pass")
    assert ("sigma" in check.advice) == flagged
