"""Sweeps become campaigns and estimators that share simulations and held-out rows."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import synthetic
import yaml
from test_rerun import TESTS, rows_simulated, snakemake, stages_run

from sbi_pipeline import priors, study
from sbi_pipeline.diagnostics.fits import (
    held_out_measures,
    posterior_measures,
    training_measures,
)
from sbi_pipeline.plots import style
from sbi_pipeline.plots.sweeps import sweep_curves
from sbi_pipeline.reports import overview
from sbi_pipeline.study import sweeps
from sbi_pipeline.study.counts import few_held_out
from sbi_pipeline.study.data import split_of
from sbi_pipeline.study.rounds import KnownBox, chains_of

CONFIG = yaml.safe_load((TESTS / "config.yaml").read_text())
SWEEP = {"campaign": "tiny", "estimators": ["npe"], "simulations": [500, 2000], "seeds": [1, 2]}


def _expanded(**sweep):
    return sweeps.expanded({**CONFIG, "sweeps": {"budget": {**SWEEP, **sweep}}})


def test_a_sweep_is_every_combination_once():
    config = _expanded(network={"hidden": [8, 16]})
    members = config["sweeps"]["budget"]["members"]
    settings = {(each["simulations"], each["hidden"], each["seed"]) for each in members}
    assert settings == {(n, h, s) for n in (500, 2000) for h in (8, 16) for s in (1, 2)}
    assert len(members) == 8
    for each in members:
        fit = config["estimators"][each["fit"]]
        assert fit["network"]["hidden"] == each["hidden"]
        assert fit["seed"] == each["seed"]
        assert config["campaigns"][each["campaign"]]["simulations"] == each["simulations"]
        assert each["fit"] in config["campaigns"][each["campaign"]]["estimators"]


def test_other_campaigns_do_not_train_the_fits_of_a_sweep(monkeypatch):
    monkeypatch.syspath_prepend(str(TESTS))
    plan = study.Plan(_expanded())
    assert plan.campaigns["tiny"].estimators == ("npe", "nle")
    assert plan.campaigns["budget_500"].estimators == ("budget_npe_seed1", "budget_npe_seed2")
    assert sweeps.expanded(CONFIG) == CONFIG


def test_members_share_simulations_and_held_out_rows(monkeypatch):
    monkeypatch.syspath_prepend(str(TESTS))
    plan = study.Plan(_expanded())
    assert len(plan.simulations) == 1
    assert next(iter(plan.simulations.values())).rows == 2000
    assert plan.reported == ["tiny"]
    held_out = {"tiny": "tiny", "budget_500": "budget_2000", "budget_2000": "budget_2000"}
    for name, largest in held_out.items():
        found = study.Jobs(plan).held_out(SimpleNamespace(campaign=name))
        assert found == f"results/{largest}/simulations.json"
    manifest = plan["results/budget_2000/manifest.spec.json"].key
    for size in (500, 2000):
        folder = f"results/budget_{size}"
        asked = plan[f"{folder}/budget_npe_seed1/calibrate.spec.json"]
        assert asked.inputs["simulations"] == manifest
        assert f"{folder}/report.spec.json" not in set(plan)
    assert len(plan["results/budget/compare.spec.json"].arguments["members"]) == 4


def test_a_sweep_does_not_change_what_was_there(monkeypatch):
    monkeypatch.syspath_prepend(str(TESTS))
    alone, beside = study.Plan(CONFIG), study.Plan(_expanded())
    (index,) = {path for path in alone if beside[path] != alone[path]}
    assert index == "results/index.spec.json"


@pytest.mark.parametrize(
    ("sweep", "problem"),
    [
        ({"campaign": "large"}, r"campaign: 'large' is not among tiny"),
        ({"estimators": ["nre"]}, r"estimators: 'nre' is not among npe, nle"),
    ],
)
def test_unknown_names_are_refused(sweep, problem):
    with pytest.raises(ValueError, match=f"sweeps.budget.{problem}"):
        study.take_configuration({**CONFIG, "sweeps": {"budget": {**SWEEP, **sweep}}})


def test_a_name_that_is_taken_is_refused():
    campaigns = {**CONFIG["campaigns"], "budget_500": CONFIG["campaigns"]["tiny"]}
    with pytest.raises(ValueError, match=r"sweeps.budget: it makes 'budget_500', which is taken"):
        study.take_configuration({**CONFIG, "campaigns": campaigns, "sweeps": {"budget": SWEEP}})


IN_ROUNDS = {"rounds": {"observation": "mock", "estimator": "nle", "simulations": [300, 400]}}
DEPTH = {"campaign": "tiny", "estimators": ["npe"], "rounds": [3, 1, 2, 4]}


def _in_rounds(sweep=DEPTH, **changed):
    tiny = {**CONFIG["campaigns"]["tiny"], **IN_ROUNDS, **changed}
    return {**CONFIG, "campaigns": {"tiny": tiny}, "sweeps": {"depth": sweep}}


def test_a_sweep_over_rounds_has_so_many_at_most(monkeypatch):
    monkeypatch.syspath_prepend(str(TESTS))
    config = sweeps.expanded(_in_rounds())
    members = config["sweeps"]["depth"]["members"]
    assert [each["rounds"] for each in members] == [1, 2, 3, 4]
    plan = study.Plan(config)
    sizes = [chain.sizes for chain in chains_of(config) if chain.campaign != "tiny"]
    assert sizes == [(300,), (300, 400), (300, 400, 400)]
    assert {chain.estimator for chain in chains_of(config)} == {"nle"}
    assert plan.campaigns["depth_2_rounds_round_1"].estimators == ("nle",)
    assert plan.campaigns["depth_2_rounds"].estimators == ("depth_npe_seed1",)
    assert plan.reported == ["tiny"]
    keys = {plan[f"results/depth_{n}_rounds_round_1/manifest.spec.json"].key for n in (2, 3, 4)}
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("changed", "sweep", "problem"),
    [
        ({}, {"simulations": [500, 1000]}, "rounds: sweep over simulations or over rounds"),
        ({}, {"rounds": [2]}, "nothing varies; wanted simulations, rounds"),
        ({}, {"rounds": [0, 2]}, "rounds"),
        ({}, {"rounds": [2, 2]}, "rounds"),
        ({"rounds": None}, {}, "rounds: tiny has no rounds; give it some"),
    ],
)
def test_a_sweep_over_rounds_that_cannot_be_is_refused(changed, sweep, problem):
    config = _in_rounds({**DEPTH, **sweep}, **changed)
    if changed:
        del config["campaigns"]["tiny"]["rounds"]
    with pytest.raises(ValueError, match=rf"sweeps\.depth.*{problem}"):
        study.take_configuration(config)


def test_each_observation_of_a_sweep_over_rounds_has_a_posterior_of_its_own(monkeypatch):
    monkeypatch.syspath_prepend(str(TESTS))
    observations = {name: {"parameters": {"slope": at}} for name, at in (("a", 0.5), ("b", -0.5))}
    given = {**_in_rounds(rounds={"simulations": 600}, observations=observations)}
    given["sweeps"] = {"depth": {**DEPTH, "rounds": [1, 2]}}
    config = study.take_configuration(given)
    told = [(m["campaign"], m["observation"]) for m in config["sweeps"]["depth"]["members"]]
    assert told == [
        ("depth_1_rounds", "a"),
        ("depth_1_rounds", "b"),
        ("depth_2_rounds_a", "a"),
        ("depth_2_rounds_b", "b"),
    ]
    boxes = {
        f"depth_2_rounds_{name}_round_2": KnownBox("k", {"slope": faces}, 0.1, 0.1, 30, 0, 1.0)
        for name, faces in (("a", [0.2, 0.7]), ("b", [-0.7, -0.2]))
    }
    plan = study.Plan(config, boxes)
    asked = plan["results/depth/compare.spec.json"]
    assert [each["simulations"] for each in asked.arguments["members"]] == [
        2000, 2000, 600 + 1970, 600 + 1970,
    ]  # fmt: skip
    fit = "depth_npe_seed1"
    assert set(asked.inputs) == {f"{one}/{fit}/{about}" for one, about in told}
    jobs, of = study.Jobs(plan), SimpleNamespace(sweep="depth")
    pattern = "{campaign}/{estimator}/{observation}"
    assert jobs.of_fits(pattern, over_rounds=True)(of) == list(asked.inputs)
    assert jobs.of_fits(pattern, over_rounds=False)(of) == []
    held_out = jobs.held_out(SimpleNamespace(campaign="depth_2_rounds_b"))
    assert held_out == "results/depth_2_rounds_b/simulations.json"
    assert plan.reported == ["tiny_a", "tiny_b"]


def test_information_on_an_observation_is_the_divergence_from_the_prior():
    """Of one parameter within a uniform, one within a normal that depends on it, exactly."""
    entries = {
        "a": {"type": "uniform", "min": -1, "max": 1},
        "b": {"type": "normal", "mean": "0.2 * a", "sd": 2},
    }
    prior = priors.build(entries, ("a", "b"))
    rng = np.random.default_rng(0)
    sd, at = np.array([0.01, 0.02]), np.array([0.3, -1.4])
    theta = at + sd * rng.standard_normal((20_000, 2))
    found = posterior_measures(theta, priors.reference_draws(prior, 1), prior)
    exact = -prior.log_prob(at[None])[0] - np.log(2 * np.pi * np.e * sd.prod())
    assert found["least_nats"] == pytest.approx(exact, abs=0.03)
    assert found["sd_ratio_a"] == pytest.approx(0.01 / np.sqrt(1 / 3), rel=0.05)
    assert found["sd_ratio_b"] == pytest.approx(0.01, rel=0.05)


def test_the_width_of_a_circle_is_that_of_points_on_it():
    entries = {"a": {"type": "uniform", "min": 0, "max": 1, "periodic": True}}
    prior, rng = priors.build(entries, ("a",)), np.random.default_rng(0)
    drawn = priors.reference_draws(prior, 1)
    found = [
        posterior_measures((at + 0.01 * rng.normal(size=(20_000, 1))) % 1, drawn, prior)
        for at in (0.5, 0.0)  # away from the cut, and upon it
    ]
    exact = -np.log(0.01) - 0.5 * np.log(2 * np.pi * np.e)
    for each in found:
        assert each["least_nats"] == pytest.approx(exact, abs=0.03)
        assert each["sd_ratio_a"] == pytest.approx(0.01 * np.sqrt(12), rel=0.05)


def test_the_page_of_a_sweep_over_rounds_shows_no_average():
    rows = [
        {
            "campaign": "c", "fit": "f", "simulations": 4000 + 900 * rounds, "rounds": rounds,
            "observation": about, "estimator": "npe", "method": "npe", "seed": 1,
            "least_nats": 3.0 + rounds, "sd_ratio_a": 0.1 / rounds, "training_seconds": 30.0,
        }
        for about in ("one", "two")
        for rounds in (1, 2, 4)
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    measures = overview.measures_of(table)
    assert list(measures) == ["least_nats", "sd_ratio_a", "training_seconds"]
    assert overview.settings(table) == ["simulations", "rounds", "observation"]
    figure = sweep_curves(table, overview.settings(table), measures)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["one", "two"]  # a curve each
    assert [text.get_text() for text in figure.axes[0].texts] == ["1", "2", "4"] * 2
    page = overview.render_comparison("depth", table, style.png(figure))
    assert "6 posteriors of one, two" in page
    assert "error of coverage" not in page


@pytest.fixture
def table():
    members = _expanded()["sweeps"]["budget"]["members"]
    rows = [
        {
            **each,
            **held_out_measures(_calibration(seed, each)),
            **training_measures(synthetic.history()),
        }
        for seed, each in enumerate(members)
    ]
    return pd.DataFrame(rows)


def _calibration(seed, member):
    width = 1.5 if member["simulations"] == 500 else 1.0
    return synthetic.calibration(seed=seed, width=width).assign_attrs(seconds=1.5, draws=99)


def test_the_worse_fit_looks_worse(table):
    worse, better = (table[table["simulations"] == n].mean(numeric_only=True) for n in (500, 2000))
    assert worse["nats"] < better["nats"]
    assert worse["coverage_error"] > 3 * worse["coverage_error_by_chance"]
    assert better["coverage_error"] < 2 * better["coverage_error_by_chance"]
    assert worse["sd_ratio"] == pytest.approx(1.5 * better["sd_ratio"], rel=0.1)


def test_coverage_error_by_chance_is_what_an_honest_posterior_has():
    found = [held_out_measures(_calibration(s, {"simulations": 2000})) for s in range(60)]
    mean = np.mean([each["coverage_error"] for each in found])
    assert mean == pytest.approx(found[0]["coverage_error_by_chance"], rel=0.25)


def test_settings_have_an_order_of_their_own(table):
    """Members come from a file whose keys are sorted."""
    named = table.assign(estimator=["npe", "nle"] * 2, hidden=[8, 8, 16, 16])
    columns = ["estimator", "fit", "hidden", "seed", "simulations"]
    measured = list(table.columns[table.columns.get_loc("nats") :])
    assert overview.settings(named[[*columns, *measured]]) == [
        "simulations", "hidden", "estimator", "seed",
    ]  # fmt: skip


def test_the_page_has_one_row_a_fit(table):
    assert overview.settings(table) == ["simulations", "seed"]
    figure = sweep_curves(table, overview.settings(table), overview.measures_of(table))
    assert len(figure.axes) == len(overview.measures_of(table)) == 4
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["500", "2000"]
    page = overview.render_comparison("budget", table, style.png(figure))
    assert page.count("<tr>") == 5
    assert "http" not in page
    assert "Means over 2 seeds" in page


@pytest.mark.slow
def test_a_sweep_runs_to_its_page(tmp_path: Path) -> None:
    for name in ("config.yaml", "tiny.py"):
        shutil.copy(TESTS / name, tmp_path)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({**CONFIG, "sweeps": {"budget": SWEEP}}))
    ran = stages_run(snakemake(tmp_path, "results/budget/comparison.html"))
    assert ran == {
        "sample_prior": 2, "simulate": 2, "manifest": 2, "train": 4, "calibrate": 4, "compare": 1,
    }  # fmt: skip
    assert rows_simulated(tmp_path) == 2000
    table = pd.read_csv(tmp_path / "results/budget/comparison.csv")
    assert sorted(table["simulations"]) == [500, 500, 2000, 2000]
    assert table["nats"].notna().all()
    assert stages_run(snakemake(tmp_path, "results/budget/comparison.html")) == {}


def test_all_sizes_of_a_sweep_have_the_split_of_the_largest():
    few, many = ({"simulations": 1000, "split": {}}, {"simulations": 10_000})
    assert split_of(few) == {"validation": 0.1, "test": 0.05, "early": 2000}
    assert split_of(many) == split_of(few, 10_000) == {"validation": 0.1, "test": 0.05}
    assert split_of({**few, "split": {"test": 0.05}}) == split_of(many)


def test_what_few_held_out_rows_will_not_show_is_said_while_planning():
    tiny = CONFIG["campaigns"]["tiny"]

    def notes(**entries):
        return list(few_held_out({"campaigns": {"tiny": {**tiny, **entries}}}))

    assert notes() == notes(simulations=100_000) == []
    (said,) = notes(simulations=1000)
    assert re.search(r"^tiny holds out 1\d\d of 1000 simulations: .* seen from 1\d% on", said)
    (said,) = notes(split={"test": 0.02})
    assert re.search(r"holds out [34]\d of 2000 .*; 200 show 15%: raise simulations, or", said)
