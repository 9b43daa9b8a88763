"""Double moons: noisy points of two arcs, a set of events with an exact likelihood.

Each point has an angle p ~ U(0, pi). With probability d it lies on the upper moon, (cos p, sin p),
else on the lower, (1 - cos p, 0.5 - sin p). Noise N(0, sigma^2) is added to both coordinates, then
y is multiplied by t. In polar coordinates (r, a) of (u, v) and with k = r / sigma^2, a point of the
upper moon has density

    U(u, v) = exp(-(r - 1)^2 / (2 sigma^2)) i0e(k) [F_k(pi - a) - F_k(-a)] / (pi sigma^2),

where i0e is the scaled Bessel function and F_k the CDF of the von Mises distribution of mean 0 and
concentration k; so

    p(x, y | d, sigma, t) = [d U(x, y / t) + (1 - d) U(1 - x, 0.5 - y / t)] / t.

(The integral over p of a Gaussian about a point of the circle is one over a von Mises density.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from ..options import Count

Array = NDArray[Any]


class Moons:
    """Sets of points, ``(n, points, 2)``, for (d, sigma, t).

    With ``largest``, the number of points is a fourth parameter, a nuisance: sets are then
    ``(n, largest, 3)`` whose last column is 1 for points that are there and 0 for padding, as
    embeddings with ``mask: true`` take them.

    Args:
        points: Points in a set.
        largest: Points in the largest set; by default all sets have ``points``.
    """

    def __init__(self, points: Count = 200, largest: Count | None = None) -> None:
        self.points = points
        self.largest = largest
        self.x_shape = (points, 2) if largest is None else (largest, 3)
        self.parameters = ("d", "sigma", "t") if largest is None else ("d", "sigma", "t", "points")

    def __call__(self, parameters: Array, rng: np.random.Generator) -> Array:
        """Simulate sets for parameters, ``(n, 3)``, or ``(n, 4)`` with ``largest``."""
        d, sigma, t = parameters[:, :3].T[..., None]
        size = (len(parameters), self.largest or self.points)
        xy = draw_points(rng.random(size) < d, sigma, t, rng)
        if self.largest is None:
            return xy
        there = np.arange(self.largest) < parameters[:, 3:]
        return np.concatenate([xy, np.ones((*size, 1))], axis=2) * there[..., None]

    def log_likelihood(self, parameters: Array, x: Array) -> Array:
        """Exact log p(x | d, sigma, t) in nats, ``(n,)``, for one set x, ``(points, 2 or 3)``."""
        there = x[x[:, 2] > 0.5, :2] if x.shape[1] == 3 else x
        d, sigma, t = parameters[:, :3].T[..., None]
        return log_mixture(there, d, sigma, t).sum(axis=1)


class MoonPoint:
    """One point, ``(n, 2)``, for (d, sigma, t), where d is 1 for the upper moon, 0 for the lower.

    What a per-event likelihood or ratio learns from.
    """

    parameters = ("d", "sigma", "t")
    x_shape = (2,)

    def __call__(self, parameters: Array, rng: np.random.Generator) -> Array:
        """Simulate points for parameters, ``(n, 3)``."""
        d, sigma, t = parameters.T
        return draw_points(d > 0.5, sigma, t, rng)

    def log_likelihood(self, parameters: Array, x: Array) -> Array:
        """Exact log p(x | d, sigma, t) in nats, ``(n,)``, for one point x, ``(2,)``."""
        d, sigma, t = parameters.T[..., None]
        return log_mixture(x[None], (d > 0.5).astype(float), sigma, t)[:, 0]


def draw_points(upper: Array, sigma: Array, t: Array, rng: np.random.Generator) -> Array:
    """Draw points, ``(..., 2)``, on the upper moon where ``upper``, ``(...)``, is true."""
    p = np.pi * rng.random(upper.shape)
    arc = np.stack([np.cos(p), np.sin(p)], axis=-1)
    xy = np.where(upper[..., None], arc, np.array([1.0, 0.5]) - arc)
    xy = xy + np.asarray(sigma)[..., None] * rng.normal(size=xy.shape)
    return xy * np.stack(np.broadcast_arrays(1.0, t), axis=-1)


def log_mixture(xy: Array, d: Array, sigma: Array, t: Array) -> Array:
    """Log density of points, ``(points, 2)``, for parameters, each ``(n, 1)``: ``(n, points)``."""
    x, y = xy[:, 0], xy[:, 1] / t
    with np.errstate(divide="ignore"):  # log 0, of a moon without weight
        upper = np.log(d) + log_upper(np.broadcast_to(x, y.shape), y, sigma)
        lower = np.log1p(-d) + log_upper(np.broadcast_to(1 - x, y.shape), 0.5 - y, sigma)
    return np.asarray(np.logaddexp(upper, lower) - np.log(t))


def log_upper(u: Array, v: Array, sigma: Array) -> Array:
    """Log of U of the head of this file, for arrays of one shape (sigma may broadcast)."""
    r, a = np.hypot(u, v), np.arctan2(v, u)
    k = np.broadcast_to(r / sigma**2, r.shape)
    log_bessel = np.log(special.i0e(k))
    log_density = -((r - 1) ** 2) / (2 * sigma**2) + log_bessel - np.log(np.pi * sigma**2)
    return np.asarray(log_density + log_share(a, k, log_bessel))


def log_share(a: Array, k: Array, log_bessel: Array) -> Array:
    """Log of F_k(pi - a) - F_k(-a): the part of the circle that the arc is, seen from a point.

    Where the difference is lost to rounding, the leading term of the integral about the nearer end
    of the arc, at the angle delta: exp(k cos delta) / (k sin delta).
    """
    share = stats.vonmises.cdf(np.pi - a, k) - stats.vonmises.cdf(-a, k)
    lost = share < 1e-10
    delta = np.where(lost, np.minimum(np.abs(a), np.pi - np.abs(a)), 1.0)
    tail = k * (np.cos(delta) - 1) - np.log(2 * np.pi * k * np.sin(delta)) - log_bessel
    return np.where(lost, tail, np.log(np.where(lost, 1.0, share)))
