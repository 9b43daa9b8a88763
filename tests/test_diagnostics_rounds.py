"""Checks of rounds: what a box may have cut off is found, and what chance gives is not."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest
import synthetic

from sbi_pipeline import priors
from sbi_pipeline.diagnostics.rounds import judge_rounds, measure_rounds
from sbi_pipeline.plots.rounds import draw_rounds, draw_rounds_corner
from sbi_pipeline.plots.style import Look
from sbi_pipeline.priors.boxes import BoxedPrior


@dataclass(frozen=True)
class Joint:
    """Stands for a prior of the user's own."""

    names: tuple[str, ...]


def checks(**how):
    asked = synthetic.rounds(**how)
    return {each.name: each for each in judge_rounds(measure_rounds(asked), asked.title)}


def test_rounds_that_end_where_the_posterior_is_pass():
    found = checks()
    assert {each.status for each in found.values()} == {"pass"}
    assert set(found) == {"boxes hold truths", "box faces", "truth in box", "rounds agree"}
    assert found["box faces"].subject == "nle, event"
    assert found["box faces"].value < 0.001


@pytest.mark.parametrize(
    ("how", "check", "status"),
    [
        ({"width": 1.5}, "box faces", "fail"),
        ({"width": 2.5}, "box faces", "warn"),
        ({"truth": (9.0, 0.3)}, "truth in box", "fail"),
        ({"moved": 6.0, "width": 12.0}, "rounds agree", "fail"),
        ({"widening": 2.0, "missed": 5}, "boxes hold truths", "warn"),
        ({"widening": 5.0, "missed": 40}, "boxes hold truths", "fail"),
    ],
)
def test_a_box_that_cuts_something_off_is_found(how, check, status):
    assert checks(**how)[check].status == status


def test_a_first_posterior_that_was_a_point_is_left_by_any_distance():
    asked = synthetic.rounds()
    first = asked.earlier[0].copy()
    for name in synthetic.NAMES:
        first[f"posterior/{name}"] = 0 * first[f"posterior/{name}"] + (name == "mass")
    asked = dataclasses.replace(asked, earlier=[first, asked.earlier[1]])
    found = {each.name: each for each in judge_rounds(measure_rounds(asked), asked.title)}
    assert found["rounds agree"].status == "fail"


def test_nothing_is_said_of_a_truth_that_nobody_knows():
    assert "truth in box" not in checks(truth=(np.nan, 0.3))


def test_a_round_tells_what_it_saves():
    asked = synthetic.rounds()
    assert [each.reused for each in asked.rounds] == [100, 200, 300]
    assert asked.rounds[0].volume == 1
    assert asked.of_one_round == pytest.approx(1000 / asked.rounds[-1].volume)
    assert [low < high for low, high in asked.spans("mass")] == [True] * 3


def test_a_box_is_told_of_where_the_posterior_is():
    """Of a prior that depends on another parameter the range moves with that one."""
    entries = {
        "mass": {"type": "normal", "mean": 0, "sd": 2},
        "spin": {"type": "normal", "mean": "mass", "sd": 1},
    }
    whole = priors.build(entries, synthetic.NAMES)
    box = BoxedPrior(whole, {"spin": (-0.5, None)})
    asked = synthetic.rounds()
    made = [dataclasses.replace(each, prior=box) for each in asked.rounds]
    made[0] = dataclasses.replace(made[0], prior=whole)
    asked = dataclasses.replace(asked, rounds=made)
    mass = float(np.median(asked.draws[-1][:, 0]))
    assert mass > 0.5
    (_, *mass_cuts), (_, low, high) = asked.cuts
    assert (mass_cuts, high) == ([None, None], None)
    assert low == pytest.approx(mass - 0.5)
    assert list(asked.spans("spin"))[-1][0] == pytest.approx(mass - 0.5, abs=0.01)
    assert asked.are_conditional
    assert not synthetic.rounds().are_conditional


