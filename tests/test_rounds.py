"""Rounds as campaigns: planned as far as boxes are known, refused where they make no sense."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from sbi_pipeline import study
from sbi_pipeline.study import Plan
from sbi_pipeline.study.changes import changes
from sbi_pipeline.study.rounds import KnownBox, chains_of

TESTS = Path(__file__).parent
TINY = yaml.safe_load((TESTS / "config.yaml").read_text())
MOCK = {"parameters": {"slope": 0.5}}


def known(ratio=0.1, volume=0.1, rows=150, information=1.0, half=0.5, outside=0):
    faces = {"slope": [-half, half]}
    return KnownBox("k", faces, volume, ratio, rows, outside, information)


def configured(monkeypatch, rounds=None, **entries):
    monkeypatch.syspath_prepend(str(TESTS))
    config = copy.deepcopy(TINY)
    config["campaigns"]["tiny"] |= {"rounds": rounds or {}, "split": {"test": 0.2}, **entries}
    return config


def planned(monkeypatch, boxes=None, **how):
    config = study.take_configuration(configured(monkeypatch, **how))
    return Plan(config, boxes)


def test_before_anything_ran_there_is_one_round_and_the_last_waits(monkeypatch):
    plan = planned(monkeypatch, rounds={"simulations": 500})
    assert list(plan.campaigns) == ["tiny_round_1", "tiny"]
    assert plan.rounds["tiny"].waits_for == "tiny_round_2"
    assert "results/tiny_round_2/truncate.spec.json" in plan
    assert plan.reported == ["tiny"]
    (made,) = plan.simulations.values()
    assert made.rows == 500  # what waits asks for no rows, least of all of the whole prior
    assert plan.waits_for("results/tiny/report.spec.json") == "tiny_round_2"
    assert plan.waits_for("results/tiny_round_1/npe/sample-0.json") == ""
    assert plan.waits_for("results/tiny_round_3/truncate.spec.json") == "tiny_round_2"
    assert plan.waits_for("results/tiny_round_1/manifest.spec.json") == ""
    assert plan.waits_for("results/tiny_round_2/truncate.spec.json") == ""


def test_why_says_what_waits(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    told = [str(each) for each in changes(planned(monkeypatch))]
    assert "manifest tiny: waits for the box of tiny_round_2" in told
    assert "truncate tiny_round_2: not made yet" in told
    told = [str(each) for each in changes(planned(monkeypatch), ["results/tiny/npe"])]
    assert "train tiny/npe: waits for the box of tiny_round_2" in told
    assert "train tiny_round_1/npe: not made yet" in told  # what that box is made of


def test_the_first_round_is_the_beginning_of_the_same_campaign_without_rounds(monkeypatch):
    plan = planned(monkeypatch, rounds={"simulations": 500})
    config = configured(monkeypatch)
    del config["campaigns"]["tiny"]["rounds"]
    (whole,) = Plan(study.take_configuration(config)).simulations
    first = plan.campaigns["tiny_round_1"]
    assert first.simulations.name == whole
    assert first.simulations.rows == 500
    assert first.estimators == ("npe",)
    assert not [path for path in first if "diagnose" in path or "report" in path]


def test_a_round_takes_the_rows_inside_and_simulates_the_rest(monkeypatch):
    boxes = {"tiny_round_2": known(rows=150), "tiny_round_3": known(0.9, 0.09, 400, 3.0, 0.3)}
    plan = planned(monkeypatch, boxes, rounds={"simulations": 500})
    assert list(plan.campaigns) == ["tiny_round_1", "tiny_round_2", "tiny"]
    second, last = plan.campaigns["tiny_round_2"], plan.campaigns["tiny"]
    assert [made.rows for made in second.stocks] == [350, 500]
    assert second.simulations.source == {"box": {"slope": [-0.5, 0.5]}}
    assert [made.rows for made in last.stocks] == [1600, 500, 350]
    assert last.estimators == ("npe", "nle")
    manifest = plan["results/tiny/manifest.spec.json"].arguments
    assert manifest["box"] == {"slope": [-0.3, 0.3]}
    assert [each["rows"] for each in manifest["reused"]] == [500, 350]
    seeds = {made.spec.arguments["seed"] for made in last.stocks}
    assert len(seeds) == 3
    assert plan.rounds["tiny"].waits_for == ""


@pytest.mark.parametrize(
    ("boxes", "last"),
    [
        ([known(0.9)], 2),
        ([known(0.1), known(0.81, information=3.0)], 3),
        ([known(0.1, information=1.0), known(0.5, information=1.01)], 3),
        ([known(0.1, information=1.0), known(0.5, information=2.0)], None),
    ],
)
def test_rounds_stop_by_themselves(monkeypatch, boxes, last):
    named = {f"tiny_round_{number}": box for number, box in enumerate(boxes, start=2)}
    round_ = planned(monkeypatch, named).rounds["tiny"]
    assert (None if round_.waits_for else round_.number) == last


def test_there_are_no_more_rounds_than_asked_for(monkeypatch):
    boxes = {"tiny_round_2": known(), "tiny_round_3": known(0.1, 0.01, 100, 5.0)}
    plan = planned(monkeypatch, boxes, rounds={"at_most": 3})
    assert plan.rounds["tiny"].number == 3
    assert not plan.rounds["tiny"].waits_for


def test_where_all_rows_are_there_nothing_is_simulated(monkeypatch):
    plan = planned(monkeypatch, {"tiny_round_2": known(0.9, 0.9, 5000)}, rounds={"at_most": 2})
    assert [made.rows for made in plan.campaigns["tiny"].stocks] == [500]


@pytest.mark.parametrize(("rows", "size"), [(400, 400), (2000, 500), (10_000, 2000)])
def test_earlier_rounds_have_a_fifth_where_that_suffices(monkeypatch, rows, size):
    config = configured(monkeypatch, rounds={"at_most": 3}, simulations=rows)
    (chain,) = chains_of(config)
    assert chain.sizes == (size, size)


def test_other_faces_are_other_simulations(monkeypatch):
    names = {
        half: planned(monkeypatch, {"tiny_round_2": known(half=half)}, rounds={"at_most": 2})
        .campaigns["tiny"]
        .simulations.name
        for half in (0.5, 0.4)
    }
    assert names[0.5] != names[0.4]


def test_each_observation_has_rounds_of_its_own_but_for_the_first(monkeypatch):
    observations = {"mock": MOCK, "other": {"parameters": {"slope": -0.5}}}
    boxes = {"tiny_mock_round_2": known(0.9)}
    plan = planned(monkeypatch, boxes, observations=observations)
    assert list(plan.campaigns) == ["tiny_round_1", "tiny_mock", "tiny_other"]
    assert plan.campaigns["tiny_round_1"].observations == ["mock", "other"]
    assert plan.campaigns["tiny_mock"].observations == ["mock"]
    assert plan.rounds["tiny_other"].waits_for == "tiny_other_round_2"
    assert plan.reported == ["tiny_mock", "tiny_other"]
    assert plan.rounds_before["tiny_other_round_2"][1] == "tiny_round_1"


def test_sizes_of_rounds_may_differ(monkeypatch):
    boxes = {"tiny_round_2": known(rows=10)}
    plan = planned(monkeypatch, boxes, rounds={"simulations": [200, 300, 400]})
    assert plan.chains[0].at_most == 4
    assert plan.campaigns["tiny_round_1"].simulations.rows == 200
    assert [made.rows for made in plan.campaigns["tiny_round_2"].stocks] == [290, 200]


def test_a_wider_box_fills_up_what_is_around_the_one_before(monkeypatch):
    boxes = {
        "tiny_round_2": known(0.1, 0.1, 60),
        "tiny_round_3": known(2.0, 0.2, 500, outside=40, half=0.7),
        "tiny_round_4": known(0.9, 0.18, 900, 9.0, 0.6),
    }
    plan = planned(monkeypatch, boxes, rounds={"simulations": 500})
    third = plan.campaigns["tiny_round_3"]
    assert third.simulations.rows == 460  # 500 are in half of it, so 500 belong around, 40 are
    assert third.simulations.source["hole"] == {"slope": [-0.5, 0.5]}
    assert third.simulations.source["share"] == 0
    assert [made.within for made in third.stocks] == [None, None, {"slope": [-0.5, 0.5]}]
    last = plan.campaigns["tiny"]
    assert [made.within for made in last.stocks] == [
        None, None, {"slope": [-0.5, 0.5]}, None,
    ]  # fmt: skip
    told = plan["results/tiny/manifest.spec.json"].arguments["reused"]
    assert told[1]["within"] == {"slope": [-0.5, 0.5]}


def test_a_wider_box_may_want_more_everywhere():
    box = known(2.0, 0.2, 500, outside=100)
    assert box.wanted(2000) == (1400, pytest.approx(500 / 900))
    assert box.wanted(100) == (400, 0.0)


def test_a_forecast_tells_what_all_rounds_may_cost(monkeypatch):
    plan = planned(monkeypatch, rounds={"simulations": [200, 300, 400]})
    models = {each["name"]: each["in_rounds"] for each in study.Jobs(plan).models()}
    first = plan.campaigns["tiny_round_1"].simulations.name
    assert models[first] == 200 + 300 + 400 + 2000


def test_a_box_that_was_damaged_is_named(tmp_path):
    path = tmp_path / "box.json"
    path.write_text(json.dumps({"faces": {}}))
    with pytest.raises(ValueError, match="was damaged; delete it and run snakemake again"):
        KnownBox.read(path)


@pytest.mark.parametrize(
    ("rounds", "entries", "text"),
    [
        ({"estimator": "np"}, {}, "'np' is not among npe, nle; did you mean 'npe'"),
        ({"observation": "mok"}, {}, "'mok' is not among mock"),
        ({"observation": "mock"}, {"observations": {"mock": MOCK, "b": MOCK}}, "'b' is left out"),
        ({}, {"observations": {}}, "no observation; rounds are about one"),
        ({"at_most": 3, "simulations": [200]}, {}, "got 1 numbers and at_most 3"),
        ({"at_most": 1}, {}, "at_most"),
        ({"mass": 0.5}, {}, "mass"),
        ({"mass": 0}, {}, "mass"),
        ({"widening": 0.5}, {}, "widening"),
        ({"shrink": 1.0}, {}, "shrink"),
        ({"axes": "rotated"}, {}, "axes: got 'rotated'; wanted parameters or principal"),
        ({"simulations": 50}, {}, "wanted a whole number from 100 to 1000000000, or a list"),
        ({"simulations": [200, 5]}, {}, "wanted a whole number from 100 to 1000000000, or a list"),
        ({"boxes": 3}, {}, "boxes"),
        ({}, {"source": {"table": "draws.csv"}}, "a campaign with source has no rounds"),
        ({}, {"reuse": ["more"]}, "a campaign with reuse has no rounds"),
    ],
)
def test_rounds_that_make_no_sense_are_refused(monkeypatch, rounds, entries, text):
    with pytest.raises(study.ConfigurationError) as error:
        study.take_configuration(configured(monkeypatch, rounds, **entries))
    assert text in str(error.value)
    assert np.all(["Traceback" not in line for line in str(error.value).splitlines()])


def test_rows_of_rounds_are_not_reused(monkeypatch):
    config = configured(monkeypatch)
    config["campaigns"]["more"] = {**TINY["campaigns"]["tiny"], "reuse": ["tiny"], "seed": 9}
    with pytest.raises(study.ConfigurationError, match="'tiny' has rounds, whose rows are of box"):
        study.take_configuration(config)


def test_a_round_that_is_not_needed_is_named(monkeypatch):
    plan = planned(monkeypatch, {"tiny_round_2": known(0.9)})
    assert plan.waits_for("results/tiny_round_2/truncate.spec.json") == ""
    for path in ("tiny_round_2/manifest", "tiny_round_3/truncate", "tiny_round_4/truncate"):
        with pytest.raises(ValueError, match=r"tiny_round_\d is not needed: the rounds before it"):
            plan.waits_for(f"results/{path}.spec.json")


def test_a_round_has_no_page_of_its_own(monkeypatch):
    plan = planned(monkeypatch, {"tiny_round_2": known()})
    assert "results/tiny_round_2/report.spec.json" not in plan
    with pytest.raises(KeyError, match="rounds before the last, and members of a sweep, have no"):
        plan.is_made("results/tiny_round_2/report.spec.json")


def test_names_of_rounds_may_not_be_taken(monkeypatch):
    config = configured(monkeypatch)
    config["campaigns"]["tiny_round_2"] = TINY["campaigns"]["tiny"]
    with pytest.raises(study.ConfigurationError, match="'tiny_round_2' is a campaign, and one"):
        study.take_configuration(config)


def test_rounds_of_two_campaigns_may_not_be_called_alike(monkeypatch):
    config = configured(monkeypatch, observations={"a_b": MOCK, "c": MOCK})
    other = {**config["campaigns"]["tiny"], "observations": {"b": MOCK, "c": MOCK}, "seed": 9}
    config["campaigns"]["tiny_a"] = other
    with pytest.raises(study.ConfigurationError, match="'tiny_a_b' is a round of 'tiny_a'"):
        study.take_configuration(config)
    config = configured(monkeypatch, observations={"b_500": MOCK, "c": MOCK})
    config["sweeps"] = {"tiny_b": {"campaign": "tiny", "simulations": [500, 1000]}}
    with pytest.raises(study.ConfigurationError, match="it makes 'tiny_b_500', which is taken"):
        study.take_configuration(config)


def test_each_round_has_enough_to_calibrate_with(monkeypatch):
    with pytest.raises(study.ConfigurationError) as error:
        planned(monkeypatch, rounds={"simulations": [800, 120]}, split={})
    assert "rounds.simulations: " in str(error.value)
    assert "of 120 simulations are to calibrate with; at least 20 are wanted" in str(error.value)


def test_discrete_parameters_have_no_box(monkeypatch):
    priors = {
        **TINY["campaigns"]["tiny"]["priors"],
        "slope": {"type": "integer", "min": 0, "max": 3},
    }
    config = configured(monkeypatch, priors=priors, observations={"mock": {"parameters": {}}})
    with pytest.raises(study.ConfigurationError, match="'slope' is discrete and inferred"):
        study.take_configuration(config)


def test_oblique_boxes_are_made_of_draws_for_held_out_simulations(monkeypatch):
    oblique = {"within": {}, "axes": {"slope": [1.0]}, "faces": {"slope": [-0.5, 0.5]}}
    box = KnownBox("k", oblique, 0.1, 0.1, 30, 0, 1.0)
    for axes, told in (("parameters", {}), ("principal", {"keep_draws": True})):
        given = {"at_most": 3, "axes": axes}
        plan = planned(monkeypatch, {"tiny_round_2": box}, rounds=given)
        for name in ("tiny_round_1", "tiny_round_2"):
            asked = plan[f"results/{name}/npe/calibrate.spec.json"].arguments
            assert asked["calibration_options"].get("keep_draws") == told.get("keep_draws")
        last = Plan(plan._given, {"tiny_round_2": box, "tiny_round_3": box})
        asked = last["results/tiny/npe/calibrate.spec.json"].arguments
        assert "keep_draws" not in asked["calibration_options"]
        made = plan["results/tiny_round_3/truncate.spec.json"].arguments
        assert made.get("axes", "parameters") == axes
    assert plan.campaigns["tiny_round_2"].simulations.source == {"box": oblique}


def test_axes_between_parameters_are_learnt(monkeypatch):
    config = configured(monkeypatch, {"axes": "principal"})
    config["estimators"]["alone"] = {"method": "mnre"}
    with pytest.raises(study.ConfigurationError) as error:
        study.take_configuration(config)
    assert "'alone' (mnre) learns each parameter alone, and no axis between them" in str(
        error.value
    )
