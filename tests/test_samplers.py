from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from scipy import stats

from sbi_pipeline import priors, samplers
from sbi_pipeline.samplers.ensemble import ensemble
from sbi_pipeline.types import Array


class Exact(torch.nn.Module):
    """Likelihood N(x; z, sd^2 I) or the posterior it gives under N(0, I), as an estimator."""

    def __init__(self, target: str, dim: int = 2, sd: float = 0.5) -> None:
        super().__init__()
        self.target = target
        self.sd = sd
        self.spec = {"theta_dim": dim, "x_shape": [dim]}
        self.device = torch.nn.Parameter(torch.zeros(1))
        self.shrink = 1 / (1 + sd**2)

    def log_prob(self, z: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        posterior = torch.distributions.Normal(x * self.shrink, self.sd * self.shrink**0.5)
        likelihood = torch.distributions.Normal(z, self.sd)
        values = posterior.log_prob(z) if self.target == "posterior" else likelihood.log_prob(x)
        return values.sum(-1)

    def sample_many(self, n: int, x: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(len(x), n, x.shape[1])
        return x[:, None] * self.shrink + self.sd * self.shrink**0.5 * noise


def gaussian(covariance: Array, mean: Array) -> Any:
    precision = np.linalg.inv(covariance)
    return lambda z: -0.5 * np.einsum("mki,ij,mkj->mk", z - mean, precision, z - mean)


def check_moments(drawn: samplers.Draws, mean: Array, covariance: Array) -> None:
    """Hold mean and variance against the truth within 3 Monte-Carlo standard errors (at 99.9 %)."""
    z = drawn.flat(drawn.z[0, ..., 0].size)[0]
    assert drawn.autocorrelation_time is not None
    steps = drawn.facts["steps"] - drawn.facts["burn_in"]
    effective = steps * drawn.z.shape[1] / drawn.autocorrelation_time[0]
    sd = np.sqrt(np.diag(covariance))
    limit = stats.norm.isf(0.0005 / len(sd))
    assert (np.abs(z.mean(axis=0) - mean) < limit * sd / np.sqrt(effective)).all()
    assert (np.abs(z.var(axis=0) / sd**2 - 1) < limit * np.sqrt(2 / effective) * 1.5).all()


@pytest.mark.parametrize("dim", [2, 10])
def test_ensemble_samples_a_correlated_gaussian(dim: int) -> None:
    covariance = 0.2 * np.eye(dim) + 0.8 * np.ones((dim, dim))
    mean = np.arange(dim) / dim
    drawn = ensemble(gaussian(covariance, mean), 1, dim, 10_000, seed=1, walkers=max(32, 4 * dim))
    assert drawn.converged.all()
    assert drawn.facts["stopped"] == "converged"
    check_moments(drawn, mean, covariance)


@pytest.mark.slow
def test_ensemble_samples_25_dimensions() -> None:
    drawn = ensemble(gaussian(np.eye(25), np.zeros(25)), 1, 25, 10_000, seed=1, walkers=64)
    assert drawn.converged.all()
    check_moments(drawn, np.zeros(25), np.eye(25))


def test_ensemble_keeps_the_weights_of_two_modes() -> None:
    def two_modes(z: Array) -> Array:
        return np.logaddexp(
            np.log(0.8) - 50 * np.sum((z - 1) ** 2, axis=-1),
            np.log(0.2) - 50 * np.sum((z + 1) ** 2, axis=-1),
        )

    drawn = ensemble(two_modes, 1, 2, 10_000, seed=3)
    upper = np.mean(drawn.z[..., 0] > 0)
    assert upper == pytest.approx(0.8, abs=0.06)


def test_ensemble_that_cannot_converge_says_so() -> None:
    covariance = np.array([[1, 0.9], [0.9, 1]])
    drawn = ensemble(
        gaussian(covariance, np.zeros(2)), 1, 2, 1000, seed=1, min_steps=20, max_steps=20
    )
    assert not drawn.converged.any()
    assert drawn.facts["stopped"] == "max_steps"


def test_ensemble_refuses_too_few_walkers_and_empty_densities() -> None:
    density = gaussian(np.eye(5), np.zeros(5))
    with pytest.raises(ValueError, match="got 8 walkers; wanted an even number of at least 10"):
        ensemble(density, 1, 5, 100, seed=1, walkers=8)
    with pytest.raises(ValueError, match="wanted 2 or more"):
        ensemble(density, 1, 5, 100, seed=1, ensembles=1)
    with pytest.raises(ValueError, match="zero at all of 2000 draws"):
        ensemble(lambda z: np.full(z.shape[:2], -np.inf), 1, 2, 100, seed=1)


@pytest.mark.parametrize("target", ["posterior", "likelihood"])
def test_draws_of_many_posteriors_are_the_exact_ones(target: str) -> None:
    estimator, x = Exact(target), np.array([[0.0, 1.0], [-2.0, 0.5], [3.0, 3.0]], dtype="f4")
    drawn = samplers.draw(estimator, x, 4000, seed=1)
    assert drawn.converged.all()
    z = drawn.flat(4000)
    sd = 0.5 * np.sqrt(0.8)
    np.testing.assert_allclose(z.mean(axis=1), 0.8 * x, atol=0.06)
    np.testing.assert_allclose(z.std(axis=1), sd, rtol=0.08)
    again = samplers.draw(estimator, x, 4000, seed=1)
    np.testing.assert_array_equal(z, again.flat(4000))


def test_direct_draws_of_a_likelihood_are_refused() -> None:
    with pytest.raises(ValueError, match="need a posterior; this estimator is a likelihood"):
        samplers.draw(Exact("likelihood"), np.zeros((1, 2)), 100, seed=1, name="direct")


class TestLabelled:
    texts: ClassVar = {"mass": {"label": "$M$", "unit": "kg"}}

    def tree(self) -> Any:
        prior = priors.build(
            {
                "mass": {"type": "loguniform", "min": 1, "max": 10},
                "spin": {"type": "normal", "mean": 0, "sd": 1},
            },
            ("mass", "spin"),
        )
        drawn = samplers.draw(Exact("likelihood"), np.ones((1, 2)), 2000, seed=1)
        return samplers.labelled(
            drawn,
            0,
            prior,
            x_o=np.ones(2),
            prior_draws=np.ones((5, 2)),
            derived={"momentum": "mass * spin"},
            texts=self.texts,
            attrs={"key": "abc"},
        )

    def test_has_labels_units_and_derived_parameters(self) -> None:
        posterior = self.tree()["posterior"]
        assert posterior["mass"].attrs == {"label": "$M$", "unit": "kg"}
        assert posterior["momentum"].attrs["derived"] == "mass * spin"
        np.testing.assert_allclose(posterior["momentum"], posterior["mass"] * posterior["spin"])
        assert float(posterior["mass"].min()) >= 1
        assert len(np.unique(posterior["ensemble"])) == 4

    def test_opens_with_arviz(self, tmp_path: Any) -> None:
        import arviz as az

        path = tmp_path / "posterior.nc"
        self.tree().to_netcdf(path, engine="h5netcdf")
        data = az.from_netcdf(path)
        assert set(data.groups()) >= {"posterior", "sample_stats", "prior", "observed_data"}
        table = az.summary(data)
        assert (table["r_hat"] < 1.05).all()
