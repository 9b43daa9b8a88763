"""Comparisons of models as they are planned: specified, made anew, waited for."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_rerun import reversed_keys, snakemake

from sbi_pipeline.bundles.configured import configuration_of
from sbi_pipeline.reports import overview
from sbi_pipeline.study import Jobs, Plan
from sbi_pipeline.study.changes import changes
from sbi_pipeline.study.leftovers import Named
from sbi_pipeline.study.rounds import KnownBox

TEXT = Path(__file__).with_name("comparison.yaml").read_text()
CONFIG = yaml.safe_load(TEXT)
STAGES = ("classify", "weigh_models", "compare_models")


# What is planned ----------------------------------------------------------------------------------


def planned(change: Callable[[Any], Any] = lambda config: None) -> Plan:
    config = copy.deepcopy(CONFIG)
    change(config)
    return Plan(config)


def keys(plan: Plan) -> dict[str, str]:
    return {each: plan[f"results/width/{each}.spec.json"].key for each in STAGES}


def comparison(**given: Any) -> Callable[[Any], Any]:
    return lambda config: config["comparisons"]["width"].update(given)


def other_observation(config: Any) -> None:
    for each in config["campaigns"].values():
        each["observations"]["late"] = {"parameters": {"theta_1": 1, "theta_2": 1}}


def training(name: str, **given: Any) -> Callable[[Any], Any]:
    return lambda config: config["estimators"][name]["training"].update(given)


AGAIN: dict[str, tuple[Callable[[Any], Any], set[str]]] = {
    "nothing": (lambda config: None, set()),
    "order of models": (comparison(models={"thin": "narrow", "broad": "wide"}), set()),
    "title": (comparison(title="Other"), {"compare_models"}),
    "odds": (comparison(odds={"broad": 3}), {"compare_models"}),
    "odds written out": (comparison(odds={"broad": 2, "thin": 1}), {"compare_models"}),
    "an observation in every campaign": (other_observation, {"weigh_models", "compare_models"}),
    "an observation in one": (
        lambda c: c["campaigns"]["wide"]["observations"].update(late={"parameters": {}}),
        set(),
    ),
    "training of the likelihood": (
        training("nle", max_epochs=3),
        {"weigh_models", "compare_models"},
    ),
    "training of the proposal": (training("npe", max_epochs=3), {"weigh_models", "compare_models"}),
    "more simulations": (
        lambda c: c["campaigns"]["wide"].update(simulations=500),
        set(STAGES),
    ),
    "prior": (
        lambda c: c["campaigns"]["wide"]["priors"]["theta_1"].update(sd=2),
        set(STAGES),
    ),
    "title of a campaign": (
        lambda c: c["campaigns"]["wide"].update(title="x"),
        {"compare_models"},
    ),
    "seed": (comparison(seed=2), set(STAGES)),
    "network": (comparison(network={"pairs": 3}), {"classify", "compare_models"}),
    "progress of the training": (comparison(training={"progress": False}), {"compare_models"}),
    "nuisance_draws": (comparison(nuisance_draws=2), {"weigh_models", "compare_models"}),
    "a changed prior": (
        lambda c: c["refine"]["narrower"]["priors"]["theta_1"].update(sd=0.4),
        {"weigh_models", "compare_models"},
    ),
    "thresholds": (lambda c: c.update(thresholds={"coverage": {}}), {"compare_models"}),
    "texts of a prior": (
        lambda c: c["campaigns"]["wide"]["priors"]["theta_1"].update(label="a"),
        {"weigh_models", "compare_models"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", AGAIN)
def test_only_what_a_change_concerns_is_made_again(name: str) -> None:
    change, again = AGAIN[name]
    before, after = keys(planned()), keys(planned(change))
    assert {each for each in STAGES if before[each] != after[each]} == again


def test_the_order_of_all_keys_does_not_matter() -> None:
    config = reversed_keys(CONFIG)
    for name, each in config["campaigns"].items():
        each |= {"priors": CONFIG["campaigns"][name]["priors"], "estimators": ["npe", "nle"]}
    fixed = copy.deepcopy(CONFIG)
    for each in fixed["campaigns"].values():
        each["estimators"] = ["npe", "nle"]
    assert keys(Plan(config)) == keys(Plan(fixed))


def test_a_comparison_changes_nothing_of_its_campaigns() -> None:
    alone = planned(lambda config: config.pop("comparisons"))
    beside = planned()
    assert {path for path in alone if alone[path] != beside[path]} == {"results/index.spec.json"}
    assert set(beside) - set(alone) == {f"results/width/{each}.spec.json" for each in STAGES}


def test_ways_to_an_evidence_and_their_files_go_together() -> None:
    plan = planned(lambda config: config["campaigns"]["narrow"].update(estimators=["npe"]))
    ways = plan["results/width/weigh_models.spec.json"].arguments["ways"]
    named = [(each["model"], each["way"], each["exact"]) for each in ways]
    assert named == [("broad", "exact", True), ("broad", "nle", False), ("thin", "exact", True)]
    made = plan.comparisons["width"]
    assert made.weighing_posteriors == [
        "results/wide/npe/mock/posterior.nc",
        "results/wide/nle/mock/posterior.nc",
        "results/narrow/npe/mock/posterior.nc",
    ]
    assert len(made.weighing_estimators) == len(made.weighing_observed) == len(ways)
    assert set(ways[0]["new_priors"]) == {"narrower"}
    follows = plan["results/width/weigh_models.spec.json"].follows
    assert "results/wide/nle/train.spec.json" in follows


def test_estimators_of_ratios_alone_are_no_way() -> None:
    def without(config: Any) -> None:
        config["estimators"] = {"nre": {"method": "nre"}}
        del config["refine"]
        for each in config["campaigns"].values():
            each["missing"] = {"probability": 0.1}

    plan = planned(without)
    assert plan["results/width/weigh_models.spec.json"].arguments["ways"] == []
    assert plan.comparisons["width"].weighing_receipts == []


# Rounds -------------------------------------------------------------------------------------------


def in_rounds(config: Any) -> None:
    config["campaigns"]["wide"]["rounds"] = {"simulations": 200, "at_most": 2}


def test_what_needs_the_last_round_waits_for_its_box() -> None:
    plan = planned(in_rounds)
    waits = {each: plan.waits_for(f"results/width/{each}.spec.json") for each in STAGES}
    assert waits == {
        "classify": "",
        "weigh_models": "wide_round_2",
        "compare_models": "wide_round_2",
    }


def test_the_classifier_learns_from_the_whole_prior_and_evidences_are_of_the_last_round() -> None:
    config = copy.deepcopy(CONFIG)
    in_rounds(config)
    box = KnownBox("k", {"theta_1": (0.4, 0.6)}, 0.2, 0.2, 40, 0, 1.0)  # type: ignore[dict-item]
    plan = Plan(config, {"wide_round_2": box})
    made = plan.comparisons["width"]
    assert made.manifests == [
        "results/wide_round_1/simulations.json",
        "results/narrow/simulations.json",
    ]
    assert made.weighing_estimators[0] == "results/wide/npe/estimator.pt"
    assert plan.waits_for("results/width/weigh_models.spec.json") == ""
    waiting = Plan(config)
    path = "results/width/classify.spec.json"
    assert waiting[path].key == plan[path].key


def test_each_observation_in_rounds_has_its_own_estimator() -> None:
    def two(config: Any) -> None:
        in_rounds(config)
        other_observation(config)

    made = planned(two).comparisons["width"]
    assert made.observations == ["late", "mock"]
    assert made.weighing_estimators[:2] == [
        "results/wide_late/npe/estimator.pt",
        "results/wide_mock/npe/estimator.pt",
    ]


# Around them --------------------------------------------------------------------------------------


def test_why_clean_and_the_last_lines_know_comparisons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = planned()
    for path, spec in plan.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(spec.content))
    verdict = {"status": "warn", "sentence": "Thin it is.", "checks": []}
    Path("results/width/verdict.json").write_text(json.dumps(verdict))
    assert "results/width/report.html: warn. Thin it is." in list(Jobs(plan).verdicts())
    again = planned(lambda c: c["campaigns"]["wide"].update(simulations=500))
    told = [str(each) for each in changes(again, ["results/width"])]
    assert "classify width: its simulations of broad are made anew" in told
    assert any(each.startswith("weigh_models width: its estimator of broad") for each in told)
    named = Named()
    named.add(plan)
    assert Path("results/width") in named.folders


def test_a_bundle_of_both_campaigns_has_their_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    third = {**CONFIG["campaigns"]["narrow"], "seed": 5}
    whole = {**CONFIG, "campaigns": {**CONFIG["campaigns"], "third": third}}
    Path("config.yaml").write_text(yaml.safe_dump(whole))
    both = yaml.safe_load(configuration_of(["wide", "narrow"], ["config.yaml"], {}))
    assert set(both["campaigns"]) == {"wide", "narrow"}
    assert set(both["comparisons"]) == {"width"}
    assert "comparisons" not in yaml.safe_load(configuration_of(["wide"], ["config.yaml"], {}))
    named = yaml.safe_load(configuration_of(["width"], ["config.yaml"], {}))
    assert set(named["campaigns"]) == {"wide", "narrow"}


def test_the_index_lists_comparisons_with_their_verdicts() -> None:
    verdict = {
        "status": "fail",
        "sentence": "None of them made it.",
        "checks": [{"status": "fail"}],
    }
    entry = overview.Entry("width", "How wide?", "width/report.html", verdict)
    page = overview.render_index([], [entry], {})
    assert "Comparisons of models" in page
    assert "None of them made it." in page
    assert "Comparisons of models" not in overview.render_index([entry], [], {})


def test_a_study_with_a_comparison_can_be_planned_by_snakemake(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).with_name("comparison.yaml"), tmp_path / "config.yaml")
    output = snakemake(tmp_path, "--dry-run", "results/width/report.html")
    for stage in STAGES:
        assert re.search(rf"^{stage} +1$", output, re.MULTILINE), stage
    assert not re.search(r"^(report|single_sample) +\d", output, re.MULTILINE)


def jobs_planned(folder: Path, change: Callable[[Any], Any]) -> dict[str, int]:
    """Return which stages Snakemake would run after a change, and how often; changes nothing."""
    config = copy.deepcopy(CONFIG)
    change(config)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    output = snakemake(folder, "--dry-run")
    found = dict(re.findall(r"^(\w+) +(\d+)$", output, re.MULTILINE))
    return {rule: int(n) for rule, n in found.items() if rule not in ("all", "total")}


@pytest.mark.slow
def test_only_what_changed_is_made_anew_by_snakemake(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(TEXT)
    assert "results/width/report.html: " in snakemake(tmp_path, "--cores", "1")
    assert jobs_planned(tmp_path, lambda config: None) == {}
    page = {"compare_models": 1, "index": 1}
    assert jobs_planned(tmp_path, comparison(title="Other")) == page
    assert jobs_planned(tmp_path, comparison(odds={"thin": 2})) == page
    beside = {"observe": 2, "sample": 4, "refine": 2, "diagnose": 6, "report": 2}
    weighed = {"weigh_models": 1, **page}
    assert jobs_planned(tmp_path, other_observation) == {**beside, **weighed}
    trained = {"train": 2, "calibrate": 2, "sample": 2, "diagnose": 2, "report": 2}
    assert jobs_planned(tmp_path, training("nle", max_epochs=3)) == {**trained, **weighed}
    (tmp_path / "config.yaml").write_text(TEXT)
    (tmp_path / "results/width/evidences.nc").unlink()
    assert jobs_planned(tmp_path, lambda config: None) == weighed
