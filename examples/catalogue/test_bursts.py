"""Tests of the simulator; run them with `pytest`."""

import numpy as np
import pytest
from bursts import Bursts

RNG = np.random.default_rng(1)
BURST = np.array([[100.0, 10.0, 1.0, 5.0, 8.0]])


def test_a_pulse_rises_and_decays_as_fast_as_asked_for() -> None:
    (mean,) = Bursts()(BURST, RNG)
    assert mean[10] == 108
    assert mean[9] == pytest.approx(8 + 100 * np.exp(-1))
    assert mean[15] == pytest.approx(8 + 100 * np.exp(-1))


def test_counts_scatter_around_their_mean() -> None:
    mean = Bursts()(np.tile(BURST, (5000, 1)), RNG)
    counts = Bursts().observe(mean, RNG)
    assert counts.mean(axis=0) == pytest.approx(mean[0], rel=0.03)
    assert counts.var(axis=0) == pytest.approx(mean[0], rel=0.1)
