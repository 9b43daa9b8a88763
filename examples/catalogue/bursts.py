"""Gamma-ray bursts: pulses that rise fast and decay exponentially.

In bins of a second, t after the trigger, the counts are Poisson with mean

    background + peak * exp(-|t - t_peak| / tau),    tau = rise before t_peak, decay after it

(Norris et al., Attributes of pulses in long bright gamma-ray bursts, ApJ 459, 1996).
"""

import numpy as np

TIME = np.arange(40.0)


class Bursts:
    """Counts, ``(n, 40)``, for peak, t_peak, rise, decay and background, ``(n, 5)``."""

    parameters = ("peak", "t_peak", "rise", "decay", "background")
    x_shape = (40,)
    noise_at_load = True

    def __call__(self, parameters, rng):
        """Return the mean counts, without their noise."""
        peak, t_peak, rise, decay, background = parameters.T[..., None]
        tau = np.where(t_peak > TIME, rise, decay)
        return background + peak * np.exp(-np.abs(TIME - t_peak) / tau)

    def observe(self, x, rng):
        """Count, anew whenever training reads a burst; all randomness comes from ``rng``."""
        return rng.poisson(x)
