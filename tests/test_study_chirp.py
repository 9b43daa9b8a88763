"""The quick study of a ringdown, against the exact posterior on a grid of its four parameters.

It is run to its posteriors; calibration, diagnosis and page are those of any study.
"""

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml
from scipy import stats
from scipy.special import rel_entr

from sbi_pipeline import importance, priors, trained
from sbi_pipeline.simulators.ringdown import Ringdown
from sbi_pipeline.storage import reading
from sbi_pipeline.types import Array, Prior

ROOT = Path(__file__).parents[1]
STUDY = "config/studies/chirp.yaml"
ROUNDS = "config/studies/chirp_rounds.yaml"
FINE = {"phases": 32, "times": 201}  # log likelihoods within 1e-5 nats of twice as many
refined = pytest.mark.parametrize("posterior", ["npe_exact", "fmpe_exact"])
pytestmark = [pytest.mark.study, pytest.mark.timeout(2400)]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chirp")
    run_quick(STUDY, folder, "chirp/npe_exact", "chirp/fmpe_exact")
    return folder / "results/chirp"


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chirp_rounds")
    run_quick(ROUNDS, folder, "ringdown/npe_exact")
    return folder / "results/ringdown"


def run_quick(study: str, folder: Path, *posteriors: str) -> None:
    shutil.copytree(ROOT / "config", folder / "config")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    options = ["--configfile", study, "--config", "quick=true", "--"]
    options += [f"results/{each}/mock/posterior.nc" for each in posteriors]
    done = subprocess.run(
        [*command, *options], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@cache
def prior() -> Prior:
    entries = yaml.safe_load((ROOT / STUDY).read_text())["campaigns"]["chirp"]["priors"]
    return priors.build(entries, Ringdown.parameters).keep(Ringdown.marginal_parameters)


@pytest.fixture(scope="module")
def exact(study: Path) -> tuple[list[Array], list[Array], float]:
    """Return nodes and probabilities of each parameter, and the log evidence, by trapezoids.

    The grid holds all but 1e-4 of every marginal; tau and the amplitude begin or end at the prior.
    """
    with xr.open_dataset(study / "observations/mock.nc", engine="h5netcdf") as data:
        x_o = data["x"].to_numpy()
    nodes = [np.linspace(222, 282, 31), np.linspace(2, 6, 25)]
    nodes += [np.linspace(0.42, 1, 24), np.linspace(2.62, 3.28, 25)]
    grid = np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1)
    theta = grid.reshape(-1, 4)
    log_likelihood = Ringdown().log_marginal_likelihood(theta, x_o, **FINE)
    inside = np.clip(theta, [150, 2 + 1e-9, 0.2, -10], [350, 10, 1 - 1e-9, 10])
    log_joint = (log_likelihood + prior().log_prob(inside)).reshape(grid.shape[:-1])
    best = log_joint.max()
    mass = np.exp(log_joint - best)
    for axis, values in enumerate(nodes):
        cell = np.gradient(values)
        cell[[0, -1]] /= 2
        mass *= cell.reshape([-1 if i == axis else 1 for i in range(4)])
    axes = [tuple(j for j in range(4) if j != i) for i in range(4)]
    return nodes, [mass.sum(axis) / mass.sum() for axis in axes], best + np.log(mass.sum())


def read(study: Path, estimator: str) -> tuple[Array, dict[str, float]]:
    with xr.open_datatree(study / estimator / "mock/posterior.nc", engine="h5netcdf") as tree:
        columns = [tree["posterior"][name].to_numpy().ravel() for name in prior().names]
        return np.stack(columns, axis=1), dict(tree["sample_stats"].attrs)


@refined
def test_weights_can_be_trusted(study: Path, posterior: str) -> None:
    _, facts = read(study, posterior)
    assert facts["k_hat"] < 0.7
    assert facts["effective"] > 2000
    assert facts["top_weight"] < 0.05


@refined
def test_evidence_is_that_of_the_grid(
    study: Path, exact: tuple[list[Array], list[Array], float], posterior: str
) -> None:
    _, facts = read(study, posterior)
    assert facts["log_evidence_error"] < 0.05
    assert abs(facts["log_evidence"] - exact[2]) < 4 * facts["log_evidence_error"]


@refined
def test_refined_marginals_are_exact(
    study: Path, exact: tuple[list[Array], list[Array], float], posterior: str
) -> None:
    theta, _ = read(study, posterior)
    divergence = [jsd_mnat(theta[:, i], exact[0][i], exact[1][i]) for i in range(4)]
    assert np.mean(divergence) <= 2.0, divergence


def test_a_tenth_of_the_simulations_in_rounds_comes_nearer(
    rounds: Path, exact: tuple[list[Array], list[Array], float]
) -> None:
    """Nearer than one round of the quick study, 79 mnat, with twice its effective draws, 14 %."""
    proposed, _ = read(rounds, "npe")
    theta, facts = read(rounds, "npe_exact")
    before, after = (
        np.mean([jsd_mnat(draws[:, i], exact[0][i], exact[1][i]) for i in range(4)])
        for draws in (proposed, theta)
    )
    assert before < 20
    assert after <= 2.0
    assert facts["efficiency"] > 0.3
    assert abs(facts["log_evidence"] - exact[2]) < 4 * facts["log_evidence_error"]


def jsd_mnat(draws: Array, nodes: Array, probability: Array, bins: int = 30) -> float:
    """Jensen-Shannon divergence from a marginal on a grid, in its bins of equal probability."""
    width = np.gradient(nodes)
    width[[0, -1]] /= 2
    fine = np.linspace(nodes[0], nodes[-1], 4001)
    density = np.interp(fine, nodes, probability / width)
    edges = np.interp(np.arange(1, bins) / bins, np.cumsum(density) / density.sum(), fine)
    p = np.bincount(np.searchsorted(edges, draws), minlength=bins) / len(draws)
    q = np.full(bins, 1 / bins)
    middle = (p + q) / 2
    return float(500 * (rel_entr(p, middle) + rel_entr(q, middle)).sum())


def test_two_hundred_injections_rank_uniformly_after_weighting(study: Path) -> None:
    manifest, simulator = study / "simulations.json", Ringdown(noise_at_load=True)
    posterior, rng = trained.load(study / "npe/estimator.pt"), np.random.default_rng(1)
    reader = reading.open_campaign(manifest, prior().names)
    held_out = reader.collect({"test": 200})["test"]
    ranks = []
    for truth, signal in zip(held_out.theta, held_out.x, strict=True):
        x = simulator.observe(signal, rng)
        theta = posterior.sample(1000, x=x)
        likelihood = simulator.log_marginal_likelihood(theta, x, **FINE)
        log_weight = likelihood + prior().log_prob(theta) - posterior.log_prob(theta, x=x)
        weight = importance.weigh(log_weight, rng).weight
        ranks.append(weight @ (theta < truth))
    p_values = [stats.kstest(column, "uniform").pvalue for column in np.transpose(ranks)]
    assert len(ranks) == 200
    assert min(p_values) > 0.01, p_values
