"""Every check passes the healthy case and catches its mutation at the documented power."""

import numpy as np
import pandas as pd
import pytest
import synthetic
import xarray as xr

from sbi_pipeline import checks
from sbi_pipeline.diagnostics import calibration, comparison, convergence
from sbi_pipeline.diagnostics.failures import prior_shift
from sbi_pipeline.diagnostics.predictive import Typicality, in_distribution, nearest, typicality

REPEATS = 40
MUTATIONS = {
    "sd x 0.5": ({"width": 0.5}, {"calibration", "coverage"}),
    "sd x 2": ({"width": 2.0}, {"calibration", "coverage"}),
    "mean shifted by 0.5 sd": ({"shift": 0.5}, {"calibration"}),
    "two parameters swapped": ({"swap": True}, {"calibration", "coverage", "parameter order"}),
    "posterior = prior": ({"prior_only": True}, {"information"}),
}


def _estimator_checks(data):
    return [
        checks.calibration(data, "npe"),
        checks.coverage(data, "npe"),
        checks.information(calibration.information(data), "npe"),
        checks.parameter_order(data, "npe"),
    ]


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_fails_the_named_checks(name):
    options, expected = MUTATIONS[name]
    for seed in range(REPEATS):
        found = _estimator_checks(synthetic.calibration(n=500, seed=seed, **options))
        failed = {check.name for check in found if check.status == "fail"}
        assert expected <= failed, f"repeat {seed}: only {failed} failed"


def _two_modes(keep_both, seed, n=500, draws=99):
    """theta ~ N(0, 2), x = |theta| + noise: two modes, of which an estimator may know only one."""
    rng = np.random.default_rng(seed)
    truth = 2 * rng.normal(size=(n, 1))
    x = np.abs(truth) + 0.2 * rng.normal(size=(n, 1))
    sign = rng.choice([-1, 1], size=(n, draws)) if keep_both else 1
    posterior = sign * np.abs(x + 0.2 * rng.normal(size=(n, draws)))
    by_parameter = ("simulation", "parameter")
    return xr.Dataset(
        {"ranks": (by_parameter, (posterior < truth).sum(axis=1, keepdims=True))},
        {"parameter": ["theta"]},
        {"draws": draws},
    )


def test_a_lost_mode_fails_calibration_and_coverage():
    for seed in range(REPEATS):
        lost = _two_modes(False, seed)
        assert checks.calibration(lost, "npe").status == "fail"
        assert checks.coverage(lost, "npe").status == "fail"
    kept = [checks.calibration(_two_modes(True, seed), "npe").status for seed in range(REPEATS)]
    assert kept.count("fail") <= 0.05 * REPEATS


def _shared_nuisance(per_event, seed, n=500, draws=99, events=10):
    """x_j = theta + b + noise_j with one b for all events; or, wrongly, one for each."""
    rng = np.random.default_rng(seed)
    prior_sd, shared_sd, noise_sd = 3.0, 1.0, 1.0
    truth = prior_sd * rng.normal(size=(n, 1))
    error = shared_sd * rng.normal(size=(n, 1)) + rng.normal(size=(n, 1)) * noise_sd / events**0.5
    variance = shared_sd**2 + noise_sd**2 / events
    if per_event:
        variance = (shared_sd**2 + noise_sd**2) / events
    shrink = prior_sd**2 / (prior_sd**2 + variance)
    drawn = shrink * (truth + error) + np.sqrt(variance * shrink) * rng.normal(size=(n, draws))
    by_parameter = ("simulation", "parameter")
    return xr.Dataset(
        {"ranks": (by_parameter, (drawn < truth).sum(axis=1, keepdims=True))},
        {"parameter": ["theta"]},
        {"draws": draws},
    )


def test_a_shared_nuisance_taken_for_one_per_event_fails():
    for seed in range(REPEATS):
        wrong = _shared_nuisance(True, seed)
        assert checks.calibration(wrong, "nle").status == "fail"
        assert checks.coverage(wrong, "nle").advice.endswith("too narrow.")
    right = [checks.coverage(_shared_nuisance(False, s), "nle").status for s in range(REPEATS)]
    assert right.count("pass") >= 0.95 * REPEATS


def test_the_truth_passes_every_check_of_an_estimator():
    passed = 0
    for seed in range(REPEATS):
        found = _estimator_checks(synthetic.calibration(n=500, seed=seed))
        passed += all(check.status == "pass" for check in found)
    assert passed >= 0.95 * REPEATS


