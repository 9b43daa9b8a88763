"""Tests of the simulator; run them with `pytest`."""

import numpy as np
import pytest
from masses import Masses


def test_members_follow_the_power_law() -> None:
    x = Masses(stars=1000)(np.tile([2.5, 0.0], (100, 1)), np.random.default_rng(1))
    assert x.shape == (100, 1000, 1)
    share_below_2 = (1 - 2**-1.5) / (1 - 100**-1.5)
    assert (x < np.log(2)).mean() == pytest.approx(share_below_2, rel=0.01)


def test_field_stars_are_uniform_in_the_logarithm() -> None:
    x = Masses(stars=1000)(np.tile([2.5, 1.0], (100, 1)), np.random.default_rng(1))
    assert x.mean() == pytest.approx(np.log(100) / 2, rel=0.01)
    assert x.max() < np.log(100)
