import numpy as np
import pytest
from scipy import stats

from sbi_pipeline import registry, streams
from sbi_pipeline.simulators.influenza import Influenza
from sbi_pipeline.simulators.linear_gaussian import LinearGaussian
from sbi_pipeline.simulators.two_moons import TwoMoons

RNG = np.random.default_rng


@pytest.mark.parametrize("name", sorted({*registry.SIMULATORS} - {"program"}))
def test_contract_of_every_simulator(name: str) -> None:
    simulator = registry.load(name, registry.SIMULATORS)()
    parameters = RNG(0).uniform(0.2, 1, size=(50, len(simulator.parameters)))
    x = simulator(parameters, streams.generator(1, "test"))
    again = simulator(parameters, streams.generator(1, "test"))
    assert x.shape[0] == 50
    assert np.isfinite(x).all()
    np.testing.assert_array_equal(x, again)
    log_likelihood = simulator.log_likelihood(parameters, x[0])
    assert log_likelihood.shape == (50,)
    assert np.isfinite(log_likelihood[0])


def test_influenza_counts_have_the_mean_and_variance_they_should() -> None:
    simulator = Influenza()
    row = np.array([1.7, 0.5, 0.2, 3.0])
    x = simulator(np.tile(row, (40_000, 1)), RNG(1))
    mean = simulator.infected(row[:1], row[1:2], row[3:])[0]
    variance = mean + 0.2 * mean**2
    assert np.abs(x.mean(axis=0) - mean).max() < 5 * np.sqrt(variance.max() / len(x))
    np.testing.assert_allclose(x.var(axis=0), variance, rtol=0.08)


def test_influenza_keeps_the_number_of_boys_and_converges() -> None:
    beta, gamma, i0 = np.array([0.3, 1.7, 4.0]), np.array([0.2, 0.5, 1.0]), np.array([1.0, 3, 9])
    coarse = Influenza().infected(beta, gamma, i0)
    fine = Influenza(steps_per_day=200).infected(beta, gamma, i0)
    np.testing.assert_allclose(coarse, fine, atol=2e-4 * 763)
    assert (coarse < 763).all()


def test_influenza_likelihood_is_scipys_negative_binomial() -> None:
    simulator = Influenza()
    row = np.array([[1.7, 0.5, 0.1, 3.0]])
    x = np.array([3, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4])
    mean = simulator.infected(row[:, 0], row[:, 1], row[:, 3])[0]
    expected = stats.nbinom.logpmf(x, 10, 1 / (1 + 0.1 * mean)).sum()
    assert simulator.log_likelihood(row, x)[0] == pytest.approx(expected)


def test_two_moons_draws_lie_on_the_moon() -> None:
    simulator, theta = TwoMoons(), np.array([[0.3, -0.4]])
    draws = simulator(theta.repeat(4000, axis=0), RNG(2))
    u, v = (draws - [0.25 - abs(0.3 - 0.4) / np.sqrt(2), (-0.4 - 0.3) / np.sqrt(2)]).T
    assert stats.kstest(np.hypot(u, v), stats.norm(0.1, 0.01).cdf).pvalue > 1e-3
    assert stats.kstest(np.arctan2(v, u), stats.uniform(-np.pi / 2, np.pi).cdf).pvalue > 1e-3


def test_two_moons_likelihood_integrates_to_one() -> None:
    simulator, theta = TwoMoons(), np.array([[0.3, -0.4]])
    u, step = np.linspace(-0.15, 0.15, 601, retstep=True)
    centre = np.array([0.25 - abs(0.3 - 0.4) / np.sqrt(2), (-0.4 - 0.3) / np.sqrt(2)])
    total = sum(
        np.exp(simulator.log_likelihood(theta, centre + np.array([a, b]))[0])
        for a in u[::4]
        for b in u[::4]
    )
    assert total * (4 * step) ** 2 == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("nuisances", [0, 3, 50])
def test_linear_gaussian_posterior_is_importance_sampling(nuisances: int) -> None:
    simulator = LinearGaussian(theta_dim=1, nuisances=nuisances, x_dim=3, noise=1.0)
    dim = 1 + nuisances
    prior = RNG(3).normal(size=(200_000, dim))
    x = simulator(prior[:1], RNG(4))[0]
    weights = np.exp(simulator.log_likelihood(prior, x))
    weights /= weights.sum()
    mean, covariance = simulator.posterior(x, np.zeros(dim), np.eye(dim))
    error = 6 / np.sqrt(1 / np.sum(weights**2))
    assert weights @ prior[:, 0] == pytest.approx(mean[0], abs=error)
    assert weights @ prior[:, 0] ** 2 - mean[0] ** 2 == pytest.approx(covariance[0, 0], abs=error)
