"""A prior within a box: exact draws, densities and normal space, and rows that lie inside."""

import numpy as np
import pytest
from joint_prior import Disc
from scipy import stats

from sbi_pipeline import priors
from sbi_pipeline.campaigns.sources import source_of
from sbi_pipeline.priors.boxes import BoxedPrior, NormalInterval, check_kept, holds, truncated
from sbi_pipeline.storage.manifest import mask_of_text, text_of_mask

ENTRIES = {
    "a": {"type": "uniform", "min": -1, "max": 1},
    "b": {"type": "loguniform", "min": 1, "max": 1e4},
    "c": {"type": "normal", "mean": "a", "sd": 0.1},
    "count": {"type": "integer", "min": 0, "max": 4},
}


def boxed(faces, entries=ENTRIES):
    return BoxedPrior(priors.build(entries, tuple(entries)), faces)


BOXES = [
    {"a": [0.1, 0.1001], "c": [-0.5, 0.2]},
    {"a": [-3.0, -2.5], "b": [None, -3]},
    {"b": [5.0, 5.01], "c": [7.5, None]},
]


@pytest.mark.parametrize("faces", BOXES)
def test_draws_are_those_of_the_prior_inside(faces):
    prior = boxed(faces)
    u = np.random.default_rng(0).random((20_000, 4))
    theta = prior.from_uniform(u)
    assert prior.contains(theta).all()
    z = prior.to_normal(theta)
    for column in range(3):  # the fourth is discrete
        assert stats.kstest(z[:, column], "norm").pvalue > 1e-3
    whole = prior.whole.from_uniform(np.random.default_rng(1).random((400_000, 4)))
    inside = whole[prior.contains(whole)]
    if len(inside) > 100:
        for column in range(4):
            assert stats.ks_2samp(inside[:, column], theta[:, column]).pvalue > 1e-3
        assert len(inside) / len(whole) == pytest.approx(prior.volume, rel=0.1)


@pytest.mark.parametrize("faces", BOXES)
def test_normal_space_goes_there_and_back(faces):
    prior = boxed(faces)
    z = np.random.default_rng(0).normal(size=(5_000, 4))
    back = prior.to_normal(prior.from_normal(z))
    np.testing.assert_allclose(back[:, :3], z[:, :3], atol=1e-3 if "b" in faces else 1e-7)


def test_the_density_integrates_to_one_and_is_none_outside():
    prior = boxed({"a": [-0.3, 0.5]}, {"a": ENTRIES["a"]})
    theta = np.linspace(-1, 1, 200_001)[:, None]
    density = np.exp(prior.log_prob(theta))
    assert density.mean() * 2 == pytest.approx(1, rel=1e-4)
    low, high = prior.from_normal(np.array([[-9.0], [9.0]]))[:, 0]
    assert (density[(theta[:, 0] < low) | (theta[:, 0] > high)] == 0).all()
    assert prior.volume == pytest.approx((high - low) / 2, rel=1e-9)


def test_what_lies_outside_goes_to_an_end():
    prior = boxed({"a": [-0.3, 0.5]}, {"a": ENTRIES["a"]})
    z = prior.to_normal(np.array([[-0.9], [0.9]]))
    assert np.isfinite(z).all()
    assert z[0, 0] < -8
    assert z[1, 0] > 8


def test_a_box_is_kept_with_its_parameters():
    prior = boxed({"a": [0.1, 0.2], "c": [0, 1]})
    assert prior.keep(("c", "a")).faces == {"a": [0.1, 0.2], "c": [0, 1]}
    assert prior.keep(("b",)).faces == {}
    known = {"a": np.full(1000, 0.06)}
    drawn = prior.complete(known, np.random.default_rng(0).random((1000, 4)))
    assert (drawn[:, 0] == 0.06).all()
    assert (drawn[:, 2] >= 0.06).all()  # given a, c is cut at its median
    assert truncated(prior.whole, None) is prior.whole