def _local(seed, width):
    """Ranks near an observation in the tail, where alone the posterior has the wrong width."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=1000)
    sd = np.where(x > 1.0, width, 1.0)[:, None]
    ranks = (sd * rng.normal(size=(1000, 200)) < rng.normal(size=(1000, 1))).sum(axis=1)
    data = xr.Dataset(
        {"ranks": (("simulation", "parameter"), ranks[:, None])},
        {"parameter": ["theta"]},
        {"draws": 200},
    )
    near = nearest(x[:, None], np.array([1.6]), 100)
    return checks.calibration(data, "npe"), checks.local_calibration(
        data.isel(simulation=near), "npe, event"
    )


def test_local_calibration_sees_what_the_average_hides():
    wrong = [_local(seed, width=0.5) for seed in range(REPEATS)]
    assert sum(local.status == "fail" for _, local in wrong) >= 0.95 * REPEATS
    assert sum(average.status == "fail" for average, _ in wrong) == 0
    assert wrong[0][1].advice.startswith("For data like the observation: the posterior of theta")
    right = [_local(seed, width=1.0)[1].status for seed in range(REPEATS)]
    assert right.count("pass") >= 0.95 * REPEATS


def test_a_calibrated_posterior_that_learned_nothing_passes_the_others():
    found = _estimator_checks(synthetic.calibration(n=500, prior_only=True))
    assert {check.name: check.status for check in found} == {
        "calibration": "pass",
        "coverage": "pass",
        "information": "fail",
        "parameter order": "pass",
    }


def test_information_works_without_a_density():
    healthy, idle = (
        calibration.information(synthetic.calibration(density=False, prior_only=prior_only))
        for prior_only in (False, True)
    )
    assert checks.information(healthy, "nle").status == "pass"
    assert checks.information(idle, "nle").status == "fail"


def test_information_warns_of_one_idle_parameter():
    data = synthetic.calibration()
    data["sd"][:, 1] = 0.99
    check = checks.information(calibration.information(data), "npe")
    assert check.status == "warn"
    assert "spin" in check.advice


def test_a_small_but_certain_fault_only_warns():
    """With 20 000 simulations a width off by 10 % is certain, yet no reason to stop."""
    data = synthetic.calibration(n=20_000, width=0.9)
    assert checks.coverage(data, "npe").status == "warn"
    assert checks.calibration(data, "npe").status == "warn"


def test_coverage_says_which_way():
    narrow = checks.coverage(synthetic.calibration(width=0.5), "npe")
    assert narrow.advice.endswith("too narrow.")
    assert checks.coverage(synthetic.calibration(width=2.0), "npe").advice.endswith("too wide.")


def test_calibration_says_what_is_wrong():
    low = synthetic.calibration(shift=-0.5)
    assert "is too low" in checks.calibration(low, "npe").advice
    assert "is too narrow" in checks.calibration(synthetic.calibration(width=0.5), "npe").advice
    joint = synthetic.calibration()
    joint["joint_ranks"] = (("simulation", "quantity"), np.zeros((600, 1), dtype=int))
    check = checks.calibration(joint.assign_coords(quantity=["TARP"]), "npe")
    assert check.status == "fail"
    assert "joint posterior is not honest (ranks of TARP)" in check.advice


def _sampling(steps=300, **options):
    table = convergence.summary(synthetic.posterior(steps=steps, **options))
    found = checks.sampling(table, "nle", sampler="emcee", steps=steps)
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
    found = {c.name: c.status for c in checks.sampling(table, "nle", sampler="emcee")}
    assert found["convergence"] == "fail"


def test_direct_draws_are_asked_only_for_their_number():
    table = convergence.summary(synthetic.posterior(method="npe"))
    (check,) = checks.sampling(table, "npe", sampler="direct")
    assert (check.name, check.status) == ("effective draws", "pass")


def _agreement(n=4000, **options):
    one, other = synthetic.posterior(seed=1), synthetic.posterior(seed=2, method="npe", **options)
    draws = [
        {name: tree[f"posterior/{name}"].to_numpy().ravel() for name in synthetic.NAMES}
        for tree in (one, other)
    ]
    return checks.agreement(comparison.compare_marginals(*draws), "npe and nle")


def test_agreement():
    assert _agreement().status == "pass"
    assert _agreement(shift=0.35).status == "warn"
    assert _agreement(shift=1.0).status == "fail"
    assert _agreement(width=2.0).status == "fail"


def test_disagreement_within_chance_passes():
    row = {"parameter": "m", "shift": 0.3, "width": 1.0, "jsd_mnat": 60.0, "by_chance": 90.0}
    assert checks.agreement(pd.DataFrame([row]), "few draws").status == "pass"


@pytest.mark.parametrize(("p_value", "status"), [(0.4, "pass"), (0.004, "warn"), (1 / 501, "fail")])
def test_predictive_and_in_distribution(p_value, status):
    found = Typicality(p_value, {"distance": 0.5, "roughness": p_value}, 0.1, 500)
    for check in (checks.predictive(found, "npe"), checks.in_distribution(found, "school")):
        assert check.status == status
        assert ("roughness" in check.advice) == (status != "pass")


def test_too_few_data_sets_to_tell_are_no_pass():
    found = Typicality(0.5, {"distance": 0.5}, 0.1, draws=60)
    check = checks.predictive(found, "npe")
    assert check.status == "warn"
    assert "ask for 200 or more" in check.advice
    assert checks.predictive(found, "npe", p=(0.05, 0.02)).status == "pass"


DAYS = np.arange(80)


def _predictive(mutate, draws=1000):
    """Statuses of observations of a wave of uncertain amplitude, mutated, over repeats."""
    found = []
    for seed in range(REPEATS):
        rng = np.random.default_rng(seed)
        amplitude = rng.normal(5, 0.2, size=(draws + 1, 1))
        x = amplitude * np.sin(DAYS / 8) + rng.normal(size=(draws + 1, DAYS.size))
        found.append(checks.predictive(typicality(x[1:], mutate(x[0], rng)), "npe").status)
    return found


def test_an_observation_of_another_model_does_not_pass():
    noisy = _predictive(lambda x, rng: x + np.sqrt(1.25) * rng.normal(size=x.shape))
    assert noisy.count("pass") <= 0.05 * REPEATS  # noise x 1.5
    bump = _predictive(lambda x, rng: x + 6 * np.exp(-0.5 * ((DAYS - 40) / 2) ** 2))
    assert bump.count("pass") <= 0.05 * REPEATS  # a component missing from the simulator
    assert bump.count("fail") >= 0.9 * REPEATS
    right = _predictive(lambda x, rng: x)
    assert right.count("pass") >= 0.95 * REPEATS


@pytest.mark.slow
def test_a_perfect_campaign_passes_everything_in_19_of_20_cases():
    """Two exact estimators, two observations: all checks with a p-value at once."""
    passed = 0
    for seed in range(100):
        found = []
        for rows in (1000, 200):
            data = synthetic.calibration(n=rows, draws=200, seed=1000 * rows + seed)
            found += _estimator_checks(data)
            for x_o in (0.0, 1.0):
                near = np.argsort(np.abs(data["mean"].to_numpy()[:, 0] - x_o))[: rows // 10]
                found.append(checks.local_calibration(data.isel(simulation=near), "npe"))
        for observation in range(4):
            rng = np.random.default_rng([seed, observation])
            x = rng.normal(0, 3, size=(1001, 1)) * np.sin(DAYS / 8) + rng.normal(size=(1001, 80))
            found.append(checks.predictive(typicality(x[1:], x[0]), "npe"))
            if observation < 2:
                found.append(checks.in_distribution(in_distribution(x[1:], x[0]), "event"))
        passed += all(check.status == "pass" for check in found)
    assert passed >= 90  # of 100; 95 expected at least, 2.2 of scatter


def test_failures():
    assert checks.failures({}, 1000).status == "pass"
    assert checks.failures({"nan": 5}, 1000).status == "pass"
    warned = checks.failures({"nan": 5, "timeout": 40}, 1000)
    assert warned.status == "warn"
    assert warned.value == pytest.approx(0.045)
    assert "timeout" in warned.advice
    assert checks.failures({"nan": 300}, 1000).status == "fail"
    with pytest.raises(ValueError, match="0 rows"):
        checks.failures({}, 0)


def _lost_prior(theta, failed):
    return checks.lost_prior(prior_shift({"mass": theta, "spin": theta[::-1]}, failed))


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
    assert checks.prior_edge(convergence.summary(tree), "nle").status == "pass"
    tree["prior/spin"] = np.minimum(tree["prior/spin"], 0.3)
    check = checks.prior_edge(convergence.summary(tree), "nle")
    assert check.status == "warn"
    assert "spin" in check.advice


def test_training():
    settled, falling, broken = (synthetic.history() for _ in range(3))
    falling["validation_loss"] = np.linspace(4, 0, 40)
    broken["validation_loss"] = np.nan
    assert checks.training(settled, "npe").status == "pass"
    assert checks.training(falling, "npe").status == "warn"
    assert checks.training(broken, "npe").status == "fail"


def test_thresholds_that_contradict_are_refused():
    data = synthetic.calibration(n=50)
    table = convergence.summary(synthetic.posterior())
    with pytest.raises(ValueError, match="failures contradict"):
        checks.failures({}, 10, warn=0.5, fail=0.1)
    with pytest.raises(ValueError, match="coverage p contradict"):
        checks.coverage(data, "npe", p=(0.001, 0.01))
    with pytest.raises(ValueError, match="ess contradict"):
        checks.sampling(table, "nle", sampler="emcee", ess=(100, 400))
