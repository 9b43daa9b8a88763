"""Checks of a catalogue pass when all is right, as often as they say, and find what is wrong."""

import dataclasses

import numpy as np
import pytest
import surveys

from sbi_pipeline import diagnostics
from sbi_pipeline.diagnostics.object_p_values import count_rare
from sbi_pipeline.diagnostics.object_truths import like_prior
from sbi_pipeline.populations import EDGE, PopulationPair

REPEATS = 100


def asked(name, subject, **limits):
    """Status of every check that a diagnostic makes, by name; none where it does not apply."""
    found = diagnostics.registered()[name].ask(name, subject, limits)
    return {} if found is None else {check.name: check for check in found.checks}


def statuses(name, subject, **limits):
    return {each: check.status for each, check in asked(name, subject, **limits).items()}


@pytest.mark.parametrize("n", [12, 150, 1000])
def test_a_good_catalogue_passes_everything_in_19_of_20_cases(n):
    passed = sum(
        {check.status for check in surveys.checks_of(surveys.population(n, seed, mcmc=True))}
        == {"pass"}
        for seed in range(REPEATS)
    )
    assert passed >= 0.91 * REPEATS  # 0.95 expected at least, and 0.022 of scatter


def test_chance_is_exact_whether_the_simulations_are_shared_or_not():
    rng = np.random.default_rng(0)
    for reference in (None, 500):
        p_values, expected = [], []
        for _ in range(2000):
            p = rng.random(300)
            if reference is not None:
                simulated = np.sort(rng.random(reference))
                p = (1 + np.searchsorted(simulated, p)) / (reference + 1)
            found = count_rare(p, 0.01, reference)
            p_values.append(found.p_value)
            expected.append(found.expected)
        # A count has few values: p <= u no more often than u, and hardly less at those it takes.
        values = np.unique(p_values)
        reached = np.array([np.mean(np.array(p_values) <= value) for value in values])
        assert np.all(np.abs(reached - values) < 5 * np.sqrt(values * (1 - values) / 2000) + 1e-9)
        assert np.mean(expected) == pytest.approx(3.0, rel=0.01)


def test_shared_simulations_are_no_reason_to_fail_a_large_catalogue():
    """Of 200 simulations the 1 % point is uncertain by 0.7 %, alike for all objects."""
    rng, alarms = np.random.default_rng(0), {None: 0, 200: 0}
    for _ in range(REPEATS):
        simulated = np.sort(rng.random(200))
        p = (1 + np.searchsorted(simulated, rng.random(20_000))) / 201
        for reference in alarms:
            alarms[reference] += count_rare(p, 0.01, reference).p_value < 0.005
    assert alarms[200] <= 3
    assert alarms[None] > 20


@pytest.mark.parametrize(
    ("outliers", "status"), [(0.0, "pass"), (0.01, "pass"), (0.05, "warn"), (0.2, "fail")]
)
def test_outliers_are_found(outliers, status):
    survey = surveys.population(1000, 2, outliers=outliers)
    catalogue = surveys.observed(survey)
    within = asked("objects_in_distribution", catalogue)["objects in distribution"]
    predicted = asked("objects_predicted", survey)["objects predicted"]
    assert (within.status, predicted.status) == (status, status)
    assert within.value == pytest.approx(0.01 + 0.99 * outliers, abs=0.015)
    assert within.chance == "10 of 1\u202f000; at most 17 in 95 % of cases"
    assert predicted.chance == "10 of 1\u202f000; at most 15 in 95 % of cases"


def test_few_objects_of_which_several_are_outliers_are_found():
    table = surveys.population(12).table.assign(in_distribution_p=[*3 * [0.0005], *9 * [0.4]])
    survey = dataclasses.replace(surveys.population(12), table=table)
    assert statuses("objects_in_distribution", surveys.observed(survey)) == {
        "objects in distribution": "fail"
    }


