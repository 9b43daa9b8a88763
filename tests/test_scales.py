"""Units, shifts, long vectors and many weak columns: posteriors beside exact ones."""

import math

import numpy as np
import pytest
import torch
from estimators_for_tests import METHODS, gaussian, small, train

from sbi_pipeline import estimators
from sbi_pipeline.posterior import log_posterior

NORMAL = torch.distributions.Normal(0.0, 1.0)
GRID = torch.linspace(-4, 4, 40_001)[:, None]
UNITS = [(1e-30, 0.0), (1e30, 0.0), (1e-200, 0.0), (1.0, 1e6), (1e-6, 1.0)]


def moments(estimator, x_o):
    """Return mean and sd of each parameter in normal space, by draws, or on a grid of one."""
    torch.manual_seed(1)
    if estimator.traits.draws:
        with torch.no_grad():
            draws = estimator.eval().sample(8000, x_o)
        return draws.mean(0), draws.std(0)
    log_density = log_posterior(estimator.eval(), x_o[None].numpy())(GRID[None].numpy())[0]
    weight = torch.as_tensor(np.exp(log_density - log_density.max()))[:, None]
    mean = (weight * GRID).sum(0) / weight.sum()
    return mean, ((weight * (GRID - mean) ** 2).sum(0) / weight.sum()).sqrt()


