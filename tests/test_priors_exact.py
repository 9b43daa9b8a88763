"""Posteriors under priors of awkward form, against exact ones: circles, simplices, times of day."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from sbi_pipeline import estimators, priors, samplers
from sbi_pipeline.priors.circles import circular_mean, circular_sd, periodic_columns
from sbi_pipeline.training.fit import fit
from sbi_pipeline.types import Array, Prior

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
ROWS = 20_000
Simulate = Callable[[Array, np.random.Generator], Array]


def trained(method: str, entries: Mapping[str, Any], simulate: Simulate) -> tuple[Any, Prior]:
    prior = priors.build(entries, tuple(entries))
    rng = np.random.default_rng(1)
    theta = prior.from_uniform(rng.random((ROWS, len(prior.names))))
    z = torch.from_numpy(prior.to_normal(theta)).float()
    x = torch.from_numpy(simulate(theta, rng))
    made = estimators.build(method, z, x, seed=1, periodic=periodic_columns(prior))
    held_out = np.arange(ROWS) % 10 == 0
    options = {"seed": 1, "progress": False, "device": "cpu"}
    fit(made, z, x, train=~held_out, validation=held_out, **options)
    return made, prior


def draws(made: Any, prior: Prior, x: Array) -> Array:
    drawn = samplers.draw(made, x[None], 10_000, seed=1, prior=prior)
    assert drawn.converged.all()
    return prior.from_normal(drawn.flat(10_000)[0])


def check(found: Array, mean: float, sd: float, *, about: float = 0.15) -> None:
    assert found.mean() == pytest.approx(mean, abs=about * sd)
    assert found.std() == pytest.approx(sd, rel=0.1)


# A phase ------------------------------------------------------------------------------------------

TURN = (0.0, 2 * np.pi)


def circle(theta: Array, rng: np.random.Generator) -> Array:
    points = np.stack([np.cos(theta[:, 0]), np.sin(theta[:, 0])], axis=1)
    return points + 0.1 * rng.normal(size=points.shape)


OTHERS = [pytest.param(each, marks=pytest.mark.study) for each in ("nre", "fmpe", "cmpe", "mnre")]


@pytest.mark.parametrize("method", ["npe", "nle", *OTHERS])
def test_a_phase_at_the_cut_and_opposite_to_it(method: str) -> None:
    entries = {"phase": {"type": "uniform", "min": 0, "max": "2 * pi", "periodic": True}}
    made, prior = trained(method, entries, circle)
    grid = np.linspace(0, 2 * np.pi, 4001)[:-1]
    for truth in (0.02, np.pi):
        x = circle(np.array([[truth]]), np.random.default_rng(5))[0]
        likelihood = np.exp(-0.5 * ((np.cos(grid) - x[0]) ** 2 + (np.sin(grid) - x[1]) ** 2) / 0.01)
        mean = np.angle(np.average(np.exp(1j * grid), weights=likelihood))
        length = abs(np.average(np.exp(1j * grid), weights=likelihood))
        sd = np.sqrt(-2 * np.log(length))
        found = draws(made, prior, x)[:, 0]
        shift = np.angle(np.exp(1j * (circular_mean(found, TURN) - mean)))
        assert abs(shift) < 0.15 * sd
        assert circular_sd(found, TURN) == pytest.approx(sd, rel=0.1)


# A simplex ----------------------------------------------------------------------------------------

SIMPLEX = {
    "f1": {"type": "beta", "a": 1, "b": 2},
    "f2": {"type": "uniform", "min": 0, "max": "1 - f1"},
}
EVENTS = 40


def kinds(theta: Array, rng: np.random.Generator) -> Array:
    shares = np.column_stack([theta, 1 - theta.sum(axis=1)]).clip(0, 1)
    return np.stack([rng.multinomial(EVENTS, each / each.sum()) for each in shares])


@pytest.mark.parametrize("method", ["npe", "nle"])
def test_shares_that_sum_to_one(method: str) -> None:
    """Dirichlet(1, 1, 1) and counts: the posterior is Dirichlet, at an edge where one is 0."""
    made, prior = trained(method, SIMPLEX, kinds)
    for counts in ([20, 12, 8], [25, 15, 0]):
        found = draws(made, prior, np.array(counts))
        found = np.column_stack([found, 1 - found.sum(axis=1)])
        assert (found > 0).all()
        for column, count in enumerate(counts):
            exact = stats.beta(1 + count, EVENTS + 2 - count)
            check(found[:, column], exact.mean(), exact.std())


# An order -----------------------------------------------------------------------------------------


def noisy(theta: Array, rng: np.random.Generator) -> Array:
    return theta + 0.5 * rng.normal(size=theta.shape)


@pytest.mark.parametrize("method", ["npe", "nle"])
def test_two_times_in_order(method: str) -> None:
    entries = {
        "t1": {"type": "uniform", "min": 0, "max": 10},
        "t2": {"type": "uniform", "min": "t1", "max": 10},
    }
    made, prior = trained(method, entries, noisy)
    axis = np.linspace(0, 10, 1001)[1:-1]
    one, two = np.meshgrid(axis, axis, indexing="ij")
    for x in ([4.0, 6.0], [5.0, 5.1]):
        weight = np.exp(-0.5 * ((one - x[0]) ** 2 + (two - x[1]) ** 2) / 0.25)
        weight = np.where(two > one, weight / (10 - one), 0)
        found = draws(made, prior, np.array(x))
        assert (found[:, 1] > found[:, 0]).all()
        for values, grid in zip(found.T, (one, two), strict=True):
            mean = np.average(grid, weights=weight)
            check(values, mean, np.sqrt(np.average((grid - mean) ** 2, weights=weight)))


# A time -------------------------------------------------------------------------------------------

GPS = 1126259462.4


def arrivals(theta: Array, rng: np.random.Generator) -> Array:
    return theta + 0.02 * rng.normal(size=(len(theta), 2))


@pytest.mark.parametrize("method", ["npe", "nle"])
def test_a_time_with_ten_digits_before_the_point(method: str) -> None:
    entries = {"t": {"type": "uniform", "min": GPS - 0.1, "max": GPS + 0.1}}
    made, prior = trained(method, entries, arrivals)
    for at in (0.0, 0.095):
        x = np.array([GPS + at - 0.01, GPS + at + 0.012])
        centre, sd = x.mean() - GPS, 0.02 / np.sqrt(2)
        exact = stats.truncnorm((-0.1 - centre) / sd, (0.1 - centre) / sd, centre, sd)
        found = draws(made, prior, x)[:, 0] - GPS
        check(found, exact.mean(), exact.std())
