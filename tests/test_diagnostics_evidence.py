"""Integrals of densities known in closed form."""

import numpy as np
import pytest
from scipy import stats

from sbi_pipeline.diagnostics.evidence import log_evidence


@pytest.mark.parametrize("dim", [1, 2, 6])
def test_the_integral_of_a_scaled_normal_is_its_scale(dim):
    rng = np.random.default_rng(dim)
    scale = np.array([-40.0, 0.0, 300.0])
    centre, sd = rng.normal(size=(3, 1, dim)), np.array([0.01, 1.0, 7.0])[:, None, None]
    z = centre + sd * rng.normal(size=(3, 200, dim))

    def density(points):
        return stats.norm.logpdf(points, centre, sd).sum(axis=-1) + scale[:, None]

    found, effective = log_evidence(density, z, rng)
    np.testing.assert_allclose(found, scale, atol=0.25)
    assert (effective > 0.3).all()


def test_two_narrow_modes_are_integrated():
    rng = np.random.default_rng(0)
    side = rng.choice([-1.0, 1.0], size=(20, 300, 1))
    z = side + 0.05 * rng.normal(size=side.shape)

    def density(points):
        each = [stats.norm.logpdf(points, side, 0.05).sum(axis=-1) for side in (-1, 1)]
        return np.logaddexp(*each) - np.log(2)

    found, effective = log_evidence(density, z, rng)
    # The kernels are much wider than the modes: 300 proposals are worth a few dozen.
    assert abs(found.mean()) < 0.1
    assert effective.mean() > 0.05
