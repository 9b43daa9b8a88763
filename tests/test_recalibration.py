"""Recalibration: what is too narrow is widened, what is right stays, and some of the rows judge."""

import numpy as np
import pytest
import synthetic
from scipy import stats

from sbi_pipeline.recalibration import (
    AS_IT_IS,
    Correction,
    corrected_calibration,
    corrected_draws,
    fitted_correction,
)


def corrections(seed, **fault):
    data = synthetic.calibration(n=1000, draws=200, seed=seed, **fault)
    return corrected_calibration(data, seed)


def test_widths_and_shifts_are_put_right():
    """Widths x 0.7, means off by 0.3 of the exact sd; fitted to 750 ranks."""
    found = [corrections(seed, width=0.7, shift=0.3) for seed in range(20)]
    widths = 0.7 * np.array([each["scale"].to_numpy() for each in found])
    shifts = 0.3 + 0.7 * np.array([each["shift"].to_numpy() for each in found])
    assert np.mean(np.abs(widths - 1) < 0.07) >= 0.95
    assert np.abs(widths.mean() - 1) < 0.02
    assert np.abs(shifts.mean()) < 0.03
    assert np.mean(np.abs(shifts) < 0.14) >= 0.95


def test_what_is_right_is_changed_by_less_than_chance():
    found = [corrections(seed) for seed in range(20)]
    scales = np.array([each["scale"].to_numpy() for each in found])
    shifts = np.array([each["shift"].to_numpy() for each in found])
    assert np.std(scales) < 1 / 1000**0.5
    assert np.std(shifts) < 1 / 500**0.5
    assert np.mean((scales == 1) & (shifts == 0)) > 0.5


def test_truths_that_judge_were_not_fitted_to():
    data = synthetic.calibration(n=1001, draws=200, seed=1, width=0.7)
    made = corrected_calibration(data, 1)
    assert (made.sizes["simulation"], made.attrs["fitted"]) == (250, 751)
    np.testing.assert_array_equal(made["truth"], data["truth"][:250])
    other = data.copy(deep=True)
    other["ranks"][:250] = 0
    np.testing.assert_array_equal(corrected_calibration(other, 1)["scale"], made["scale"])
    with pytest.raises(ValueError, match="199 held-out simulations; recalibration wants at least"):
        corrected_calibration(data.isel(simulation=slice(199)), 1)


def test_draws_are_moved_and_hang_together_as_they_did():
    rng = np.random.default_rng(1)
    z = rng.multivariate_normal([0.5, -1], [[0.01, 0.016], [0.016, 0.04]], 10_000)
    made = corrected_draws(z, [Correction(0.5, 1.4), AS_IT_IS])
    np.testing.assert_array_equal(made[:, 1], z[:, 1])
    assert made[:, 0].mean() == pytest.approx(0.55, abs=0.005)
    assert made[:, 0].std() == pytest.approx(0.14, abs=0.004)
    assert stats.spearmanr(*made.T).statistic == pytest.approx(stats.spearmanr(*z.T).statistic)
    assert made[:, 0].max() > z[:, 0].max() + 0.05


def test_ranks_at_the_ends_are_taken_for_what_they_are():
    """Far too narrow: a third of the truths lie beyond all draws, anywhere."""
    rng = np.random.default_rng(2)
    ranks = np.array([(rng.normal(size=50) * 0.3 < each).sum() for each in rng.normal(size=2000)])
    found = fitted_correction(ranks, 50)
    assert found.scale * 0.3 == pytest.approx(1, abs=0.06)
