"""Likelihoods of data that are no real numbers, or not only, against exact posteriors on a grid."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from sbi_pipeline import estimators
from sbi_pipeline.posterior import log_posterior
from sbi_pipeline.training.fit import fit
from sbi_pipeline.types import Array

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

GRID = np.linspace(-5, 5, 4001)  # of one parameter, whose prior is N(0, 1)


@dataclass(frozen=True)
class Exact:
    """Data of one parameter whose likelihood is known.

    Attributes:
        draw: From theta, ``(n,)``, and a generator to data, ``(n, columns)``.
        log_likelihood: Of one data set at `GRID`.
        observed: Data sets.
    """

    draw: Callable[[Array, np.random.Generator], Array]
    log_likelihood: Callable[[Array], Array]
    observed: Array


def poisson(mean: float, columns: int, unit: float = 1.0, offset: float = 0.0) -> Exact:
    def rate(theta: Array) -> Array:
        return mean * np.exp(0.5 * theta)

    def draw(theta: Array, rng: np.random.Generator) -> Array:
        return unit * (offset + rng.poisson(rate(theta)[:, None], (len(theta), columns)))

    def log_likelihood(x: Array) -> Array:
        counts = np.rint(x / unit - offset)
        return stats.poisson(rate(GRID)).logpmf(counts[:, None]).sum(0)

    return Exact(draw, log_likelihood, draw(np.array([-1.5, -0.4, 0.3, 1.4]), RNG()))


def RNG(seed: int = 3) -> np.random.Generator:  # noqa: N802
    return np.random.default_rng(seed)


SD = 0.5
EPOCHS = 20


def censored(low: float, high: float, columns: int = 3) -> Exact:
    """Normal data, of which those beyond a limit are at it."""

    def draw(theta: Array, rng: np.random.Generator) -> Array:
        return np.clip(theta[:, None] + SD * rng.normal(size=(len(theta), columns)), low, high)

    def log_likelihood(x: Array) -> Array:
        normal, at = stats.norm(GRID[:, None], SD), np.broadcast_to(x, (len(GRID), columns))
        inside = np.where(at == high, normal.logsf(high), normal.logpdf(at))
        return np.where(at == low, normal.logcdf(low), inside).sum(1)

    return Exact(draw, log_likelihood, draw(np.array([-1.5, -0.3, 0.4, 1.6]), RNG()))


def inflated(mean: float, columns: int = 3) -> Exact:
    """Poisson counts, or none where the source was not looked at, which is as often as not."""

    def rate(theta: Array) -> Array:
        return mean * np.exp(0.5 * theta)

    def seen(theta: Array) -> Array:
        return stats.norm.cdf(0.8 * theta)

    def draw(theta: Array, rng: np.random.Generator) -> Array:
        shape = (len(theta), columns)
        looked = rng.random(shape) < seen(theta)[:, None]
        return 1.0 * looked * rng.poisson(rate(theta)[:, None], shape)

    def log_likelihood(x: Array) -> Array:
        chance = seen(GRID) * stats.poisson(rate(GRID)).pmf(x[:, None])
        return np.log(chance + (x[:, None] == 0) * (1 - seen(GRID))).sum(0)

    return Exact(draw, log_likelihood, draw(np.array([-1.5, -0.3, 0.4, 1.6]), RNG()))


def fluxes(unit: float = 1.0) -> Exact:
    """Two bands of one source: none is seen, or both with log-normal fluxes, one cut at a limit."""
    limit = 4.0

    def draw(theta: Array, rng: np.random.Generator) -> Array:
        seen = rng.random(len(theta)) < stats.norm.cdf(1 + theta)
        flux = np.exp(theta[:, None] + SD * rng.normal(size=(len(theta), 2)))
        flux[:, 1] = np.minimum(flux[:, 1], limit)
        return unit * seen[:, None] * flux

    def log_likelihood(x: Array) -> Array:
        if not x.any():
            return stats.norm.logsf(1 + GRID)
        first, second = np.log(x / unit)
        normal = stats.norm(GRID, SD)
        cut = np.isclose(second, np.log(limit))
        of_second = normal.logsf(np.log(limit)) if cut else normal.logpdf(second)
        return stats.norm.logcdf(1 + GRID) + normal.logpdf(first) + of_second

    observed = unit * np.array([[0.0, 0.0], [0.3, 0.4], [1.2, 0.8], [3.0, limit]])
    return Exact(draw, log_likelihood, observed)


def rounded(step: float, offset: float = 0.0) -> Exact:
    def draw(theta: Array, rng: np.random.Generator) -> Array:
        x = theta[:, None] + SD * rng.normal(size=(len(theta), 3))
        return step * np.rint((x - offset) / step) + offset

    def log_likelihood(x: Array) -> Array:
        normal = stats.norm(GRID[:, None], SD)
        mass = normal.cdf(x + step / 2) - normal.cdf(x - step / 2)
        return np.log(mass + 1e-300).sum(1)

    return Exact(draw, log_likelihood, draw(np.array([-1.5, -0.3, 0.4, 1.6]), RNG()))


def flags(columns: int = 6) -> Exact:
    def draw(theta: Array, rng: np.random.Generator) -> Array:
        return 1.0 * (rng.random((len(theta), columns)) < stats.norm.cdf(theta)[:, None])

    def log_likelihood(x: Array) -> Array:
        return np.log(np.where(x[:, None] == 1, stats.norm.cdf(GRID), stats.norm.sf(GRID))).sum(0)

    return Exact(draw, log_likelihood, draw(np.array([-1.5, -0.3, 0.4, 1.6]), RNG()))


CASES: dict[str, Exact] = {
    "counts of mean 2": poisson(2, 3),
    "counts of mean 10": poisson(10, 3),
    "counts of mean 300": poisson(300, 1),
    "counts in units of 1e-30": poisson(20, 2, unit=1.7e-30),
    "counts on a pedestal": poisson(20, 2, unit=0.3, offset=1000.4),
    "an upper limit": censored(-np.inf, 0.5, 1),
    "an upper limit in two columns": censored(-np.inf, 0.5, 2),
    "an upper limit in three columns": censored(-np.inf, 0.5, 3),
    "a limit on either side": censored(-1.0, 0.5),
    "zeros among counts of mean 3": inflated(3),
    "zeros among counts of mean 40": inflated(40),
    "zeros and a limit among fluxes": fluxes(),
    "zeros and a limit in units of 1e-30": fluxes(1e-30),
    "rounded to an sd": rounded(SD),
    "rounded to half an sd": rounded(SD / 2),
    "rounded, with an offset": rounded(SD / 2, 0.1),
    "flags": flags(),
}


def moments(log_density: Array) -> tuple[float, float]:
    weight = np.exp(log_density - log_density.max())
    mean = np.sum(weight * GRID) / weight.sum()
    return float(mean), float(np.sqrt(np.sum(weight * (GRID - mean) ** 2) / weight.sum()))


def found_and_exact(case: Exact, rows: int, single: bool) -> tuple[Array, Array]:
    """Train on rows; return mean and sd of every observation's posterior, and the exact ones."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    theta = rng.normal(size=rows)
    x = case.draw(theta, rng).astype("f4" if single else "f8")
    z, data = torch.as_tensor(theta[:, None]).float(), torch.as_tensor(x)
    made = estimators.build("nle", z, data, seed=1)
    held_out = np.arange(rows) % 10 == 0
    fit(made, z, data, train=~held_out, validation=held_out, seed=1, threads=1, max_epochs=EPOCHS)
    observed = case.observed.astype(x.dtype)
    points = np.broadcast_to(GRID[None, :, None], (len(observed), len(GRID), 1))
    found = log_posterior(made.eval(), observed)(points)
    exact = [case.log_likelihood(x_o) + stats.norm.logpdf(GRID) for x_o in case.observed]
    return np.array([moments(each) for each in found]), np.array([moments(each) for each in exact])


MISSED = {
    "an upper limit in three columns": "one of four widths is 0.90 of the exact one, at -1.4",
}


def _case(name: str) -> Any:
    missed = pytest.mark.xfail(reason=MISSED.get(name, ""), strict=True)
    return pytest.param(name, marks=[missed] if name in MISSED else [])


@pytest.mark.parametrize("name", [_case(name) for name in CASES])
def test_posteriors_are_the_exact_ones(name: str) -> None:
    single = "offset" not in name and "pedestal" not in name
    found, exact = found_and_exact(CASES[name], 20_000, single)
    assert np.abs((found[:, 0] - exact[:, 0]) / exact[:, 1]).max() < 0.1
    assert np.abs(found[:, 1] / exact[:, 1] - 1).max() < 0.07
