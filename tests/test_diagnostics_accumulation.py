"""Errors that add up over events, on normal likelihoods whose errors are known."""

import faults_events
import numpy as np
import pytest
import synthetic
import torch

from sbi_pipeline.diagnostics.accumulation import Scored, accumulated
from sbi_pipeline.diagnostics.scores import derivatives, how_many_are_scored, score_events
from sbi_pipeline.networks.validity import Validity
from sbi_pipeline.trained import Posterior

REPEATS = 20


def found(seed, *, events=500, **options):
    return accumulated(faults_events.multiplied(seed, events=events, **options), events)


def test_derivatives_of_a_quadratic_are_exact():
    bent = np.array([[2.0, 0.5], [0.5, 1.0]])
    z, steps = np.array([[0.3, -0.2], [1.0, 2.0]]), np.array([[0.1, 0.0], [0.05, 0.2]])

    def density(points):
        return -0.5 * np.einsum("nki,ij,nkj->nk", points, bent, points)

    first, second = derivatives(density, z, steps)
    np.testing.assert_allclose(first, -z @ bent @ steps.T, atol=1e-12)
    np.testing.assert_allclose(second, np.stack([steps @ bent @ steps.T] * 2), atol=1e-12)


def test_directions_have_the_sd_of_the_posterior():
    scored = faults_events.multiplied(1, events=500)
    information = 500 * scored.curvature.mean(axis=0) + scored.prior
    np.testing.assert_allclose(information, np.eye(2), atol=0.05)


def test_a_bias_of_single_events_costs_its_known_divergence():
    nats = np.mean([found(seed, bias=0.15).nats for seed in range(REPEATS)])
    assert nats == pytest.approx(500 * 0.15**2 / 2, rel=0.05)


def test_a_wrong_width_of_single_events_is_that_of_all():
    for width in (0.8, 1.25):
        widths = [found(seed, width=width).width for seed in range(3)]
        assert np.mean(widths) == pytest.approx(width, rel=0.02)


def test_which_way_a_width_is_wrong_is_not_said_since_a_bias_that_varies_may_turn_it_round():
    """Scores scatter as for widths of 0.8, and the posterior is wider than the right one."""
    fault, rng = {"wave": -0.15, "width": 0.8}, np.random.default_rng(1)
    line = np.linspace(-0.3, 0.3, 601)
    grid = torch.tensor(np.column_stack([line, np.zeros_like(line)]))
    x = torch.tensor(faults_events.SD * rng.normal(size=(500, 1, 2)))
    with torch.no_grad():
        log_prob = sum(faults_events.Learnt(**fault).log_prob(grid, each) for each in x).numpy()
    chance = np.exp(log_prob - log_prob.max())
    chance /= chance.sum()
    sd = np.sqrt(chance @ line**2 - (chance @ line) ** 2)
    assert sd > 1.02 * faults_events.SD[0] / np.sqrt(500)
    measured = found(0, truth=(0.0, 0.0), **fault)
    assert measured.width == pytest.approx(0.8, rel=0.02)
    _, check = synthetic.judged("accumulation", measured, "nle, event")
    assert check.status != "pass"
    assert "not what the scatter of the scores of events says" in check.advice
    assert not {"narrow", "wide"} & set(check.advice.replace(",", " ").split())


def test_the_error_of_a_width_is_its_scatter():
    some = [found(seed, n=3000) for seed in range(60)]
    scatter = np.std([each.width for each in some])
    # Of two directions the worse one is taken: it scatters less about its distance from 1.
    assert np.mean([each.width_error for each in some]) == pytest.approx(scatter, rel=0.4)


def test_scores_of_which_few_count_for_most_are_no_pass():
    score = np.random.default_rng(1).normal(size=(5000, 1)) / 10
    curvature = np.full((5000, 1, 1), 1 / 100)
    curvature[:3] += 20.0
    curvature[3:6] -= 20.0
    scored = Scored(score, curvature, np.zeros((1, 1)))
    _, width = synthetic.judged("accumulation", accumulated(scored, 100), "nle, event")
    assert width.status == "warn"
    assert "some of them count for most" in width.advice


def test_chance_is_what_it_says():
    honest = [found(seed) for seed in range(100)]
    assert np.mean([each.nats > each.by_chance for each in honest]) <= 0.12
    assert abs(np.mean([each.nats for each in honest])) < 0.03
    for p in ("p_shift", "p_width"):
        assert np.mean([getattr(each, p) < 0.05 for each in honest]) <= 0.12


def test_a_bias_that_cancels_over_the_prior_counts_where_the_posterior_is():
    """Over the prior the mean of sin(pi z) is zero; at z = 0.5 it is one, at z = 0 none."""
    caught = [found(seed, wave=0.15).nats for seed in range(REPEATS)]
    assert np.mean(caught) == pytest.approx(5.6, rel=0.1)
    elsewhere = [found(seed, wave=0.15, truth=(0.0, 0.0)).nats for seed in range(REPEATS)]
    assert np.mean(elsewhere) < 0.5


def test_too_few_simulated_events_to_tell_are_no_pass():
    shift, width = synthetic.judged("accumulation", found(0, n=600, events=2000), "nle, event")
    assert shift.status == "warn"
    assert "too few to tell" in shift.advice
    assert width.status == "pass"


def test_without_predictions_nothing_is_said_of_sums():
    posterior = synthetic.sampled(synthetic.posterior(1))
    measured = synthetic.of_events(posterior)
    (check,) = synthetic.judged("accumulation", measured, "nle, event")
    assert check.status == "warn"
    assert "needs events simulated where the posterior is" in check.advice


def test_a_likelihood_without_a_maximum_fails():
    score = np.random.default_rng(0).normal(size=(1000, 1))
    scored = Scored(score, np.full((1000, 1, 1), -1.0), np.zeros((1, 1)))
    _, width = synthetic.judged("accumulation", accumulated(scored, 100), "nle, event")
    assert width.status == "fail"
    assert "no maximum" in width.advice


def test_as_many_events_are_scored_as_tell():
    assert [how_many_are_scored(n) for n in (1, 500, 10**6)] == [20_000, 20_000, 100_000]


class Half(Validity):
    """Events work with probability 1 / (1 + exp(-z))."""

    def log_prob(self, z):
        return torch.nn.functional.logsigmoid(z[:, 0].double())

    def log_failed(self, z):
        return torch.nn.functional.logsigmoid(-z[:, 0].double())


@pytest.mark.parametrize("counted", [True, False])
def test_scores_of_events_of_which_some_fail_have_mean_zero(counted):
    """Those of detected events are of their data alone, those that are counted of whether, too."""
    rng = np.random.default_rng(1)
    z = np.column_stack([np.full(40_000, 0.5), np.zeros(40_000)])
    worked = rng.random(len(z)) < 1 / (1 + np.exp(-0.5))
    x = np.where(worked[:, None], z + faults_events.SD * rng.normal(size=z.shape), np.nan)
    learnt = faults_events.Learnt()
    learnt.validity = Half(2)
    posterior = Posterior(learnt, faults_events.PRIOR, {"events": True})
    kept = np.arange(len(z)) if counted else np.flatnonzero(worked)
    parts = (each[kept] for each in (z, x, worked))
    scored = score_events(posterior, *parts, 300, counted=counted)
    error = scored.score.std(axis=0) / np.sqrt(len(kept))
    assert (np.abs(scored.score.mean(axis=0)) < 4 * error).all()
    scatter, curvature = np.cov(scored.score, rowvar=False), scored.curvature.mean(axis=0)
    np.testing.assert_allclose(300 * scatter, 300 * curvature, atol=0.05)
