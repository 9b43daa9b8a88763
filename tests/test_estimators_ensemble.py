"""Ensembles of one estimator: trained as if alone, weighted by held-out density, drawn as one."""

from dataclasses import replace

import pytest
import torch
from estimators_for_tests import DRAWING, METHODS, counts, gaussian, small, train

from sbi_pipeline import estimators
from sbi_pipeline.estimators.ensemble import share_out, stack


def trio(method, data=gaussian, **options):
    z, x = data(200)
    return z, x, estimators.build(method, z, x, seed=1, members=3, **small(method), **options)


@pytest.mark.parametrize("method", METHODS)
def test_members_are_trained_as_if_alone(method):
    # Without noise in the loss, the gradient of a member's weights is that of the member alone.
    if method in ("fmpe", "cmpe"):
        pytest.skip("has noise in its loss")
    quiet = {"near": 0.0} if method in ("nre", "mnre") else {}
    z, x, ensemble = trio(method, **quiet)
    ensemble.eval().loss(z, x).sum().backward()
    alone = estimators.build(method, z, x, seed=1, **small(method), **quiet)  # the first member
    (alone.loss(z, x).sum() / 3).backward()
    for stacked, (name, weights) in zip(ensemble.stacked, alone.named_parameters(), strict=True):
        torch.testing.assert_close(stacked[0], weights, msg=name)
        torch.testing.assert_close(stacked.grad[0], weights.grad, atol=1e-4, rtol=1e-4)
    assert any(not torch.equal(weights[0], weights[1]) for weights in ensemble.stacked)


@pytest.mark.parametrize("method", METHODS)
def test_an_ensemble_learns_and_is_saved(method, tmp_path):
    z, x, ensemble = trio(method, counts)
    start = [weights.detach().clone() for weights in ensemble.stacked]
    ensemble.traits = replace(
        ensemble.traits, loss_judges=False
    )  # it keeps what it learns, were it worse than the regression
    train(ensemble, z, x, max_epochs=2)
    assert not any(torch.equal(*pair) for pair in zip(start, ensemble.stacked, strict=True))
    estimators.save_estimator(tmp_path / "estimator.pt", ensemble, {})
    again, header = estimators.load_estimator(tmp_path / "estimator.pt")
    assert header["members"] == 3
    for one, other in zip(ensemble.stacked, again.stacked, strict=True):
        assert torch.equal(one, other)
    assert again.traits == estimators.traits(method)


def test_members_learn_from_rows_of_their_own():
    z, x, ensemble = trio("npe")
    seen = []
    ensemble.structure.loss = lambda z, x: seen.append((z, x)) or z.sum(1)
    torch.manual_seed(1)
    losses = torch.stack([ensemble.train().loss(z, x) for _ in range(50)])
    assert losses.shape == (50, 80)
    torch.testing.assert_close(losses.mean(), z.sum(1).mean(), atol=0.05, rtol=0)
    assert ensemble.eval().loss(z, x).shape == (200,)


def test_rows_keep_their_weights_whichever_members_learn_from_them():
    z, x, ensemble = trio("npe")
    ensemble.structure.loss = lambda z, x: z.sum(1)
    weight = z.sum(1).exp()
    expected = weight * z.sum(1)
    torch.testing.assert_close(ensemble.eval().weighted_loss(z, x, weight), expected)
    torch.manual_seed(1)
    losses = torch.stack([ensemble.train().weighted_loss(z, x, weight) for _ in range(200)])
    torch.testing.assert_close(losses.mean(), expected.mean(), atol=0, rtol=0.05)


def test_the_mixture_is_weighted_by_held_out_density():
    z, x, ensemble = trio("npe")
    with torch.no_grad():  # make the second member certain, and wrong
        for name, weights in zip(ensemble.names, ensemble.stacked, strict=True):
            if name.endswith("net.last.bias"):
                weights[1] += 3.0
    ensemble.eval().weigh(z, x)
    assert ensemble.mixture.sum().item() == pytest.approx(1)
    assert ensemble.mixture[1] < 0.02
    draws = ensemble.sample_many(1000, x[:2])
    assert draws.shape == (2, 1000, 2)


def test_stacking_finds_the_weights_of_a_mixture():
    generator = torch.Generator().manual_seed(1)
    one = torch.rand(20_000, generator=generator) < 0.7
    x = torch.randn(20_000, generator=generator) + torch.where(one, 2.0, -2.0)
    log_prob = -0.5 * torch.stack([(x - 2) ** 2, (x + 2) ** 2, (x - 9) ** 2], 1)
    weights = stack(log_prob)
    torch.testing.assert_close(weights, torch.tensor([0.7, 0.3, 0.0]), atol=0.01, rtol=0)


@pytest.mark.parametrize("method", ["nre", "cmpe"])
def test_what_has_no_density_is_mixed_equally(method):
    z, x, ensemble = trio(method)
    ensemble.weigh(z, x)
    torch.testing.assert_close(ensemble.mixture, torch.full((3,), 1 / 3))


def test_draws_are_shared_out_by_weight():
    torch.manual_seed(1)
    counts = torch.tensor([share_out(10, torch.tensor([0.55, 0.45, 0.0])) for _ in range(400)])
    assert (counts.sum(1) == 10).all()
    assert (counts[:, 2] == 0).all()
    assert set(counts[:, 0].tolist()) == {5, 6}
    assert counts[:, 0].double().mean().item() == pytest.approx(5.5, abs=0.1)


@pytest.mark.parametrize("method", ["npe", "nle"])
def test_an_ensemble_is_the_mixture_of_its_members(method):
    z, x, ensemble = trio(method)
    ensemble.mixture.copy_(torch.tensor([0.5, 0.3, 0.2]))
    densities = []
    for index in range(3):
        alone = estimators.build(method, z, x, seed=1, **small(method))
        weights = [stacked[index] for stacked in ensemble.stacked]
        alone.load_state_dict(dict(zip(ensemble.names, weights, strict=True)), strict=False)
        densities.append(alone.log_prob(z, x).exp())
    mean = (ensemble.mixture[:, None] * torch.stack(densities)).sum(0)
    torch.testing.assert_close(ensemble.log_prob(z, x).exp(), mean)


@pytest.mark.parametrize("method", DRAWING)
def test_an_ensemble_draws_from_all_members(method):
    _, x, ensemble = trio(method)
    torch.manual_seed(1)
    parts = torch.cat(ensemble._of_each("sample_many", 4, x[:2]), 1)  # 4 draws a member
    torch.manual_seed(1)
    draws = ensemble.sample_many(12, x[:2])
    assert torch.equal(draws.sort(1).values, parts.sort(1).values)
    assert not torch.equal(draws, parts)
    assert ensemble.sample_many(10, x[:2]).shape == (2, 10, 2)


def test_an_ensemble_needs_members():
    z, x = gaussian(50)
    with pytest.raises(ValueError, match="members is 0; at least 1 is wanted"):
        estimators.build("npe", z, x, seed=1, members=0)
