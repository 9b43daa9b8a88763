"""Failures that depend on a parameter move the prior by a known amount."""

import numpy as np
import pytest

from sbi_pipeline.diagnostics.lost_prior import prior_shift


def test_a_cut_shifts_the_prior_by_what_it_cuts():
    rng = np.random.default_rng(0)
    theta = {"cut": rng.uniform(size=20_000), "free": rng.uniform(size=20_000)}
    found = prior_shift(theta, theta["cut"] > 0.9).set_index("parameter")
    # Uniform on (0, 0.9) against (0, 1): the distributions differ most at 0.9, by 0.1.
    assert found.loc["cut", "shift"] == pytest.approx(0.1, rel=0.05)
    assert found.loc["cut", "p"] < 1e-10
    assert found.loc["free", "shift"] < 0.01
    assert found.loc["free", "p"] > 1e-3


@pytest.mark.parametrize("failed", [np.zeros(9), np.ones(9)])
def test_all_or_none_failed_is_refused(failed):
    with pytest.raises(ValueError, match="some of each kind"):
        prior_shift({"a": np.arange(9.0)}, failed)
