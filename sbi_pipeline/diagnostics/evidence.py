"""Normalise posterior densities that are known up to a constant, by importance sampling.

NLE and NRE give log f(z) = log p(z | x) + log Z(x) + constant. With proposals z_k from a mixture of
normals, one around each posterior draw,

    Z = mean of f(z_k) / g(z_k)

and the held-out log f(z*) - log Z(x) becomes comparable with that of NPE. The kernels make g wider
than the posterior, as a proposal should be.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from ..posterior import LogDensity
from ..types import Array


def log_evidence(density: LogDensity, z: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Estimate the log of the integral of each of m densities.

    Args:
        density: Log-densities, ``(m, n, dim) -> (m, n)``, up to a constant each.
        z: Draws of each, ``(m, n, dim)``; as many proposals are made.
        rng: Chooses the proposals.

    Returns:
        The log integrals in nats, ``(m,)``, and Kish's effective fraction of the proposals,
        ``(m,)``: below about 0.05 the integral is a guess.
    """
    _, n, dim = z.shape
    factors = np.stack([_factor(each) for each in z])
    # Silverman's bandwidth, in units of the posterior's own sds.
    width = (4 / (n * (dim + 2))) ** (1 / (dim + 4))
    noise = width * np.einsum("mij,mnj->mni", factors, rng.normal(size=z.shape))
    proposals = z + noise
    log_g = np.stack(
        [_log_mixture(*each, width) for each in zip(proposals, z, factors, strict=True)]
    )
    log_w = density(proposals) - log_g
    total = logsumexp(log_w, axis=1)
    return total - np.log(n), np.exp(2 * total - logsumexp(2 * log_w, axis=1)) / n


def _factor(z: Array) -> Array:
    """Return the Cholesky factor of the covariance of draws, ``(n, dim)``."""
    dim = z.shape[1]
    covariance = np.cov(z.T).reshape(dim, dim)
    return np.linalg.cholesky(covariance + 1e-9 * (1e-9 + np.trace(covariance)) * np.eye(dim))


def _log_mixture(points: Array, centres: Array, factor: Array, width: float) -> Array:
    """Log density, ``(k,)``, of equal normals around centres, ``(n, dim)``."""
    dim = centres.shape[1]
    a, b = (np.linalg.solve(factor, each.T).T / width for each in (points, centres))
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    log_volume = dim * np.log(width * np.sqrt(2 * np.pi)) + np.log(np.diag(factor)).sum()
    return np.asarray(logsumexp(-0.5 * squares, axis=1) - np.log(len(centres)) - log_volume)
