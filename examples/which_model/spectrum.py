"""Counts of photons in twenty bins of energy around 511 keV: a power law, with or without a line.

A bin in the middle of which the energy is E expects norm (E / 511 keV)^-index counts of the
continuum, and of the counts of the line the share that a Gaussian resolution of 20 keV puts there.
All counts are Poisson.
"""

import numpy as np
from scipy.special import gammaln

ENERGY = np.arange(320, 720, 20.0)  # middles of the bins, in keV
LINE, RESOLUTION = 511.0, 20.0  # keV
SHARE = np.exp(-0.5 * ((ENERGY - LINE) / RESOLUTION) ** 2)
SHARE = SHARE / SHARE.sum()


class PowerLaw:
    """Counts, ``(n, 20)``, for (norm, index), ``(n, 2)``."""

    parameters = ("norm", "index")
    x_shape = (20,)

    def expected(self, parameters):
        """Return expected counts, ``(n, 20)``."""
        norm, index = parameters.T[:2, :, None]
        return norm * (ENERGY / LINE) ** -index

    def __call__(self, parameters, rng):
        """Simulate counts; all randomness comes from ``rng``."""
        return rng.poisson(self.expected(parameters))

    def log_likelihood(self, parameters, x):
        """Return log p(x | parameters) in nats, ``(n,)``, for one ``x``, ``(20,)``."""
        mean = self.expected(parameters)
        return np.sum(x * np.log(mean) - mean - gammaln(x + 1), axis=1)


class WithLine(PowerLaw):
    """Counts, ``(n, 20)``, for (norm, index, line_counts), ``(n, 3)``."""

    parameters = ("norm", "index", "line_counts")

    def expected(self, parameters):
        """Return expected counts, ``(n, 20)``."""
        return super().expected(parameters) + parameters[:, 2:] * SHARE
