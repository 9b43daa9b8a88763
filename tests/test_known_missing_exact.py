"""A noise level that is known, and elements that are missing, together: against the closed form.

x = slope z + sigma eps, z ~ N(0, I) of two numbers, log sigma uniform over a factor of four, any
element of x missing by chance: given sigma, and which elements are there, the posterior is normal.
"""

import numpy as np
import pytest
import torch

from sbi_pipeline import estimators, priors, samplers
from sbi_pipeline.conditions import conditions_in
from sbi_pipeline.storage.missing_elements import MissingElements
from sbi_pipeline.training.fit import fit_source
from sbi_pipeline.training.sources import InMemory
from sbi_pipeline.types import Array

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

ROWS, COLUMNS, DRAWS = 20_000, 8, 10_000
LOW, HIGH = 0.5, 2.0
SHARES = (0.0, 0.3, 0.6)
SIGMA = {"sigma": {"type": "loguniform", "min": LOW, "max": HIGH}}
SIGMAS = conditions_in(priors.build(SIGMA, ("sigma",)), ("sigma",))
SLOPE = 0.8 * np.random.default_rng(0).normal(size=(COLUMNS, 2))


def simulate(rows: int, seed: int) -> tuple[Array, Array, Array]:
    """Return z, noise levels, and data of which a share is missing, which differs row by row."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(rows, 2))
    sigma = np.exp(rng.uniform(np.log(LOW), np.log(HIGH), size=(rows, 1)))
    x = z @ SLOPE.T + sigma * rng.normal(size=(rows, COLUMNS))
    for i, share in enumerate(SHARES):
        some = np.arange(i, rows, len(SHARES))
        if share:
            x[some] = MissingElements(seed, share)(x[some], some, "test")
    return z, sigma, x


def exact(x: Array, sigma: float) -> tuple[Array, Array]:
    """Return mean and sd of z given what is there of one data set."""
    slope = SLOPE[np.isfinite(x)]
    covariance = np.linalg.inv(np.eye(2) + slope.T @ slope / sigma**2)
    return covariance @ slope.T @ x[np.isfinite(x)] / sigma**2, np.sqrt(np.diag(covariance))


@pytest.mark.parametrize("method", ["npe", "nle"])
def test_the_posterior_is_that_of_what_is_there_under_its_noise(method: str) -> None:
    torch.set_num_threads(1)
    z, sigma, x = simulate(ROWS, seed=1)
    rows = torch.from_numpy(z).float(), torch.from_numpy(SIGMAS.beside(x, sigma))
    training, held_out = (
        tuple(each[part] for each in rows) for part in (slice(ROWS // 10, None), slice(ROWS // 10))
    )
    made = estimators.build(method, *training, seed=1, conditions=1, x_shape=(COLUMNS,), gaps=True)
    fit_source(made, InMemory(training), InMemory(held_out), seed=1, threads=1, progress=False)
    _, _, observed = simulate(9, seed=7)
    levels = np.repeat((0.6, 1.0, 1.8), len(SHARES))[:, None]
    shown = SIGMAS.beside(observed, levels)
    drawn = samplers.draw(made.eval(), shown, DRAWS, seed=2).flat(DRAWS)
    for x_o, level, found in zip(observed, levels[:, 0], drawn, strict=True):
        mean, sd = exact(x_o, level)
        assert np.abs((found.mean(0) - mean) / sd).max() < 0.1, (level, x_o)
        assert np.abs(found.std(0) / sd - 1).max() < 0.07, (level, x_o)
