"""Errors that add up over events, on normal likelihoods whose errors are known."""

import numpy as np
import pytest
import synthetic

from sbi_pipeline.diagnostics.accumulation import accumulated, nearby
from sbi_pipeline.diagnostics.scores import scores
from sbi_pipeline.posterior import log_normal

REPEATS = 40
SD = np.array([0.5, 2.0])


def _found(seed, *, bias=0.0, n=4000, events=400, centre=(0.0, 0.0)):
    """Events x ~ N(z, SD); the likelihood learnt is off by ``bias`` sds in the first."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 2))
    x = z + SD * rng.normal(size=z.shape)

    def log_density(points):
        away = (x[:, None] - points - np.array([bias, 0.0]) * SD) / SD
        return -0.5 * (away**2).sum(axis=-1) + log_normal(points)

    score = scores(log_density, z)
    return score, (x - z) / SD**2, accumulated(score, nearby(z, np.array(centre)), events)


def test_scores_are_gradients():
    score, exact, _ = _found(0)
    np.testing.assert_allclose(score, exact, atol=1e-9)


def test_a_bias_of_single_events_costs_its_known_divergence():
    # N b^2 / 2 with b in sds of an event, less b^2 in the information; 400 * 0.15^2 / 2 = 4.5.
    found = np.mean([_found(seed, bias=0.15)[2].nats for seed in range(REPEATS)])
    assert found == pytest.approx(4.5 / (1 + 0.15**2), rel=0.1)


def test_chance_is_what_it_says():
    honest = [_found(seed)[2] for seed in range(100)]
    above = np.mean([each.nats > each.by_chance for each in honest])
    assert above <= 0.12
    assert abs(np.mean([each.nats for each in honest])) < 0.1


def test_a_bias_that_adds_up_is_caught_and_an_honest_likelihood_passes():
    wrong = [
        synthetic.judged("accumulation", _found(s, bias=0.15)[2], "nle").status
        for s in range(REPEATS)
    ]
    assert wrong.count("pass") <= 0.05 * REPEATS
    right = [
        synthetic.judged("accumulation", _found(s, events=300)[2], "nle").status
        for s in range(REPEATS)
    ]
    assert right.count("pass") >= 0.95 * REPEATS


def test_too_few_simulations_to_tell_are_no_pass():
    check = synthetic.judged("accumulation", _found(0, n=100, events=1000)[2], "nle, event")
    assert check.status == "warn"
    assert "too few to tell" in check.advice


def test_simulations_near_the_posterior_count():
    theta = np.random.default_rng(0).normal(size=(1000, 2))
    weights = nearby(theta, np.array([1.0, 1.0]), 0.2)
    centre = weights @ theta / weights.sum()
    assert np.linalg.norm(centre - 1.0) < np.linalg.norm(theta.mean(axis=0) - 1.0) / 2
