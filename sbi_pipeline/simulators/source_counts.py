"""Sources in a gamma-ray sky: a map of photon counts with up to 1500 nuisance parameters.

A square map covers 40 degrees to each side of the Galactic centre. ``number`` sources have
longitudes N(0, 20 deg), latitudes N(0, height) and fluxes LogNormal(1, sigma): three nuisances
each, of which only those of the first ``number`` sources matter. The map is smoothed by a Gaussian
point-spread function of 1.5 pixels, times 4; with exposure 100, data are Poisson(100 mu) / 100.

The set-up is that of Eckner et al., arXiv:2505.02906.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special
from scipy.stats import qmc

from ..options import Count, Index, NonNegative

Array = NDArray[Any]

KINDS = ("longitude", "latitude", "flux")
HALF_WIDTH = 40.0  # of the map, in degrees
PSF = 1.5  # pixels of 128
EXPOSURE = 100.0


class SourceCounts:
    """Maps, ``(n, pixels, pixels)`` float32, for (number, sigma, height, longitude_1, ...).

    ``number`` is rounded down to a whole number of sources; ``height`` and positions are in
    degrees; the nuisances are named ``longitude_1``, ``latitude_1``, ``flux_1`` and so on.

    Args:
        most: Sources with parameters of their own, the largest number there can be.
        pixels: Pixels along a side.
        background: Uniform emission added to the mean map; 0 in the published set-up.
        noise: Whether maps are simulated with their Poisson noise; ``false`` leaves it to be drawn
            when training reads them.
        mirror: With ``noise: false``, maps are mirrored at random when they are read, left to right
            and top to bottom. p(x | number, sigma, height) is the same; do not infer positions
            with it.
        nuisances: How many of the nuisances are parameters, source by source. The others are not
            random: standard-normal points of a Halton sequence, scaled by sigma and height. By
            default all are parameters.
    """

    def __init__(
        self,
        most: Count = 500,
        pixels: Count = 128,
        background: NonNegative = 0.0,
        noise: bool = True,
        mirror: bool = False,
        nuisances: Index | None = None,
    ) -> None:
        self.most, self.pixels, self.background, self.noise = most, pixels, background, noise
        self.mirror = mirror
        self.noise_at_load = not noise
        self.x_shape = (pixels, pixels)
        place = np.arange(3 * most).reshape(most, 3).T  # of a nuisance, source by source
        self.random = place < (3 * most if nuisances is None else nuisances)  # (3, most)
        self.typical = special.ndtri(qmc.Halton(3, scramble=False).random(most + 1)[1:].T)
        self.parameters = (
            "number",
            "sigma",
            "height",
            *(f"{KINDS[kind]}_{i + 1}" for kind, i in np.argwhere(self.random)),
        )

    def __call__(self, parameters: Array, rng: np.random.Generator) -> Array:
        """Simulate maps for parameters, ``(n, 3 + nuisances)``."""
        mean = self.mean(parameters)
        return self.observe(mean, rng) if self.noise else mean

    def observe(self, x: Array, rng: np.random.Generator) -> Array:
        """Draw Poisson noise about mean maps, ``(n, pixels, pixels)``, mirrored if asked for."""
        for axis in (-1, -2) if self.mirror and not self.noise else ():
            turned = rng.random(x.shape[:-2]) < 0.5
            x = np.where(turned[..., None, None], np.flip(x, axis), x)
        return (rng.poisson(EXPOSURE * x) / EXPOSURE).astype(np.float32)

    def sources(self, parameters: Array) -> Array:
        """Return longitude, latitude and flux of all sources, ``(n, 3, most)``."""
        sigma, height = parameters[:, 1:3].T[..., None]
        longitude, latitude, flux = self.typical
        fixed = np.broadcast_arrays(20 * longitude, height * latitude, np.exp(1 + sigma * flux))
        every = np.stack(fixed, axis=1)
        every[:, self.random] = parameters[:, 3:]
        return every

    def mean(self, parameters: Array) -> Array:
        """Return maps without noise, ``(n, pixels, pixels)`` float32."""
        n, side = len(parameters), self.pixels
        longitude, latitude, flux = self.sources(parameters).swapaxes(0, 1)
        there = np.arange(self.most) < np.floor(parameters[:, :1])
        row, column = (
            np.floor((angle + HALF_WIDTH) * side / (2 * HALF_WIDTH)).astype(int)
            for angle in (latitude, longitude)
        )
        there &= (row >= 0) & (row < side) & (column >= 0) & (column < side)
        which, source = np.nonzero(there)
        pixel = (which * side + row[which, source]) * side + column[which, source]
        points = np.bincount(pixel, flux[which, source], n * side * side).reshape(n, side, side)
        width = PSF * side / 128
        smooth = ndimage.gaussian_filter(points, (0, width, width), mode="constant")
        return np.asarray(4 * smooth + self.background, dtype=np.float32)
