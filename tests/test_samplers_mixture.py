"""A mixture fitted to draws: its density is one, its draws are its own, it finds bent shapes."""

import numpy as np
import pytest
from scipy import stats

from sbi_pipeline.samplers.mixture import (
    DEGREES,
    Mixture,
    fit_mixture,
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
    bent, plain = (
        fit_mixture(ring(4000, rng), seed=1),
        fit_mixture(rng.normal(size=(4000, 10)), seed=1),
    )
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
    assert np.isfinite(fit_mixture(np.ones((100, 2)), seed=1).log_prob(np.ones((1, 2)))).all()
