"""The MCMC against closed forms: Gaussians, modes with known weights, chains that cannot end."""

from typing import Any

import numpy as np
import pytest
from samplers_for_tests import emcee
from scipy import special, stats

from sbi_pipeline import samplers
from sbi_pipeline.samplers.mixture import Mixture
from sbi_pipeline.samplers.moves import (
    DifferentialEvolution,
    Fitted,
    Nearby,
    Proposal,
    Snooker,
    Stretch,
)
from sbi_pipeline.types import Array


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


@pytest.mark.parametrize("dim", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_a_correlated_gaussian(dim: int) -> None:
    covariance = 0.2 * np.eye(dim) + 0.8 * np.ones((dim, dim))
    mean = np.arange(dim) / dim
    drawn = emcee(gaussian(covariance, mean), 1, dim, 10_000, seed=1, walkers=max(32, 4 * dim))
    assert drawn.converged.all()
    assert drawn.told(0)["stopped"] == "converged"
    assert drawn.told(0)["statement"].startswith("MCMC converged after")
    check_moments(drawn, mean, covariance)


@pytest.mark.slow
def test_25_dimensions() -> None:
    drawn = emcee(gaussian(np.eye(25), np.zeros(25)), 1, 25, 10_000, seed=1, walkers=64)
    assert drawn.converged.all()
    check_moments(drawn, np.zeros(25), np.eye(25))


def nearby(groups: int) -> Nearby:
    """Steps by a mixture that is not fitted at all well."""
    factors = np.array([[[0.5, 0.0], [0.3, 0.4]], [[1.2, 0.0], [-0.2, 0.3]]])
    return Nearby(groups, [Mixture(np.array([0.3, 0.7]), np.array([[0, 1.0], [1, -1]]), factors)])


@pytest.mark.parametrize("move", [Stretch, DifferentialEvolution, Snooker, Fitted, nearby])
def test_each_move_by_itself_leaves_the_target_as_it_is(move: Any) -> None:
    """From exact draws, thousands of groups at once, moments stay what they are."""
    groups, walkers = 3000, 8
    target = stats.multivariate_normal([0.3, -0.2], [[1, 0.5], [0.5, 0.6]])
    random = np.random.RandomState(1)

    class Model:
        compute_log_prob_fn = staticmethod(lambda z: (target.logpdf(z), None))

    Model.random = random  # type: ignore[attr-defined]
    from emcee.state import State

    z = target.rvs(groups * walkers, random_state=random)
    state = State(z, log_prob=target.logpdf(z))
    for _ in range(5):
        state, accepted = move(groups).propose(Model, state)
        assert 0.1 < accepted.mean() < 0.9
    n = groups * walkers
    moments = state.coords.mean(axis=0), np.cov(state.coords.T)
    np.testing.assert_allclose(moments[0], [0.3, -0.2], atol=5 / np.sqrt(n))
    np.testing.assert_allclose(moments[1], [[1, 0.5], [0.5, 0.6]], atol=5 * np.sqrt(2 / n))


def two_modes(distance: float, widths: tuple[float, float]) -> Any:
    """Weights 0.8 and 0.2, ``(m, k, dim)`` to (m, k)."""

    def log_density(z: Array) -> Array:
        dim = z.shape[-1]
        parts = [
            np.log(weight) - 0.5 * np.sum((z - centre) ** 2, axis=-1) / sd**2 - dim * np.log(sd)
            for weight, centre, sd in zip((0.8, 0.2), (distance, -distance), widths, strict=True)
        ]
        return np.logaddexp(*parts)

    return log_density


def test_the_weights_of_two_modes() -> None:
    drawn = emcee(two_modes(1, (0.1, 0.1)), 1, 2, 10_000, seed=3)
    assert drawn.converged.all()
    upper = np.mean(drawn.z[..., 0] > 0)
    assert upper == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize(("dim", "distance", "widths"), [(3, 1, (0.03, 0.2)), (8, 2, (0.1, 0.1))])
def test_walkers_learn_the_way_between_far_modes(
    dim: int, distance: float, widths: tuple[float, float]
) -> None:
    density = two_modes(distance, widths)
    drawn = emcee(density, 1, dim, 10_000, seed=3, prior_draws=100_000)
    assert drawn.converged.all()
    assert np.mean(drawn.z[..., 0] > 0) == pytest.approx(0.8, abs=0.03)


def test_modes_that_walkers_cannot_leave_are_told() -> None:
    """As long as nothing has been learned from the chain."""
    density, steps = two_modes(1, (0.03, 0.2)), {"min_steps": 1000, "max_steps": 1000}
    drawn = emcee(density, 1, 3, 1000, seed=3, prior_draws=100_000, **steps)
    assert not drawn.converged.any()
    assert "not because it had converged" in drawn.told(0)["statement"]
    assert "Walkers do not move between the modes" in drawn.told(0)["statement"]


def moons(z: Array) -> Array:
    """Log posterior of the two-moons benchmark at x = 0, the prior taken to be flat near 0.

    x = r (cos a, sin a) + (0.25, 0) + shift, shift = (-|t1 + t2|, t2 - t1) / sqrt 2,
    r ~ N(0.1, 0.01^2), a ~ U(-pi / 2, pi / 2). The modes are each other's mirror image.
    """
    shift = np.stack([-np.abs(z[..., 0] + z[..., 1]), z[..., 1] - z[..., 0]]) / np.sqrt(2)
    left, up = -shift[0] - 0.25, -shift[1]
    radius = np.hypot(left, up)
    inside = np.where(left > 0, 0.0, -np.inf)
    return inside - 0.5 * ((radius - 0.1) / 0.01) ** 2 - np.log(radius)


@pytest.mark.slow
def test_both_moons_with_their_weights_and_shape() -> None:
    density = lambda z: moons(z) + np.where(np.abs(z).max(axis=-1) < 2, 0, -np.inf)  # noqa: E731
    drawn = emcee(density, 1, 2, 10_000, seed=5, prior_draws=20_000, ess=2000)
    assert drawn.converged.all()
    z = drawn.flat(10_000)[0]
    assert np.mean(z.sum(axis=1) > 0) == pytest.approx(0.5, abs=0.05)
    left, up = np.abs(z.sum(axis=1)) / np.sqrt(2) - 0.25, (z[:, 0] - z[:, 1]) / np.sqrt(2)
    assert np.hypot(left, up).mean() == pytest.approx(0.1, abs=0.001)
    assert np.mean(np.arctan2(up, left) > np.pi / 4) == pytest.approx(0.25, abs=0.04)


def test_a_proposal_finds_modes_the_walkers_cannot_reach() -> None:
    """Two far modes of different width, known to the proposal with the wrong weights."""
    density = two_modes(2, (0.005, 0.3))

    def draw(n: int, seed: int) -> Array:
        rng = np.random.default_rng(seed)
        first = rng.random((1, n, 1)) < 0.5
        mean, sd = np.where(first, 2, -2), np.where(first, 0.006, 0.35)
        return mean + sd * rng.normal(size=(1, n, 3))

    def log_prob(z: Array) -> Array:
        parts = [stats.norm(2, 0.006).logpdf(z).sum(-1), stats.norm(-2, 0.35).logpdf(z).sum(-1)]
        return special.logsumexp(parts, axis=0) - np.log(2)

    drawn = emcee(density, 1, 3, 10_000, seed=3, proposal=Proposal(draw, log_prob))
    assert drawn.converged.all()
    assert np.mean(drawn.z[..., 0] > 0) == pytest.approx(0.8, abs=0.03)


def funnel(z: Array) -> Array:
    """Neal's: v ~ N(0, 3^2), five x ~ N(0, exp v); P(v < -5) = 0.048, in a neck that is narrow."""
    v, x = z[..., 0], z[..., 1:]
    with np.errstate(over="ignore"):
        scaled = np.sum(x**2, axis=-1) * np.exp(-v)
    return -(v**2) / 18 - 0.5 * scaled - 0.5 * x.shape[-1] * v


@pytest.mark.slow
@pytest.mark.parametrize(
    "seed", [41, 42, *(pytest.param(each, marks=pytest.mark.study) for each in range(43, 48))]
)
def test_the_neck_of_a_funnel(seed: int) -> None:
    """Without steps as wide as the neck, 0.003 to 0.043 with an R-hat below 1.002."""
    drawn = emcee(funnel, 1, 6, 10_000, seed=seed)
    found = np.mean(drawn.z[0, ..., 0] < -5)
    assert found == pytest.approx(stats.norm.cdf(-5 / 3), abs=0.015) or not drawn.converged.any()


def test_one_that_cannot_converge_says_so() -> None:
    covariance = np.array([[1, 0.9], [0.9, 1]])
    density = gaussian(covariance, np.zeros(2))
    drawn = emcee(density, 1, 2, 1000, seed=1, min_steps=20, max_steps=20)
    assert not drawn.converged.any()
    assert drawn.told(0)["stopped"] == "max_steps"
    said = drawn.told(0)["statement"]
    assert said.startswith("MCMC stopped after 20 steps because it came to its last step, not")
    assert "(wanted below 1.01)" in said


def test_as_many_draws_as_are_asked_for() -> None:
    drawn = emcee(gaussian(np.eye(2), np.zeros(2)), 1, 2, 30_000, seed=1, walkers=64)
    assert drawn.flat(30_000).shape == (1, 30_000, 2)


def test_time_is_up_within_a_step() -> None:
    density = gaussian(np.eye(2), np.zeros(2))
    drawn = emcee(density, 1, 2, 1000, seed=1, minutes=1e-6)
    assert drawn.told(0)["stopped"] == "minutes"
    assert drawn.facts["steps"] == 1
    assert "because its time was up, not because it had converged" in drawn.told(0)["statement"]


def test_bad_settings_and_empty_densities_are_refused() -> None:
    density = gaussian(np.eye(5), np.zeros(5))
    with pytest.raises(ValueError, match="got 8 walkers; wanted an even number of at least 10"):
        emcee(density, 1, 5, 100, seed=1, walkers=8)
    with pytest.raises(ValueError, match="got 11 walkers; wanted an even number of at least 10"):
        emcee(density, 1, 5, 100, seed=1, walkers=11)
    with pytest.raises(ValueError, match="wanted 2 or more"):
        emcee(density, 1, 5, 100, seed=1, ensembles=1)
    with pytest.raises(ValueError, match="zero at nearly all of 2000 draws from the prior"):
        emcee(lambda z: np.full(z.shape[:2], -np.inf), 1, 2, 100, seed=1)
