"""Networks, scales and regressions where elements of the data are missing."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
import torch

from sbi_pipeline import estimators
from sbi_pipeline.diagnostics.data_path import data_path
from sbi_pipeline.diagnostics.in_distribution import Reference, in_distribution
from sbi_pipeline.diagnostics.missing_elements import judge_missing_elements
from sbi_pipeline.diagnostics.predictive import typicality
from sbi_pipeline.networks.conditioned import conditioned_line
from sbi_pipeline.networks.conditioning import Conditioner
from sbi_pipeline.networks.encoders import Encoder
from sbi_pipeline.networks.gapped_regression import GappedRegression, PerDataSet
from sbi_pipeline.networks.masks import what_masks_tell
from sbi_pipeline.networks.scaling import Standardise, choose_transform, constant_columns
from sbi_pipeline.training.learning import look_at_masks

METHODS = ("npe", "nle", "nre", "mnre", "fmpe", "cmpe")
SLOPE = np.random.default_rng(1).normal(size=(6, 2))
NOISE = 0.3 + 0.4 * np.eye(6)


def pairs(n: int, share: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw z from N(0, I), x from N(SLOPE z, NOISE), and take a share of x away."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 2))
    x = z @ SLOPE.T + rng.normal(size=(n, 6)) @ np.linalg.cholesky(NOISE).T
    x[rng.random(x.shape) < share] = np.nan
    return torch.tensor(z, dtype=torch.float32), torch.tensor(x, dtype=torch.float32)


def exact(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and covariance of z given what is there of one data set."""
    there = np.isfinite(x)
    slope, noise = SLOPE[there], NOISE[np.ix_(there, there)]
    covariance = np.linalg.inv(np.eye(2) + slope.T @ np.linalg.solve(noise, slope))
    return covariance @ slope.T @ np.linalg.solve(noise, x[there]), covariance


def test_scales_are_those_of_what_is_there() -> None:
    x = torch.randn(500, 3, generator=torch.Generator().manual_seed(1)).double() * 3 + 7
    gapped = x.clone()
    gapped[::3, 0] = torch.nan
    gapped[:, 2] = torch.nan
    scale = Standardise((3,))
    scale.fit(gapped)
    there = x[torch.arange(500) % 3 != 0, 0]
    assert scale.mean[0] == pytest.approx(float(there.mean()))
    assert scale.sd[0] == pytest.approx(float(there.std()))
    assert (scale.mean[2], scale.sd[2]) == (0, 1)
    assert torch.equal(scale(gapped).isnan(), gapped.isnan())
    assert torch.isfinite(scale.log_det(gapped)).all()


def test_transforms_and_constant_columns_do_not_look_at_gaps() -> None:
    x = torch.exp(3 * torch.randn(4000, 2, generator=torch.Generator().manual_seed(1)))
    assert choose_transform(x) == "log"
    x[torch.rand(x.shape, generator=torch.Generator().manual_seed(2)) < 0.8] = torch.nan
    assert choose_transform(x) == "log"
    counts = torch.tensor([[1.0, torch.nan], [4.0, 3.0]])
    assert choose_transform(counts) == "log1p"
    assert constant_columns(
        torch.tensor([[torch.nan, 1.0], [5.0, 2.0], [5.0, torch.nan]])
    ).tolist() == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("shape", "embedding", "seen"),
    [
        ((7,), "none", (2, 7)),
        ((7,), "mlp", (2, 7)),
        ((9,), "cnn1d", (2, 9)),
        ((3, 9), "cnn1d", (6, 9)),
        ((6, 6), "cnn2d", (2, 6, 6)),
        ((3, 6, 6), "cnn2d", (6, 6, 6)),
    ],
)
def test_embeddings_see_zeros_and_a_mask(
    shape: tuple[int, ...], embedding: str, seen: tuple[int, ...]
) -> None:
    encoder = Encoder(shape, embedding=embedding, gaps=True)
    x = torch.randn(5, *shape)
    x[:, ..., 0] = torch.nan
    told: list[torch.Tensor] = []
    encoder.embedding.register_forward_pre_hook(lambda _, given: told.append(given[0]))
    encoder.fit_scales(x)
    assert torch.isfinite(encoder(x)).all()
    assert told[0].shape == (5, *seen)
    values, mask = told[0].flatten(1).chunk(2, 1)
    assert torch.equal(mask.bool(), ~x.flatten(1).isnan())
    assert (values[~mask.bool()] == 0).all()


