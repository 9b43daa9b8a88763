"""Descriptors of sets, series and images, and p-values that are exact whatever the tails are."""

import numpy as np
import pytest

from sbi_pipeline.diagnostics.descriptors import descriptors_of, kind_of, unlike_by_descriptors
from sbi_pipeline.diagnostics.in_distribution import Reference
from sbi_pipeline.diagnostics.predictive import typicality
from sbi_pipeline.diagnostics.typicality import rank_among, surprise, upper


@pytest.mark.parametrize(
    ("x_shape", "kind"),
    [
        ((5,), ""),
        ((120,), "series"),
        ((3, 120), "series"),
        ((200, 2), "set"),
        ((500, 3), "set"),
        ((32, 32), "image"),
        ((3, 16, 16), "image"),
        ((20, 16, 16), ""),
        ((4, 4), ""),
    ],
)
def test_what_data_are_is_told_by_their_shape(x_shape, kind):
    assert kind_of(x_shape) == kind
    numbers = descriptors_of(np.random.default_rng(0).normal(size=(6, *x_shape)))
    assert numbers.shape[0] == 6
    assert (numbers.shape[1] > 0) == bool(kind)
    assert np.isfinite(numbers).all()


def test_the_order_of_points_does_not_matter():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(4, 200, 3))
    np.testing.assert_allclose(
        descriptors_of(rng.permutation(x, axis=1)), descriptors_of(x), atol=1e-9
    )


def test_padding_of_sets_does_not_matter():
    x = np.random.default_rng(2).normal(size=(4, 30, 2))
    zeros, missing = (np.pad(x, ((0, 0), (0, 20), (0, 0)), constant_values=v) for v in (0, np.nan))
    np.testing.assert_allclose(descriptors_of(zeros), descriptors_of(x))
    np.testing.assert_allclose(descriptors_of(missing), descriptors_of(x))
    marked = np.concatenate([x, np.ones((4, 30, 1))], axis=2)
    padded = np.pad(marked, ((0, 0), (0, 20), (0, 0)))
    np.testing.assert_allclose(descriptors_of(padded), descriptors_of(marked))
    assert np.isfinite(descriptors_of(np.zeros((2, 30, 2)))).all()


@pytest.mark.parametrize("x_shape", [(40, 2), (60,), (12, 12)])
@pytest.mark.parametrize("law", ["normal", "cauchy", "counts"])
def test_p_values_are_exact_whatever_the_law(x_shape, law):
    rng = np.random.default_rng(3)
    draws = {
        "normal": lambda size: rng.normal(size=size),
        "cauchy": lambda size: rng.standard_cauchy(size=size),
        "counts": lambda size: rng.poisson(0.3, size=size).astype(float),
    }[law]
    p = np.array([typicality(draws((99, *x_shape)), draws(x_shape)).p_value for _ in range(80)])
    assert np.mean(p) == pytest.approx(0.5, abs=0.13)  # four standard errors
    assert np.mean(p <= 0.1) <= 0.1 + 4 * np.sqrt(0.09 / 80)


def test_what_one_of_many_statistics_finds_far_out_has_the_least_p_value():
    rng = np.random.default_rng(4)
    values = rng.normal(size=(7, 501)) ** 2
    values[3, 0] = 60.0
    found = rank_among(np.zeros((501, 1)), {str(i): upper(each) for i, each in enumerate(values)})
    assert found.p_value == 1 / 501
    assert next(iter(found.p_values)) == "3"


def test_surprise_is_minus_the_log_of_p():
    rng = np.random.default_rng(5)
    exponential = surprise(rng.exponential(size=20_000))
    np.testing.assert_allclose(exponential(np.array([1.0, 4.0, 12.0])), [1, 4, 12], rtol=0.12)
    pareto = surprise(rng.pareto(2.0, size=20_000) + 1)
    np.testing.assert_allclose(
        pareto(np.array([2.0, 20.0, 400.0])), 2 * np.log([2, 20, 400]), rtol=0.12
    )
    assert (surprise(np.zeros(50))(np.array([0.0, 1.0])) == [0, np.log(51)]).all()


def test_objects_that_are_sets_are_compared_by_their_points():
    rng = np.random.default_rng(6)

    def curves(n):
        x = rng.normal(size=(n, 60))
        return np.stack([x, np.sin(2 * x) + 0.1 * rng.normal(size=x.shape)], axis=2)

    reference = Reference(curves(900))
    good, wrong = curves(40), curves(40)
    wrong[..., 1] = rng.permutation(wrong[..., 1], axis=1)
    assert (reference.p_values(wrong) == reference.least_p).mean() > 0.9
    assert np.mean(reference.p_values(good)) == pytest.approx(0.5, abs=0.2)


def test_elements_that_the_observation_lacks_count_for_nothing():
    rng = np.random.default_rng(7)
    x, x_o = rng.normal(size=(200, 50, 2)), rng.normal(size=(50, 2))
    short = x_o.copy()
    short[30:] = np.nan
    fewer = unlike_by_descriptors(x[:, :30], x_o[:30])
    for name, each in unlike_by_descriptors(x, short).items():
        np.testing.assert_allclose(each, fewer[name])
