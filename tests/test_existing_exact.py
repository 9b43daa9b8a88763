"""Existing simulations of a Sobol design or of samples, weighed to a normal prior: closed forms."""

import numpy as np
import pytest
from existing_for_tests import (
    BOX,
    OBSERVED,
    configuration,
    exact,
    imported,
    run,
    simulate,
    sobol,
    write_rows_of,
)

from sbi_pipeline import load, study
from sbi_pipeline.stages.estimators import train

ROWS = {"npe": 2**13, "fmpe": 2**15, "nre": 2**13, "nle": 2**13, "cmpe": 2**15, "mnre": 2**13}
"""Of which a fifth count; flow matching and a consistency model need more of them."""
FILES = {"files": "runs/*.h5", "parameters": "params", "x": "spectra"}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def correlated(rows):
    """Draw parameters from a normal distribution wider than the prior, in which they are related.

    Its samples are written to a table.
    """
    rng = np.random.default_rng(4)
    drawn = rng.multivariate_normal([0.5, 0], [[4, 2.4], [2.4, 4]], 10 * rows)
    np.savetxt("chain.csv", drawn, delimiter=",", header="a,b", comments="")
    return drawn[:rows]


def trained(folder, method, theta, drawn_from):
    (folder / "runs").mkdir()
    for number, part in enumerate(np.split(theta, 4)):
        write_rows_of(f"runs/{number}.h5", part, simulate(part, number))
    config = configuration({**FILES, "drawn_from": drawn_from}, [method])
    simulations = imported(config)
    plan, place = study.Plan(study.take_configuration(config)), folder / "results/linear" / method
    place.mkdir()
    files = {"estimator": "estimator.pt", "header": "header.json", "history": "history.csv"}
    written = {keyword: place / name for keyword, name in files.items()}
    planned = plan[f"results/linear/{method}/train.spec.json"]
    run(train, planned, simulations=simulations, **written)
    return load(written["estimator"])


@pytest.mark.parametrize("method", ROWS)
def test_the_posterior_is_that_of_the_prior_not_of_the_design(method, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check(trained(tmp_path, method, sobol(ROWS[method]), BOX))


@pytest.mark.parametrize("method", ["npe", "nre"])
def test_the_posterior_is_that_of_the_prior_not_of_samples(method, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check(trained(tmp_path, method, correlated(2**14), {"samples": "chain.csv"}))


def check(posterior):
    """Compare a posterior with the exact one."""
    theta = posterior.sample(4000, OBSERVED)
    mean, sd = exact()
    np.testing.assert_allclose(theta.std(axis=0) / sd, 1, atol=0.1)
    np.testing.assert_allclose((theta.mean(axis=0) - mean) / sd, 0, atol=0.15)
