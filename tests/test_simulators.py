import numpy as np
import pytest
from scipy import special, stats

from sbi_pipeline import priors, registry, streams
from sbi_pipeline.simulators.influenza import Influenza
from sbi_pipeline.simulators.linear_gaussian import LinearGaussian
from sbi_pipeline.simulators.moons import MoonPoint, Moons, log_mixture
from sbi_pipeline.simulators.ringdown import Ringdown
from sbi_pipeline.simulators.source_counts import SourceCounts
from sbi_pipeline.simulators.two_moons import TwoMoons
from sbi_pipeline.storage.noise import add_noise
from sbi_pipeline.types import declared_shape

RNG = np.random.default_rng


@pytest.mark.parametrize("name", sorted({*registry.SIMULATORS} - {"program"}))
def test_contract_of_every_simulator(name: str) -> None:
    simulator = registry.load_part(name, registry.SIMULATORS)()
    parameters = RNG(0).uniform(0.2, 1, size=(50, len(simulator.parameters)))
    x = simulator(parameters, streams.generator(1, "test"))
    again = simulator(parameters, streams.generator(1, "test"))
    assert x.shape[0] == 50
    assert declared_shape(simulator) == add_noise(simulator, x, RNG(0)).shape[1:]
    assert np.isfinite(x).all()
    np.testing.assert_array_equal(x, again)
    if hasattr(simulator, "log_likelihood"):
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


