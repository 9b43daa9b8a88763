"""What was learnt is held against what a regression, other methods and more rows would know."""

import dataclasses

import numpy as np
import pytest
import synthetic

from sbi_pipeline.diagnostics.lost_information import LOST_INFORMATION
from sbi_pipeline.diagnostics.training import ending
from sbi_pipeline.reports import verdict


def test_an_idle_parameter_is_no_fault_where_nobody_sees_it():
    check = synthetic.asked("information", synthetic.calibration(sees=(True, False)))
    assert check.status == "pass"
    assert "spin is about as wide as the prior" in check.advice
    assert "nothing more of it that a regression sees" in check.advice


def test_an_idle_parameter_that_a_regression_sees_was_missed():
    data, blind = (synthetic.calibration(sees=(True, told)) for told in (True, False))
    for name in ("mean", "sd", "sd_ratio", "pulls"):
        data[name][:, 1] = blind[name][:, 1]
    check = synthetic.asked("information", data)
    assert check.status == "warn"
    assert "The posterior of spin" in check.advice
    assert "a regression sees more of spin" in check.advice


def test_without_anybody_to_ask_an_idle_parameter_warns():
    data = synthetic.calibration(sees=(True, False)).drop_vars("regressed")
    check = synthetic.asked("information", data)
    assert check.status == "warn"
    assert "no regression or other method to tell" in check.advice


def test_a_posterior_that_is_right_and_says_nothing_is_no_fault():
    silent = synthetic.calibration(sees=(False, False))
    np.testing.assert_allclose(silent["log_prob"], silent["prior_log_prob"])
    found = {check.name: check for check in synthetic.checks_of(silent)}
    assert found["information"].status == "warn"
    assert found["information"].advice.startswith("Nothing was learnt: the posterior is the prior.")
    assert {each.status for name, each in found.items() if name != "information"} == {"pass"}


def test_a_posterior_worse_than_its_prior_fails_whoever_else_sees_nothing():
    check = synthetic.asked("information", synthetic.calibration(sees=(False, False), width=0.5))
    assert check.status == "fail"
    assert "less probable than under the prior" in check.advice


def test_one_that_another_method_knows_more_than_was_too_wide():
    knows, wide = synthetic.calibration(), synthetic.calibration(width=4.0)
    wide = wide.drop_vars("regressed")
    check = judged_beside(wide, {"nle": knows})
    assert check.status == "fail"
    assert "nats more probable under nle" in check.advice
    assert judged_beside(knows, {"nle": wide}).status == "pass"


def judged_beside(data, others, **told):
    estimator = synthetic.estimator(data, others=others, **told)
    (check,) = LOST_INFORMATION.ask("lost_information", estimator, {}).checks
    return check


def test_rows_learnt_by_heart_are_no_plain_pass():
    check = synthetic.asked("lost_information", synthetic.calibration(over_fit=1.6))
    assert check.status == "warn"
    assert check.value == pytest.approx(np.exp(1.6 / 2))
    assert "learnt by heart" in check.advice
    assert "more simulations" in check.advice
    assert synthetic.asked("lost_information", synthetic.calibration(over_fit=0.1)).status == "pass"


def test_columns_that_were_dropped_are_the_first_remedy():
    wide = synthetic.calibration(width=4.0)
    told = judged_beside(wide, {}, unseen="columns: all; it sees 1 of 2")
    assert told.status == "fail"
    assert "Let it see all of x (columns: all; it sees 1 of 2)." in told.advice


def test_one_estimator_only_is_said_in_the_verdict():
    data = synthetic.calibration()
    alone = judged_beside(data, {})
    assert alone.status == "pass"
    assert "One estimator only" in verdict.overall([alone]).sentence
    both = judged_beside(data, {"nle": data})
    assert "One estimator only" not in verdict.overall([both]).sentence


def test_one_that_nothing_can_be_held_against_warns():
    data = synthetic.calibration().drop_vars("regressed").assign_attrs(over_fit_error=np.nan)
    check = judged_beside(data, {})
    assert check.status == "warn"
    assert "Add another method" in check.advice


@pytest.mark.parametrize(
    ("taught", "usual", "rate_at_end", "status"),
    [
        (0.2, 60, 0.0, "warn"),
        (0.05, 60, 0.0, "pass"),  # little was left to learn
        (0.2, 18, 0.0, "pass"),  # about as many epochs as is usual
        (0.2, None, 0.0, "pass"),
        (0.2, 60, 0.5, "pass"),  # it stopped by itself
    ],
)
def test_a_training_that_ended_early_settled_all_the_same(taught, usual, rate_at_end, status):
    """The learning rate falls to zero at the last epoch, whichever that is."""
    history = synthetic.history(15)
    history["validation_loss"] = taught * ((history["epoch"] - 15) / 7) ** 2
    history["learning_rate"] = np.linspace(1, rate_at_end, 15)
    check = synthetic.judged("training", ending(history, usual), "npe")
    assert check.status == status
    assert ("Allow more epochs" in check.advice) == (status == "warn")


@pytest.mark.parametrize(
    ("method", "remedy"), [("reweighted", "Mend the likelihood"), ("recalibrated", "Hold out more")]
)
def test_what_was_not_trained_is_told_what_helps_it(method, remedy):
    wide = synthetic.estimator(synthetic.calibration(width=4.0))
    made = dataclasses.replace(wide, method=method, history=None)
    (check,) = LOST_INFORMATION.ask("lost_information", made, {}).checks
    assert check.status == "fail"
    assert remedy in check.advice