@pytest.mark.parametrize("embedding", ["deep_set", "set_transformer", "point_cloud"])
def test_an_event_that_lacks_something_is_left_out_of_its_set(embedding: str) -> None:
    encoder = Encoder((5, 2), embedding=embedding, gaps=True)
    x = torch.randn(4, 5, 2)
    x[:, 3, 1] = torch.nan
    encoder.fit_scales(x)
    other = x.clone()
    other[:, 3, 0] = 100.0
    np.testing.assert_allclose(encoder(x).detach(), encoder(other).detach(), atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_the_linear_start_is_exact_for_any_mask(share: float) -> None:
    z, x = pairs(20_000, 0.5)
    start = PerDataSet(6, 2)
    start.fit(x, z)
    _, some = pairs(200, share, seed=2)
    mean, root = start.posterior(some)
    known = [exact(x_o) for x_o in some.double().numpy()]
    wanted, sd = (
        np.stack(each)
        for each in zip(*((mean, np.sqrt(np.diag(spread))) for mean, spread in known), strict=True)
    )
    assert np.sqrt(np.mean(((mean.numpy() - wanted) / sd) ** 2)) < 0.05
    np.testing.assert_allclose(np.sqrt((root.numpy() ** 2).sum(2)) / sd, 1, atol=0.05)


def test_the_density_of_what_is_there_is_exact_too() -> None:
    z, x = pairs(20_000, 0.4)
    start = GappedRegression(6, 2)
    start.fit(x, z)
    white, log_slopes = start.residual(x, z)
    there = ~x.isnan()
    found = log_slopes.sum(1) - 0.5 * white.square().sum(1)
    for i in range(50):
        mask = there[i].numpy()
        rest = (x[i].double().numpy() - SLOPE @ z[i].double().numpy())[mask]
        noise = NOISE[np.ix_(mask, mask)]
        wanted = -0.5 * rest @ np.linalg.solve(noise, rest) - 0.5 * np.linalg.slogdet(noise)[1]
        assert float(found[i]) == pytest.approx(wanted, abs=0.2)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_the_start_is_exact_for_any_mask_and_known_noise(share: float) -> None:
    """The logarithm of the noise is linear in what is known; the slope is not."""
    z, x = pairs(20_000, 0.0)
    known = 3 * torch.rand(len(z), 1, generator=torch.Generator().manual_seed(3)) - 1.5
    size = (0.5 * known).exp()
    x = size * x + (1 - size) * (z @ torch.tensor(SLOPE.T).float())  # noise alone is scaled
    x[torch.rand(x.shape, generator=torch.Generator().manual_seed(4)) < share] = torch.nan
    start = PerDataSet(6, 2, conditioned_line(6, 2, 1))
    start.fit(torch.cat((known, x), 1), z)
    some = slice(0, 300)
    mean, root = start.posterior(torch.cat((known, x), 1)[some])
    white, log_slopes = start.residual(torch.cat((known, x), 1)[some], z[some])
    off = []
    for i in range(300):
        there = ~x[i].isnan().numpy()
        slope, scale = SLOPE[there], float(size[i])
        noise = NOISE[np.ix_(there, there)] * scale**2
        covariance = np.linalg.inv(np.eye(2) + slope.T @ np.linalg.solve(noise, slope))
        wanted = covariance @ slope.T @ np.linalg.solve(noise, x[i].double().numpy()[there])
        sd = np.sqrt(np.diag(covariance))
        assert np.abs((mean[i].numpy() - wanted) / sd).max() < 0.2
        np.testing.assert_allclose(np.sqrt((root[i].numpy() ** 2).sum(1)) / sd, 1, atol=0.07)
        rest = x[i].double().numpy()[there] - slope @ z[i].double().numpy()
        log_density = -0.5 * rest @ np.linalg.solve(noise, rest)
        log_density -= 0.5 * np.linalg.slogdet(noise)[1]
        found = log_slopes[i].sum() - 0.5 * white[i].square().sum()
        off.append(float(found) - log_density)
    assert np.sqrt(np.mean(np.square(off))) < 0.15


@pytest.mark.parametrize("known", [0, 1])
def test_what_whitens_is_undone(known: int) -> None:
    z, x = pairs(500, 0.4)
    x = torch.cat((z[:, :known], x), 1)
    conditioner = Conditioner(2, (6,), known=known, linear=True, gaps=True)
    assert isinstance(conditioner.linear, PerDataSet)
    conditioner.fit_scales(z, x)
    context = conditioner(x)
    assert context.shape == (500, conditioner.out_dim)
    rest = conditioner.whiten(z, context)
    np.testing.assert_allclose(conditioner.restore(rest[:, None], context)[:, 0], z, atol=1e-4)
    one = conditioner.whiten(z, context[:1])
    np.testing.assert_allclose(conditioner.restore(one[None], context[:1])[0], z, atol=1e-4)
    log_det = conditioner.log_det(context)
    assert isinstance(log_det, torch.Tensor)
    np.testing.assert_allclose(
        log_det,
        -conditioner.linear.root_of(context[:, -conditioner.linear.columns :]).logdet(),
        atol=1e-4,
    )


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_and_draws_with_gaps(method: str, members: int) -> None:
    z, x = pairs(60, 0.4)
    made = estimators.build(method, z, x, seed=1, gaps=True, members=members)
    made.train()
    loss = made.loss(z, x)
    assert torch.isfinite(loss).all()
    loss.mean().backward()
    gradients = [each.grad for each in made.parameters() if each.grad is not None]
    assert gradients
    assert all(torch.isfinite(each).all() for each in gradients)
    made.eval()
    if made.traits.density:
        assert torch.isfinite(made.log_prob(z[:9], x[:9])).all()
        assert torch.isfinite(made.log_prob(z[:9], x[:1])).all()
    if made.traits.draws:
        assert torch.isfinite(made.sample_many(5, x[:3])).all()


@pytest.mark.parametrize("method", METHODS)
def test_gaps_and_known_conditions_go_together(method: str) -> None:
    z, x = pairs(60, 0.4)
    rows = torch.cat((torch.randn(60, 1), x), 1)
    told = {"gaps": True, "conditions": 1, "x_shape": (6,), "linear": True}
    made = estimators.build(method, z, rows, seed=1, **told)
    assert torch.isfinite(made.loss(z, rows)).all()
    if made.traits.density:
        assert torch.isfinite(made.log_prob(z[:9], rows[:1])).all()
    if made.traits.draws:
        assert torch.isfinite(made.sample_many(5, rows[:3])).all()


def test_wide_data_start_from_what_is_there_and_the_mask() -> None:
    torch.manual_seed(1)
    z = torch.randn(2000, 1)
    x = 0.3 * z + torch.randn(2000, 100)
    x[torch.rand_like(x) < 0.3] = torch.nan
    made = estimators.build("npe", z, x, seed=1, gaps=True)
    assert made.spec["network"]["linear"]
    before = made.loss(z, x).detach().mean()
    assert float(before) < 1.0  # of a prior that is not learnt from, 1.42 nats


def test_a_mask_that_depends_on_a_value_is_informative_and_one_by_chance_is_not() -> None:
    z, x = pairs(5000, 0.0)
    rng = np.random.default_rng(3)
    by_chance = torch.tensor(rng.random(x.shape) < 0.3)
    found = what_masks_tell(z, by_chance)
    assert found.share == pytest.approx(0.3, abs=0.02)
    assert not found.is_certain
    assert what_masks_tell(z, x > 1).is_certain
    nonlinear = what_masks_tell(z, x.abs() > 1)
    assert nonlinear.is_certain
    assert not what_masks_tell(z, torch.zeros_like(by_chance)).is_certain


def test_log_and_page_say_that_a_mask_is_informative(caplog: pytest.LogCaptureFixture) -> None:
    z, x = pairs(3000, 0.3)
    caplog.set_level("INFO")
    for data, words in ((x, "says nothing"), (torch.where(x > 1, torch.nan, x), "is informative")):
        caplog.clear()
        found = look_at_masks(z, data)
        assert words in caplog.text
        check = judge_missing_elements(asdict(found), "npe")
        assert words in check.advice
        assert check.status == "pass"


def test_nle_learns_masks_that_are_informative_alone() -> None:
    z, x = pairs(3000, 0.3)
    assert estimators.build("nle", z, x, seed=1, gaps=True).spec["network"]["masks"] is None
    blind = torch.where(x > 1, torch.nan, x)
    blind[:, 2] = torch.where(x[:, 2] > 0, torch.nan, 5.0)  # saturated: only its mask tells
    found = estimators.build("nle", z, blind, seed=1, gaps=True).spec["network"]
    assert found["masks"] == list(range(6))
    assert 2 not in found["columns"]


def test_an_observation_is_compared_in_what_it_has() -> None:
    rng = np.random.default_rng(1)
    x, x_o = rng.normal(size=(800, 8)), rng.normal(size=8)
    x_o[2:5] = np.nan
    there = np.isfinite(x_o)
    assert typicality(x, x_o) == typicality(x[:, there], x_o[there])
    assert data_path(x, x_o, {}, []) == data_path(x[:, there], x_o[there], {}, [])
    x_o[[0, 1, 5, 6]] = 9.0
    assert typicality(x, x_o).p_value < 0.005
    missing = np.full(801, 3 / 8)
    assert in_distribution(x, x_o, missing=missing).p_value < 0.01
    more, missing[0] = np.where(np.arange(8) < 7, np.nan, 0.0), 7 / 8
    assert in_distribution(x, more, missing=missing).p_values["missing elements"] < 0.005


def test_p_values_with_gaps_are_uniform() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(1600, 6))
    x[rng.random(x.shape) < 0.3] = np.nan
    found = Reference(x[:1200]).p_values(x[1200:])
    assert np.mean(found) == pytest.approx(0.5, abs=0.06)
    alone = [in_distribution(x[:200], each).p_value for each in x[1200:1260]]
    assert np.mean(alone) == pytest.approx(0.5, abs=0.12)
