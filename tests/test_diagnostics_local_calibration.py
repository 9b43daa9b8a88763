"""The local test is exact for an exact posterior, and sees faults that the average hides."""

import numpy as np
import pytest

from sbi_pipeline.diagnostics.local_calibration import local_test
from sbi_pipeline.diagnostics.ranks import normal_scores

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
        x_o = np.array([1.6, 0.0])
        found.append(local_test(scores, NAMES, x, x_o, seed=seed))
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
