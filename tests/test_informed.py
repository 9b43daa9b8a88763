"""Estimators that were really trained: what they lose is seen, and the right remedy is said.

Losses are against exact posteriors, see `informed_problems`.
"""

from dataclasses import replace

import pytest
from informed_problems import (
    Blob,
    Flare,
    Line,
    Moons,
    Points,
    Silent,
    checks_of,
    ended_early,
    trained,
)

pytestmark = [pytest.mark.study, pytest.mark.timeout(3600)]


def learnt_by_heart(problem, rows):
    """What it loses in nats, and its check of lost information."""
    one = trained(problem, rows)
    found = checks_of(one.told)
    return one.lost(problem)[0], found["npe", "lost information"]


@pytest.mark.parametrize(
    ("problem", "rows", "least"), [(Blob(), 3000, 0.7), (Flare(), 2000, 0.5), (Points(), 300, 0.4)]
)
def test_a_posterior_that_is_too_wide_for_want_of_rows_is_no_plain_pass(problem, rows, least):
    lost, check = learnt_by_heart(problem, rows)
    assert lost > least
    assert check.status == "warn"
    assert "Ask for more simulations" in check.advice


def test_with_one_estimator_even_enough_rows_are_no_plain_pass():
    lost, check = learnt_by_heart(Points(), 6000)
    assert lost < 0.2
    assert check.status == "pass"
    assert check.caveat.startswith("One estimator only")


def test_data_that_say_nothing_are_no_fault():
    found = checks_of(trained(Silent(), 2000).told)
    information = found["npe", "information"]
    assert information.status == "warn"
    assert "Nothing was learnt" in information.advice
    assert {each.status for each in found.values() if each is not information} == {"pass"}


def test_a_parameter_of_which_the_data_say_nothing_is_no_fault():
    found = checks_of(trained(Silent(of_a=True), 2000).told)
    assert {each.status for each in found.values()} == {"pass"}
    assert "of b is about as wide" in found["npe", "information"].advice


def test_a_network_that_missed_everything_fails_beside_the_regression():
    lazy = {"linear": False}
    found = checks_of(trained(Line(), 2000, epochs=2, network=lazy, learning_rate=1e-7).told)
    information = found["npe", "information"]
    assert information.status == "fail"
    assert "a regression sees more of a and b" in information.advice
    assert "allow more epochs" in information.advice.lower()


def test_a_network_that_missed_everything_fails_beside_another_method():
    """Without a regression, as where training rows are fewer than it wants."""
    lazy = trained(Line(), 2000, epochs=2, network={"linear": False}, learning_rate=1e-7).told
    lazy = replace(lazy, calibration=lazy.calibration.drop_vars("regressed"))
    found = checks_of(lazy, trained(Line(), 2000, method="nle").told)
    assert "nle sees more of a and b" in found["npe", "information"].advice
    assert found["npe", "information"].status == "fail"
    assert found["nle", "lost information"].status == "pass"


def test_columns_that_were_dropped_are_seen_by_the_regression():
    told = {"network": {"columns": [0]}, "unseen": "columns: all; it sees 1 of 3"}
    found = checks_of(trained(Line(), 2000, **told).told)
    for name in ("information", "lost information"):
        assert found["npe", name].status != "pass"
        assert "columns: all" in found["npe", name].advice


@pytest.mark.parametrize(("problem", "rows"), [(Blob(), 3000), (Moons(), 2000)])
def test_a_training_of_a_quarter_of_the_usual_epochs_warns(problem, rows):
    short, usual = (trained(problem, rows, epochs=epochs) for epochs in (15, None))
    assert usual.gain.mean() - short.gain.mean() > 0.1
    assert checks_of(usual.told)["npe", "training"].status == "pass"
    check = checks_of(short.told)["npe", "training"]
    assert check.status == "warn"
    assert "Allow more epochs" in check.advice


@pytest.mark.parametrize(("problem", "rows"), [(Blob(), 3000), (Moons(), 2000)])
def test_trainings_that_end_early_warn_and_those_of_all_epochs_pass(problem, rows):
    found = [ended_early(problem, rows, seed=seed) for seed in range(101, 121)]
    assert sum(one.lost for one in found) / 20 > 0.1
    assert sum(one.warned for one in found) >= 19
    assert sum(not one.warned_usual for one in found) >= 19
