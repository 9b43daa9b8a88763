"""The energy score knows the best draws; the sweep counts network calls."""

import numpy as np
import pytest
import torch

from sbi_pipeline import estimators
from sbi_pipeline.diagnostics import steps


def test_the_energy_score_is_least_for_the_true_posterior():
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(4000, 2))

    def score(width, shift):
        return steps.energy_score(shift + width * rng.normal(size=(4000, 30, 2)), truth).mean()

    # Two draws of N(0, I) in two dimensions are sqrt(pi) apart on average.
    assert score(1.0, 0.0) == pytest.approx(np.sqrt(np.pi) / 2, abs=0.03)
    assert score(1.0, 0.0) < min(score(0.7, 0.0), score(1.4, 0.0), score(1.0, 0.5))


@pytest.mark.parametrize("members", [1, 3])
def test_a_sweep_takes_the_number_of_steps_it_says(members, monkeypatch):
    z, x = torch.randn(100, 2), torch.randn(100, 2)
    cmpe = estimators.build("cmpe", z, x, seed=1, members=members, hidden=8, blocks=1).eval()
    calls = []
    made_of = cmpe.structure if members > 1 else cmpe
    origin = made_of.origin
    monkeypatch.setattr(made_of, "origin", lambda *given: calls.append(1) or origin(*given))
    found = steps.sweep(cmpe, x.numpy(), z.numpy(), seed=1, draws=30, simulations=20)
    assert len(calls) == members * sum(steps.STEPS)
    assert list(found["steps"]) == list(steps.STEPS)
    assert np.isfinite(found).all()
    again = steps.sweep(cmpe, x.numpy(), z.numpy(), seed=1, draws=30, simulations=20)
    np.testing.assert_array_equal(found, again)
