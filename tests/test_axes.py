"""Boxes along the principal axes of posteriors: exact, nested, tight, and safe."""

import json

import numpy as np
import pytest
from joint_prior import Disc
from scipy import stats

from sbi_pipeline import priors
from sbi_pipeline.priors.axes import TurnedPrior, axes_of_draws
from sbi_pipeline.priors.boxes import BoxedPrior, cut_by, holds, truncated, untruncated
from sbi_pipeline.truncation import Calibration, next_box

ENTRIES = {
    "a": {"type": "uniform", "min": -1, "max": 1},
    "b": {"type": "loguniform", "min": 1, "max": 1e4},
    "c": {"type": "normal", "mean": "a", "sd": 0.1},
    "count": {"type": "integer", "min": 0, "max": 4},
}
AXES = {"b": [0.8, 0.6], "a": [-0.6, 0.8]}
OBLIQUE = {
    "within": {"c": [-1.0, 0.5]},
    "axes": AXES,
    "faces": {"a": [-0.5, 0.4], "b": [0.3, None]},
}
DEEPER = {
    "within": OBLIQUE,
    "axes": {"a": [0.28, 0.96], "c": [-0.96, 0.28]},
    "faces": {"c": [-0.7, 1.1]},
}
WHOLE = priors.build(ENTRIES, tuple(ENTRIES))


@pytest.mark.parametrize("box", [OBLIQUE, DEEPER])
def test_draws_are_those_of_the_prior_inside(box):
    prior = BoxedPrior.of(WHOLE, json.loads(json.dumps(box)))
    theta = prior.from_uniform(np.random.default_rng(0).random((20_000, 4)))
    assert prior.contains(theta).all()
    z = prior.to_normal(theta)
    for column in range(3):  # the fourth is discrete
        assert stats.kstest(z[:, column], "norm").pvalue > 1e-3
    np.testing.assert_allclose(np.corrcoef(z[:, :3].T), np.eye(3), atol=0.03)
    whole = WHOLE.from_uniform(np.random.default_rng(1).random((200_000, 4)))
    inside = whole[prior.contains(whole)]
    assert len(inside) / len(whole) == pytest.approx(prior.volume, rel=0.02)
    gained = prior.log_prob(theta) - WHOLE.log_prob(theta)
    np.testing.assert_allclose(gained, -np.log(prior.volume))
    assert np.isneginf(prior.log_prob(whole[~prior.contains(whole)])).all()
    for direction in np.random.default_rng(2).normal(size=(5, 4)):
        own, other = (
            (each - whole.mean(0)) @ (direction / whole.std(0)) for each in (theta, inside)
        )
        assert stats.ks_2samp(own, other).pvalue > 1e-3
    assert prior.box == box
    assert untruncated(prior) is WHOLE


def test_a_prior_of_the_users_own_is_cut_obliquely_too():
    whole = priors.build("joint_prior:Disc", Disc.names)
    axes = {"right": [0.8, 0.6], "up": [-0.6, 0.8]}
    prior = BoxedPrior.of(whole, {"within": {}, "axes": axes, "faces": {"right": [-0.2, 0.4]}})
    theta = prior.from_uniform(np.random.default_rng(0).random((5_000, 2)))
    many = whole.from_uniform(np.random.default_rng(1).random((100_000, 2)))
    inside = many[prior.contains(many)]
    for column in range(2):
        assert stats.ks_2samp(inside[:, column], theta[:, column]).pvalue > 1e-3


def test_nuisances_are_drawn_given_all_that_is_turned():
    prior = BoxedPrior.of(WHOLE, OBLIQUE)
    known = {"a": np.full(1000, 0.06), "b": np.full(1000, 20.0)}
    drawn = prior.complete(known, np.random.default_rng(0).random((1000, 4)))
    assert (drawn[:, :2] == [0.06, 20.0]).all()
    assert (drawn[:, 2] <= 0.06 + 0.1 * 0.5 + 1e-9).all()  # c is cut by the box around
    kept = prior.keep(("b", "a"))
    z = np.random.default_rng(0).normal(size=(100, 4))
    np.testing.assert_allclose(kept.from_normal(z[:, [1, 0]]), prior.from_normal(z)[:, [1, 0]])
    with pytest.raises(ValueError, match="lies obliquely in b, a, so 'b' cannot be left out"):
        prior.keep(("a", "c"))
    with pytest.raises(ValueError, match="'a' cannot be left out"):
        prior.complete({"b": np.ones(1)}, np.full((1, 4), 0.5))


def test_which_box_lies_within_which():
    wider = {**OBLIQUE, "faces": {"a": [-0.5, 0.9], "b": [0.3, None]}}
    beyond = {"c": [-1.0, 0.9]}
    assert holds(OBLIQUE, DEEPER)
    assert holds({}, DEEPER)
    assert holds({"c": [-1.0, 0.5]}, DEEPER)
    assert holds(beyond, DEEPER)
    assert holds(wider, OBLIQUE)
    assert holds(wider, DEEPER)
    assert not holds(DEEPER, {**DEEPER, "within": wider})  # cut out of another box
    assert not holds(OBLIQUE, wider)
    assert not holds(DEEPER, OBLIQUE)
    assert not holds(OBLIQUE, beyond)
    assert not holds(OBLIQUE, {**OBLIQUE, "within": beyond})
    assert cut_by(DEEPER) == {"a", "b", "c"}


