"""Posteriors of data with missing elements against closed forms, and what is said of masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import special

from sbi_pipeline import estimators, samplers
from sbi_pipeline.storage.missing_elements import MissingElements
from sbi_pipeline.training.fit import fit_source
from sbi_pipeline.training.sources import InMemory

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

ROWS, COLUMNS = 15_000, 10
BY_SHARE = (0.0, 0.3, 0.8)


@dataclass(frozen=True)
class Linear:
    """x = slope z + normal noise of a covariance, z ~ N(0, I)."""

    slope: np.ndarray
    noise: np.ndarray

    def pairs(self, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        z = rng.normal(size=(n, self.slope.shape[1]))
        rest = rng.normal(size=(n, len(self.slope))) @ np.linalg.cholesky(self.noise).T
        return z, z @ self.slope.T + rest

    def posterior(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and sd of z given what is there of one data set."""
        there = np.isfinite(x)
        slope, noise = self.slope[there], self.noise[np.ix_(there, there)]
        precision = np.eye(slope.shape[1]) + slope.T @ np.linalg.solve(noise, slope)
        covariance = np.linalg.inv(precision)
        mean = covariance @ slope.T @ np.linalg.solve(noise, x[there])
        return mean, np.sqrt(np.diag(covariance))


def problem() -> Linear:
    """Noise whose elements differ in size and share a part: what is missing matters."""
    sd = np.linspace(0.6, 2.0, COLUMNS)
    correlated = 0.5 * np.eye(COLUMNS) + 0.5
    slope = 0.7 * np.random.default_rng(0).normal(size=(COLUMNS, 2))
    return Linear(slope, correlated * np.outer(sd, sd))


def gapped(x: np.ndarray, shares: tuple[float, ...], length: int = 1) -> np.ndarray:
    """Take elements of rows away, of each in turn with one of some probabilities."""
    x = x.copy()
    for i, share in enumerate(shares):
        if share:
            rows = np.arange(i, len(x), len(shares))
            x[rows] = MissingElements(1, share, length)(x[rows], rows, "test")
    return x


def learnt(method: str, z: np.ndarray, x: np.ndarray) -> estimators.Estimator:
    torch.set_num_threads(1)
    rows = [torch.tensor(each, dtype=torch.float32) for each in (z, x)]
    held_out, training = (
        tuple(each[part] for each in rows)
        for part in (slice(None, ROWS // 10), slice(ROWS // 10, None))
    )
    made = estimators.build(method, *training, seed=1, gaps=True)
    fit_source(
        made,
        InMemory(training),
        InMemory(held_out),
        seed=1,
        threads=1,
        device="cpu",
        progress=False,
    )
    return made.eval()


def check(made: estimators.Estimator, model: Linear, x: np.ndarray) -> None:
    """Compare the posteriors of some data sets with the exact ones."""
    drawn = samplers.draw(made, x.astype(np.float32), 10_000, seed=2).flat(10_000)
    for x_o, z in zip(x, drawn, strict=True):
        mean, sd = model.posterior(x_o)
        assert np.abs((z.mean(0) - mean) / sd).max() < 0.1
        assert np.abs(z.std(0) / sd - 1).max() < 0.07


@pytest.mark.parametrize(
    "method", ["npe", "nle", "nre", pytest.param("fmpe", marks=pytest.mark.study)]
)
def test_posterior_with_none_some_and_most_elements_missing(method: str) -> None:
    model = problem()
    z, x = model.pairs(ROWS, seed=1)
    made = learnt(method, z, gapped(x, BY_SHARE))
    _, observed = model.pairs(6, seed=7)
    check(made, model, gapped(observed, BY_SHARE))


@pytest.mark.parametrize("method", ["npe", "nle"])
def test_posterior_of_a_series_of_which_a_block_is_missing(method: str) -> None:
    """A line with smooth noise: 30 times, of which 10 in a row are missing."""
    time = np.linspace(-1, 1, 30)
    slope = np.stack([np.ones(30), time], 1)
    noise = 0.2 * np.eye(30) + 0.5 * np.exp(-0.5 * ((time[:, None] - time) / 0.3) ** 2)
    model = Linear(slope, noise)
    z, x = model.pairs(ROWS, seed=1)
    made = learnt(method, z, gapped(x, (0.3,), length=10))
    _, observed = model.pairs(4, seed=7)
    observed[:2, 10:20] = np.nan
    observed[2:, :10] = np.nan
    check(made, model, observed)


@pytest.mark.parametrize("method", ["npe", "nle", "nre"])
def test_gaps_that_depend_on_the_value_are_made_use_of(method: str) -> None:
    """One parameter, four elements that are missing the more often the larger they are."""
    rng, sd = np.random.default_rng(3), 0.7

    def lost(x: np.ndarray) -> np.ndarray:
        return special.expit((x - 0.5) / 0.3)

    z = rng.normal(size=(ROWS, 1))
    x = z + sd * rng.normal(size=(ROWS, 4))
    made = learnt(method, z, np.where(rng.random(x.shape) < lost(x), np.nan, x))
    gap = np.nan
    observed = np.array([[-0.6, 0.1, 0.3, 0.2], [0.1, 0.4, gap, gap], [gap, 0.2, gap, gap]])
    grid, noise = np.linspace(-5, 5, 2001), np.linspace(-4, 4, 401)
    weight = np.exp(-0.5 * noise**2)
    log_lost = np.log(lost(grid[:, None] + sd * noise) @ weight)
    drawn = samplers.draw(made, observed.astype(np.float32), 10_000, seed=2).flat(10_000)
    for x_o, found in zip(observed, drawn, strict=True):
        there = x_o[np.isfinite(x_o)]
        log_density = -0.5 * grid**2 - 0.5 * (((there[:, None] - grid) / sd) ** 2).sum(0)
        log_density += np.isnan(x_o).sum() * log_lost
        density = np.exp(log_density - log_density.max())
        density /= density.sum()
        mean = density @ grid
        exact = np.sqrt(density @ (grid - mean) ** 2)
        assert abs(found.mean() - mean) / exact < 0.1
        assert abs(found.std() / exact - 1) < 0.07
