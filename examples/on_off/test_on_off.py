"""Tests of the simulator; run them with `pytest`."""

import numpy as np
import pytest
from on_off import OnOff


def test_counts_are_as_many_as_expected() -> None:
    rng = np.random.default_rng(1)
    signal, background = 10.0, 6.0
    counts = OnOff(alpha=0.2)(np.tile([signal, background], (20000, 1)), rng)
    assert counts.shape == (20000, 2)
    assert counts.mean(axis=0) == pytest.approx([signal + background, background / 0.2], rel=0.02)


def test_the_same_seed_gives_the_same_counts() -> None:
    parameters = np.array([[10.0, 6.0]])
    first, second = (OnOff()(parameters, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, second)