def test_axes_are_called_after_the_parameters_nearest_to_them():
    rng = np.random.default_rng(0)
    alone = rng.normal(size=(100_000, 3)) * [0.1, 3.0, 1.0]
    found = axes_of_draws(alone, ("x", "y", "z"))
    np.testing.assert_allclose(list(found.values()), np.eye(3), atol=0.02)
    turned = alone @ np.linalg.qr(np.eye(3) + 0.3 * rng.normal(size=(3, 3)))[0]
    axes = np.array(list(axes_of_draws(turned, ("x", "y", "z")).values()))
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    covariance = np.cov((turned @ axes.T).T)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-10


NAMES = ("a", "b")
NORMAL = priors.build({name: {"type": "normal", "mean": 0, "sd": 1} for name in NAMES}, NAMES)
RHO, SD = 0.99, 0.02
NOISE = SD**2 * np.array([[1.0, RHO], [RHO, 1.0]])
GAIN = np.linalg.inv(np.eye(2) + NOISE)
FACTOR = np.linalg.cholesky(GAIN @ NOISE)


def correlated(rng, width=1.0, n=200, draws=200):
    """Return a truth, draws of its posterior given x = theta + noise, and what calibration knows.

    Noise of both is correlated; widths of posteriors are times a factor.
    """
    truth = rng.normal(size=(n + 1, 2))
    noise = rng.normal(size=(n + 1, 2)) @ np.linalg.cholesky(NOISE).T
    mean = (truth + noise) @ GAIN.T
    z = mean[:, None] + width * rng.normal(size=(n + 1, draws, 2)) @ FACTOR.T
    ranks = (z < truth[:, None]).sum(1)
    pulls = (truth - z.mean(1)) / z.std(1, ddof=1)
    known = Calibration(mean[1:], ranks[1:], draws, pulls[1:], z[1:], truth[1:])
    theta = mean[0] + width * rng.normal(size=(10_000, 2)) @ FACTOR.T
    return truth[0], theta, known


def test_an_oblique_box_is_smaller_by_what_correlation_leaves():
    """Of a normal posterior, by the root of 1 - rho squared: 0.14."""
    rng, ratios = np.random.default_rng(0), []
    for _ in range(20):
        _, theta, known = correlated(rng)
        own, oblique = (
            next_box(NORMAL, theta, known, {}, mass=1e-4, oblique=each) for each in (False, True)
        )
        ratios.append(oblique.ratio / own.ratio)
    assert np.median(ratios) == pytest.approx(np.sqrt(1 - RHO**2), rel=0.1)


@pytest.mark.parametrize("width", [0.5, 1.0])
def test_one_that_is_too_sure_does_not_cut_off_the_truth(width):
    """Also along axes in which no parameter alone looks too narrow."""
    rng, kept = np.random.default_rng(1), 0
    for _ in range(100):
        truth, theta, known = correlated(rng, width)
        found = next_box(NORMAL, theta, known, {}, mass=1e-4, oblique=True)
        kept += BoxedPrior.of(NORMAL, found.faces).contains(truth[None])[0]
    assert kept >= 98


def test_boxes_are_nested_and_reach_beyond_what_is_leant_on():
    rng = np.random.default_rng(3)
    _, theta, known = correlated(rng)
    first = next_box(NORMAL, theta, known, {}, mass=1e-4, oblique=True)
    inner = BoxedPrior.of(NORMAL, first.faces)
    middle = inner.from_normal(rng.normal(0, 0.4, size=(10_000, 2)))
    second = next_box(inner, middle, known, {}, mass=1e-4, oblique=True)
    assert not second.beyond
    assert second.faces["within"] == first.faces
    deeper = BoxedPrior.of(NORMAL, second.faces)
    assert deeper.volume == pytest.approx(second.ratio * inner.volume)
    assert holds(first.faces, second.faces)

    leaning = inner.from_normal(np.array([3.0, 0.0]) + [0.6, 0.4] * rng.normal(size=(10_000, 2)))
    found = next_box(inner, leaning, known, {}, mass=1e-4, oblique=True)
    assert found.beyond == {"a": (False, True)}
    assert found.faces["axes"] == first.faces["axes"]
    assert found.ratio > 1
    assert holds(found.faces, first.faces)
    settled = next_box(inner, leaning, known, found.beyond, mass=1e-4, oblique=True)
    assert not settled.beyond

    inside = leaning[deeper.contains(leaning)]
    if len(inside) > 100:  # one farther out is leant on from within another
        found = next_box(deeper, inside, known, {}, mass=1e-4, oblique=True)
        assert holds(found.faces, second.faces)


def test_a_parameter_that_is_lost_keeps_its_own_axis():
    rng = np.random.default_rng(0)
    _, theta, known = correlated(rng)
    found = next_box(
        NORMAL, np.column_stack([theta[:, 0], np.full(len(theta), 0.3)]), known, {},
        mass=1e-4, oblique=True,
    )  # fmt: skip
    assert found.lost == ["b"]
    assert list(found.faces["axes"]) == ["a"]
    assert list(found.faces["faces"]) == ["a"]
    every = next_box(NORMAL, np.full((1000, 2), 0.3), known, {}, mass=1e-4, oblique=True)
    assert every.faces == {"within": {}, "axes": {}, "faces": {}}
    nothing = truncated(NORMAL, every.faces)
    assert isinstance(nothing.whole, TurnedPrior)
    u = rng.random((100, 2))
    np.testing.assert_allclose(nothing.from_uniform(u), NORMAL.from_uniform(u))


def test_draws_that_were_not_kept_are_asked_for():
    _, theta, known = correlated(np.random.default_rng(0))
    bare = Calibration(known.means, known.ranks, known.draws, known.pulls)
    with pytest.raises(ValueError, match="draws of held-out posteriors were not kept"):
        next_box(NORMAL, theta, bare, {}, mass=1e-4, oblique=True)
