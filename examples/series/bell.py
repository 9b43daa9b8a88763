"""A bell that was struck: an oscillation that dies away, seen through noise.

x(t) = amplitude * exp(-t / decay) * cos(2 pi frequency t + phase) + noise, 60 samples in 3 s.
"""

import numpy as np

TIME = np.arange(60) / 20  # seconds


class Bell:
    """Samples, ``(n, 60)``, for (frequency, decay, amplitude, phase), ``(n, 4)``."""

    parameters = ("frequency", "decay", "amplitude", "phase")
    x_shape = (60,)
    noise_at_load = True

    def __init__(self, noise: float = 0.5):
        self.noise = noise

    def __call__(self, parameters, rng):
        """Simulate samples without noise."""
        frequency, decay, amplitude, phase = parameters.T[..., None]
        return amplitude * np.exp(-TIME / decay) * np.cos(2 * np.pi * frequency * TIME + phase)

    def observe(self, x, rng):
        """Add noise, anew whenever training reads a series; all randomness comes from ``rng``."""
        return x + self.noise * rng.normal(size=x.shape)
