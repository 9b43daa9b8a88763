"""Masses of stars in a cluster: a power law, and field stars that do not belong to it.

A member has a mass m from 1 to 100 with a density that goes as m^-index; a field star any mass in
this range, uniform in its logarithm. The order of the stars means nothing.
"""

import numpy as np


class Masses:
    """Logarithms of masses, ``(n, stars, 1)``, for (index, field), ``(n, 2)``."""

    parameters = ("index", "field")

    def __init__(self, stars: int = 100):
        self.x_shape = (stars, 1)

    def __call__(self, parameters, rng):
        """Simulate sets; all randomness comes from ``rng``."""
        index, field = parameters.T[:, :, None, None]
        steep, u = index - 1, rng.uniform(size=(len(parameters), *self.x_shape))
        member = -np.log1p(u * (100**-steep - 1)) / steep
        is_field = rng.uniform(size=u.shape) < field
        return np.where(is_field, u * np.log(100), member)
