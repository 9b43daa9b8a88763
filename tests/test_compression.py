"""Summaries of long vectors: axes, what they keep, and what is chosen."""

import pytest
import torch
from estimators_for_tests import gaussian, small, train

from sbi_pipeline import estimators
from sbi_pipeline.networks.compression import (
    SUMMARIES,
    Compression,
    leading_axes,
    n_effects,
)
from sbi_pipeline.networks.least_squares import best_fit, steps_of_fit


def long(n, length, noise=0.5):
    """Return z and vectors in which a bump of amplitude and place stands on noise."""
    draws = torch.Generator().manual_seed(0)
    z = torch.randn(n, 2, generator=draws)
    times = torch.linspace(-3, 3, length)
    x = (1 + 0.3 * z[:, :1]) * (-((times - 0.3 * z[:, 1:]) ** 2)).exp()
    return z, x + noise * torch.randn(n, length, generator=draws)


def test_axes_are_the_principal_components():
    _, x = long(500, 80)
    x = x - x.mean(0)
    axes = leading_axes(lambda: iter(x.split(90)), 4)
    exact = torch.linalg.svd(x, full_matrices=False).Vh[:4].T
    torch.testing.assert_close(axes.T @ axes, torch.eye(4), atol=1e-4, rtol=0)
    assert (axes.T @ exact).diagonal().abs()[:2].min() > 0.999


def test_steps_end_at_least_squares():
    draws = torch.Generator().manual_seed(1)
    inputs, outputs = (torch.randn(200, k, generator=draws).double() for k in (8, 2))
    *_, last = steps_of_fit(inputs, outputs, 12)
    torch.testing.assert_close(
        last, torch.linalg.lstsq(inputs, outputs).solution, atol=1e-5, rtol=0
    )


def test_noise_is_not_fitted():
    draws = torch.Generator().manual_seed(1)
    weight, explained = best_fit(*(torch.randn(400, k, generator=draws) for k in (800, 2)))
    assert explained.max() < 0.05
    assert weight.norm() < 0.3


@pytest.mark.parametrize("name", SUMMARIES)
def test_summaries_have_unit_variance_whatever_the_units(name):
    z, x = long(800, 200)
    made = []
    for unit in (1.0, 1e-30):
        torch.manual_seed(1)
        compression = Compression((200,), 2, name=name, components=4)
        summaries = compression.fit_to(z, 7 * unit + unit * x.double())
        again = compression(7 * unit + unit * x.double())
        torch.testing.assert_close(again, summaries, atol=1e-4, rtol=1e-3)
        made.append(summaries)
    wanted = {"svd": 13, "regression": n_effects(2), "both": 13 + n_effects(2)}[name]
    assert made[0].shape == (800, wanted)
    torch.testing.assert_close(made[0], made[1], atol=1e-3, rtol=1e-3)
    some = made[0][:, : wanted - (name != "regression")]
    some = some[:, some.std(0) > 0]
    torch.testing.assert_close(some.std(0), torch.ones(some.shape[1]), atol=1e-3, rtol=0)


def test_rows_fitted_to_look_like_others():
    z, x = long(4000, 4000, noise=2)
    compression = Compression((4000,), 2, name="svd", components=2)
    seen = compression.fit_to(z[:600], x[:600])
    assert compression.lean[1] > 1.2
    unseen = compression.eval()(x[600:])
    torch.testing.assert_close(unseen.std(0), seen.std(0), atol=0.1, rtol=0)


@pytest.mark.parametrize("method", ["npe", "nle", "fmpe"])
def test_long_vectors_are_summarised_and_saved(method, tmp_path):
    z, x = long(1000, 1200)
    made = estimators.build(method, z, x, seed=1, columns="all", **small(method))
    chosen = made.spec["network"]["summaries"]
    assert chosen["name"] == "svd"
    assert 2 <= chosen["components"] <= 6
    train(made, z, x, max_epochs=1)
    estimators.save_estimator(tmp_path / "estimator.pt", made, {})
    again, _ = estimators.load_estimator(tmp_path / "estimator.pt")
    torch.manual_seed(1)
    loss = made.eval().loss(z[:9], x[:9])
    torch.manual_seed(1)
    torch.testing.assert_close(again.loss(z[:9], x[:9]), loss)


def test_a_level_of_noise_is_kept_or_nothing_is_compressed():
    draws = torch.Generator().manual_seed(1)
    z = torch.randn(1000, 1, generator=draws)
    noise = (0.3 * z).exp() * torch.randn(1000, 1200, generator=draws)
    bump = torch.randn(1000, 1, generator=draws) * torch.linspace(-3, 3, 1200).square().neg().exp()
    made = estimators.build("npe", z, noise + bump, seed=1)
    assert made.spec["network"]["summaries"]["name"] == "svd"
    level = made.conditioner._parts(noise + bump)[1][:, -1:]
    assert torch.corrcoef(torch.cat((z, level), 1).T)[0, 1] > 0.95
    part = torch.where(torch.arange(1200) < 40, (0.3 * z).exp(), 1.0)
    other = part * torch.randn(1000, 1200, generator=draws) + bump
    chosen = estimators.build("npe", z, other, seed=1, columns="all").spec["network"]
    assert "summaries" not in chosen


def test_a_level_of_noise_without_any_component_is_a_summary():
    draws = torch.Generator().manual_seed(1)
    z = torch.randn(1000, 1, generator=draws)
    noise = (0.25 * z).exp() * torch.randn(1000, 600, generator=draws)
    made = estimators.build("npe", z, noise, seed=1)
    assert made.spec["network"]["summaries"]["name"] == "svd"
    level = made.conditioner._parts(noise)[1][:, -1:]
    assert torch.corrcoef(torch.cat((z, level), 1).T)[0, 1] > 0.95
    silent = torch.randn(1000, 600, generator=draws)
    assert "summaries" not in estimators.build("npe", z, silent, seed=1).spec["network"]


def test_short_vectors_are_not_summarised_unasked():
    z, x = gaussian(300)
    assert "summaries" not in estimators.build("npe", z, x, seed=1).spec["network"]
    asked = estimators.build("npe", z, x, seed=1, summaries="svd").spec["network"]
    assert asked["summaries"] == {"name": "svd"}


def test_summaries_have_no_order():
    z, x = gaussian(300)
    with pytest.raises(ValueError, match="summaries have no order or shape, which cnn1d wants"):
        estimators.estimator_class("npe").check(
            (300,), embedding="cnn1d", columns=None, summaries="svd"
        )
    made = estimators.build("npe", z, x, seed=1, summaries=None)
    assert "summaries" not in made.spec["network"]
