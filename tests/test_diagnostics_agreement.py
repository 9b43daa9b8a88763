"""Divergences of normals against their integrals, and C2ST at its two ends."""

import numpy as np
import pytest
from scipy import integrate, stats

from sbi_pipeline.diagnostics import agreement, joint_agreement


def _exact_jsd(shift, width):
    grid = np.linspace(-12, 12, 20001)
    p, q = stats.norm.pdf(grid), stats.norm.pdf(grid, shift, width)
    half = lambda a: np.where(a > 0, a * np.log(np.maximum(a, 1e-300) / ((p + q) / 2)), 0)  # noqa: E731
    return 500 * integrate.trapezoid(half(p) + half(q), grid)


@pytest.mark.parametrize(("shift", "width"), [(0.25, 1.0), (1.0, 1.0), (0.0, 1.2), (4.0, 0.5)])
def test_jsd_is_that_of_the_integral(shift, width):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=100_000), rng.normal(shift, width, size=100_000)
    assert agreement.jsd_mnat(a, b) == pytest.approx(_exact_jsd(shift, width), rel=0.1, abs=0.3)


def test_chance_level_holds_for_equal_laws():
    rng = np.random.default_rng(1)
    values = [agreement.jsd_mnat(rng.normal(size=1000), rng.normal(size=2000)) for _ in range(300)]
    above = np.mean(np.array(values) > agreement.jsd_by_chance(1000, 2000))
    assert 0.02 < above < 0.09


def test_jsd_of_equal_constants_is_zero_and_of_apart_is_ln_2():
    assert agreement.jsd_mnat(np.ones(50), np.ones(60)) == 0.0
    apart = agreement.jsd_mnat(np.zeros(500) + 1e-3 * np.arange(500), 5 + np.arange(500.0))
    assert apart == pytest.approx(1000 * np.log(2), rel=0.02)


def test_marginals_are_compared_by_name():
    rng = np.random.default_rng(2)
    b = {"m": rng.normal(size=4000), "s": rng.normal(size=4000)}
    a = {"s": rng.normal(0.5, 2.0, size=4000), "only here": np.zeros(3)}
    table = agreement.compare_marginals(a, b, ({"s": 1000}, {"s": 4000}))
    assert list(table["parameter"]) == ["s"]
    assert table["shift"][0] == pytest.approx(0.5, abs=0.15)
    assert table["width"][0] == pytest.approx(2.0, rel=0.1)
    assert table["by_chance"][0] == pytest.approx(agreement.jsd_by_chance(1000, 4000))


def test_c2st_is_half_for_equal_and_one_for_apart():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(600, 2)), rng.normal(size=(600, 2))
    assert joint_agreement.c2st(a, b) == pytest.approx(0.5, abs=0.06)
    assert joint_agreement.c2st(a + 8, b) > 0.99


def test_c2st_refuses_other_dimensions():
    with pytest.raises(ValueError, match="n, dim"):
        joint_agreement.c2st(np.zeros((50, 2)), np.zeros((50, 3)))


def test_c2st_of_equal_draws_scatters_like_a_coin():
    found = [
        joint_agreement.c2st(
            *np.random.default_rng(seed).normal(size=(2, 200, 2)), n=200, seed=seed
        )
        for seed in range(12)
    ]
    assert np.mean(found) == pytest.approx(0.5, abs=4 * 0.025 / np.sqrt(12))
    assert np.std(found) < 2 * 0.025