def test_a_joint_prior_of_the_users_own_is_cut_as_well():
    whole = priors.build("joint_prior:Disc", Disc.names)
    prior = BoxedPrior(whole, {"right": (-0.2, 0.4)})  # its first normal deviate is of the radius
    theta = prior.from_uniform(np.random.default_rng(0).random((5_000, 2)))
    assert stats.kstest(prior.to_normal(theta)[:, 0], "norm").pvalue > 1e-3
    many = whole.from_uniform(np.random.default_rng(1).random((100_000, 2)))
    inside = many[prior.contains(many)]
    for column in range(2):
        assert stats.ks_2samp(inside[:, column], theta[:, column]).pvalue > 1e-3


class Leaning:
    """A joint prior of two correlated normal deviates, the second given the first."""

    def __init__(self, names=("first", "second")):
        self.names = names
        covariance = np.array([[1.0, 0.8], [0.8, 1.0]])[: len(names), : len(names)]
        self.factor = np.linalg.cholesky(covariance)

    def to_normal(self, parameters):
        return np.linalg.solve(self.factor, parameters.T).T

    def keep(self, names):
        return Leaning(names)


def test_what_is_kept_must_keep_its_normal_deviates():
    theta = np.random.default_rng(0).normal(size=(100, 2))
    check_kept(Leaning(), ("first",), theta)
    check_kept(Leaning(), ("first", "second"), theta)
    with pytest.raises(ValueError, match=r"'second' has other normal deviates in keep\(\(second\)"):
        check_kept(Leaning(), ("second",), theta)
    conditional = priors.build(ENTRIES, tuple(ENTRIES))
    drawn = conditional.from_uniform(np.random.default_rng(0).random((100, 4)))
    check_kept(conditional, ("c", "a"), drawn)


def test_the_mass_of_a_sliver_keeps_its_digits():
    for low, width in ((0.3, 1e-9), (-7.0, 1e-9), (7.0, 1e-9)):
        mass = NormalInterval.between(low, low + width).mass
        assert mass == pytest.approx(stats.norm.pdf(low) * width, rel=1e-5)


def test_rows_of_a_box_do_not_depend_on_how_they_are_split():
    source = source_of({"box": {"a": [0.1, 0.2]}})
    prior = priors.build(ENTRIES, tuple(ENTRIES))
    whole = source.draw(prior, seed=3, start=0, rows=2500)
    parts = [source.draw(prior, seed=3, start=at, rows=500) for at in range(0, 2500, 500)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_masks_of_rows_are_texts():
    mask = np.random.default_rng(0).random(1001) < 0.3
    np.testing.assert_array_equal(mask_of_text(text_of_mask(mask), 1001), mask)


def test_a_box_may_lie_within_another():
    assert holds({"a": (-1, 1)}, {"a": (-0.5, 1), "b": (0, 1)})
    assert holds({}, {"a": (0, 1)})
    assert not holds({"a": (-1, 1)}, {"b": (0, 1)})
    assert not holds({"a": (-1, None)}, {"a": (-2, 0)})


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_rows_around_a_hole_fill_up_what_is_there(share):
    """A hole of half the volume whose rows are there, or some of them: together, the prior."""
    prior = priors.build(ENTRIES, tuple(ENTRIES))
    box, hole = {"a": (-0.5, 0.5)}, {"a": (-0.5, 0.0)}
    inner, outer = BoxedPrior(prior, hole), BoxedPrior(prior, box)
    p = inner.volume / outer.volume
    source = source_of({"box": box, "hole": hole, "share": share})
    fresh = source.draw(prior, seed=1, start=0, rows=8000)
    parts = [source.draw(prior, seed=1, start=at, rows=4000) for at in (0, 4000)]
    np.testing.assert_array_equal(np.concatenate(parts), fresh)
    around = ~inner.contains(fresh)
    assert np.mean(~around) == pytest.approx(share * p / (share * p + 1 - p), abs=0.02)
    missing = round(around.sum() * p / (1 - p) - (~around).sum())
    there = source_of({"box": hole}).draw(prior, seed=2, start=0, rows=missing)
    z = outer.to_normal(np.concatenate([fresh, there]))
    for column in range(3):
        assert stats.kstest(z[:, column], "norm").pvalue > 1e-3
