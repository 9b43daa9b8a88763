from pathlib import Path

import numpy as np
import pytest
import torch

from sbi_pipeline import estimators, load, priors
from sbi_pipeline.posterior import log_posterior, to_theta_density
from sbi_pipeline.trained import Posterior
from sbi_pipeline.types import Target, Traits

SPECS = {
    "rate": {"type": "uniform", "min": 0, "max": 4},
    "scale": {"type": "lognormal", "mean": "0.1 * rate", "sd": 0.4},
}
NAMES = ["rate", "scale"]


def header() -> dict[str, object]:
    return {"key": "k", "parameters": NAMES, "inferred_parameters": NAMES, "priors": SPECS}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained NPE: any normalised density will do for the change of variables."""
    torch.manual_seed(0)
    z, x = torch.randn(100, 2), torch.randn(100, 3)
    estimator = estimators.build("npe", z, x, seed=1)
    file = tmp_path_factory.mktemp("model") / "estimator.pt"
    estimators.save_estimator(file, estimator, header())
    return file


def test_density_in_theta_integrates_to_one(path: Path) -> None:
    posterior = load(path)
    rate, scale = np.linspace(0.02, 3.98, 100), np.linspace(0.04, 12, 150)
    grid = np.stack(np.meshgrid(rate, scale, indexing="ij"), axis=-1).reshape(-1, 2)
    density = np.exp(posterior.log_prob(grid, np.zeros(3, dtype="f4")))
    total = density.sum() * (rate[1] - rate[0]) * (scale[1] - scale[0])
    assert total == pytest.approx(1, abs=0.02)


def test_draws_follow_the_density_and_stay_inside_the_prior(path: Path) -> None:
    posterior = load(path)
    x = np.zeros(3, dtype="f4")
    theta = posterior.sample(20_000, x, seed=2)
    assert ((theta[:, 0] > 0) & (theta[:, 0] < 4) & (theta[:, 1] > 0)).all()
    half = theta[:, 0] < 2
    rate, scale = np.linspace(0.02, 1.98, 50), np.linspace(0.04, 12, 150)
    grid = np.stack(np.meshgrid(rate, scale, indexing="ij"), axis=-1).reshape(-1, 2)
    below = np.exp(posterior.log_prob(grid, x)).sum() * (rate[1] - rate[0]) * (scale[1] - scale[0])
    assert half.mean() == pytest.approx(below, abs=0.015)


def test_density_is_zero_outside_the_prior(path: Path) -> None:
    outside = np.array([[-1.0, 1.0], [5.0, 1.0], [1.0, -1.0]])
    assert np.isneginf(load(path).log_prob(outside, np.zeros(3))).all()


def test_several_observations_at_once(path: Path) -> None:
    posterior = load(path)
    x = np.random.default_rng(1).normal(size=(5, 3)).astype("f4")
    assert posterior.sample(100, x).shape == (5, 100, 2)
    assert posterior.sample(100, x[0]).shape == (100, 2)


def test_data_of_any_real_type_and_of_axes_of_length_one_are_taken(path: Path) -> None:
    posterior = load(path)
    x = np.array([0.5, -1.0, 2.0])
    plain = posterior.sample(50, x)
    backwards = x[::-1].copy()[::-1]
    for same in (x.astype(">f8"), x.astype(np.longdouble), x[:, None], x.tolist(), backwards):
        np.testing.assert_array_equal(posterior.sample(50, same), plain)
    assert posterior.sample(50, x[None]).shape == (1, 50, 2)
    theta = np.array([[1.0, 1.0]])
    assert posterior.log_prob(theta, x[:, None]) == posterior.log_prob(theta, x)


@pytest.mark.parametrize("x", [1e5, 1e30, -1e300])
def test_data_far_beyond_all_simulations_make_no_nan(path: Path, x: float) -> None:
    posterior = load(path)
    theta = posterior.sample(50, np.full(3, x))
    assert np.isfinite(theta).all()
    assert not np.isnan(posterior.log_prob(theta, np.full(3, x))).any()


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.array([1.0, np.nan, np.inf]), "x has 2 values that are NaN or infinite"),
        (np.array([1j, 2, 3]), "x holds complex128; wanted real numbers"),
        (np.ma.masked_array(np.ones(3), mask=[0, 1, 0]), "x has 1 values that are masked"),
        (np.array(["a", "b", "c"]), "x holds <U1; wanted real numbers"),
        (np.ones((2, 2)), r"x has shape \(2, 2\); the estimator learnt data sets of \(3,\)"),
    ],
)
def test_other_data_are_refused_in_one_line(path: Path, x: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load(path).sample(50, x)


def test_likelihood_gets_the_prior_and_posterior_does_not(path: Path) -> None:
    posterior = load(path)
    assert isinstance(posterior, Posterior)
    z, x = np.array([[[0.3, -1.2]]]), np.zeros((1, 3), dtype="f4")
    plain = log_posterior(posterior.estimator, x)(z)
    posterior.estimator.traits = Traits(target="likelihood")
    with_prior = log_posterior(posterior.estimator, x)(z)
    expected = -0.5 * (0.3**2 + 1.2**2) - np.log(2 * np.pi)
    assert with_prior - plain == pytest.approx(expected, abs=1e-6)


def test_change_of_variables_of_the_prior_itself() -> None:
    prior = priors.build(SPECS, NAMES)
    z = np.random.default_rng(3).normal(size=(50, 2))
    normal = -0.5 * np.sum(z**2, axis=1) - np.log(2 * np.pi)
    np.testing.assert_allclose(
        to_theta_density(normal, z, prior), prior.log_prob(prior.from_normal(z))
    )


class Gauss(estimators.Estimator):
    """x is N(z, 0.25), as a likelihood or as its ratio to the evidence, or its posterior."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.traits = Traits(target=target)
        self.spec = {"theta_dim": 1, "x_shape": [1]}
        self.device = torch.nn.Parameter(torch.zeros(1))

    def log_prob(self, z: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        assert len(z) == len(x)
        evidence = torch.distributions.Normal(0.0, 1.25**0.5).log_prob(x)[:, 0]
        value = torch.distributions.Normal(z, 0.5).log_prob(x)[:, 0]
        return value - evidence if self.traits.target == "ratio" else value


@pytest.mark.parametrize("target", ["likelihood", "ratio"])
def test_events_are_summed(target: Target) -> None:
    """The posterior of n events is N(mean * n / (n + s^2), s^2 / (n + s^2)), s = 1/2."""
    x = np.random.default_rng(1).normal(0.3, 0.5, size=(2, 70, 1)).astype("f4")
    log_density = log_posterior(Gauss(target), x, events=True, batch=100)
    z = np.linspace(-1, 1, 9)
    values = log_density(np.broadcast_to(z[:, None], (2, 9, 1)))
    for which in range(2):
        mean, variance = x[which].sum() / (70 + 0.25), 0.25 / (70 + 0.25)
        exact = -0.5 * (z - mean) ** 2 / variance
        found = values[which]
        np.testing.assert_allclose(found - found[4], exact - exact[4], rtol=1e-4, atol=1e-3)


def test_events_of_a_posterior_and_of_no_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="posteriors of single events cannot be multiplied"):
        log_posterior(Gauss("posterior"), np.zeros((1, 5, 1)), events=True)
    with pytest.raises(ValueError, match=r"shape \(1,\) .* learnt \(events, ...\) of \(1,\)"):
        log_posterior(Gauss("likelihood"), np.zeros((5, 1)), events=True)
    with pytest.raises(ValueError, match=r"shape \(0, 1\)"):
        log_posterior(Gauss("likelihood"), np.zeros((1, 0, 1)), events=True)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros(4), r"x has shape \(4,\); the estimator learnt data sets of \(3,\)"),
        (np.array([0, np.nan, 1]), "1 values that are NaN"),
    ],
)
def test_bad_data_are_refused(path: Path, x: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(path).log_prob(np.array([[1.0, 1.0]]), x)


@pytest.mark.parametrize("method", ["npe", "nre"])
def test_large_data_sets_are_summarised_once_with_the_same_result(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    z, x = torch.randn(50, 2), torch.randn(50, 300, 1)
    embedding = {"name": "deep_set", "hidden": 8}
    estimator = estimators.build(method, z, x, seed=1, embedding=embedding)
    where = z.numpy().reshape(5, 10, 2)
    once = log_posterior(estimator, x[:5].numpy())(where)
    rows = []
    estimator.conditioner.register_forward_hook(lambda _, given, out: rows.append(len(out)))
    log_posterior(estimator, x[:5].numpy())(where)
    assert sum(rows) == 5
    rows.clear()
    monkeypatch.setattr("sbi_pipeline.posterior.MOST_REPEATED", 300)
    repeated = log_posterior(estimator, x[:5].numpy())(where)
    assert rows == [50]
    np.testing.assert_allclose(once, repeated, rtol=1e-4, atol=1e-4)
