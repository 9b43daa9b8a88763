"""A mixture fitted to draws: its density is one, its draws are its own, it finds bent shapes."""

import numpy as np
import pytest
from scipy import stats
from sklearn.mixture import GaussianMixture

from sbi_pipeline.samplers.gaussians import fit_gaussians
from sbi_pipeline.samplers.mixture import (
    DEGREES,
    Mixture,
    fit_mixtures,
    learn_mixtures,
    proposal_of,
)
from sbi_pipeline.types import Array


def test_the_density_is_scipys() -> None:
    factor = np.array([[1.0, 0.0], [0.5, 0.7]])
    mixture = Mixture(np.array([0.3, 0.7]), np.array([[0, 1], [2, -1]]), np.stack([factor] * 2))
    z = np.random.default_rng(1).normal(size=(20, 2))
    parts = [stats.multivariate_t(mean, factor @ factor.T, df=DEGREES) for mean in mixture.means]
    expected = np.log(0.3 * parts[0].pdf(z) + 0.7 * parts[1].pdf(z))
    np.testing.assert_allclose(mixture.log_prob(z), expected)


def test_draws_are_of_the_density() -> None:
    factors = np.array([[[0.5]], [[2.0]]])
    mixture = Mixture(np.array([0.3, 0.7]), np.array([[-3.0], [2.0]]), factors)
    draws = mixture.draw(20_000, np.random.default_rng(1))[:, 0]
    first, second = stats.t(DEGREES, -3, 0.5), stats.t(DEGREES, 2, 2)
    found = stats.kstest(draws, lambda x: 0.3 * first.cdf(x) + 0.7 * second.cdf(x))
    assert found.pvalue > 0.001


def ring(n: int, rng: np.random.Generator) -> Array:
    angle, radius = rng.uniform(0, 2 * np.pi, n), rng.normal(1, 0.05, n)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def test_a_ring_takes_many_components_and_a_gaussian_one() -> None:
    rng = np.random.default_rng(1)
    (bent,) = fit_mixtures(ring(4000, rng)[None], seed=1)
    (plain,) = fit_mixtures(rng.normal(size=(1, 4000, 10)), seed=1)
    assert len(bent.weights) >= 8
    assert len(plain.weights) == 1
    radius = np.hypot(*bent.draw(4000, rng).T)
    assert np.mean(np.abs(radius - 1) < 0.2) > 0.9


def test_each_posterior_has_its_own() -> None:
    rng = np.random.default_rng(1)
    chain = rng.normal(size=(2, 4, 8, 50, 3)) + np.array([-5, 5])[:, None, None, None, None]
    proposal = proposal_of(learn_mixtures(chain, seed=1))
    z = proposal.draw(500, 1)
    assert z.shape == (2, 500, 3)
    assert z.mean(axis=(1, 2)) == pytest.approx([-5, 5], abs=0.2)
    assert proposal.log_prob(z).shape == (2, 500)
    np.testing.assert_array_equal(proposal.draw(500, 1), z)


def test_points_that_are_all_alike_are_no_error() -> None:
    (mixture,) = fit_mixtures(np.ones((1, 100, 2)), seed=1)
    assert np.isfinite(mixture.log_prob(np.ones((1, 2)))).all()


def test_components_of_many_sets_are_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    modes = rng.normal(size=(20, 400, 2)) * 0.2 + rng.choice([-1, 1], size=(20, 400, 1))
    found = fit_gaussians(modes, 4, rng)
    theirs = [GaussianMixture(4, tol=1e-2, n_init=3, random_state=1).fit(each) for each in modes]
    expected = np.array([fit.score(each) for fit, each in zip(theirs, modes, strict=True)])
    assert found.log_prob == pytest.approx(expected, abs=0.15)
    assert np.mean(found.log_prob - expected) == pytest.approx(0, abs=0.03)
    weighted = np.sum(found.weights[..., None] * found.means, axis=1)
    np.testing.assert_allclose(weighted, modes.mean(axis=1), atol=1e-6)
    assert (np.linalg.eigvalsh(found.covariances) > 0).all()
