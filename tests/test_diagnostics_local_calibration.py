"""The local test is exact for an exact posterior, and sees faults that the average hides."""

from dataclasses import replace

import numpy as np
import pytest
import synthetic
import xarray as xr
from faults_near import neighbourhood
from scipy import special

from sbi_pipeline import priors
from sbi_pipeline.diagnostics.local_calibration import (
    LOCAL_CALIBRATION,
    judge_local_calibration,
    kernel,
    local_test,
    measure_local_calibration,
    said_of,
    unlikeness,
)
from sbi_pipeline.diagnostics.ranks import normal_scores
from sbi_pipeline.diagnostics.statements import statements

REPEATS = 40
NAMES = ("a", "b")


def _p_values(wrong, repeats=REPEATS, n=1000):
    """Two parameters, two elements of data; the posterior is wrong only where x_0 > 1."""
    found = []
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        x, scores = rng.normal(size=(n, 2)), rng.normal(size=(n, 5, 2))
        there = x[:, 0] > 1
        scores[there, 0] = wrong(scores[there, 0])
        squared = unlikeness(x, np.array([1.6, 0.0]))
        found.append(local_test(scores, NAMES, kernel(squared, 100), seed=seed))
    return found


def test_p_values_of_an_exact_posterior_are_uniform():
    p = np.array([found.p_value for found in _p_values(lambda t: t, 100)])
    # 100 uniforms: 10 ± 3 below 0.1.
    assert 2 <= np.sum(p < 0.1) <= 20
    assert 0.4 < p.mean() < 0.6


@pytest.mark.parametrize(
    ("wrong", "named", "sign"),
    [
        (lambda t: t + np.array([1.0, 0.0]), "the mean of a", 1),
        (lambda t: t * np.array([1.0, 2.0]), "the width of b", 1),
        (lambda t: t * np.array([0.4, 0.4]), "the width of", -1),
        (lambda t: t[:, :1] * [1, 0.8] + t[:, 1:] * [0, 0.6], "the correlation of a and b", 1),
    ],
)
def test_a_fault_near_the_observation_is_found_and_named(wrong, named, sign):
    found = _p_values(wrong)
    assert np.mean([each.p_value < 0.005 for each in found]) >= 0.95
    assert np.mean([each.worst.startswith(named) for each in found]) >= 0.9
    assert np.sign(np.median([each.differences[each.worst] for each in found])) == sign


def test_normal_scores_are_of_the_truth_first():
    rng = np.random.default_rng(0)
    draws, truth = rng.normal(size=(50, 99, 1)), np.full((50, 1), 10.0)
    scores = normal_scores(draws, truth, 3)
    assert scores.shape == (50, 4, 1)
    assert (scores[:, 0] > scores[:, 1:].max(axis=1)).all()
    np.testing.assert_array_equal(scores, normal_scores(np.exp(draws), np.exp(truth), 3))


SIZES = [(elements, parameters) for elements in (10, 200) for parameters in (2, 5)]


@pytest.mark.parametrize(("elements", "parameters"), SIZES)
def test_it_is_local_whatever_the_number_of_elements(elements, parameters):
    """Widths x 0.6 near the observation and x 1.06 elsewhere, which are right on average."""
    fault = {"near": 0.6, "far": 1.06, "elements": elements, "parameters": parameters}
    found = [measure_local_calibration(neighbourhood(seed, **fault)) for seed in range(20)]
    assert np.mean([each.p_value < 0.005 for each in found]) >= 0.95
    assert all(each.simulations == pytest.approx(100, rel=0.05) for each in found)
    assert all(each.differences[each.worst] > 0 for each in found)


def test_the_kernel_weighs_as_many_as_it_is_asked_to():
    squared = np.random.default_rng(1).chisquare(5, size=1000)
    for wanted in (50, 100, 300):
        weights = kernel(squared, wanted)
        assert weights.sum() ** 2 / (weights**2).sum() == pytest.approx(wanted, rel=1e-3)
        assert np.argmax(weights) == np.argmin(squared)
    np.testing.assert_array_equal(kernel(np.zeros(200), 50), np.ones(200))  # all say the same


