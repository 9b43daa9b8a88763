"""Existing simulations from a Sobol design, weighed to a normal prior: against the closed form."""

import numpy as np
import pytest
from existing_for_tests import BOX, EDGE, OBSERVED, configuration, exact, imported, simulate, sobol
from existing_for_tests import write_rows_of as write
from existing_for_tests import run

from sbi_pipeline import load, study
from sbi_pipeline.diagnostics.ranks import rank
from sbi_pipeline.stages.estimators import train
from sbi_pipeline.storage import reading

METHODS = ("npe", "fmpe", "nre", "nle", "cmpe", "mnre")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def asked(drawn_from):
    given = {"files": "runs/*.h5", "parameters": "params", "x": "spectra"}
    return given if drawn_from is None else {**given, "drawn_from": drawn_from}


def trained(folder, method, drawn_from=BOX, rows=2**14):
    (folder / "runs").mkdir()
    for number, theta in enumerate(np.split(sobol(rows), 4)):
        write(f"runs/{number}.h5", theta, simulate(theta, number))
    config = configuration(asked(drawn_from), [method])
    simulations = imported(config)
    planned = study.Plan(study.take_configuration(config))[f"results/linear/{method}/train.spec.json"]
    place = folder / "results/linear" / method
    place.mkdir()
    files = {"estimator": "estimator.pt", "header": "header.json", "history": "history.csv"}
    run(train, planned, simulations=simulations, **{k: place / v for k, v in files.items()})
    return load(place / "estimator.pt"), simulations


@pytest.mark.parametrize("method", METHODS)
def test_the_posterior_is_that_of_the_prior_not_of_the_design(method, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    posterior, simulations = trained(tmp_path, method)
    mean, sd = exact()
    theta = posterior.sample(4000, OBSERVED)
    print(method, theta.std(axis=0) / sd, (theta.mean(axis=0) - mean) / sd)
    np.testing.assert_allclose(theta.std(axis=0) / sd, 1, atol=0.1)
    np.testing.assert_allclose((theta.mean(axis=0) - mean) / sd, 0, atol=0.15)
