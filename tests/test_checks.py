"""Every check passes the healthy case and catches its mutation at the documented power."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
import synthetic

from sbi_pipeline.diagnostics import convergence
from sbi_pipeline.diagnostics.agreement import Agreement, compare_marginals
from sbi_pipeline.diagnostics.check import shown_limit, significant
from sbi_pipeline.diagnostics.data_path import data_path
from sbi_pipeline.diagnostics.in_distribution import in_distribution
from sbi_pipeline.diagnostics.joint_agreement import Classified
from sbi_pipeline.diagnostics.local_calibration import (
    Local,
    kernel,
    local_test,
    unlikeness,
)
from sbi_pipeline.diagnostics.lost_prior import prior_shift
from sbi_pipeline.diagnostics.predictive import typicality
from sbi_pipeline.diagnostics.prior_edge import PRIOR_EDGE
from sbi_pipeline.diagnostics.sampling import SAMPLING, Sampling
from sbi_pipeline.diagnostics.training import ending
from sbi_pipeline.diagnostics.typicality import Typicality
from sbi_pipeline.diagnostics.weights import effective_rows
from sbi_pipeline.subjects import SimulatedRows

REPEATS = 40


@pytest.mark.parametrize(
    ("limit", "shown"),
    [
        (0.005 / 12, "0.00042"),  # shared among checks
        (0.01 / 6431, "1.6e-06"),
        (1 / 3, "0.33"),
        (1.15, "1.15"),  # chosen
        (0.0025, "0.0025"),
        (1000, "1000"),
        (0.0, "0"),
    ],
)
def test_a_limit_is_shown_as_it_was_chosen_or_to_two_digits(limit, shown):
    assert shown_limit(limit) == shown


def test_a_threshold_that_was_divided_is_short_on_the_page():
    judged = significant(0.5, 0.1, (0.005 / 12, 0.001 / 12), (0.02, 0.1), "ranks")
    assert judged.threshold == (
        "warn at p < 0.00042 and a difference above 0.02, "
        "fail at p < 8.3e-05 and a difference above 0.1"
    )


def test_a_calibrated_posterior_that_learned_nothing_passes_the_others():
    found = synthetic.checks_of(synthetic.calibration(n=500, prior_only=True))
    assert {check.name: check.status for check in found} == {
        "held-out simulations": "pass",
        "calibration": "pass",
        "P-P": "pass",
        "coverage": "pass",
        "TARP": "pass",
        "information": "fail",
        "lost information": "fail",
        "parameter order": "pass",
    }


def test_information_works_without_a_density():
    healthy, idle = (
        synthetic.asked("information", synthetic.calibration(density=False, prior_only=prior_only))
        for prior_only in (False, True)
    )
    assert healthy.status == "pass"
    assert idle.status == "fail"


def test_a_small_but_certain_fault_only_warns():
    """With 20 000 simulations a width off by 10 % is certain, yet no reason to stop."""
    data = synthetic.calibration(n=20_000, width=0.9)
    assert synthetic.asked("coverage", data).status == "warn"
    assert synthetic.asked("calibration", data).status == "warn"


def test_coverage_says_which_way():
    narrow = synthetic.asked("coverage", synthetic.calibration(width=0.5))
    assert "error bars are too narrow; train on more simulations" in narrow.advice
    wide = synthetic.asked("coverage", synthetic.calibration(width=2.0))
    assert "error bars are too wide; allow more epochs" in wide.advice


def test_a_small_fault_that_is_certain_hides_no_large_one():
    """Too narrow by 1.4: 95.4 % intervals lack 0.085 at 13 sigma, 68.3 % ones 0.15 at 10."""
    check = synthetic.asked("coverage", synthetic.calibration(n=1000, width=1 / 1.4))
    assert check.status == "fail"
    assert "68.3 %" in check.advice


def test_calibration_says_what_is_wrong():
    low = synthetic.calibration(shift=-0.5)
    assert "is too low" in synthetic.asked("calibration", low).advice
    assert (
        "is too narrow" in synthetic.asked("calibration", synthetic.calibration(width=0.5)).advice
    )
    joint = synthetic.calibration()
    joint["joint_ranks"] = (("simulation", "quantity"), np.zeros((600, 1), dtype=int))
    check = synthetic.asked("calibration", joint.assign_coords(quantity=["TARP"]))
    assert check.status == "fail"
    assert "joint posterior is not honest (ranks of TARP)" in check.advice


def _sampling(steps=300, **options):
    table = convergence.summary(synthetic.posterior(steps=steps, **options))
    found = synthetic.judged("sampling", Sampling(table, independent=False, steps=steps), "nle")
    return {check.name: check.status for check in found}


def test_a_healthy_chain_passes():
    assert _sampling() == {
        "effective draws": "pass",
        "convergence": "pass",
        "chain length": "pass",
    }


def test_a_chain_stopped_at_20_steps_fails():
    found = _sampling(steps=20)
    assert found["chain length"] == "fail"
    assert found["effective draws"] != "pass"


def test_ensembles_that_disagree_fail():
    assert _sampling(apart=1.0)["convergence"] == "fail"


def test_a_stuck_chain_fails_rather_than_passing_as_nan():
    table = convergence.summary(synthetic.posterior())
    table["r_hat"] = np.nan
    judged = synthetic.judged("sampling", Sampling(table, independent=False))
    found = {check.name: check.status for check in judged}
    assert found["convergence"] == "fail"


def test_direct_draws_are_asked_only_for_their_number():
    asked = synthetic.sampled(synthetic.posterior(method="npe"), "npe")
    (check,) = SAMPLING.ask("sampling", asked, {}).checks
    assert (check.name, check.status) == ("effective draws", "pass")


def _agreement(n=4000, **options):
    one, other = synthetic.posterior(seed=1), synthetic.posterior(seed=2, method="npe", **options)
    draws = [
        {name: tree[f"posterior/{name}"].to_numpy().ravel() for name in synthetic.NAMES}
        for tree in (one, other)
    ]
    return synthetic.judged("agreement", Agreement(compare_marginals(*draws)))


def test_agreement():
    assert _agreement().status == "pass"
    assert _agreement(shift=0.35).status == "warn"
    assert _agreement(shift=1.0).status == "fail"
    assert _agreement(width=2.0).status == "fail"


def test_joint_agreement():
    passed, warned, failed = (
        synthetic.judged("joint_agreement", Classified(accuracy, 1000)).status
        for accuracy in (0.51, 0.65, 0.8)
    )
    assert (passed, warned, failed) == ("pass", "warn", "fail")
    few = synthetic.judged("joint_agreement", Classified(0.62, 20))
    assert few.status == "pass"  # a coin may do that


def test_the_data_path_of_one_more_simulation_is_that_of_the_others():
    rng = np.random.default_rng(0)
    x = 3.0 + rng.normal(size=(500, 200))
    orders = {"npe": ["mass", "spin"]}
    made = [
        synthetic.judged("data_path", data_path(x, each, orders, ["mass", "spin"]), "event")
        for each in x[:40]
    ]
    assert all(check.status == "pass" for check in made)


@pytest.mark.parametrize(
    ("change", "orders", "said"),
    [
        (lambda x: 1000 * x, ["mass", "spin"], "1e\\+03 times as large .* compare the units"),
        (lambda x: x[:-1], ["mass", "spin"], r"has shape \(9,\), simulations have \(10,\)"),
        (lambda x: x, ["spin", "mass"], "npe learnt spin, mass, wanted mass, spin"),
    ],
)
def test_a_wrong_data_path_is_named(change, orders, said):
    x = 3.0 + np.random.default_rng(0).normal(size=(500, 10))
    found = data_path(x, change(x[0]), {"npe": orders}, ["mass", "spin"])
    check = synthetic.judged("data_path", found, "event")
    assert check.status == "fail"
    assert re.search(said, check.advice)


def test_disagreement_within_chance_passes():
    row = {"parameter": "m", "shift": 0.3, "width": 1.0, "jsd_mnat": 60.0, "by_chance": 90.0}
    assert synthetic.judged("agreement", Agreement(pd.DataFrame([row]))).status == "pass"


@pytest.mark.parametrize(("p_value", "status"), [(0.4, "pass"), (0.004, "warn"), (1 / 501, "fail")])
def test_predictive_and_in_distribution(p_value, status):
    by_statistic = {"roughness": p_value, "distance": 0.5}  # the worst first
    found = Typicality(p_value, by_statistic, 0.1, 500, nats=-np.log(p_value))
    for check in (
        synthetic.judged("predictive", found, "npe"),
        synthetic.judged("in_distribution", found, "school"),
    ):
        assert check.status == status
        assert ("roughness" in check.advice) == (status != "pass")


def test_too_few_data_sets_to_tell_are_no_pass():
    found = Typicality(0.5, {"distance": 0.5}, 0.1, draws=60, nats=0.7)
    check = synthetic.judged("predictive", found, "npe")
    assert check.status == "warn"
    assert "ask for 500 or more" in check.advice
    assert synthetic.judged("predictive", found, "npe", p=(0.05, 0.02)).status == "pass"


DAYS = np.arange(80)


@pytest.mark.slow
def test_a_perfect_campaign_passes_everything_in_19_of_20_cases():
    """Two exact estimators, two observations: all checks with a p-value at once."""
    passed = 0
    for seed in range(100):
        found = []
        for rows in (1000, 200):
            data = synthetic.calibration(n=rows, draws=200, seed=1000 * rows + seed)
            found += synthetic.checks_of(data)
            for x_o in (np.zeros(2), np.array([1.0, -1.0])):
                squared = unlikeness(data["x"].to_numpy() / synthetic.PRIOR_SD, x_o)
                weights = kernel(squared, max(50, rows / 10))
                local = local_test(data["scores"].to_numpy(), synthetic.NAMES, weights)
                found.append(synthetic.judged("local_calibration", local, "npe"))
        for observation in range(4):
            rng = np.random.default_rng([seed, observation])
            x = rng.normal(0, 3, size=(1001, 1)) * np.sin(DAYS / 8) + rng.normal(size=(1001, 80))
            found.append(synthetic.judged("predictive", typicality(x[1:], x[0]), "npe"))
            if observation < 2:
                found.append(
                    synthetic.judged("in_distribution", in_distribution(x[1:], x[0]), "event")
                )
        passed += all(check.status == "pass" for check in found)
    assert passed >= 90  # of 100; 95 expected at least, 2.2 of scatter


@pytest.mark.parametrize(
    ("effective", "status"), [(5000.0, "pass"), (600.0, "warn"), (40.0, "fail")]
)
def test_effective_rows_of_weighted_simulations(effective, status):
    told = {"outside": 0, "effective": effective, "drawn_from": {"mass": {"type": "uniform"}}}
    assert synthetic.judged("weights", effective).status == status
    assert effective_rows(SimulatedRows(10_000, {}, None, told)) == effective
    assert effective_rows(SimulatedRows(10_000, {}, None, {**told, "drawn_from": None})) is None
    assert effective_rows(SimulatedRows(10_000, {})) is None


def test_failures():
    assert synthetic.judged("failures", SimulatedRows(1000, {})).status == "pass"
    assert synthetic.judged("failures", SimulatedRows(1000, {"nan": 5})).status == "pass"
    warned = synthetic.judged("failures", SimulatedRows(1000, {"nan": 5, "timeout": 40}))
    assert warned.status == "warn"
    assert warned.value == pytest.approx(0.045)
    assert "timeout" in warned.advice
    failed = synthetic.judged("failures", SimulatedRows(1000, {"nan": 300}))
    assert (failed.status, "selection: detected" in failed.advice) == ("fail", True)
    with pytest.raises(ValueError, match="0 rows"):
        synthetic.judged("failures", SimulatedRows(0, {}))


def _lost_prior(theta, failed):
    return synthetic.judged("lost_prior", prior_shift({"mass": theta, "spin": theta[::-1]}, failed))


def test_failures_that_cut_the_prior():
    rng = np.random.default_rng(0)
    theta = rng.uniform(size=20_000)
    at_random = [_lost_prior(theta, rng.uniform(size=20_000) < 0.1).status for _ in range(REPEATS)]
    assert at_random.count("pass") >= 0.95 * REPEATS
    corner, half = _lost_prior(theta, theta > 0.98), _lost_prior(theta, theta > 0.8)
    assert (corner.status, half.status) == ("warn", "fail")
    assert "mass" in half.advice


def test_a_posterior_at_the_edge_of_the_prior():
    tree = synthetic.posterior()

    def check(held_out=None):
        asked = dataclasses.replace(synthetic.sampled(tree), held_out_edges=held_out)
        (check,) = PRIOR_EDGE.ask("prior_edge", asked, {}).checks
        return check

    assert check().status == "pass"
    tree["prior/spin"] = np.minimum(tree["prior/spin"], 0.3)
    assert check().status == "warn"
    assert "spin" in check().advice
    rare, usual = np.zeros(500), np.repeat([0.0, 1.0], [450, 50])
    assert check(rare).status == "warn"
    assert check(usual).status == "pass"
    assert "as 10 % of held-out posteriors do" in check(usual).advice


def test_training():
    settled, falling, broken = (synthetic.history() for _ in range(3))
    falling["validation_loss"] = np.linspace(4, 0, 40)
    broken["validation_loss"] = np.nan
    histories = (settled, falling, broken, falling[:4])
    checks = [synthetic.judged("training", ending(each), "npe") for each in histories]
    assert [check.status for check in checks] == ["pass", "warn", "fail", "warn"]


def test_local_calibration_names_what_is_off():
    differences = {"the mean of mass": 0.1, "the width of spin": 0.9}
    check = synthetic.judged("local_calibration", Local(0.0005, differences, 80.0), "npe, event")
    assert check.status == "fail"
    assert "the width of spin is off" in check.advice
    assert (
        synthetic.judged("local_calibration", Local(0.5, differences, 80.0), "npe").status == "pass"
    )


def test_thresholds_that_contradict_are_refused():
    data = synthetic.calibration(n=50)
    table = convergence.summary(synthetic.posterior())
    with pytest.raises(ValueError, match="failures contradict"):
        synthetic.judged("failures", SimulatedRows(10, {}), fraction=(0.5, 0.1))
    with pytest.raises(ValueError, match="coverage p contradict"):
        synthetic.asked("coverage", data, p=(0.001, 0.01))
    with pytest.raises(ValueError, match="ess contradict"):
        synthetic.judged("sampling", Sampling(table, independent=True), ess=(100, 400))


@pytest.mark.parametrize(
    ("thresholds", "problem"),
    [
        ({"sampling": {"rhat": [1, 2]}}, "sampling.rhat: unknown key; did you mean 'r_hat'"),
        ({"sampling": {"r_hat": [1.1, 1.01]}}, "contradict each other; .* so larger"),
        ({"sampling": {"ess": [100, 400]}}, "contradict each other; .* so smaller"),
        ({"coverage": {"p": 0.01}}, r"got 0.01; wanted \[warn, fail\]"),
        ({"training": {"warn": [0.1, 0.2]}}, "wanted one number"),
        (
            {"parameter_order": {"p": 1}},
            "parameter_order: unknown diagnostic; wanted one of failures, lost",
        ),
    ],
)
def test_bad_thresholds_are_found_before_anything_runs(thresholds, problem):
    with pytest.raises(ValueError, match=f"thresholds.*{problem}"):
        synthetic.bind_thresholds(thresholds)


def test_defaults_are_thresholds_themselves():
    given = {"tarp": {"p": [0.005, 0.001], "difference": [0.01, 0.03]}, "training": {"warn": 1}}
    synthetic.bind_thresholds(given)