def test_where_few_were_predicted_a_larger_p_value_is_looked_at():
    few = surveys.population(1000, predictions=50, outliers=0.2)
    check = asked("objects_predicted", few)["objects predicted"]
    assert check.status == "fail"
    assert "p ≤ 0.05" in check.quantity
    assert statuses("objects_predicted", surveys.population(1000, predictions=50)) == {
        "objects predicted": "pass"
    }
    assert asked("objects_predicted", surveys.population(100, predictions=10)) == {}
    table = few.table.drop(columns=["predictive_p"])
    without = dataclasses.replace(few, table=table)
    assert asked("objects_predicted", without) == {}
    assert without.remarks[-1] == "No data were predicted."


def test_simulations_that_are_too_few_to_flag_an_object_still_tell_of_many():
    few = surveys.population(100, outliers=0.2, reference=60, least_p=0.03)
    check = asked("objects_in_distribution", surveys.observed(few))["objects in distribution"]
    assert check.status == "fail"
    assert "p ≤ 0.05" in check.quantity
    assert surveys.observed(few).by_chance("unlike simulations") == (
        "simulations are too few to tell: p ≥ 0.03"
    )


def test_the_level_is_the_one_that_objects_are_flagged_at():
    survey = dataclasses.replace(surveys.population(), level=0.005)
    check = asked("objects_predicted", survey)["objects predicted"]
    assert check.chance.startswith("5 of 1\u202f000")
    assert surveys.observed(survey).by_chance("misfit") == "at most 5 of 1\u202f000 with p ≤ 0.005"


def test_pulls_of_exact_posteriors_have_mean_0_and_variance_1():
    pulls = surveys.population(200_000, noise=1.0).pulls("theta_1")
    assert abs(pulls.mean()) < 4 / np.sqrt(200_000)
    assert abs(pulls.var() - 1) < 4 * np.sqrt(2 / 200_000)


@pytest.mark.parametrize(("n", "found"), [(300, {"warn", "fail"}), (1000, {"fail"})])
@pytest.mark.parametrize("width", [1.4, 1 / 1.4])
def test_a_wrong_width_is_found(n, found, width):
    for seed in range(20):
        checks = asked("objects_truths", surveys.population(n, seed, width=width))
        assert checks["coverage of truths"].status in found
    word = "wide" if width > 1 else "narrow"
    assert checks["coverage of truths"].advice.split("; ")[0].endswith(f"error bars are too {word}")
    assert f"is too {word}" in checks["ranks of truths"].advice
    assert checks["mean pull"].status == "pass"


def test_posteriors_a_third_too_wide_warn_at_least():
    found = [
        statuses("objects_truths", surveys.population(1000, seed, width=1.3))["coverage of truths"]
        for seed in range(40)
    ]
    assert found.count("pass") == 0
    assert found.count("fail") >= 20  # coverage 0.81 instead of 0.68


@pytest.mark.parametrize(("shift", "status"), [(0.15, "warn"), (0.5, "fail"), (-0.5, "fail")])
def test_a_shift_is_found(shift, status):
    checks = asked("objects_truths", surveys.population(2000, 3, shift=shift))
    assert checks["mean pull"].status == status
    assert checks["mean pull"].value == pytest.approx(shift, abs=0.1)
    assert f"too {'high' if shift > 0 else 'low'}" in checks["mean pull"].advice


def test_a_small_but_certain_shift_passes():
    assert statuses("objects_truths", surveys.population(100_000, shift=0.03)) == {
        "ranks of truths": "pass",
        "coverage of truths": "pass",
        "mean pull": "pass",
    }


def test_truths_unlike_the_prior_are_no_fault_of_the_estimator():
    """All objects lie at one end of the prior: exact posteriors lean away from it."""
    survey = surveys.population(1000, centre=1.5, spread=0.3, noise=1.0)
    checks = asked("objects_truths", survey)
    assert checks["ranks of truths"].status == checks["mean pull"].status == "warn"
    assert "theta_1, theta_2 are not spread like the prior" in checks["mean pull"].advice
    assert like_prior(surveys.population(100_000, seed=4), "theta_1")
    alarms = [like_prior(surveys.population(100, seed), "theta_1") for seed in range(REPEATS)]
    assert alarms.count(False) <= 1


