"""What a pass could have seen is found as often as is said, and nothing much smaller is."""

import numpy as np
import pytest
import synthetic
import xarray as xr
from scipy import special

from sbi_pipeline.diagnostics.held_out_simulations import HeldOut, judge_held_out

DRAWS = 200


def calibration(n, width, rng):
    """Ranks of two parameters, of which the posterior sd of one is so many times too wide."""
    z = rng.normal(size=(n, 2)) / [width, 1.0]
    ranks = rng.binomial(DRAWS, special.ndtr(z))
    dims = ("simulation", "parameter")
    return xr.Dataset({"ranks": (dims, ranks)}, {"parameter": ["a", "b"]}, {"draws": DRAWS})


def caught(name, n, width, repeats=200):
    """How often a check does not pass."""
    rng = np.random.default_rng(1)
    found = [synthetic.asked(name, calibration(n, width, rng)) for _ in range(repeats)]
    return np.mean([each.status != "pass" for each in found])


def visible(name, n):
    """The widths that a check says it sees."""
    sees = synthetic.asked(name, calibration(n, 1.0, np.random.default_rng(0))).sees
    narrow, wide = (float(words.split()[0]) for words in sees.split(" by ")[1:])
    return 1 - narrow / 100, 1 + wide / 100


@pytest.mark.parametrize("n", [100, 400])
@pytest.mark.parametrize("name", ["coverage", "calibration", "probability_plot"])
def test_what_a_check_says_it_sees_it_finds(name, n):
    for width in visible(name, n):
        assert caught(name, n, width) > 0.9
        assert caught(name, n, 1 + (width - 1) / 3) < 0.5


def test_few_held_out_simulations_are_no_plain_pass():
    few, enough = (judge_held_out(HeldOut(n, 2), "npe") for n in (50, 300))
    assert (few.status, enough.status) == ("warn", "pass")
    assert few.advice.startswith("50 held-out simulations are too few")
    assert "hold out more" in few.advice
