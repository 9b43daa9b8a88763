"""Tests of the simulator; run them with `pytest`."""

import numpy as np
import pytest
from line import TIME, Line


def test_points_lie_on_the_line_but_for_the_noise() -> None:
    x = Line(noise=0.01)(np.tile([0.3, -0.5, 2.0], (2000, 1)), np.random.default_rng(1))
    assert x.shape == (2000, 10)
    assert x.mean(axis=0) == pytest.approx(0.3 - 0.5 * TIME, abs=0.003)
    assert x.std(axis=0) == pytest.approx(np.full(10, 0.02), rel=0.1)
