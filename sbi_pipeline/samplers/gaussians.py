"""Mixtures of Gaussians of many sets of points, fitted together.

Expectation maximisation as in textbooks, in two matrix products an iteration: the log density of a
component is linear in the products of a point's coordinates, and what it is made of next are
weighted means of the same products. For a few hundred points scikit-learn spends most of its time
beside these, and it takes half a second to import.

References:
    Dempster, Laird & Rubin, Maximum likelihood from incomplete data via the EM algorithm, JRSS B
    39, 1977, https://doi.org/10.1111/j.2517-6161.1977.tb01600.x.
    Arthur & Vassilvitskii, k-means++: the advantages of careful seeding, SODA 2007 (beginnings).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..types import Array

MOST_ITERATIONS, GAIN = 100, 5.0
"""Iterations end where no set's log likelihood gains more than that any more, in nats."""
NARROWEST = 1e-8
"""Added to variances, those of a whole set being about one."""


@dataclass(frozen=True)
class Gaussians:
    """A mixture of k Gaussians for each of m sets of points.

    Attributes:
        weights: ``(m, k)``, summing to one.
        means: ``(m, k, d)``.
        covariances: ``(m, k, d, d)``.
        log_prob: Mean log density of the points that they are fitted to, in nats, ``(m,)``.
    """

    weights: Array
    means: Array
    covariances: Array
    log_prob: Array


def fit_gaussians(points: Array, count: int, rng: np.random.Generator) -> Gaussians:
    """Fit so many components to each of m sets, ``(m, n, d)``, the variances of which are one."""
    dim = points.shape[2]
    products = _products(points)
    shares = _nearest(points, _centres(points, count, rng))
    before = np.full(len(points), -np.inf)
    for _ in range(MOST_ITERATIONS):
        parts = _parts(shares, products, dim)
        shares, log_prob = _expected(_coefficients(*parts) @ products)
        if np.all(log_prob - before < GAIN / points.shape[1]):
            break
        before = log_prob
    return Gaussians(*parts, log_prob)


def _products(points: Array) -> Array:
    """Return 1, the coordinates and their products, ``(m, 1 + d + d (d + 1) / 2, n)``."""
    coordinates = np.swapaxes(points, 1, 2)
    first, second = np.triu_indices(points.shape[2])
    one = np.ones_like(coordinates[:, :1])
    return np.concatenate(
        [one, coordinates, coordinates[:, first] * coordinates[:, second]], axis=1
    )


def _expected(log_parts: Array) -> tuple[Array, Array]:
    """Return each component's share of points, and the mean log density of these.

    Args:
        log_parts: Log densities of the components times their weights, ``(m, k, n)``.
    """
    highest = log_parts.max(axis=1, keepdims=True)
    shares = np.exp(log_parts - highest)
    density = shares.sum(axis=1, keepdims=True)
    return shares / density, (highest + np.log(density)).mean(axis=(1, 2))


def _parts(shares: Array, products: Array, dim: int) -> tuple[Array, Array, Array]:
    """Return weights, means and covariances of components, from their shares of the points."""
    sums = shares @ np.swapaxes(products, 1, 2)
    mass = sums[..., :1] + 1e-10
    moments = sums / mass
    means = moments[..., 1 : dim + 1]
    first, second = np.triu_indices(dim)
    covariances = np.zeros((*means.shape, dim))
    covariances[..., first, second] = moments[..., dim + 1 :]
    covariances[..., second, first] = moments[..., dim + 1 :]
    covariances -= means[..., :, None] * means[..., None, :]
    covariances[..., range(dim), range(dim)] += NARROWEST
    return mass[..., 0] / mass.sum(axis=1), means, covariances


def _coefficients(weights: Array, means: Array, covariances: Array) -> Array:
    """Return what products are multiplied by to give log densities, ``(m, k, products)``."""
    dim = means.shape[2]
    inverses = np.linalg.inv(covariances)
    towards = (inverses @ means[..., None])[..., 0]
    constant = np.log(weights) - 0.5 * np.linalg.slogdet(covariances)[1]
    constant -= 0.5 * (np.sum(towards * means, axis=2) + dim * np.log(2 * np.pi))
    first, second = np.triu_indices(dim)
    squares = np.where(first == second, -0.5, -1.0) * inverses[..., first, second]
    return np.concatenate([constant[..., None], towards, squares], axis=2)


def _centres(points: Array, count: int, rng: np.random.Generator) -> Array:
    """Return points far from each other, ``(m, count, d)``, by k-means++."""
    chosen = points[:, rng.integers(points.shape[1], size=1)]
    squared = np.sum((points - chosen) ** 2, axis=2)
    for _ in range(count - 1):
        # The first to come, at rates that are the squared distances, is picked in proportion.
        with np.errstate(divide="ignore"):
            comes = rng.standard_exponential(squared.shape) / squared
        nearest = np.take_along_axis(points, comes.argmin(axis=1)[:, None, None], axis=1)
        squared = np.minimum(squared, np.sum((points - nearest) ** 2, axis=2))
        chosen = np.concatenate([chosen, nearest], axis=1)
    return chosen


def _nearest(points: Array, centres: Array) -> Array:
    """Return one for the nearest centre of each point and zero for the others, ``(m, k, n)``."""
    apart = np.sum(centres**2, axis=2)[..., None] - 2 * centres @ np.swapaxes(points, 1, 2)
    return np.asarray(np.arange(centres.shape[1])[:, None] == apart.argmin(axis=1)[:, None], float)