def test_what_an_earlier_round_lacked_is_told():
    asked = synthetic.rounds()
    assert not list(asked.notes)
    wider = {**asked.boxes[0], "beyond": {"mass": (False, True)}, "lost": ["spin"]}
    first = asked.earlier[0].copy()
    first["sample_stats"].attrs.update(converged=False, statement="MCMC stopped.")
    asked = dataclasses.replace(asked, boxes=[asked.boxes[0], wider], earlier=[first, first])
    assert list(asked.notes) == [
        "The posterior of round 1, which the next box was made of: MCMC stopped.",
        "The posterior of round 2, which the next box was made of: MCMC stopped.",
        "The posterior of round 2 leaned on a face of its box (mass), so the box of round 3 "
        "reaches beyond it.",
        "The posterior of round 2 lay at an end of where it was simulated (spin), or was a point, "
        "so the box of round 3 is not cut there: is the observation like any simulation?",
    ]


def test_figures_of_rounds_are_drawn():
    look = Look({"nle": "#0072B2"})
    asked = [synthetic.rounds()]
    widths = draw_rounds(asked, look)
    assert [axis.get_title() for axis in widths.axes] == ["mass", "spin"]
    assert all(len(axis.lines) == 2 for axis in widths.axes)
    corner = draw_rounds_corner(asked, look)
    dotted = [line for axis in corner.axes for line in axis.lines if line.get_linestyle() == ":"]
    assert len(dotted) == 5  # two faces in each of two panels of the diagonal, and one box
    (box,) = [line for line in dotted if len(line.get_xdata()) == 5]
    low, high = list(asked[0].spans("mass"))[-1]
    assert {round(float(x), 6) for x in box.get_xdata()} == {round(low, 6), round(high, 6)}


def test_boxes_of_a_joint_prior_are_not_drawn_as_ranges_of_parameters():
    names = ("mass", "spin")
    asked = synthetic.rounds()
    joint = [dataclasses.replace(each, prior=Joint(names)) for each in asked.rounds]
    asked = dataclasses.replace(asked, rounds=joint)
    look = Look({"nle": "#0072B2"})
    assert all(len(axis.lines) == 1 for axis in draw_rounds([asked], look).axes)
    corner = draw_rounds_corner([asked], look)
    assert not [line for axis in corner.axes for line in axis.lines if line.get_linestyle() == ":"]


def oblique(**how):
    """Rounds whose last box lies obliquely in the one before, which is that of `synthetic`."""
    asked = synthetic.rounds(**how)
    *others, last = asked.rounds
    turned = {"mass": [0.8, 0.6], "spin": [-0.6, 0.8]}
    box = {"within": others[-1].prior.faces, "axes": turned, "faces": {"mass": [-1.0, 1.0]}}
    prior = BoxedPrior.of(others[0].prior, box)
    return dataclasses.replace(asked, rounds=[*others, dataclasses.replace(last, prior=prior)])


def test_an_oblique_box_is_drawn_by_its_outline():
    asked = oblique()
    look = Look({"nle": "#0072B2"})
    assert all(len(axis.lines) == 1 for axis in draw_rounds([asked], look).axes)
    corner = draw_rounds_corner([asked], look)
    (outline,) = [
        line for axis in corner.axes for line in axis.lines if line.get_linestyle() == ":"
    ]
    inside = asked.prior.from_normal(2.5 * np.random.default_rng(0).uniform(-1, 1, (1000, 2)))
    x, y = outline.get_data()
    assert x.min() < inside[:, 0].min() < inside[:, 0].max() < x.max()
    assert y.min() < inside[:, 1].min() < inside[:, 1].max() < y.max()


def test_what_an_oblique_box_cuts_off_is_found_in_all_boxes_around_it():
    asked = oblique()
    assert measure_rounds(asked).beyond == ""
    own, outer = asked.prior.whole, asked.prior.outer
    beyond = (
        own.from_normal(np.array([[1.5, 0.0]])),  # within the box around it
        own.from_normal(np.array([[0.0, 0.0]])) + np.array([100.0, 0.0]),
    )
    for (truth,) in beyond:
        assert measure_rounds(oblique(truth=tuple(truth))).beyond == "mass"
    assert outer.contains(beyond[0])[0]
    assert not outer.contains(beyond[1])[0]
