"""Against closed forms: dropping the nuisances marginalises them, and keeping them does not.

Linear Gaussian with Gaussian priors: the posterior is known with the nuisances marginalised, and
with them held fixed. NPE and NLE must find the first, from draws alone.
"""

from typing import Any

import numpy as np
import pytest
import torch

from sbi_pipeline import estimators, priors, samplers, streams
from sbi_pipeline.campaigns.sources import PriorSource
from sbi_pipeline.simulators.linear_gaussian import LinearGaussian
from sbi_pipeline.storage.manifest import split
from sbi_pipeline.training.fit import fit
from sbi_pipeline.types import Array

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROWS = 100_000
EPOCHS = 8  # fresh rows teach more than old ones seen again
OBSERVATIONS = 5


def simulate(prior: priors.NamedPrior, simulator: LinearGaussian, rows: int) -> tuple[Array, Array]:
    parameters = PriorSource().draw(prior, seed=1, start=0, rows=rows)
    return parameters, simulator(parameters, streams.generator(1, "simulate"))


def posterior_moments(
    method: str, prior: priors.NamedPrior, theta: Array, x: Array, observed: Array
) -> tuple[Array, Array]:
    """Train on (theta, x) and return mean and sd of theta for each data set observed."""
    torch.set_num_threads(1)
    z, data = torch.as_tensor(prior.to_normal(theta)).float(), torch.as_tensor(x).float()
    masks = split(0, len(z), seed=1, validation=0.1, test=0.0)
    made = estimators.build(method, z, data, seed=1)
    rows = {"train": masks["train"], "validation": masks["validation"]}
    fit(made, z, data, **rows, seed=1, threads=1, max_epochs=EPOCHS)
    drawn = samplers.draw(made, observed.astype("f4"), 10_000, seed=2)
    draws = np.stack([prior.from_normal(each) for each in drawn.flat(10_000)])
    return draws.mean(axis=1), draws.std(axis=1)


def independent(nuisances: int) -> tuple[LinearGaussian, priors.NamedPrior]:
    simulator = LinearGaussian(theta_dim=2, nuisances=nuisances)
    normal = {"type": "normal", "mean": 0, "sd": 1}
    prior = priors.build(dict.fromkeys(simulator.parameters, normal), simulator.parameters)
    assert isinstance(prior, priors.NamedPrior)
    return simulator, prior


@pytest.mark.parametrize("method", ["npe", "nle"])
@pytest.mark.parametrize("nuisances", [0, 10, 100])
def test_dropping_marginalises(method: str, nuisances: int) -> None:
    simulator, prior = independent(nuisances)
    parameters, x = simulate(prior, simulator, ROWS + OBSERVATIONS)
    train, observed = slice(OBSERVATIONS, None), x[:OBSERVATIONS]
    kept = prior.keep(("theta_1", "theta_2"))
    mean, sd = posterior_moments(method, kept, parameters[train, :2], x[train], observed)
    dim = 2 + nuisances
    exact = [simulator.posterior(x_o, np.zeros(dim), np.eye(dim)) for x_o in observed]
    exact_mean = np.stack([m[:2] for m, _ in exact])
    exact_sd = np.stack([np.sqrt(np.diag(c)[:2]) for _, c in exact])
    assert np.abs((mean - exact_mean) / exact_sd).max() < 0.1
    assert np.abs(sd / exact_sd - 1).max() < 0.07


def test_keeping_the_nuisances_gives_the_narrower_conditional() -> None:
    """Trained on data of one fixed eta, the posterior is the conditional one, and narrower."""
    simulator, prior = independent(10)
    parameters, _ = simulate(prior, simulator, ROWS + OBSERVATIONS)
    parameters[:, 2:] = 0.0
    x = simulator(parameters, streams.generator(1, "simulate"))
    kept = prior.keep(("theta_1", "theta_2"))
    train, observed = slice(OBSERVATIONS, None), x[:OBSERVATIONS]
    _, sd = posterior_moments("npe", kept, parameters[train, :2], x[train], observed)
    fixed = LinearGaussian(theta_dim=2, nuisances=0)
    fixed.A = simulator.A
    _, conditional = fixed.posterior(observed[0], np.zeros(2), np.eye(2))
    _, marginal = simulator.posterior(observed[0], np.zeros(12), np.eye(12))
    np.testing.assert_allclose(sd / np.sqrt(np.diag(conditional)), 1, atol=0.07)
    assert (sd < 0.8 * np.sqrt(np.diag(marginal)[:2])).all()


SLOPE, SPREAD = 1.5, 0.5


def hierarchy(mean: Any) -> tuple[LinearGaussian, priors.NamedPrior]:
    simulator = LinearGaussian(theta_dim=1, nuisances=1, x_dim=3)
    specs = {
        "theta_1": {"type": "normal", "mean": 0, "sd": 1},
        "eta_1": {"type": "normal", "mean": mean, "sd": SPREAD},
    }
    prior = priors.build(specs, simulator.parameters)
    assert isinstance(prior, priors.NamedPrior)
    return simulator, prior


def hierarchical_errors(mean: Any) -> tuple[float, float]:
    """Train with eta drawn as said; return errors against the closed form of eta given theta."""
    simulator, prior = hierarchy(mean)
    parameters, x = simulate(prior, simulator, ROWS)
    _, truth = hierarchy(f"{SLOPE} * theta_1")
    observed = simulate(truth, simulator, OBSERVATIONS)[1]
    kept = prior.keep(("theta_1",))
    found, sd = posterior_moments("npe", kept, parameters[:, :1], x, observed)
    covariance = np.array([[1, SLOPE], [SLOPE, SLOPE**2 + SPREAD**2]])
    exact = [simulator.posterior(x_o, np.zeros(2), covariance) for x_o in observed]
    exact_mean = np.array([m[0] for m, _ in exact])
    exact_sd = np.sqrt(exact[0][1][0, 0])
    shift = np.abs((found[:, 0] - exact_mean) / exact_sd).max()
    return float(shift), float(np.abs(sd[:, 0] / exact_sd - 1).max())


def test_eta_given_theta_is_marginalised_as_written() -> None:
    shift, width = hierarchical_errors(f"{SLOPE} * theta_1")
    assert shift < 0.1
    assert width < 0.07


def test_eta_drawn_independently_of_theta_fails_that_test() -> None:
    shift, width = hierarchical_errors(0)
    assert shift > 0.1
    assert width > 0.07
