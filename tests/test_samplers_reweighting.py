"""Reweighting a proposal: what its weights see, and what only scouts of the prior find."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from sbi_pipeline.posterior import log_normal
from sbi_pipeline.samplers import Problem, Proposal, _reweighted
from sbi_pipeline.samplers.ensemble import Emcee
from sbi_pipeline.samplers.reweighting import LEAST, both, of_prior, pooled, reweigh
from sbi_pipeline.samplers.scouting import scout, scouted
from sbi_pipeline.types import Array

DIM = 5
NARROW, BROAD = (0.7, 0.3, 0.02), (0.3, -0.7, 0.2)
"""Weight, place in all parameters, and width of two modes."""


def two_modes(z: Array) -> Array:
    parts = [
        np.log(weight) + stats.norm(place, sd).logpdf(z).sum(axis=-1)
        for weight, place, sd in (NARROW, BROAD)
    ]
    return np.asarray(np.logaddexp(*parts))


def normal(place: float, sd: float, targets: int = 1, dim: int = DIM) -> Proposal:
    def draw(n: int, seed: int) -> Array:
        return place + sd * np.random.default_rng(seed).normal(size=(targets, n, dim))

    return Proposal(draw, lambda z: stats.norm(place, sd).logpdf(z).sum(axis=-1))


def spike(z: Array) -> Array:
    """So narrow that one counts of all draws that are not made for it."""
    return np.asarray(stats.norm(0, 0.003).logpdf(z).sum(axis=-1))


def problem(seed: int, proposal: Proposal) -> Problem:
    return Problem(two_modes, 1, DIM, seed, proposal=proposal)


@pytest.mark.parametrize("seed", range(1, 8))
def test_a_narrow_mode_that_the_proposal_misses_is_found(seed: int) -> None:
    """An NPE that has only the broad mode; the narrow one is most of the mass."""
    given = problem(seed, normal(*BROAD[1:]))
    (found,), rest, known = reweigh(scouted(lambda some: given, 1), 1, 1000, 0)
    if rest:
        drawn = Emcee()(known(rest), 10_000)
        assert drawn.converged.all()
        z = drawn.flat(10_000)[0]
    else:
        z, _ = found.resampled(1000, np.random.default_rng(1))
    assert np.mean(z[:, 0] > -0.2) == pytest.approx(NARROW[0], abs=0.05)


def test_scouts_know_each_mode_once() -> None:
    (mixture,) = scout(problem(1, normal(*BROAD[1:])))
    upper = mixture.means[:, 0] > -0.2
    assert 0.2 < mixture.weights[upper].sum() < 0.9
    assert mixture.weights.sum() == pytest.approx(1)


def test_draws_of_the_prior_show_a_mode_that_a_proposal_misses() -> None:
    """Two modes that are no narrower than a few in a thousand draws of the prior can tell."""

    def density(z: Array) -> Array:
        parts = [stats.norm(place, 0.3).logpdf(z).sum(axis=-1) for place in (-0.8, 0.8)]
        return np.asarray(np.logaddexp(*parts))

    given = Problem(density, 1, 2, 1, proposal=normal(-0.8, 0.3, dim=2))
    (found,), rest, _ = reweigh(lambda some: given, 1, 500, 0)
    assert not rest
    z, log_prob = found.resampled(500, np.random.default_rng(1))
    assert np.mean(z[:, 0] > 0) == pytest.approx(0.5, abs=0.06)
    np.testing.assert_allclose(log_prob, density(z))


def test_a_proposal_that_is_far_away_is_not_trusted() -> None:
    given = Problem(spike, 1, DIM, 1, proposal=normal(3, 0.1))
    (found,), rest, _ = reweigh(lambda some: given, 1, 200, 0)
    assert rest == [0]
    assert found.effective < 200


def test_evidence_takes_no_more_draws_than_it_has_to() -> None:
    given = Problem(lambda z: log_normal(z / 0.9), 1, 2, 1, proposal=normal(0, 0.9, dim=2))
    (found,), rest, _ = reweigh(lambda some: given, 1, 30, 0, least=300)
    assert not rest
    assert found.z.shape == (300, 2)
    assert found.weights is not None
    assert np.exp(found.weights.log_mean) == pytest.approx(0.81, rel=0.1)


def test_a_mixture_of_proposals_is_normalised_and_draws_its_shares() -> None:
    made = both(normal(-3, 0.5, dim=1), normal(2, 1, dim=1), 0.3)
    z = made.draw(20_000, 1)
    assert np.mean(z > 0) == pytest.approx(0.3, abs=0.02)
    grid = np.linspace(-10, 10, 4001)
    density = np.exp(made.log_prob(grid[None, :, None]))[0]
    assert np.trapezoid(density, grid) == pytest.approx(1)
    below = np.mean(z < -3)
    assert below == pytest.approx(np.trapezoid(density[grid < -3], grid[grid < -3]), abs=0.02)


def test_draws_of_several_rounds_are_weighed_as_those_of_one_mixture() -> None:
    """Weights of each distribution alone have no finite variance; together they are near one."""
    given = Problem(lambda z: log_normal(z / 0.9), 1, 2, 1)
    near, far = normal(0.5, 0.6, dim=2), normal(-0.5, 0.6, dim=2)
    pool = pooled(given, [near], np.array([5000]), 1)
    more = pooled(given, [near, far], np.array([0, 5000]), 2)
    (both_of_them,) = pool.joined(more, far).weighed(np.random.default_rng(1), 0)
    (alone,) = pool.weighed(np.random.default_rng(1), 0)
    assert both_of_them.weights is not None
    assert alone.weights is not None
    assert both_of_them.weights.effective > 2 * alone.weights.effective
    assert both_of_them.weights.weight @ both_of_them.z == pytest.approx(0, abs=0.05)
    assert np.exp(both_of_them.weights.log_mean) == pytest.approx(0.81, abs=0.03)


def test_some_draws_of_every_round_are_of_the_prior() -> None:
    given = Problem(spike, 1, DIM, 1, proposal=normal(8, 0.1))
    (found,), rest, known = reweigh(lambda some: given, 1, 200, 0)
    assert rest == [0]
    assert len(found.z) > 4 * LEAST
    assert np.mean(np.linalg.norm(found.z, axis=1) < 5) > 0.1
    learned = known([0]).proposal
    assert learned is not None
    prior = of_prior(1, DIM)
    z = prior.draw(100, 1)
    assert (learned.log_prob(z) > prior.log_prob(z) + np.log(0.15)).all()


def test_a_calibration_says_that_draws_miss_a_mode() -> None:
    """Without scouts none of the draws is of the narrow mode: most truths are beyond them all."""
    rng = np.random.default_rng(1)
    places, sds = (np.array(each) for each in zip(NARROW[1:], BROAD[1:], strict=True))
    mode = rng.choice(2, size=40, p=(NARROW[0], BROAD[0]))
    truth = places[mode, None] + sds[mode, None] * rng.normal(size=(40, DIM))

    def some_problem(some: Sequence[int]) -> Problem:
        return Problem(two_modes, len(some), DIM, 1, proposal=normal(*BROAD[1:], len(some)))

    drawn = _reweighted(some_problem, 40, 200, Emcee(**Emcee.quick(DIM)), quick=True)
    ranks = np.sum(drawn.log_prob.reshape(40, -1) < two_modes(truth)[:, None], axis=1)
    assert np.mean(ranks == drawn.log_prob[0].size) == pytest.approx(NARROW[0], abs=0.2)
