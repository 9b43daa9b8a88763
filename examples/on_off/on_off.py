"""A gamma-ray source seen through two counts: on the source, and off it.

With s expected counts of the source and b of background in the on region, and an off region 1/alpha
times as large,

    n_on ~ Poisson(s + b),    n_off ~ Poisson(b / alpha).

(Li & Ma, Analysis methods for results in gamma-ray astronomy, ApJ 272, 1983.)
"""

import numpy as np


class OnOff:
    """Counts (n_on, n_off), ``(n, 2)``, for (signal, background), ``(n, 2)``."""

    parameters = ("signal", "background")

    def __init__(self, alpha: float = 0.2):
        self.alpha = alpha

    def __call__(self, parameters, rng):
        """Simulate counts; all randomness comes from ``rng``."""
        signal, background = parameters.T
        return rng.poisson(np.stack([signal + background, background / self.alpha], axis=1))
