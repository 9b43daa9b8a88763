"""A star on a camera: counts of a blurred point over the brightness of the sky, 16 x 16 pixels."""

import numpy as np

PIXEL = np.arange(16.0)


class Star:
    """Images, ``(n, 16, 16)``, for (flux, x, y, sky, seeing), ``(n, 5)``."""

    parameters = ("flux", "x", "y", "sky", "seeing")
    x_shape = (16, 16)
    noise_at_load = True

    def __call__(self, parameters, rng):
        """Return the mean counts of each pixel, without their noise."""
        flux, x, y, sky, seeing = parameters.T[..., None]
        along = np.exp(-((PIXEL - x) ** 2) / (2 * seeing**2))
        across = np.exp(-((PIXEL - y) ** 2) / (2 * seeing**2))
        blur = across[:, :, None] * along[:, None, :] / (2 * np.pi * seeing[..., None] ** 2)
        return flux[..., None] * blur + sky[..., None]

    def observe(self, x, rng):
        """Count, anew whenever training reads an image; all randomness comes from ``rng``."""
        return rng.poisson(x)
