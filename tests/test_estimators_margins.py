"""Marginal ratios: each parameter alone, drawn on a grid."""

import numpy as np
import pytest
import torch
from estimators_for_tests import train

from sbi_pipeline import estimators, priors, samplers
from sbi_pipeline.diagnostics.local_calibration import local_test
from sbi_pipeline.diagnostics.ranks import rank
from sbi_pipeline.posterior import log_posterior
from sbi_pipeline.trained import Posterior

NORMAL = {"type": "normal", "mean": 0, "sd": 1}


def correlated(n, noise, seed=0):
    """Return z ~ N(0, I) and x = (z_1 + z_2, z_2) + noise; exact mean and covariance given x."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, 2, generator=generator)
    mixing = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    x = z @ mixing.T + noise * torch.randn(n, 2, generator=generator)
    covariance = torch.linalg.inv(torch.eye(2) + mixing.T @ mixing / noise**2)
    return z, x, x @ mixing @ covariance / noise**2, covariance


def learnt(z, x, epochs=10):
    made = estimators.build("mnre", z, x, seed=1, hidden=32, linear="auto", near="auto")
    train(made, z, x, max_epochs=epochs)
    return made.eval()


@pytest.mark.parametrize("noise", [0.5, 0.005])
def test_margins_are_those_of_the_exact_posterior(noise):
    z, x, _, covariance = correlated(3000, noise)
    made = learnt(z, x, epochs=30)
    _, x, mean, _ = correlated(50, noise, seed=1)
    sd = covariance.diagonal().sqrt()
    assert abs(covariance[0, 1] / sd.prod()) > 0.5
    drawn = samplers.draw(made, x.numpy(), 4000, seed=1).flat(4000)
    off = (drawn.mean(1) - mean.numpy()) / sd.numpy()
    assert np.sqrt(np.mean(off**2)) < 0.1
    assert drawn.std(1) / sd.numpy() == pytest.approx(1, abs=0.1)
    assert abs(np.corrcoef(drawn[0].T)[0, 1]) < 0.06


def test_two_peaks_are_both_drawn_from():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(4000, 1, generator=generator)
    x = z.square() + 0.1 * torch.randn(4000, 1, generator=generator)
    made = learnt(z, x, epochs=30)
    drawn = made.sample_many(4000, torch.tensor([[1.0]]))[0, :, 0]
    assert (drawn > 0).float().mean().item() == pytest.approx(0.5, abs=0.1)
    assert drawn.abs().mean().item() == pytest.approx(1, abs=0.03)


def test_the_density_is_normalised_and_that_of_the_draws():
    z, x, _, _ = correlated(1000, 0.5)
    made = learnt(z, x)
    axis = np.linspace(-6, 6, 400)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(1, -1, 2)
    density = np.exp(log_posterior(made, x[:1].numpy())(grid)).reshape(400, 400)
    assert np.trapezoid(np.trapezoid(density, axis), axis) == pytest.approx(1, abs=1e-3)
    drawn = samplers.draw(made, x[:1].numpy(), 20_000, seed=1).flat(20_000)[0]
    for column, margin in enumerate((density.sum(1), density.sum(0))):
        below = np.interp(drawn[:, column], axis, margin.cumsum() / margin.sum())
        assert below.mean() == pytest.approx(0.5, abs=0.02)
        assert below.var() == pytest.approx(1 / 12, abs=0.004)


def test_a_data_set_seen_once_or_many_times_has_the_same_density():
    z, x, _, _ = correlated(300, 0.5)
    made = learnt(z, x)
    with torch.no_grad():
        one = made.log_prob(z[:20], x[:1])
        many = made.log_prob(z[:20], x[:1].expand(20, 2))
    torch.testing.assert_close(one, many)


def test_nothing_is_said_of_pairs_of_parameters():
    z, x, _, _ = correlated(3000, 0.5)
    prior = priors.build({"a": NORMAL, "b": NORMAL}, ("a", "b"))
    theta, data = z.double().numpy(), x.numpy()
    ranked = rank(Posterior(learnt(z, x), prior, {}), theta[:1000], data[:1000], seed=1)
    assert "joint_ranks" not in ranked
    scores = ranked["scores"].to_numpy()
    found = {
        joint: local_test(
            scores, ("a", "b"), np.exp(-0.5 * (data[:1000] ** 2).sum(axis=1)), joint=joint
        )
        for joint in (True, False)
    }
    assert found[True].p_value < 0.001
    assert found[True].worst == "the correlation of a and b"
    assert found[False].p_value > 0.01
    assert not any("correlation" in each for each in found[False].differences)


def test_draws_say_that_they_are_of_margins():
    z, x, _, _ = correlated(300, 0.5)
    assert samplers.draw(learnt(z, x), x[:1].numpy(), 100, seed=1).facts["margins"]
    npe = estimators.build("npe", z, x, seed=1, hidden=8, transforms=1)
    assert "margins" not in samplers.draw(npe, x[:1].numpy(), 100, seed=1).facts
