"""The stage `refine` on posteriors of a linear Gaussian, whose answers are known."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import arviz as az
import numpy as np
import pytest
import xarray as xr

from sbi_pipeline import observations, priors, samplers
from sbi_pipeline.model import Model
from sbi_pipeline.refinement import Proposed, exact_likelihood
from sbi_pipeline.sampled_posteriors import ObservedData
from sbi_pipeline.samplers.direct import in_chains
from sbi_pipeline.simulators.linear_gaussian import LinearGaussian
from sbi_pipeline.simulators.ringdown import Ringdown
from sbi_pipeline.stages.files import write_arrays, write_dataset
from sbi_pipeline.stages.refinement import ToRefine, refine
from sbi_pipeline.types import Array

NORMAL = {"type": "normal", "mean": 0, "sd": 1}


def proposal(path: Path, simulator: LinearGaussian, x: Array, normalised: bool) -> Any:
    """Draws around the exact posterior of theta, shifted and too wide, with their density."""
    dim = len(simulator.parameters)
    mean, covariance = simulator.posterior(x, np.zeros(dim), np.eye(dim))
    mean, covariance = mean[:2], covariance[:2, :2]
    rough = 1.3 * covariance
    rng = np.random.default_rng(1)
    z = rng.multivariate_normal(mean + 0.3 * np.sqrt(np.diag(covariance)), rough, 20_000)
    residual = z - mean - 0.3 * np.sqrt(np.diag(covariance))
    inverse = np.linalg.inv(rough)
    log_q = -0.5 * np.einsum("ni,ij,nj->n", residual, inverse, residual)
    log_q -= 0.5 * np.linalg.slogdet(2 * np.pi * rough)[1]
    drawn = in_chains(z[None])
    log_prob = log_q.reshape(drawn.log_prob.shape)
    drawn = dataclasses.replace(drawn, log_prob=log_prob, normalised=normalised)
    prior = priors.build(dict.fromkeys(simulator.parameters, NORMAL), simulator.parameters)
    tree = samplers.labelled(
        drawn,
        0,
        prior.keep(simulator.parameters[:2]),
        x_o=x,
        prior_draws=np.zeros((5, 2)),
        derived={"total": "theta_1 + theta_2"},
        texts={},
        attrs={"key": "p"},
    )
    write_dataset(path, tree)
    return mean, covariance


def run(tmp_path: Path, nuisances: int, normalised: bool = True, **options: Any) -> Any:
    simulator = LinearGaussian(theta_dim=2, nuisances=nuisances)
    rng = np.random.default_rng(3)
    x = simulator(rng.normal(size=(1, 2 + nuisances)), rng)[0]
    labelled = observations.label_observation(x, None, simulator.parameters)
    write_arrays(tmp_path / "mock.nc", labelled, {"source": "here", "key": "o"})
    exact = proposal(tmp_path / "npe.nc", simulator, x, normalised)
    one = ToRefine(
        proposal=tmp_path / "npe.nc",
        observation=tmp_path / "mock.nc",
        posterior=tmp_path / "refined.nc",
        key="r",
        inputs={"proposal": "p", "observation": "o"},
    )
    made = refine(
        each=[one],
        model=Model(
            "linear_gaussian",
            {"theta_dim": 2, "nuisances": nuisances},
            simulator.parameters,
            dict.fromkeys(simulator.parameters, NORMAL),
        ),
        derived={"total": "theta_1 + theta_2"},
        **options,
    )
    assert list(made) == [one]
    with xr.open_datatree(tmp_path / "refined.nc", engine="h5netcdf") as tree:
        tree.load()
    return tree, simulator, x, exact


def moments(tree: xr.DataTree) -> tuple[Array, Array]:
    group = tree["posterior"]
    theta = np.stack([group[name].to_numpy().ravel() for name in ("theta_1", "theta_2")])
    return theta.mean(axis=1), np.cov(theta)


def test_an_exact_likelihood_gives_posterior_and_evidence(tmp_path: Path) -> None:
    tree, simulator, x, (mean, covariance) = run(tmp_path, 0, exact=True)
    facts, sd = tree["sample_stats"].attrs, np.sqrt(np.diag(covariance))
    found_mean, found_covariance = moments(tree)
    np.testing.assert_allclose((found_mean - mean) / sd, 0, atol=0.04)
    np.testing.assert_allclose(np.sqrt(np.diag(found_covariance)) / sd, 1, atol=0.03)
    evidence = simulator.A @ simulator.A.T + simulator.noise**2 * np.eye(len(x))
    exact = -0.5 * x @ np.linalg.solve(evidence, x)
    exact -= 0.5 * np.linalg.slogdet(2 * np.pi * evidence)[1]
    assert abs(facts["log_evidence"] - exact) < 4 * facts["log_evidence_error"] < 0.1
    assert facts["k_hat"] < 0.7
    lp = tree["sample_stats"]["lp"].to_numpy().ravel()
    theta = np.stack([tree["posterior"][n].to_numpy().ravel() for n in ("theta_1", "theta_2")], 1)
    residual = theta - mean
    density = -0.5 * np.einsum("ni,ij,nj->n", residual, np.linalg.inv(covariance), residual)
    density -= 0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1]
    np.testing.assert_allclose(lp, density, atol=0.1)
    total = tree["posterior"]["total"]
    np.testing.assert_allclose(total, tree["posterior"]["theta_1"] + tree["posterior"]["theta_2"])


def test_arviz_finds_how_few_the_draws_are(tmp_path: Path) -> None:
    """A copy lies next to its original, so that it counts for none."""
    far = {"type": "normal", "mean": 1.2, "sd": 0.1}
    tree, *_ = run(tmp_path, 0, new_priors={"theta_1": far})
    facts = tree["sample_stats"].attrs
    table = az.summary(az.from_netcdf(tmp_path / "refined.nc"), round_to="none")
    origin = tree["sample_stats"]["origin"].to_numpy().ravel()
    weight = tree["sample_stats"]["weight"].to_numpy().ravel()
    assert facts["effective"] < 1_000
    # Kish's number is of any mean; heavy draws lie in the middle, where they matter less.
    assert 0.5 < table["ess_bulk"]["theta_1"] / facts["effective"] < 2
    values = tree["posterior"]["theta_1"].to_numpy().ravel()
    _, first = np.unique(origin, return_index=True)
    assert np.unique(values[first]).size == first.size == np.unique(values).size
    copies = np.unique(origin, return_counts=True)[1]
    np.testing.assert_allclose(copies, weight[first] * len(origin), atol=1)


def test_nuisances_are_averaged_over(tmp_path: Path) -> None:
    tree, _, _, (mean, covariance) = run(tmp_path, 2, exact=True, nuisance_draws=100)
    sd = np.sqrt(np.diag(covariance))
    found_mean, found_covariance = moments(tree)
    np.testing.assert_allclose((found_mean - mean) / sd, 0, atol=0.1)
    np.testing.assert_allclose(np.sqrt(np.diag(found_covariance)) / sd, 1, atol=0.08)


def test_another_prior_gives_its_posterior(tmp_path: Path) -> None:
    """The draws are of the wrong density here, but the ratio of priors is known."""
    narrow = {"type": "normal", "mean": 0.2, "sd": 0.5}
    tree, _, _, (mean, covariance) = run(tmp_path, 0, new_priors={"theta_1": narrow})
    precision = np.linalg.inv(1.3 * covariance)
    centre = mean + 0.3 * np.sqrt(np.diag(covariance))
    new = precision + np.diag([1 / 0.25 - 1, 0])
    shift = precision @ centre + np.array([0.2 / 0.25, 0])
    exact_mean, exact_sd = np.linalg.solve(new, shift), np.sqrt(np.diag(np.linalg.inv(new)))
    found_mean, found_covariance = moments(tree)
    np.testing.assert_allclose((found_mean - exact_mean) / exact_sd, 0, atol=0.05)
    np.testing.assert_allclose(np.sqrt(np.diag(found_covariance)) / exact_sd, 1, atol=0.04)
    assert "log_evidence" not in tree["sample_stats"].attrs
    assert float(tree["prior"]["theta_1"].std()) == pytest.approx(0.5, abs=0.03)


def test_a_refined_posterior_is_not_compared_with_its_own_proposal() -> None:
    def posterior(name: str, **attrs: str) -> Any:
        return SimpleNamespace(name=name, tree=SimpleNamespace(attrs=attrs))

    made = [posterior("npe"), posterior("nle"), posterior("npe_exact", proposal="npe")]
    by_name = {each.name: each for each in made}
    observed = ObservedData("mock", "simulated", by_name, np.zeros((1, 2)), ["theta_1"])
    pairs = [(each.one.name, each.other.name) for each in observed.pairs]
    assert pairs == [("npe", "nle"), ("nle", "npe_exact")]


def test_draws_without_a_density_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="can only refine draws whose normalised density is known"):
        run(tmp_path, 0, normalised=False, exact=True)


def test_a_marginal_likelihood_that_the_simulator_knows_is_taken() -> None:
    simulator, rng = Ringdown(), np.random.default_rng(5)
    theta = np.array([[250.0, 4.0, 0.7, 3.0], [240.0, 5.0, 0.6, 2.0]])
    x = simulator(np.column_stack([theta, np.ones((2, 2))]), rng)[0]
    given = Proposed("npe", simulator.marginal_parameters, theta, np.zeros(2), True, 1.0)
    prior = priors.build(dict.fromkeys(simulator.parameters, NORMAL), simulator.parameters)
    found = exact_likelihood(simulator, prior, given.columns, x, 64, rng)
    np.testing.assert_array_equal(found, simulator.log_marginal_likelihood(theta, x))


def test_a_list_of_marginal_parameters_is_as_good_as_a_tuple() -> None:
    class Known:
        parameters = ("a", "b")
        marginal_parameters = ["a"]  # noqa: RUF012 - what users write

        def log_marginal_likelihood(self, theta: Array, x: Array) -> Array:
            return -(theta[:, 0] ** 2)

    theta = np.array([[1.0], [2.0]])
    given = Proposed("npe", ("a",), theta, np.zeros(2), True, 1.0)
    prior = priors.build(dict.fromkeys(Known.parameters, NORMAL), Known.parameters)
    found = exact_likelihood(
        Known(), prior, given.columns, np.zeros(1), 4, np.random.default_rng(1)
    )
    np.testing.assert_array_equal(found, [-1.0, -4.0])