def test_truths_may_be_known_of_some_objects_and_parameters():
    survey = surveys.population(200, parameters=3)
    table = survey.table.assign(predictive_p=0.5, in_distribution_p=0.5)
    table.loc[50:, ["theta_1_truth", "theta_1_rank"]] = np.nan
    table = table.drop(columns=["theta_2_truth", "theta_2_rank"])
    some = dataclasses.replace(survey, table=table)
    assert some.known == ["theta_1", "theta_3"]
    assert (some.ranks("theta_1").size, some.pulls("theta_1").size) == (50, 50)
    assert set(statuses("objects_truths", some).values()) == {"pass"}
    assert asked("objects_truths", surveys.population(200, truths=False)) == {}
    assert asked("objects_truths", surveys.population(5)) == {}


def test_chains_that_did_not_converge():
    survey = surveys.population(500, mcmc=True)
    for missed, status in ((0, "pass"), (10, "warn"), (100, "fail")):
        table = survey.table.assign(converged=(np.arange(500) >= missed).astype(int))
        found = asked("objects_sampled", dataclasses.replace(survey, table=table))
        assert found["objects converged"].status == status
    assert "100 of 500" in found["objects converged"].advice
    assert "objects converged" not in asked("objects_sampled", surveys.population())


def test_objects_at_the_edge_of_the_prior():
    alarms = [
        statuses("objects_sampled", surveys.population(n, seed, noise=noise))
        for n in (12, 300)
        for noise in (0.02, 3.0)
        for seed in range(REPEATS // 4)
    ]
    assert sum(each["objects at prior edge"] == "warn" for each in alarms) <= 1
    leaning = asked("objects_sampled", surveys.population(300, centre=2.5, spread=0.5))
    assert leaning["objects at prior edge"].status == "warn"


@pytest.mark.parametrize("noise", [0.02, 0.3, 1.0, 3.0])
def test_hardly_an_object_of_the_prior_is_at_its_edge(noise):
    survey = surveys.population(50_000, noise=noise, parameters=1)
    assert (survey.table["at_edge"] > EDGE).mean() < 0.02
    assert surveys.observed(survey).by_chance("edge") == "at most 2 % a parameter"


def pair(**other):
    one = surveys.population(2000, 5, draws=500)
    return PopulationPair(one, surveys.population(2000, 5, draws=400, who="nle", **other))


def moved(scatter):
    """A pair whose means differ by a normal scatter, in sds."""
    both, rng = pair(), np.random.default_rng(0)
    table = both.other.table
    steps = scatter * rng.normal(size=2000) * table["theta_2_sd"]
    other = dataclasses.replace(
        both.other, table=table.assign(theta_2_mean=table["theta_2_mean"] + steps)
    )
    return PopulationPair(both.one, other)


@pytest.mark.parametrize(
    ("scatter", "status"), [(0.0, "pass"), (0.2, "pass"), (0.4, "warn"), (0.8, "fail")]
)
def test_two_estimators_that_shift_objects(scatter, status):
    check = asked("objects_agreement", moved(scatter))["shifts of objects"]
    assert check.status == status
    assert check.value == pytest.approx(1.96 * scatter, abs=0.1)
    assert ("theta_2" in check.advice) == (status != "pass")


@pytest.mark.parametrize(("width", "status"), [(1.1, "pass"), (1.3, "warn"), (0.6, "fail")])
def test_two_estimators_with_other_widths(width, status):
    check = asked("objects_agreement", pair(width=width))["widths of objects"]
    assert check.status == status
    assert check.value == pytest.approx(1 / width)


def test_what_draws_alone_give_is_no_disagreement():
    """Of 20 draws each a mean is uncertain by 0.22 sd."""
    few, rng = surveys.population(2000, draws=20), np.random.default_rng(0)
    tables = []
    for _ in range(2):
        moves = {
            f"{name}_mean": few.table[f"{name}_mean"] + few.table[f"{name}_sd"] * noise
            for name, noise in zip(
                few.inferred, rng.normal(size=(2, 2000)) / np.sqrt(20), strict=True
            )
        }
        tables.append(few.table.assign(**moves))
    both = PopulationPair(*(dataclasses.replace(few, table=table) for table in tables))
    check = asked("objects_agreement", both)["shifts of objects"]
    assert check.value == pytest.approx(1.96 * np.sqrt(2 / 20), abs=0.03)
    assert check.status == "pass"
    with pytest.raises(ValueError, match="shift contradict"):
        asked("objects_agreement", both, shift=(2.0, 1.0))


def test_a_parameter_that_is_known_for_certain_is_compared_where_it_is_not():
    """As a discrete one may be."""
    both = pair()
    table = both.one.table.assign(theta_1_sd=0.0)
    one = dataclasses.replace(
        both.one, table=table.assign(theta_2_sd=table["theta_2_sd"].where(table.index > 9, 0))
    )
    found = diagnostics.registered()["objects_agreement"].measure(PopulationPair(one, both.other))
    assert list(found.table["parameter"]) == ["theta_2"]
    assert found.table["q95"][0] == 0
    assert (
        asked(
            "objects_agreement",
            PopulationPair(
                dataclasses.replace(one, table=table.assign(theta_2_sd=0.0)), both.other
            ),
        )
        == {}
    )
    assert one.pulls("theta_1").size == 0


def test_only_objects_that_both_have_are_compared():
    both = pair()
    half = dataclasses.replace(both.other, table=both.other.table.iloc[::2])
    found = diagnostics.registered()["objects_agreement"].measure(PopulationPair(both.one, half))
    assert found.objects == 1000
    renamed = both.other.table.assign(object=[f"other {i}" for i in range(2000)])
    apart = dataclasses.replace(both.other, table=renamed)
    assert asked("objects_agreement", PopulationPair(both.one, apart)) == {}


def test_a_population_in_short():
    survey = surveys.population(5000, width=1.0)
    row = survey.rows["theta_1"]
    # The variance of means and that of posteriors make up the prior's.
    assert row["scatter"] ** 2 + row["sd"] ** 2 == pytest.approx(1, abs=0.06)
    assert row["sd_ratio"] == row["sd"]
    assert row["pull_sd"] == pytest.approx(1, abs=0.05)
    unknown = surveys.population(50, truths=False).rows["theta_1"]
    assert np.isnan(unknown["pull"])


def test_flagged_objects_are_listed_the_worst_first():
    survey = surveys.population(1000, outliers=0.05, mcmc=True)
    listed = survey.listed
    assert len(listed) == 20
    assert listed[0]["in_distribution_p"] == pytest.approx(1 / 2001)
    assert all(row["flags"] for row in listed)
    assert set(survey.flag_counts) == {"unlike simulations", "misfit", "edge", "not converged"}
    assert survey.flag_counts["unlike simulations"] == sum(
        survey.table["in_distribution_p"] <= 0.01
    )
    assert "not converged" not in surveys.population().flag_counts


def test_a_table_that_lacks_columns_is_one_line():
    survey = surveys.population(20)
    with pytest.raises(ValueError, match=r"objects of npe, survey lacks theta_1_sd; delete it"):
        dataclasses.replace(survey, table=survey.table.drop(columns=["theta_1_sd"]))


def test_pulls_leave_out_objects_that_the_model_has_not_made():
    found = surveys.population(200)
    table = found.table.assign(predictive_p=0.5, in_distribution_p=0.5)
    table.loc[3, ["theta_1_mean", "predictive_p"]] = [1e6, 0.001]
    assert len(dataclasses.replace(found, table=table).pulls("theta_1")) == 199
