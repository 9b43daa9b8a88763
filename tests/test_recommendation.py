"""Which posterior is to be taken: what failed is not, then the one that tells most."""

import dataclasses

import numpy as np
import synthetic

from sbi_pipeline.diagnostics.check import Check
from sbi_pipeline.diagnostics.diagnostic import Finding
from sbi_pipeline.reports.recommendation import recommend
from sbi_pipeline.sampled_posteriors import ObservedData, PosteriorPair
from sbi_pipeline.stages.page import keep_recommended
from sbi_pipeline.subjects import SimulatedRows


def posterior(name, **attrs):
    tree = synthetic.posterior(method="npe")
    tree.attrs |= attrs
    return synthetic.sampled(tree, name, "mock")


def estimator(name, gain=0.0, density=True):
    """The same held-out simulations for all, with a constant gain and noise of its own."""
    calibration = synthetic.calibration(seed=1, n=400, density=density)
    noise = 0.1 * np.random.default_rng(list(name.encode())).normal(size=400)
    told = calibration.assign(log_prob=calibration["log_prob"] + gain + noise)
    return dataclasses.replace(synthetic.estimator(told), name=name)


def finding(subject, status, name="coverage", advice="Train on more."):
    check = Check(name, subject.title, status, "a number", 0.5, "warn above 1", "0", advice)
    return Finding(name, subject, None, (check,))


def asked(posteriors, estimators, findings=()):
    observed = ObservedData(
        "mock", "here", {each.name: each for each in posteriors}, np.zeros((2, 1)), ["mass"]
    )
    return recommend(observed, estimators, findings)


def test_the_one_that_tells_most_is_taken_with_its_margin():
    found = asked(
        [posterior("npe"), posterior("nle")], [estimator("npe"), estimator("nle", gain=0.5)]
    )
    assert found.posterior == "nle"
    assert "Held-out truths are 0.5 ± 0.007 nats more probable" in found.sentences


def test_those_asked_about_fewer_simulations_are_compared_by_these():
    few = estimator("nle", gain=0.5)
    few = dataclasses.replace(few, calibration=few.calibration.isel(simulation=slice(100)))
    found = asked([posterior("npe"), posterior("nle")], [estimator("npe"), few])
    assert found.posterior == "nle"
    assert "more probable under it than under npe" in found.sentences


def test_what_failed_is_not_taken_however_much_it_tells():
    trained = [estimator("npe"), estimator("nle", gain=0.5)]
    found = asked([posterior("npe"), posterior("nle")], trained, [finding(trained[1], "fail")])
    assert found.posterior == "npe"
    assert found.statuses == {"npe": "pass", "nle": "fail"}
    assert "No other posterior is left" in found.sentences


def test_a_mixture_says_what_it_is_mixed_of_and_is_not_alone():
    told = {"npe": "weight 0.2", "nle": "weight 0.8"}
    table = [{"method": each, "epochs": 9, "told": why} for each, why in told.items()]
    mixed = dataclasses.replace(estimator("best"), search=table)
    found = asked([posterior("best")], [mixed])
    assert "weighed by held-out simulations (npe: weight 0.2; nle: weight 0.8)" in found.sentences
    assert "No other posterior" not in found.sentences
    alone = dataclasses.replace(mixed, search=[{**table[0]}, {**table[1], "epochs": 0}])
    assert "No other posterior" in asked([posterior("best")], [alone]).sentences


def test_none_is_taken_where_all_failed_and_the_remedy_is_said():
    given = posterior("npe")
    found = asked([given], [estimator("npe")], [finding(given, "fail", advice="Mend the prior.")])
    assert found.posterior == ""
    assert found.sentences == "Take none of these posteriors yet. coverage: Mend the prior."


def test_a_fault_of_the_observation_is_one_of_all():
    observed = ObservedData("mock", "here", {}, np.zeros((2, 1)), ["mass"])
    found = asked(
        [posterior("npe"), posterior("nle")],
        [estimator("npe"), estimator("nle")],
        [finding(observed, "fail", "in distribution")],
    )
    assert found.posterior == ""
    assert set(found.statuses.values()) == {"fail"}


def test_among_those_that_chance_cannot_tell_apart_fewer_warnings_decide():
    trained = [estimator("npe"), estimator("nle")]
    found = asked([posterior("npe"), posterior("nle")], trained, [finding(trained[0], "warn")])
    assert found.posterior == "nle"
    assert "As good, as far as held-out simulations tell: npe" in found.sentences


def test_those_that_cannot_be_compared_are_named():
    found = asked(
        [posterior("npe"), posterior("nle")], [estimator("npe"), estimator("nle", density=False)]
    )
    assert found.posterior == "npe"
    assert "Whether nle tells more is not known" in found.sentences


def test_where_none_can_be_compared_fewer_warnings_decide():
    trained = [estimator(name, density=False) for name in ("nle", "nre")]
    found = asked([posterior("nle"), posterior("nre")], trained, [finding(trained[0], "warn")])
    assert found.posterior == "nre"
    assert "As good" not in found.sentences


def test_an_exact_likelihood_is_better_than_any():
    exact = posterior("npe_exact", likelihood="exact", proposal="npe")
    found = asked([posterior("npe"), exact], [estimator("npe", gain=5.0)])
    assert found.posterior == "npe_exact"
    assert "exact likelihood" in found.sentences


def test_an_exact_likelihood_that_held_out_truths_contradict_is_one_of_all():
    exact, trained = posterior("exact", likelihood="exact"), estimator("exact", gain=-0.5)
    found = asked(
        [posterior("npe"), exact], [estimator("npe"), trained], [finding(trained, "warn")]
    )
    assert found.posterior == "npe"
    assert "likelihood of exact seems to be another than the simulator has" in found.sentences
    better = estimator("exact", gain=0.5)
    found = asked([posterior("npe"), exact], [estimator("npe"), better], [finding(better, "warn")])
    assert found.posterior == "exact"
    assert "0.5 ± 0.007 nats more probable" in found.sentences


def test_the_answer_under_another_prior_is_another_answer():
    other = posterior("npe_narrow", new_priors="mass", likelihood="exact")
    assert asked([posterior("npe"), other], [estimator("npe")]).posterior == "npe"


def test_a_fault_of_the_simulations_is_said():
    rows = SimulatedRows(100, {"nan": 50})
    found = asked([posterior("npe")], [estimator("npe")], [finding(rows, "fail", "lost prior")])
    assert found.posterior == "npe"
    assert "But lost prior failed of the simulations" in found.sentences


def test_two_that_pass_and_disagree_are_named():
    both = [posterior("npe"), posterior("nle")]
    found = asked(
        both,
        [estimator("npe"), estimator("nle", gain=0.5)],
        [finding(PosteriorPair(*both), "fail", "agreement")],
    )
    assert "npe disagrees with it (agreement)" in found.sentences


def test_the_one_to_take_lies_in_one_place(tmp_path):
    folders = [tmp_path / who / "mock" for who in ("npe", "nle")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "posterior.nc").write_text(folder.parent.name)
    both = [posterior("npe"), posterior("nle")]
    told = asked(both, [estimator("npe"), estimator("nle", gain=0.5)])
    keep_recommended({"mock": told}, folders, tmp_path / "taken")
    assert (tmp_path / "taken/mock.nc").read_text() == "nle"
    bad = [finding(each, "fail") for each in both]
    none = asked(both, [estimator("npe"), estimator("nle")], bad)
    assert none.sentences == "Take none of these posteriors yet. coverage: Train on more."
    keep_recommended({"mock": none}, folders, tmp_path / "none")
    assert not list((tmp_path / "none").iterdir())