def _moons_by_quadrature(x: float, y: float, d: float, sigma: float, t: float) -> float:
    """Log density of a point: the integral over the angle p as a sum."""
    p = np.linspace(0, np.pi, 20_001)
    weight = np.where((p == 0) | (p == np.pi), 0.5, 1.0) / 20_000

    def gauss(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.exp(-(u**2 + v**2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)

    upper = weight @ gauss(x - np.cos(p), y / t - np.sin(p))
    lower = weight @ gauss(x - 1 + np.cos(p), y / t - 0.5 + np.sin(p))
    return float(np.log((d * upper + (1 - d) * lower) / t))


@pytest.mark.parametrize("sigma", [0.05, 0.3, 1.0])
def test_moons_likelihood_is_the_integral_over_the_angle(sigma: float) -> None:
    row = np.array([[0.3, sigma, 2.0]])
    x = Moons(points=30)(row, RNG(3))[0]
    expected = sum(_moons_by_quadrature(*point, *row[0]) for point in x)
    assert Moons().log_likelihood(row, x)[0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("point", [(2.0, 2.0), (-1.2, -1.5), (0.5, 0.0)])
def test_moons_likelihood_far_from_the_arcs_keeps_its_digits(point: tuple[float, float]) -> None:
    row = np.array([[0.3], [0.05], [2.0]])[..., None]
    found = log_mixture(np.array([point]), *row)[0, 0]
    assert found == pytest.approx(_moons_by_quadrature(*point, 0.3, 0.05, 2.0), abs=0.02)


def test_padding_of_moons_counts_for_nothing() -> None:
    simulator, row = Moons(largest=60), np.array([[0.3, 0.1, 2.0, 40.0]])
    x = simulator(row, RNG(4))[0]
    assert x.shape == (60, 3)
    assert x[:, 2].sum() == 40
    assert not x[40:].any()
    found, expected = simulator.log_likelihood(row, x), Moons().log_likelihood(row, x[:40, :2])
    np.testing.assert_allclose(found, expected)


def test_moons_points_and_sets_have_one_density() -> None:
    rows, point = np.array([[1.0, 0.1, 2.0], [0.0, 0.1, 2.0]]), np.array([0.2, 1.5])
    by_set = Moons().log_likelihood(rows, point[None])
    np.testing.assert_allclose(MoonPoint().log_likelihood(rows, point), by_set)
    drawn = MoonPoint()(rows.repeat(20_000, axis=0), RNG(5))
    assert drawn[:20_000, 1].mean() == pytest.approx(2 * 2 / np.pi, abs=0.03)
    assert drawn[20_000:, 0].mean() == pytest.approx(1.0, abs=0.03)


def test_ringdown_likelihood_marginalised_is_the_integral_over_phase_and_time() -> None:
    simulator, row = Ringdown(), np.array([[250.0, 4.0, 0.7, 3.0, 1.0, 1.0]])
    x = simulator(row, RNG(6))[0]
    phase = 2 * np.pi * np.arange(100) / 100
    time = np.linspace(*simulator.time_range, 301)
    grid = np.stack(np.meshgrid(phase, time, indexing="ij"), axis=-1).reshape(-1, 2)
    rows = np.column_stack([np.tile(row[0, :4], (len(grid), 1)), grid])
    on_grid = simulator.log_likelihood(rows, x).reshape(100, 301)
    weight = np.where(np.abs(time) == time[-1], 0.5, 1.0) / 300 / 100
    expected = special.logsumexp(on_grid, b=weight)
    found = simulator.log_marginal_likelihood(row[:, :4], x)[0]
    assert found == pytest.approx(expected, abs=1e-4)


def test_ringdown_likelihood_of_many_rows_is_that_of_each() -> None:
    simulator, rng = Ringdown(), RNG(7)
    theta = rng.uniform([150, 2, 0.2, -10], [350, 10, 1, 10], size=(70, 4))
    x = simulator(np.array([[250.0, 4.0, 0.7, 3.0, 1.0, 1.0]]), rng)[0]
    each = [simulator.log_marginal_likelihood(row[None], x, 16, 51)[0] for row in theta]
    np.testing.assert_allclose(simulator.log_marginal_likelihood(theta, x, 16, 51), each)


def test_ringdown_with_noise_at_load_is_that_with_noise() -> None:
    row = np.array([[250.0, 4.0, 0.7, 3.0, 1.0, 1.0]])
    later = Ringdown(noise_at_load=True)
    signal = later(row, RNG(8))
    np.testing.assert_array_equal(signal, later.signal(row))
    np.testing.assert_array_equal(later.observe(signal, RNG(8)), Ringdown()(row, RNG(8)))


def test_ringdown_in_the_time_domain_is_the_damped_sinusoid() -> None:
    length = 4.0  # long against tau: no wrap-around
    simulator = Ringdown(length=length, lowest=0.25, highest=8000)
    f, tau, phase, start = 250.0, 20.0, 0.7, 100.0
    cosine, sine = simulator.quadratures(np.array([[f, tau, 1.0, 0.0]]))
    spectrum = (np.cos(phase) * cosine + np.sin(phase) * sine)[0, 0] / simulator.whitening
    spectrum = spectrum * np.exp(-2e-3j * np.pi * simulator.bins * start)
    found = np.fft.irfft(np.r_[0, spectrum]) * 2 * len(spectrum) / length
    s = np.arange(len(found)) * length / len(found) - start / 1e3
    expected = np.where(
        s > 0, 1e-21 * np.exp(-1e3 * s / tau) * np.cos(2 * np.pi * f * s + phase), 0
    )
    away = np.abs(s) > 5e-3  # the step at the start has endless frequencies
    assert np.abs(found - expected)[away].max() < 0.03e-21


SKY = {
    "number": {"type": "uniform", "min": 10, "max": 50},
    "sigma": {"type": "uniform", "min": 0.5, "max": 1},
    "height": {"type": "uniform", "min": 1, "max": 5},
    "longitude_*": {"type": "normal", "mean": 0, "sd": 20},
    "latitude_*": {"type": "normal", "mean": 0, "sd": "height"},
    "flux_*": {"type": "lognormal", "mean": 1, "sd": "sigma"},
}


def test_a_map_holds_the_flux_of_its_sources_where_they_are() -> None:
    simulator = SourceCounts(most=50, noise=False)
    prior = priors.build(SKY, simulator.parameters)
    rows = prior.from_uniform(RNG(7).random((200, len(prior.names))))
    rows[:, 3:53] = np.clip(rows[:, 3:53], -30, 30)  # longitudes: none at the edge
    maps = simulator(rows, RNG(8))
    there = np.arange(50) < np.floor(rows[:, :1])
    np.testing.assert_allclose(maps.sum(axis=(1, 2)), 4 * (rows[:, 103:] * there).sum(1), rtol=1e-4)
    one = np.zeros((1, 153))
    one[0, [0, 3, 53, 103]] = 1, 10.0, -5.0, 1.0  # one source at longitude 10, latitude -5
    peak = np.unravel_index(simulator(one, RNG(9))[0].argmax(), (128, 128))
    assert peak == (int(35 * 1.6), int(50 * 1.6))
    noisy = SourceCounts(most=50)(rows, RNG(8))
    assert noisy.sum() == pytest.approx(maps.sum(), rel=1e-2)


def test_maps_are_mirrored_each_way_for_half_of_them() -> None:
    one = np.zeros((1, 153))
    one[0, [0, 3, 53, 103]] = 1, 10.0, -5.0, 1000.0
    mean = SourceCounts(most=50, noise=False)(one, RNG(1))[0]
    mirrored = SourceCounts(most=50, noise=False, mirror=True)
    maps = mirrored.observe(np.broadcast_to(mean, (400, 128, 128)), RNG(2))
    row, column = np.unravel_index(maps.reshape(400, -1).argmax(axis=1), (128, 128))
    quarter = 2 * (row > 63) + (column > 63)
    np.testing.assert_allclose(np.bincount(quarter) / 400, 0.25, atol=0.09)  # four sigma
    assert mirrored.observe(mean, RNG(3)).shape == mean.shape


def test_only_the_nuisances_asked_for_are_random() -> None:
    simulator = SourceCounts(most=50, noise=False, nuisances=4)
    assert simulator.parameters[3:] == ("longitude_1", "longitude_2", "latitude_1", "flux_1")
    theta = [50.0, 0.7, 3.0]
    rows = np.array([[*theta, 10.0, 20.0, -5.0, 1.0], [*theta, 11.0, 20.0, -5.0, 1.0]])
    first, second = simulator.sources(rows)
    assert (first != second).sum() == 1
    assert tuple(first[:, 0]) == (10.0, -5.0, 1.0)
    for drawn, sd in zip(first[:, 2:], (20, 3.0, None), strict=True):
        z = drawn / sd if sd else (np.log(drawn) - 1) / 0.7
        assert abs(z.mean()) < 0.15
        assert z.std() == pytest.approx(1, abs=0.15)
    assert SourceCounts(most=50, nuisances=0).parameters == ("number", "sigma", "height")
