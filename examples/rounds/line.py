"""A line through ten points, measured so well that the posterior is a speck in the prior."""

import numpy as np

TIME = np.linspace(-1, 1, 10)


class Line:
    """Points, ``(n, 10)``, for (offset, slope, scale), ``(n, 3)``; scale multiplies the noise."""

    parameters = ("offset", "slope", "scale")
    x_shape = (10,)

    def __init__(self, noise: float = 0.01):
        self.noise = noise

    def __call__(self, parameters, rng):
        """Simulate points; all randomness comes from ``rng``."""
        offset, slope, scale = parameters.T[..., None]
        return offset + slope * TIME + scale * self.noise * rng.normal(size=(len(scale), 10))
