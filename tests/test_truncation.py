"""Boxes around posteriors: what they leave out, and that one too sure does not cut off truths."""

import numpy as np
import pytest
from scipy import stats

from sbi_pipeline import priors
from sbi_pipeline.priors.boxes import BoxedPrior
from sbi_pipeline.truncation import (
    Calibration,
    box_around,
    next_box,
    next_to_faces,
    upper_quantile,
)

NAMES = ("a", "b")
PRIOR = priors.build({name: {"type": "normal", "mean": 0, "sd": 1} for name in NAMES}, NAMES)
NOISE = 0.05
SHRINK = 1 / (1 + NOISE**2)
SD = NOISE * np.sqrt(SHRINK)


def calibration(rng, n=100, width=1.0, draws=200):
    """What is known of the exact posteriors of x = theta + noise, of widths times a factor."""
    truth = rng.normal(size=(n, 2))
    mean = SHRINK * (truth + NOISE * rng.normal(size=(n, 2)))
    drawn = mean[:, None] + width * SD * rng.normal(size=(n, draws, 2))
    pulls = (truth - drawn.mean(1)) / drawn.std(1, ddof=1)
    return Calibration(mean, (drawn < truth[:, None]).sum(1), draws, pulls)


def box(rng, truth, width=1.0, n=100, **options):
    mean = SHRINK * (truth + NOISE * rng.normal(size=2))
    theta = mean + width * SD * rng.normal(size=(10_000, 2))
    found = box_around(PRIOR, theta, calibration(rng, n, width), **{"mass": 1e-4, **options})
    return found, mean


def test_a_box_reaches_as_far_as_its_mass():
    rng = np.random.default_rng(0)
    reach, widened = [], 0
    for _ in range(20):
        found, mean = box(rng, np.array([0.3, -0.5]))
        widened += max(found.widening.values()) > 1.2
        reach += [abs(face - mean[i]) / SD for i, n in enumerate(NAMES) for face in found.faces[n]]
    assert widened <= 1
    assert np.mean(reach) == pytest.approx(stats.norm.isf(5e-5), rel=0.05)
    assert np.std(reach) < 0.4


def test_draws_at_the_end_of_a_prior_make_a_box_that_reaches_there():
    """Rounded to the end, they lie at infinity in normal space."""
    prior = priors.build({"a": {"type": "uniform", "min": -1, "max": 1}}, ("a",))
    rng = np.random.default_rng(0)
    mean, pulls = rng.normal(size=(2, 100, 1))
    known = Calibration(mean, np.full((100, 1), 25), 50, pulls)
    theta = np.where(rng.random((1000, 1)) < 0.1, 1.0, rng.uniform(0.9, 1, (1000, 1)))
    found = next_box(prior, theta, known, {}, mass=1e-4)
    low, high = found.faces["a"]
    assert 0 < low < stats.norm.ppf(0.95)
    assert high is None


@pytest.mark.parametrize("lost", [np.full(10_000, 0.3), np.linspace(6, 8, 10_000)])
def test_nothing_is_cut_where_the_posterior_is_lost(lost):
    """All draws are the same, or lie at an end of the prior, since the data are like no others."""
    rng = np.random.default_rng(0)
    theta = np.column_stack([0.1 * rng.normal(size=10_000), lost])
    found = next_box(PRIOR, theta, calibration(rng), {}, mass=1e-4)
    assert list(found.faces) == ["a"]
    assert found.lost == ["b"]
    assert found.widening["b"] == 1


def test_a_box_of_an_ensemble_is_wider():
    own, of_five = (
        box(np.random.default_rng(0), np.zeros(2), members=members)[0] for members in (1, 5)
    )
    assert of_five.ratio > 1.05 * own.ratio


def test_a_box_is_widened_as_asked():
    rng = np.random.default_rng(1)
    theta, known = 0.1 * rng.normal(size=(10_000, 2)), calibration(rng)
    narrow, wide = (
        box_around(PRIOR, theta, known, mass=1e-4, widening=widening) for widening in (1, 2)
    )
    for name, (low, high) in narrow.faces.items():
        centre = np.median(theta[:, PRIOR.names.index(name)])
        assert np.subtract(wide.faces[name], centre) == pytest.approx(
            2 * np.subtract((low, high), centre)
        )
    assert wide.widening == narrow.widening


def test_nothing_is_cut_off_where_the_posterior_is_the_prior():
    rng = np.random.default_rng(0)
    found = box_around(PRIOR, rng.normal(size=(10_000, 2)), calibration(rng), mass=1e-4)
    assert (found.faces, found.ratio) == ({}, 1.0)


