"""Tests of the simulator; run them with `pytest`."""

import numpy as np
import pytest
from bell import TIME, Bell


def test_without_noise_it_is_a_damped_cosine() -> None:
    x = Bell()(np.array([[2.0, 1.5, 3.0, 0.0]]), np.random.default_rng(1))
    assert x.shape == (1, 60)
    assert x[0, 0] == 3
    assert x[0, 10] == pytest.approx(3 * np.exp(-TIME[10] / 1.5))  # after one period, 0.5 s


def test_the_noise_is_as_large_as_asked_for() -> None:
    seen = Bell(noise=0.5).observe(np.zeros((2000, 60)), np.random.default_rng(1))
    assert seen.std() == pytest.approx(0.5, rel=0.02)
