"""All checks are asked of what they are about, by default, and with the configured thresholds."""

import numpy as np
import pytest
import synthetic
import xarray as xr

from sbi_pipeline.diagnostics import comparison, convergence
from sbi_pipeline.reports import assessment, contents
from sbi_pipeline.storage.reading import View


def _observation(seed=0, events=0):
    posteriors = {}
    for who in ("npe", "nle"):
        tree = synthetic.posterior(seed + len(posteriors), method=who)
        if events:
            data = np.tile(tree["observed_data/x"].to_numpy(), (events, 1))
            tree["observed_data"] = xr.Dataset({"x": (("event", "x_dim_0"), data)})
        predictive = synthetic.predictive(seed)
        posteriors[who] = contents.Posterior(tree, convergence.summary(tree), predictive)
    npe, nle = posteriors.values()
    table = comparison.compare_marginals(npe.columns, nle.columns, (npe.effective, nle.effective))
    pairs = {"npe and nle": table}, {"npe and nle": (0.51, 1000)}
    return contents.Observation("event", "simulated", posteriors, *pairs)


@pytest.fixture(scope="module")
def estimator():
    return contents.Estimator("nle", "nle", synthetic.history(), synthetic.calibration(n=400))


def _names(checks):
    return {check.name for check in checks}


def test_an_estimator_is_asked_everything(estimator):
    found = list(assessment.of_estimator(estimator, assessment.asker({})))
    assert _names(found) == {
        *("training", "calibration", "P-P", "coverage", "TARP", "information", "parameter order"),
    }
    assert {check.status for check in found} == {"pass"}


def test_an_observation_is_asked_everything():
    data = synthetic.calibration(n=400)["x"].to_numpy()
    ask = assessment.asker({})
    found = list(assessment.of_observation(_observation(), data, list(synthetic.NAMES), ask))
    assert _names(found) == {
        *("effective draws", "convergence", "chain length", "prior edge", "predictive"),
        *("agreement", "joint agreement", "in distribution", "data path"),
    }
    assert {check.status for check in found} == {"pass"}


def test_a_neighbourhood_is_asked_of_the_held_out_simulations(estimator):
    data = estimator.calibration
    held_out = View(
        data["truth"].to_numpy(), data["x"].to_numpy(), np.arange(400), ("mass", "spin")
    )
    ask = assessment.asker({})
    (check,) = assessment.of_neighbourhood([estimator], [_observation()], held_out, ask)
    assert (check.name, check.status) == ("local calibration", "pass")
    assert check.subject == "nle, event"
    others = View(held_out.theta + 1, held_out.x, held_out.row, held_out.names)
    with pytest.raises(ValueError, match="other truths than the held-out simulations"):
        list(assessment.of_neighbourhood([estimator], [_observation()], others, ask))


def test_a_set_of_events_is_asked_whether_errors_add_up(estimator):
    data, rng = estimator.calibration, np.random.default_rng(0)
    dims = ("event", "parameter")
    scored = data.assign(
        event_score=(dims, rng.normal(size=(5000, 2))),
        event_theta=(dims, synthetic.PRIOR_SD * rng.normal(size=(5000, 2))),
    )
    told = contents.Estimator("nle", "nle", estimator.history, scored)
    ask = assessment.asker({})
    (check,) = assessment.of_events([told], [_observation(events=200)], 1, ask)
    assert (check.name, check.status) == ("accumulation", "pass")
    assert list(assessment.of_events([told], [_observation()], 1, ask)) == []


def test_thresholds_of_the_configuration_are_used(estimator):
    ask = assessment.asker({"information": {"nats": 100.0}})
    found = {check.name: check.status for check in assessment.of_estimator(estimator, ask)}
    assert found["information"] == "fail"