def test_nothing_is_judged_where_nothing_is_near():
    usual = [measure_local_calibration(neighbourhood(seed)) for seed in range(20)]
    assert not any(each.why_not for each in usual)
    beyond = measure_local_calibration(neighbourhood(0, at=4.0))
    assert beyond.why_not == "none of 1000 held-out simulations is near enough"
    few = measure_local_calibration(neighbourhood(0, n=100))
    assert few.why_not == "100 held-out simulations are too few"
    check = synthetic.judged("local_calibration", few, "npe, event")
    assert check.status == "warn"
    assert "posterior_calibration: 500" in check.advice


CIRCLE = {
    "phase": {"type": "uniform", "min": 0, "max": 6.283, "periodic": True},
    "kind": {"type": "bernoulli", "probability": 0.5},
}


def test_statements_know_circles_and_discrete_parameters():
    prior = priors.build(CIRCLE, tuple(CIRCLE))
    rng = np.random.default_rng(2)
    turn = np.array([[0.0], [0.5]]) + 0.02 * rng.normal(size=(2, 500))  # one across the cut
    z = np.stack([special.ndtri(turn % 1), np.full((2, 500), 0.67)], axis=2)
    x, y, width, mean, sd = statements(z, prior).T
    np.testing.assert_allclose(x, [1, -1], atol=0.02)
    np.testing.assert_allclose(y, [0, 0], atol=0.02)
    np.testing.assert_allclose(width, np.log(0.02), atol=0.1)
    np.testing.assert_allclose(mean, 0.67)
    np.testing.assert_allclose(sd, 0, atol=1e-12)


def test_known_conditions_are_part_of_what_is_near():
    near = neighbourhood(0)
    given = xr.Dataset({"exposure": 1.0})
    tree = near.posterior.tree
    tree["constant_data"] = xr.DataTree(given)
    rng = np.random.default_rng(3)
    known = rng.uniform(0, 1, size=(1000, 1))
    there = replace(near, known=known, conditions=("exposure",))
    said, here = said_of(there, near.estimator.calibration, near.estimator.prior)
    weights = kernel(unlikeness(said, here), 100)
    assert np.average(known[:, 0], weights=weights) > 0.7


@pytest.mark.parametrize("tests", [1, 100, 1000])
def test_a_fault_is_found_however_many_checks_a_page_has(tests):
    """Widths x 0.3 near the observation fail on long pages, too."""
    found = measure_local_calibration(neighbourhood(0, near=0.3))
    limits = LOCAL_CALIBRATION.among(tests, found)
    assert judge_local_calibration(found, "npe, event", **limits).status == "fail"


def test_no_p_value_is_below_the_least():
    found = measure_local_calibration(neighbourhood(0, near=0.3))
    assert found.p_value == pytest.approx(found.least_p)


@pytest.mark.parametrize(
    ("asked", "remedy"),
    [
        ({"near": 0.3}, "train on more simulations, or reweight"),
        ({"near": 0.3, "method": "reweighted"}, "mend the likelihood"),
        ({"near": 0.3, "method": "recalibrated"}, "does not mend that: reweight"),
        ({"n": 100}, "(posterior_calibration: 500), or hold out more"),
        ({"n": 100, "method": "recalibrated"}, "held-out simulations; hold out more"),
        ({"n": 100, "method": "cmpe", "quantity": "TARP"}, "held-out simulations; hold out more"),
    ],
)
def test_the_remedy_can_be_had(asked, remedy):
    """A refined posterior is reweighted already, and posterior SBC asks none of these."""
    found = measure_local_calibration(neighbourhood(0, **asked))
    assert remedy in judge_local_calibration(found, "npe, event").advice
