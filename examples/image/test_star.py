"""Tests of the simulator; run them with `pytest`."""

import numpy as np
import pytest
from star import Star

RNG = np.random.default_rng(1)


def test_the_star_is_where_it_should_be_and_as_bright() -> None:
    (mean,) = Star()(np.array([[1000.0, 6.0, 9.0, 0.0, 1.5]]), RNG)
    assert mean.shape == (16, 16)
    assert mean.sum() == pytest.approx(1000, rel=0.01)
    assert np.unravel_index(mean.argmax(), mean.shape) == (9, 6)  # row y, column x


def test_the_sky_is_in_every_pixel_and_is_counted() -> None:
    mean = Star()(np.tile([0.0, 8.0, 8.0, 5.0, 1.5], (200, 1)), RNG)
    assert (mean == 5).all()
    counts = Star().observe(mean, RNG)
    assert counts.mean() == pytest.approx(5, rel=0.02)
    assert counts.var() == pytest.approx(5, rel=0.05)
