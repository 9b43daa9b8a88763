"""All diagnostics are asked of what they are about, with the configured thresholds."""

import dataclasses

import numpy as np
import pytest
import synthetic
import xarray as xr

from sbi_pipeline.reports import assessment
from sbi_pipeline.sampled_posteriors import ManyEvents, ObservedData, PosteriorPair
from sbi_pipeline.storage.reading import View
from sbi_pipeline.subjects import SimulatedRows

RAN = SimulatedRows(5000, {})


def _observation(seed=0, events=0):
    posteriors = {}
    for who in ("npe", "nle"):
        tree = synthetic.posterior(seed + len(posteriors), method=who)
        if events:
            data = np.tile(tree["observed_data/x"].to_numpy(), (events, 1))
            tree["observed_data"] = xr.Dataset({"x": (("event", "x_dim_0"), data)})
        predictive = synthetic.predictive(seed + len(posteriors))
        if events:
            predictive = synthetic.with_scores(predictive, events)
        posteriors[who] = synthetic.sampled(tree, who, predictive=predictive)
    x = synthetic.calibration(n=400)["x"].to_numpy()
    return ObservedData("event", "simulated", posteriors, x, list(synthetic.NAMES))


@pytest.fixture(scope="module")
def estimator():
    return synthetic.estimator(synthetic.calibration(n=400), "nle")


@pytest.fixture(scope="module")
def held_out(estimator):
    data = estimator.calibration
    return View(data["truth"].to_numpy(), data["x"].to_numpy(), np.arange(400), ("mass", "spin"))


def _checks(groups, **thresholds):
    return [check for each in assessment.assess(groups, thresholds) for check in each.checks]


def _names(checks):
    return [check.name for check in checks]


def test_an_estimator_is_asked_everything(estimator):
    found = _checks([[estimator]])
    assert _names(found) == [
        *("training", "held-out simulations", "calibration", "P-P", "coverage", "TARP"),
        *("information", "lost information", "parameter order"),
    ]
    assert {check.status for check in found} == {"pass"}


def test_a_campaign_is_asked_everything_in_the_order_of_the_page(estimator, held_out):
    groups = assessment.subjects_of(RAN, [estimator], [_observation()], held_out)
    found = _checks(groups)
    assert _names(found) == [
        *("failures", "training", "held-out simulations", "calibration", "P-P", "coverage", "TARP"),
        *("information", "lost information", "parameter order", "local calibration"),
        *("effective draws", "prior edge", "predictive"),
        *("effective draws", "convergence", "chain length", "prior edge", "predictive"),
        *("agreement", "joint agreement", "in distribution", "data path"),
    ]
    assert {check.status for check in found} == {"pass"}
    near = found[_names(found).index("local calibration")]
    assert near.subject == "nle, event"


def test_other_held_out_simulations_than_those_of_the_calibration_are_refused(estimator, held_out):
    others = View(held_out.theta + 1, held_out.x, held_out.row, held_out.names)
    with pytest.raises(ValueError, match="other truths than the held-out simulations"):
        list(assessment.subjects_of(RAN, [estimator], [_observation()], others))


def test_a_set_of_events_is_asked_whether_errors_add_up(estimator, held_out):
    *_, last = assessment.subjects_of(RAN, [estimator], [_observation(events=200)], held_out)
    found = _checks([last])
    assert [(check.name, check.status, check.subject) for check in found] == [
        ("accumulation", "pass", "nle, event"),
        ("width of events", "pass", "nle, event"),
    ]
    failed = {"simulated": 1000, "failed": 300, "target": "likelihood", "modelled": True}
    (one,) = last
    some_failed = dataclasses.replace(one, estimator=synthetic.estimator(None, failures=failed))
    assert _names(_checks([[some_failed]]))[0] == "selection"
    single = assessment.subjects_of(RAN, [estimator], [_observation()], held_out)
    assert not [each for group in single for each in group if isinstance(each, ManyEvents)]


def test_one_refined_is_not_compared_with_its_own_proposal():
    observation = _observation()
    (pair,) = observation.pairs
    assert isinstance(pair, PosteriorPair)
    assert (pair.title, pair.pair) == ("npe and nle, event", "npe and nle")
    tree = synthetic.posterior(5)
    tree.attrs["proposal"] = "npe"
    more = {**observation.posteriors, "better": synthetic.sampled(tree, "better")}
    pairs = dataclasses.replace(observation, posteriors=more).pairs
    assert [each.pair for each in pairs] == ["npe and nle", "nle and better"]


def test_a_pair_among_hundreds_is_not_given_to_a_classifier():
    observation = dataclasses.replace(_observation(), detailed=False)
    assert _names(_checks([observation.pairs])) == ["agreement"]


def test_draws_are_a_chain_where_the_sampler_says_so():
    direct, chain = synthetic.posterior(method="npe"), synthetic.posterior()
    assert synthetic.sampled(direct).independent
    assert not synthetic.sampled(chain).independent
    direct["sample_stats"].attrs["independent"] = 0
    chain["sample_stats"].attrs["independent"] = 1
    assert not synthetic.sampled(direct).independent
    assert synthetic.sampled(chain).independent


def test_thresholds_of_the_configuration_are_used(estimator):
    checks = _checks([[estimator]], information={"nats": 100.0})
    found = {check.name: check.status for check in checks}
    assert found["information"] == "warn"
    assert found["calibration"] == "pass"
