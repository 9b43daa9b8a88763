"""Predictions: nuisances that follow the data, and p-values that are uniform for the truth."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from test_nuisances import DESIGN, NOISE, PRIOR, Rows, line

from sbi_pipeline import nuisances
from sbi_pipeline.campaigns.given_rows import Replicates
from sbi_pipeline.diagnostics.predictive import typicality
from sbi_pipeline.predictions import Predictor, predicted

PRIOR_MEAN = np.array([0.0, 1.0, 0.0])
PRIOR_COVARIANCE = np.array([[1, 0, 0.5], [0, 4, 0], [0.5, 0, 1.25]])
PRECISION = np.linalg.inv(PRIOR_COVARIANCE)
COVARIANCE = np.linalg.inv(PRECISION + DESIGN.T @ DESIGN / NOISE**2)


@pytest.fixture(scope="module")
def learnt():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nuisances, "EPOCHS", 5)
        return nuisances.learn(Rows(line, PRIOR, 20_000), PRIOR, ("signal",), {}, seed=1)[0]


def posterior(x, rng, n=1000):
    """Draws of the signal alone, of its exact posterior."""
    mean = COVARIANCE @ (DESIGN.T @ x / NOISE**2 + PRECISION @ PRIOR_MEAN)
    draws = mean[0] + COVARIANCE[0, 0] ** 0.5 * rng.normal(size=n)
    return xr.Dataset({"signal": ("draw", draws)})


def predictor(known, seed=1):
    return Predictor(None, PRIOR, 300, seed, Path("unused"), known)


def observed(seed):
    """One data set of parameters from the prior, and its generator."""
    rng = np.random.default_rng(seed)
    theta = PRIOR.from_uniform(rng.random((1, 3)))
    return theta[0], line(theta, rng)[0], rng


def test_one_half_is_of_many_draws_and_the_other_of_one(learnt):
    _, x, rng = observed(0)
    draws = posterior(x, rng)
    rows = predictor(learnt).completed(draws, x, 300)
    assert rows.shape == (600, 3)
    assert len(np.unique(rows[:300, 0])) == 300
    assert np.isin(rows[:, 0], draws["signal"]).all()
    assert (rows[300:, 0] == rows[300, 0]).all()
    assert rows[300:, 1].std() == pytest.approx(2, rel=0.15)  # of the prior
    fit = COVARIANCE @ (DESIGN.T @ x / NOISE**2 + PRECISION @ PRIOR_MEAN)
    sd = np.sqrt(np.diag(COVARIANCE))
    np.testing.assert_allclose((rows[:300].mean(axis=0) - fit) / sd, 0, atol=0.25)
    np.testing.assert_allclose(rows[:300].std(axis=0) / sd, 1, atol=0.15)


def test_without_what_was_learnt_nuisances_are_of_the_prior(learnt):
    _, x, rng = observed(0)
    rows = predictor(None).completed(posterior(x, rng), x, 300)
    assert (rows[300:, 0] == rows[300, 0]).all()
    assert rows[:300, 1].std() == pytest.approx(2, rel=0.15)
    assert rows[300:, 1].std() == pytest.approx(2, rel=0.15)


def test_predictions_that_failed_are_in_neither_half():
    worked = np.ones(600, bool)
    worked[[3, 4, 310]] = False
    x = np.arange(600)[worked, None] * np.ones(6)
    made = Replicates(x, worked, {"raised": 3}, np.arange(2.0 * len(worked)).reshape(-1, 2))
    found = predicted(made, xr.DataArray(np.zeros(6), dims="x_dim_0"), ("a", "b"))
    assert (found.sizes["draw"], found.sizes["replicate"]) == (298, 299)
    assert found["replicates"].min() == 300
    assert found.attrs["simulated"] == 600


def p_values(half, repeats, noise=NOISE):
    """P-values of observations with some noise, among predictions of many draws or of one."""
    found = []
    for seed in range(repeats):
        theta, x, rng = observed(seed)
        x = DESIGN @ theta + noise / NOISE * (x - DESIGN @ theta)
        rows = predictor(None, seed).completed(posterior(x, rng), x, 300)
        found.append(typicality(line(rows[half], rng), x).p_value)
    return np.array(found)


OF_MANY, OF_ONE = slice(300), slice(300, None)


def test_p_values_among_predictions_of_one_draw_are_uniform_for_the_truth():
    assert stats.kstest(p_values(OF_ONE, 200), "uniform").pvalue > 0.01


@pytest.mark.slow
def test_p_values_among_predictions_of_many_draws_are_conservative():
    many, one = (p_values(half, 1000) for half in (OF_MANY, OF_ONE))
    assert stats.kstest(many, "uniform").pvalue < 1e-3
    assert stats.kstest(one, "uniform").pvalue > 0.01


@pytest.mark.slow
def test_p_values_among_predictions_of_one_draw_see_no_less():
    many, one = (np.mean(p_values(half, 300, 2 * NOISE) < 0.05) for half in (OF_MANY, OF_ONE))
    assert one > many - 0.03
