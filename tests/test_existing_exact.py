"""Existing simulations from a Sobol design, weighed to a normal prior: against the closed form."""

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
DRAWN = {"files": "runs/*.h5", "parameters": "params", "x": "spectra", "drawn_from": BOX}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def trained(folder, method):
    (folder / "runs").mkdir()
    for number, theta in enumerate(np.split(sobol(ROWS[method]), 4)):
        write_rows_of(f"runs/{number}.h5", theta, simulate(theta, number))
    config = configuration(DRAWN, [method])
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
    theta = trained(tmp_path, method).sample(4000, OBSERVED)
    mean, sd = exact()
    np.testing.assert_allclose(theta.std(axis=0) / sd, 1, atol=0.1)
    np.testing.assert_allclose((theta.mean(axis=0) - mean) / sd, 0, atol=0.15)
