"""Recalibration of a classifier of models, its scores and reliability, against what was put in."""

import numpy as np
import pytest
from scipy import special, stats

from sbi_pipeline.comparison.calibration import (
    BINS,
    FEWEST_IN_BIN,
    Recalibration,
    fit_recalibration,
    reliability,
    scores,
)
from sbi_pipeline.types import Array

SCALE, SHIFTS = 0.6, np.array([0.0, 0.4, -0.7])


def classified(
    rows: int, seed: int, *, scale: float = 1.0, shifts: Array | float = 0.0, models: int = 3
) -> tuple[Array, Array]:
    """Return logits, ``(rows, models)``, and models that are as likely as scaled ones say."""
    rng = np.random.default_rng(seed)
    logits = 1.5 * rng.normal(size=(rows, models))
    p = special.softmax(scale * logits + shifts, axis=1)
    made = (rng.random((rows, 1)) > np.cumsum(p, axis=1)).sum(axis=1).clip(max=models - 1)
    return logits, made


def test_scale_and_shifts_are_recovered() -> None:
    found = fit_recalibration(*classified(50_000, 1, scale=SCALE, shifts=SHIFTS))
    assert found.scale == pytest.approx(SCALE, abs=0.02)
    assert found.shifts[0] == 0
    np.testing.assert_allclose(found.shifts, SHIFTS, atol=0.05)


def test_what_is_right_is_left_as_it_is() -> None:
    logits, made = classified(50_000, 2)
    found = fit_recalibration(logits, made)
    np.testing.assert_allclose(found(logits), logits, atol=0.15)


def test_errors_of_the_fit_are_those_of_repeats() -> None:
    truth = np.array([np.log(SCALE), *SHIFTS[1:]])
    distances = []
    for seed in range(100):
        found = fit_recalibration(*classified(1000, seed, scale=SCALE, shifts=SHIFTS))
        apart = np.array([np.log(found.scale), *found.shifts[1:]]) - truth
        distances.append(apart @ np.linalg.solve(found.covariance, apart))
    assert stats.kstest(distances, stats.chi2(3).cdf).pvalue > 0.01
    assert np.mean(distances) == pytest.approx(3, abs=0.6)


def test_errors_of_logits_are_those_of_repeats() -> None:
    asked = np.array([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0], [-3.0, 1.0, 2.0]])
    told = SCALE * asked + SHIFTS
    distances = []
    for seed in range(100):
        found = fit_recalibration(*classified(1000, 500 + seed, scale=SCALE, shifts=SHIFTS))
        # That of the first model has no error of its own where nothing is known of it.
        apart = (found(asked) - told)[:, 1:]
        stated = found.errors(asked)[:, 1:, 1:]
        distances.append([a @ np.linalg.solve(c, a) for a, c in zip(apart, stated, strict=True)])
    np.testing.assert_allclose(np.mean(distances, axis=0), 2, atol=0.5)


def test_few_rows_leave_nearly_everything_as_it_is() -> None:
    found = fit_recalibration(np.array([[5.0, 0.0], [0.0, 5.0]]), np.array([0, 1]))
    assert 0.5 < found.scale < 2
    assert abs(found.shifts[1]) < 0.1
    assert found.covariance[0, 0] == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("models", [2, 3, 5])
def test_scores_of_right_probabilities_are_as_expected(models: int) -> None:
    beyond = 0
    for seed in range(100):
        logits, made = classified(1000, seed, models=models)
        found = scores(special.log_softmax(logits, axis=1), made)
        beyond += found.p_value < 0.05
        assert abs(found.log_score - found.expected) < 4.5 * found.log_score_error
    assert beyond <= 11  # of 100: 5 are expected, and more than 11 with a chance of 0.004


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_scores_tell_that_log_odds_are_a_factor_off(factor: float) -> None:
    logits, made = classified(2000, 3, models=2)
    found = scores(special.log_softmax(factor * logits, axis=1), made)
    assert found.p_value < 1e-4
    assert found.scale * factor == pytest.approx(1, abs=4 * found.scale_error)
    assert (found.z > 0) == (factor > 1)


def test_scores_of_chance() -> None:
    made = np.repeat([0, 1, 2], [500, 300, 200])
    found = scores(np.log(np.full((1000, 3), [0.5, 0.3, 0.2])), made)
    assert found.log_score == pytest.approx(found.chance_log)
    assert found.brier == pytest.approx(found.chance_brier)
    assert found.chance_brier == pytest.approx(1 - 0.25 - 0.09 - 0.04)
    assert found.rows == 1000


def test_certain_and_right_has_the_best_scores() -> None:
    log_p = np.log(np.array([[1.0, 1e-300], [1e-300, 1.0]] * 50))
    found = scores(log_p, np.tile([0, 1], 50))
    assert found.log_score == pytest.approx(0)
    assert found.brier == pytest.approx(0)
    assert np.isfinite(found.z)


def test_reliability_of_right_probabilities_lies_within_its_band() -> None:
    rng = np.random.default_rng(4)
    p = rng.beta(0.4, 0.4, 20_000)
    found = reliability(p, rng.random(p.size) < p)
    assert len(found.said) == BINS
    assert found.rows.sum() == p.size
    assert np.ptp(found.rows) <= 1
    assert (np.diff(found.said) > 0).all()
    assert np.mean((found.low <= found.happened) & (found.happened <= found.high)) >= 0.8
    wrong = reliability(p, rng.random(p.size) < special.expit(0.5 * special.logit(p)))
    assert np.mean((wrong.low <= wrong.happened) & (wrong.happened <= wrong.high)) <= 0.3


def test_few_rows_make_few_bins() -> None:
    found = reliability(np.linspace(0, 1, 3 * FEWEST_IN_BIN), np.zeros(3 * FEWEST_IN_BIN, bool))
    assert list(found.rows) == [FEWEST_IN_BIN] * 3
    assert len(reliability(np.array([0.5]), np.array([True])).said) == 1


def test_a_recalibration_is_what_it_says() -> None:
    made = Recalibration(2.0, np.array([0.0, 1.0]), np.zeros((2, 2)))
    np.testing.assert_array_equal(made(np.array([[1.0, 3.0]])), [[2.0, 7.0]])
    np.testing.assert_array_equal(made.errors(np.array([[1.0, 3.0]])), np.zeros((1, 2, 2)))
