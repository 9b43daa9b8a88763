"""Posterior SBC is exact whatever is proposed, sees what is wrong where it looks, and runs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import synthetic
import torch
import xarray as xr
import yaml
from faults_near import Exact, ExactLikelihood, Linear, at_the_posterior, prior_of, sampled_there
from scipy import special, stats

from sbi_pipeline import priors
from sbi_pipeline.diagnostics import calibration, posterior_ranks
from sbi_pipeline.diagnostics.posterior_ranks import (
    Normals,
    rank_at_posterior,
    why_not_ranked,
)
from sbi_pipeline.diagnostics.posterior_sbc import measure_posterior_sbc
from sbi_pipeline.diagnostics.uniform import ecdf_difference
from sbi_pipeline.estimators import Estimator
from sbi_pipeline.predictions import Pairs, pairs_of
from sbi_pipeline.samplers.direct import draws_of
from sbi_pipeline.trained import Posterior
from sbi_pipeline.types import Traits

ROOT, TESTS = Path(__file__).parents[1], Path(__file__).parent
REPEATS = 20


def p_values(repeats=REPEATS, **fault):
    """The smallest p-value of all quantities, corrected for their number, by repeat."""
    tables = [calibration.tested(at_the_posterior(seed, **fault)).table for seed in range(repeats)]
    return np.array([min(1, table["ecdf_p"].min() * len(table)) for table in tables])


@pytest.mark.parametrize("draws", [20, 200])
def test_ranks_of_an_exact_posterior_are_uniform_whatever_the_weights(draws):
    """Ten parameters and 20 draws leave few that weigh: the test loses power, not its level."""
    settings = {"draws": draws}
    found = [
        at_the_posterior(seed, n=200, parameters=10, settings=settings) for seed in range(REPEATS)
    ]
    for name in ("ranks", "joint_ranks"):
        for ranks in np.concatenate([each[name].to_numpy() for each in found]).T:
            assert ecdf_difference(ranks, draws).p_value > 1e-3


@pytest.mark.parametrize("parameters", [2, 5])
@pytest.mark.parametrize("fault", [{"near": 0.7}, {"near": 1.4}, {"shift": 0.5}])
def test_a_fault_near_the_observation_is_seen(parameters, fault):
    assert np.mean(p_values(10, parameters=parameters, **fault) < 0.005) >= 0.9


def test_a_fault_elsewhere_is_none_of_its_business():
    """Near is where the estimator is right here: widths of all other data are halved."""
    assert np.mean(p_values(10, n=250, elsewhere=0.5, reach=6.0) < 0.005) == 0


@pytest.mark.parametrize(("near", "caught"), [(1.0, False), (0.6, True)])
def test_likelihoods_are_sampled_with_both_data_sets(near, caught):
    ranks = at_the_posterior(1, elements=5, n=200, cls=ExactLikelihood, near=near)
    assert ranks["converged"].mean() > 0.95
    assert ranks.attrs["effective"] == pytest.approx(201)
    check = synthetic.judged("posterior_sbc", measure_posterior_sbc(sampled_there(ranks)), "nle")
    assert (check.status != "pass") == caught
    if caught:
        assert "too narrow" in check.advice


class Circle(Estimator):
    """The exact posterior of an angle seen twice, of which the second may be anywhere."""

    traits = Traits(target="posterior")

    def __init__(self, scale):
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1))
        self.spec = {"theta_dim": 1, "x_shape": (1,), "method": "circle"}
        self.scale = scale  # the concentration of a von Mises posterior is that of the noise

    def log_prob(self, z, x):
        turn = 2 * np.pi * special.ndtr(z.double().numpy()[:, 0])
        at = stats.vonmises.logpdf(turn, self.scale, x.double().numpy().reshape(-1))
        normal = stats.norm.logpdf(z.double().numpy()[:, 0])
        return torch.as_tensor(at + np.log(2 * np.pi) + normal)

    def sample_many(self, n, x):
        mean = x.double().numpy()[:, [0]]
        rng = np.random.default_rng(int(torch.randint(2**31, (1,))))
        turn = (rng.vonmises(np.broadcast_to(mean, (len(mean), n)), self.scale) / 2 / np.pi) % 1
        return torch.as_tensor(special.ndtri(np.clip(turn, 1e-12, 1 - 1e-12)))[..., None]


@pytest.mark.parametrize(("learnt", "caught"), [(20.0, False), (60.0, True)])
def test_circles_have_no_ends(learnt, caught):
    """The posterior lies across the cut."""
    entry = {"type": "uniform", "min": 0, "max": 2 * np.pi, "periodic": True}
    trained = Posterior(Circle(learnt), priors.build({"phase": entry}, ("phase",)), {})
    rng = np.random.default_rng(0)
    x_o = np.array([0.02])
    theta = trained.sample(500, x_o, seed=3)
    x = rng.vonmises(theta, 20.0)
    ranks = rank_at_posterior(trained, theta, x, x_o, seed=4)
    assert (calibration.tested(ranks).table["ecdf_p"].min() < 0.002) == caught


def test_pools_share_no_random_numbers_with_the_posterior(monkeypatch):
    """With the same seed truths would be among the draws of the first simulations."""
    seeds = []

    def drawn(estimator, x, n, seed, **rest):
        seeds.append(seed)
        return draws_of(estimator, x, n, seed, **rest)

    monkeypatch.setattr(posterior_ranks, "draws_of", drawn)
    at_the_posterior(1, n=30)
    assert len({1, *seeds}) == 3


def test_the_normal_of_a_product():
    rng = np.random.default_rng(2)
    new, old = 0.1 * rng.normal(size=(1, 50_000, 2)) + 1, 0.2 * rng.normal(size=(50_000, 2))
    made = Normals.of_product(new, old)
    precision = 100 + 25 - 1
    np.testing.assert_allclose(made.mean[0], 100 / precision, rtol=0.02)
    np.testing.assert_allclose(made.root[0], np.eye(2) / precision**0.5, atol=2e-3)
    drawn = made.draw(100_000, rng)
    np.testing.assert_allclose(drawn[0].std(axis=0), precision**-0.5, rtol=0.02)
    log_prob = stats.multivariate_normal(made.mean[0], made.root[0] @ made.root[0].T).logpdf
    np.testing.assert_allclose(made.log_prob(drawn)[0, :9], log_prob(drawn[0, :9]))


def test_what_cannot_be_judged_is_not():
    problem = Linear.drawn(3, 2, np.random.default_rng(0))
    trained = Posterior(Exact(problem), prior_of(2), {"method": "exact"})
    assert why_not_ranked(trained, joined=False) == ""
    assert why_not_ranked(trained, joined=True) == "it is of several observations"
    events = Posterior(Exact(problem), prior_of(2), {"events": True})
    assert "accumulation" in why_not_ranked(events, joined=False)
    ranks = at_the_posterior(0, n=60)
    for changed, said in (
        (ranks.assign_attrs(effective=3.0), "among 3.0 draws"),
        (ranks.assign(converged=("simulation", np.zeros(60))), "chains of 100%"),
    ):
        found = measure_posterior_sbc(sampled_there(changed))
        check = synthetic.judged("posterior_sbc", found, "npe, event")
        assert check.status == "warn"
        assert said in check.advice
    none = sampled_there(xr.Dataset(attrs={"problem": "it has no density"}))
    assert measure_posterior_sbc(none) is None


def test_predictions_are_pairs_where_nuisances_are_of_the_prior():
    rows = np.arange(12.0).reshape(6, 2)
    made = xr.Dataset(
        {"parameters": (("draw", "parameter"), rows), "x": (("draw", "element"), 10 * rows)},
        {"parameter": ["nuisance", "theta"]},
        {"nuisances": "prior"},
    )
    pairs = pairs_of(made, ("theta",), 4)
    assert pairs.theta.shape == (4, 1)
    np.testing.assert_array_equal(10 * pairs.theta[:, 0], pairs.x[:, 1])
    other = Pairs(np.ones((2, 1)), np.ones((2, 2)))
    for unusable in (made.assign_attrs(nuisances="posterior"), made.drop_vars("parameters")):
        none = pairs_of(unusable, ("theta",), 4)
        assert none.theta.shape == (0, 1)
        assert none.and_more(other) is other
    assert len(pairs.and_more(other).x) == 6


def run(folder: Path) -> str:
    """Run Snakemake in a folder; return what it printed."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--configfile", "config.yaml", "--directory", str(folder), "--cores", "1"]
    path = os.pathsep.join([str(folder), str(ROOT)])
    settings = {"env": os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}, "cwd": folder}
    done = subprocess.run(command, capture_output=True, text=True, check=False, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_study_asks_for_it(tmp_path: Path) -> None:
    """The simulations are those of the predictions, then new ones; a second run makes nothing."""
    config = yaml.safe_load((TESTS / "config.yaml").read_text())
    config |= {"posterior_calibration": 100, "predictive_draws": 60}
    config["predictive"] = {"nuisances": "prior"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    shutil.copy(TESTS / "tiny.py", tmp_path)
    first = run(tmp_path)
    assert first.count("Rule: posterior_sbc") == 2
    assert "Nothing to be done" in run(tmp_path)
    for name in ("npe", "nle"):
        folder = tmp_path / "results/tiny" / name / "mock"
        ranks = xr.load_dataset(folder / "posterior_sbc.nc", engine="h5netcdf")
        if "problem" in ranks.attrs:  # its chains were cut short
            assert name == "nle"
            continue
        assert (ranks.sizes["simulation"], ranks.attrs["reused"]) == (100, 60)
        assert ranks["parameter"].to_numpy().tolist() == ["slope"]
    checks = json.loads((tmp_path / "results/tiny/verdict.json").read_text())["checks"]
    assert "npe, mock" in [each["subject"] for each in checks if each["name"] == "posterior SBC"]
    assert (tmp_path / "results/tiny/figures/posterior-sbc-mock.png").exists()
    assert not list((tmp_path / "results/simulations").glob("posterior_sbc-*"))