def test_boxes_are_nested():
    rng = np.random.default_rng(0)
    outer, _ = box(rng, np.zeros(2))
    inner = BoxedPrior(PRIOR, outer.faces)
    theta = inner.from_normal(rng.normal(0.5, 0.4, size=(10_000, 2)))
    found = box_around(inner, theta, calibration(rng), mass=1e-4)
    for name in NAMES:
        (low, high), (least, most) = outer.faces[name], found.faces[name]
        assert low <= least < most <= high
    assert BoxedPrior(PRIOR, found.faces).volume == pytest.approx(found.ratio * inner.volume)


@pytest.mark.parametrize("width", [0.5, 0.7, 1.0])
def test_one_that_is_too_sure_does_not_cut_off_the_truth(width):
    rng = np.random.default_rng(1)
    kept = 0
    for _ in range(200):
        truth = rng.normal(size=2)
        found, _ = box(rng, truth, width)
        kept += BoxedPrior(PRIOR, found.faces).contains(truth[None])[0]
    assert kept >= 199


def test_misses_are_counted():
    rng = np.random.default_rng(2)
    found, _ = box(rng, np.zeros(2), width=0.3, n=300)
    assert found.near == 100
    assert found.missed > 10
    assert min(found.widening.values()) > 2.5
    honest, _ = box(rng, np.zeros(2), n=300)
    assert honest.missed <= 1
    assert max(honest.widening.values()) < 1.3


@pytest.mark.parametrize(
    ("law", "rtol"), [(stats.norm(), 0.06), (stats.uniform(), 0.01), (stats.expon(), 0.12)]
)
def test_tails_go_on_beyond_the_last_draw(law, rtol):
    rng = np.random.default_rng(0)
    draws = law.rvs(size=(10_000, 20), random_state=rng)
    found = upper_quantile(draws, 1e-5)
    assert np.mean(found) == pytest.approx(law.isf(1e-5), rel=rtol)
    np.testing.assert_array_equal(upper_quantile(draws, 0.2), np.quantile(draws, 0.8, axis=0))


def leaning(at=0.9):
    """Draws of a posterior that lies near the high face of a box, and the prior in the box."""
    rng = np.random.default_rng(5)
    inner = BoxedPrior(PRIOR, {"a": (-0.1, 0.1), "b": (-1.0, 1.0)})
    mean = inner.from_normal(np.array([[at, 0.0]]))
    theta = mean + np.array([0.03, 0.05]) * rng.normal(size=(40_000, 2))
    return inner, theta[inner.contains(theta)], calibration(rng)


def test_a_box_that_a_posterior_leans_on_is_widened_there():
    inner, theta, known = leaning()
    found = next_box(inner, theta, known, {}, mass=1e-4)
    assert found.beyond == {"a": (False, True)}
    middle = np.median(theta[:, 0])
    assert found.faces["a"] == pytest.approx((-0.1, 0.2 - middle))
    assert found.faces["b"] == (-1.0, 1.0)
    assert found.ratio == pytest.approx(BoxedPrior(PRIOR, found.faces).volume / inner.volume)
    assert found.ratio > 1


def test_a_face_that_is_settled_is_not_moved_again():
    inner, theta, known = leaning()
    found = next_box(inner, theta, known, {"a": (False, True)}, mass=1e-4)
    assert found.beyond == {}
    assert found.ratio < 1


def test_a_posterior_in_the_middle_leans_on_nothing():
    inner, theta, known = leaning(at=0.0)
    theta = theta[0] + 0.3 * (theta - theta[0])
    assert next_box(inner, theta, known, {}, mass=1e-4).beyond == {}
    assert next_to_faces(PRIOR, theta) == {}


def test_a_posterior_that_crowds_at_a_face_moves_it_by_half_a_box():
    """Twice as far from its own median were nowhere: around it there would be nothing to draw."""
    rng = np.random.default_rng(0)
    inner = BoxedPrior(PRIOR, {"a": (-0.2, 0.2)})
    crowded = np.column_stack([0.2 - 1e-9 * rng.random(1000), 0.1 * rng.normal(size=1000)])
    found = next_box(inner, crowded, calibration(rng), {}, mass=1e-4)
    assert found.beyond == {"a": (False, True)}
    low, high = found.faces["a"]
    assert (low, high) == pytest.approx((-0.2, 0.4), abs=0.01)
    assert found.ratio == pytest.approx(1.5, abs=0.05)
