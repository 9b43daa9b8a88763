"""Discrete parameters against exact probabilities, in priors with and without dependence."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from sbi_pipeline import priors, samplers
from sbi_pipeline.estimators import Estimator
from sbi_pipeline.priors.discrete import combinations
from sbi_pipeline.types import Array, Traits

SD = 0.5
MIXED = {
    "kind": {"type": "bernoulli", "probability": 0.3},
    "mu": {"type": "normal", "mean": 0, "sd": 1},
}


class Known(Estimator):
    """A likelihood in closed form as an estimator: it sees normal space, as a trained one does."""

    traits = Traits(target="likelihood")

    def __init__(self, prior: Any, log_likelihood: Any) -> None:
        super().__init__()
        self.prior, self.log_likelihood = prior, log_likelihood
        self.spec = {"theta_dim": len(prior.names), "x_shape": [1]}
        self.device = torch.nn.Parameter(torch.zeros(1))

    def log_prob(self, z: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        theta = self.prior.from_normal(z.double().numpy())
        return torch.as_tensor(self.log_likelihood(theta, x.numpy()[:, 0]))


def shifted(theta: Array, x: Array) -> Array:
    """x is N(mu + 2 kind, SD^2)."""
    return stats.norm(theta[:, 1] + 2 * theta[:, 0], SD).logpdf(x)


def exact_chance(x: float) -> float:
    wide = np.sqrt(1 + SD**2)
    one, zero = 0.3 * stats.norm(2, wide).pdf(x), 0.7 * stats.norm(0, wide).pdf(x)
    return float(one / (one + zero))


def test_a_mixture_with_known_probabilities() -> None:
    prior = priors.build(MIXED, ("kind", "mu"))
    x = np.array([[1.2], [3.0], [-0.5]])
    drawn = samplers.draw(Known(prior, shifted), x, 10_000, seed=1, prior=prior)
    assert drawn.converged.all()
    assert drawn.discrete is not None
    assert drawn.probability is not None
    exact = [exact_chance(float(each[0])) for each in x]
    np.testing.assert_allclose(drawn.probability[:, 1], exact, atol=0.02)
    for which, z in enumerate(drawn.flat(10_000)):
        theta = prior.from_normal(z)
        assert set(theta[:, 0]) <= {0.0, 1.0}
        np.testing.assert_allclose(theta[:, 0].mean(), exact[which], atol=0.03)
        for kind in (0, 1):
            mu = theta[theta[:, 0] == kind, 1]
            if len(mu) > 500:
                shrink = 1 / (1 + SD**2)
                assert mu.mean() == pytest.approx(shrink * (x[which, 0] - 2 * kind), abs=0.08)
                assert mu.std() == pytest.approx(SD * np.sqrt(shrink), rel=0.1)


def test_density_of_theta_is_likelihood_times_prior() -> None:
    from sbi_pipeline.posterior import to_theta_density

    prior = priors.build(MIXED, ("kind", "mu"))
    drawn = samplers.draw(Known(prior, shifted), np.array([[1.0]]), 1000, seed=1, prior=prior)
    z = drawn.z.reshape(-1, 2)
    theta = prior.from_normal(z)
    lp = to_theta_density(drawn.log_prob.ravel(), z, prior)
    np.testing.assert_allclose(
        lp, shifted(theta, np.array([1.0])) + prior.log_prob(theta), atol=1e-4
    )


def test_a_prior_that_depends_on_the_discrete_parameter() -> None:
    """mu is N(2 kind, 1) in the prior and x is N(mu, SD^2): the same as `shifted` for x."""
    specs = {**MIXED, "mu": {"type": "normal", "mean": "2 * kind", "sd": 1}}
    prior = priors.build(specs, ("mu", "kind"))
    estimator = Known(prior, lambda theta, x: stats.norm(theta[:, 0], SD).logpdf(x))
    drawn = samplers.draw(estimator, np.array([[1.2]]), 10_000, seed=1, prior=prior)
    assert drawn.probability is not None
    assert drawn.probability[0, 1] == pytest.approx(exact_chance(1.2), abs=0.02)
    mu = prior.from_normal(drawn.flat(10_000)[0])[:, 0]
    mean = (1.2 + 2 * exact_chance(1.2) * SD**2) / (1 + SD**2)
    assert mu.mean() == pytest.approx(mean, abs=0.04)


def test_only_discrete_parameters_are_enumerated() -> None:
    specs = {
        "n": {"type": "integer", "min": 2, "max": 4},
        "kind": {"type": "categorical", "probabilities": [0.5, 0.0, 0.5]},
    }
    prior = priors.build(specs, ("n", "kind"))
    estimator = Known(prior, lambda theta, x: stats.poisson(theta.sum(axis=1)).logpmf(x))
    drawn = samplers.draw(estimator, np.array([[5.0]]), 4000, seed=1, prior=prior)
    assert drawn.sampler == "enumerated"
    assert drawn.probability is not None
    grid = np.array([(n, kind) for n in (2, 3, 4) for kind in (0, 2)])
    weight = stats.poisson(grid.sum(axis=1)).pmf(5)
    np.testing.assert_allclose(drawn.probability[0], weight / weight.sum(), atol=1e-6)
    theta = prior.from_normal(drawn.flat(4000)[0])
    assert np.mean(theta[:, 0] == 4) == pytest.approx(drawn.probability[0, 4:].sum(), abs=0.03)


def test_labelled_draws_tell_the_probabilities() -> None:
    prior = priors.build(MIXED, ("kind", "mu"))
    x = np.array([[1.2]])
    drawn = samplers.draw(Known(prior, shifted), x, 2000, seed=1, prior=prior)
    tree = samplers.labelled(
        drawn, 0, prior, x_o=x[0], prior_draws=np.ones((5, 2)), derived={}, texts={}, attrs={}
    )
    kind = tree["posterior"]["kind"]
    np.testing.assert_array_equal(kind.attrs["values"], [0, 1])
    assert kind.attrs["probabilities"][1] == pytest.approx(exact_chance(1.2), abs=0.03)
    assert "values" not in tree["posterior"]["mu"].attrs
    assert np.isnan(tree["sample_stats"]["autocorrelation_time"][0])


def test_continuous_priors_have_none_and_draw_as_before() -> None:
    specs = {"mu": MIXED["mu"], "nu": MIXED["mu"]}
    prior = priors.build(specs, ("mu", "nu"))
    assert combinations(prior) is None
    estimator = Known(prior, lambda theta, x: stats.norm(theta.sum(axis=1), SD).logpdf(x))
    x = np.array([[1.0]])
    plain = samplers.draw(estimator, x, 500, seed=1, max_steps=50, min_steps=50)
    known = samplers.draw(estimator, x, 500, seed=1, max_steps=50, min_steps=50, prior=prior)
    np.testing.assert_array_equal(plain.z, known.z)


def test_what_cannot_be_summed_over_is_refused() -> None:
    many = priors.build({"n": {"type": "integer", "min": 1, "max": 65}}, ("n",))
    with pytest.raises(ValueError, match="n have 65 combinations of values; at most 64"):
        combinations(many)
    specs = {
        "mu": {"type": "uniform", "min": 0, "max": 1},
        "kind": {"type": "bernoulli", "probability": "mu"},
    }
    with pytest.raises(ValueError, match=r"'kind' is discrete and inferred, .* depends on 'mu'"):
        combinations(priors.build(specs, ("mu", "kind")))
