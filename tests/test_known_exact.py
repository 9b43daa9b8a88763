"""A noise level that is known and differs from object to object: against the closed form.

x = theta + sigma eps, theta ~ N(0, I) of two numbers, log sigma uniform over a decade: given sigma
the posterior is N(x / (1 + sigma^2), sigma^2 / (1 + sigma^2)). Where sigma is a nuisance instead it
is the mixture of these over what x tells of sigma.
"""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from sbi_pipeline import estimators, priors
from sbi_pipeline.conditions import NO_CONDITIONS, Conditions, conditions_in
from sbi_pipeline.trained import Posterior
from sbi_pipeline.training.fit import fit_source
from sbi_pipeline.training.sources import InMemory
from sbi_pipeline.types import Array

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROWS, DRAWS = 20_000, 8_000
LOW, HIGH = 0.1, 1.0
NORMAL = {"type": "normal", "mean": 0, "sd": 1}
SPECS = {"a": NORMAL, "b": NORMAL, "sigma": {"type": "loguniform", "min": LOW, "max": HIGH}}
JOINT = priors.build(SPECS, tuple(SPECS))
SIGMAS = conditions_in(JOINT, ("sigma",))
LEVELS = (0.11, 0.2, 0.45, 0.9)
OBSERVED = np.array([[0.0, 0.0], [1.0, -0.5], [-1.5, 1.2]])


def simulate(rows: int, seed: int = 1) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(rows, 2))
    sigma = np.exp(rng.uniform(np.log(LOW), np.log(HIGH), size=(rows, 1)))
    return theta, sigma, theta + sigma * rng.normal(size=(rows, 2))


def trained(method: str, conditions: Conditions) -> Posterior:
    torch.set_num_threads(1)
    theta, sigma, x = simulate(ROWS)
    z = torch.from_numpy(theta.astype(np.float32))
    shown = torch.from_numpy(conditions.beside(x, sigma[:, : len(conditions.names)]))
    train, held_out = slice(ROWS // 10, None), slice(ROWS // 10)
    known: dict[str, Any] = {"conditions": 1, "x_shape": (2,)} if conditions.names else {}
    made = estimators.build(method, z[train], shown[train], seed=1, **known)
    rows = (InMemory((z[part], shown[part])) for part in (train, held_out))
    fit_source(made, *rows, seed=1, threads=1, progress=False)
    return Posterior(made, JOINT.keep(("a", "b")), {"method": method}, conditions)


@pytest.mark.parametrize(
    "method",
    [
        *("npe", "nle"),
        *(pytest.param(each, marks=pytest.mark.study) for each in ("nre", "mnre", "fmpe", "cmpe")),
    ],
)
def test_the_posterior_is_that_of_the_known_noise(method: str) -> None:
    posterior = trained(method, SIGMAS)
    for sigma in LEVELS:
        sd = sigma / np.sqrt(1 + sigma**2)
        drawn = posterior.sample(DRAWS, OBSERVED, known={"sigma": sigma})
        shift = (drawn.mean(axis=1) - OBSERVED / (1 + sigma**2)) / sd
        assert np.abs(shift).max() < 0.15, (sigma, shift)
        width = drawn.std(axis=1) / sd
        assert np.abs(width - 1).max() < 0.1, (sigma, width)


def test_where_it_is_a_nuisance_the_posterior_is_marginal() -> None:
    posterior = trained("npe", NO_CONDITIONS)
    levels = np.geomspace(LOW, HIGH, 2001)
    for x_o in OBSERVED:
        evidence = stats.norm.pdf(x_o[:, None], 0, np.sqrt(1 + levels**2)).prod(axis=0)
        weight = evidence / evidence.sum()
        means, variances = x_o[:, None] / (1 + levels**2), levels**2 / (1 + levels**2)
        mean = means @ weight
        sd = np.sqrt((variances + means**2) @ weight - mean**2)
        drawn = posterior.sample(DRAWS, x_o)
        assert np.abs((drawn.mean(axis=0) - mean) / sd).max() < 0.15
        assert np.abs(drawn.std(axis=0) / sd - 1).max() < 0.1
