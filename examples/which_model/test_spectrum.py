"""Tests of the simulators; run them with `pytest`."""

import numpy as np
import pytest
from scipy import stats
from spectrum import ENERGY, LINE, PowerLaw, WithLine


def test_counts_are_as_many_as_expected() -> None:
    parameters = np.tile([20.0, 2.0, 30.0], (20000, 1))
    counts = WithLine()(parameters, np.random.default_rng(1))
    assert counts.shape == (20000, 20)
    continuum = 20 * (ENERGY / LINE) ** -2
    assert counts.mean(axis=0).sum() == pytest.approx(continuum.sum() + 30, rel=0.01)
    line = counts.mean(axis=0) - continuum
    assert ENERGY[line.argmax()] == pytest.approx(LINE, abs=20)


def test_a_line_of_no_counts_is_none() -> None:
    counts = np.arange(20)
    with_line = WithLine().log_likelihood(np.array([[20.0, 2.0, 0.0]]), counts)
    without = PowerLaw().log_likelihood(np.array([[20.0, 2.0]]), counts)
    assert with_line == pytest.approx(without)


def test_the_likelihood_is_that_of_the_counts() -> None:
    parameters = np.array([[20.0, 2.0, 30.0]])
    (counts,) = WithLine()(parameters, np.random.default_rng(2))
    (mean,) = WithLine().expected(parameters)
    wanted = stats.poisson.logpmf(counts, mean).sum()
    assert WithLine().log_likelihood(parameters, counts) == pytest.approx(wanted)
