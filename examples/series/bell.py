"""A bell that was struck: an oscillation that dies away, seen through noise.

x(t) = amplitude * exp(-t / decay) * cos(2 pi frequency t + phase) + noise, 60 samples in 3 s.
"""

import numpy as np

TIME = np.arange(60) / 20  # seconds


class Bell:
    """Samples, ``(n, 60)``, for (frequency, decay, amplitude, phase), ``(n, 4)``."""

    parameters = ("frequency", "decay", "amplitude", "phase")
    x_shape = (60,)

    def __init__(self, noise: float = 0.5):
        self.noise = noise

    def __call__(self, parameters, rng):
        """Simulate samples; all randomness comes from ``rng``."""
        frequency, decay, amplitude, phase = parameters.T[..., None]
        wave = np.cos(2 * np.pi * frequency * TIME + phase)
        return amplitude * np.exp(-TIME / decay) * wave + self.noise * rng.normal(size=wave.shape)