@pytest.mark.parametrize(("unit", "shift"), UNITS)
@pytest.mark.parametrize("transform", ["none", "asinh"])
def test_what_a_network_sees_has_no_units(unit, shift, transform):
    z, x = gaussian(500)
    x = x.double()
    for method in METHODS:
        torch.manual_seed(1)
        options = {"transform": transform, **small(method)}
        one, other = (
            estimators.build(method, z, data, seed=1, **options).eval()
            for data in (x, shift + unit * x)
        )
        torch.manual_seed(1)
        loss = one.loss(z, x)
        torch.manual_seed(1)
        again = other.loss(z, shift + unit * x)
        nats = 2 * math.log(unit) if method == "nle" else 0.0
        torch.testing.assert_close(again, loss + nats, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("unit", [1e-25, 1e25])
def test_single_precision_has_no_units_either(unit):
    z, x = gaussian(500)
    one, other = (estimators.build("npe", z, data, seed=1) for data in (x, unit * x))
    torch.testing.assert_close(other.loss(z, unit * x), one.loss(z, x), atol=1e-3, rtol=1e-3)


def fluxes(m, draws=None):
    """Return five fluxes of an object of magnitude m, ``(n, 5)``, with 5 % of noise."""
    x = 10 ** (-0.4 * (m + torch.tensor([0.0, 0.2, 0.4, 0.6, 0.8]) + 48.6).double())
    return x if draws is None else x * (1 + 0.05 * torch.randn(x.shape, generator=draws))


def magnitudes(n, seed=1):
    """Return magnitudes uniform from 20 to 32 in normal space, and fluxes."""
    draws = torch.Generator().manual_seed(seed)
    z = torch.randn(n, 1, generator=draws)
    return z, fluxes(20 + 12 * NORMAL.cdf(z), draws)


@pytest.mark.parametrize("method", ["npe", "nle"])
@pytest.mark.parametrize("unit", [1.0, 1e30, -1.0])
def test_logarithms_are_taken_where_they_help(method, unit):
    z, x = magnitudes(1000)
    chosen = estimators.build(method, z, unit * x, seed=1, **small(method)).spec["network"]
    assert chosen["transform"] == "log"


@pytest.mark.parametrize("method", ["npe", "nle"])
def test_a_transform_that_makes_all_data_the_same_is_refused(method):
    z, x = magnitudes(500)
    with pytest.raises(ValueError, match=r"transform sqrt is for counts.* 5 of 5 columns.*e-33"):
        estimators.build(method, z, x, seed=1, transform="sqrt")
    estimators.build(method, z, x * 1e28, seed=1, transform="sqrt")


@pytest.mark.parametrize(
    ("transform", "below"), [("sqrt", "zero"), ("log1p", "zero"), ("log", "half the smallest")]
)
def test_what_a_transform_does_not_see_is_told(transform, below, caplog):
    z, x = gaussian(500)
    npe = estimators.build("npe", z, x, seed=1, transform=transform)
    assert f"{transform}: {int((x <= 0).sum())} of {x.numel()} training values" in caplog.text
    assert f"count as {below}" in caplog.text
    observed = torch.full_like(x[0], -1.0)
    assert (
        f"{len(observed)} of {len(observed)} values of x are below {below}"
        in npe.doubts(observed)[0]
    )


@pytest.mark.parametrize("shift", [6.0, 1e6])
def test_logarithms_are_not_taken_where_they_do_not_help(shift):
    z, x = gaussian(1000)
    chosen = estimators.build("npe", z, shift + x.double().clamp(min=-5), seed=1).spec["network"]
    assert chosen["transform"] == "none"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("method", ["npe", "nle"])
def test_fluxes_over_five_decades(method):
    z, x = magnitudes(5000)
    estimator = estimators.build(method, z, x, seed=1)
    train(estimator, z, x, max_epochs=None, batch_size=None)
    exact_sd = 0.05 * 2.5 / math.log(10) / math.sqrt(5)
    for m in (22.0, 30.0):
        mean, sd = moments(estimator, fluxes(torch.tensor([[m]]))[0])
        slope = 12 * NORMAL.log_prob(mean).exp()
        assert (20 + 12 * NORMAL.cdf(mean)).item() == pytest.approx(m, abs=0.15 * exact_sd)
        assert (slope * sd).item() == pytest.approx(exact_sd, rel=0.1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_thousand_weak_columns():
    draws = torch.Generator().manual_seed(1)
    z = torch.randn(10_000, 1, generator=draws)
    x = 0.05 * z + torch.randn(10_000, 1000, generator=draws)
    npe = estimators.build("npe", z, x, seed=1)
    train(npe, z, x, max_epochs=None, batch_size=None)
    exact_sd = (1 + 1000 * 0.05**2) ** -0.5
    off = []
    for truth in torch.linspace(-1, 1, 20).tolist():
        x_o = 0.05 * truth + torch.randn(1000, generator=draws)
        mean, sd = moments(npe, x_o)
        assert sd.item() == pytest.approx(exact_sd, rel=0.1)
        off.append((mean.item() - exact_sd**2 * 0.05 * x_o.sum().item()) / exact_sd)
    assert abs(np.mean(off)) < 0.15
    assert np.std(off) < 0.15


LENGTH = 16_384
TIMES = torch.linspace(0, 1, LENGTH)


def sine(z):
    """Return a sine of amplitude, frequency and phase, ``(n, LENGTH)``."""
    angle = 2 * torch.pi * (3 + 0.2 * z[:, 1:2]) * TIMES + 0.3 * z[:, 2:]
    return (1 + 0.1 * z[:, :1]) * angle.sin()


def exact_moments(x_o, truth, noise):
    """Return mean and sd of the posterior, ``(3,)`` both, by importance sampling about the peak."""
    at = truth.clone().double()
    for _ in range(8):
        slope = torch.func.jacfwd(lambda z: sine(z[None])[0])(at)
        precision = slope.T @ slope / noise**2 + torch.eye(3)
        at = at + torch.linalg.solve(precision, slope.T @ (x_o - sine(at[None])[0]) / noise**2 - at)
    root = torch.linalg.inv(torch.linalg.cholesky(precision)).T
    e = torch.randn(2000, 3, generator=torch.Generator().manual_seed(5)).double()
    z = at + e @ root.T
    fit = torch.cat([(x_o - sine(part)).square().sum(1) for part in z.split(200)])
    log_weight = -0.5 * fit / noise**2 - 0.5 * z.square().sum(1) + 0.5 * e.square().sum(1)
    weight = log_weight.softmax(0)[:, None]
    mean = (weight * z).sum(0)
    return mean, (weight * (z - mean) ** 2).sum(0).sqrt()


@pytest.mark.study
@pytest.mark.timeout(1800)
@pytest.mark.xfail(
    reason="of twelve others sds are 1.05 to 1.11 of the exact ones, means off by 0.2 to 0.5 sd"
)
def test_a_sine_of_sixteen_thousand_samples():
    noise = 1.0
    draws = torch.Generator().manual_seed(1)
    z = torch.randn(5000, 3, generator=draws)
    x = noise * torch.randn(5000, LENGTH, generator=draws)
    for part in torch.arange(5000).split(500):
        x[part] += sine(z[part])
    npe = estimators.build("npe", z, x, seed=1)
    assert npe.spec["network"]["summaries"]["name"] == "svd"
    train(npe, z, x, max_epochs=None, batch_size=None)
    for truth in torch.tensor([[0.0, 0.0, 0.0], [0.7, -0.5, 0.5]]):
        x_o = sine(truth[None])[0] + noise * torch.randn(LENGTH, generator=draws)
        mean, sd = moments(npe, x_o)
        exact_mean, exact_sd = exact_moments(x_o.double(), truth, noise)
        torch.testing.assert_close(sd.double() / exact_sd, torch.ones(3).double(), atol=0.1, rtol=0)
        off = (mean - exact_mean) / exact_sd
        torch.testing.assert_close(off, torch.zeros(3).double(), atol=0.15, rtol=0)
