"""A mixture of Student distributions fitted to a chain, to propose from.

Draws of a mixture go to all modes that the walkers know of, in one step, whatever lies between
them, and a thin or bent mode is well covered by several components. The number of components is
chosen by the Bayesian information criterion; the tails are Student's, so that the proposals reach
further than the chain has been.

The mixture of one posterior is fitted to all of its ensembles: proposals do not touch what the
chain converges to, and R-hat still compares ensembles that accept or reject by themselves.

References:
    Andrieu & Thoms, A tutorial on adaptive MCMC, Stat. Comput. 18, 2008,
    https://doi.org/10.1007/s11222-008-9110-y (mixtures fitted to the chain, section 6).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln

from ..types import Array
from .gaussians import fit_gaussians
from .sampler import Proposal

POINTS = (300, 4000, 100_000)
"""Of the chain that a mixture is fitted to: least, most, and over all posteriors together."""
TOGETHER = 8
"""Sets of points that are fitted together: what they need then stays in the processor's cache."""
COMPONENTS = 32
DEGREES = 10.0
STEP = 2.0
"""Of a step within a component, in its widths, over the root of the dimension."""


@dataclass(frozen=True)
class Mixture:
    """A mixture of k Student distributions in d dimensions.

    Attributes:
        weights: Of the components, summing to one, ``(k,)``.
        means: ``(k, d)``.
        factors: Lower triangular; scale matrices are factor times factor transposed, (k, d, d).
    """

    weights: Array
    means: Array
    factors: Array

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """Return ``(n, d)`` draws."""
        chosen = rng.choice(len(self.weights), size=n, p=self.weights)
        noise = rng.standard_normal((n, self.means.shape[1]))
        noise /= np.sqrt(rng.chisquare(DEGREES, (n, 1)) / DEGREES)
        return np.asarray(self.means[chosen] + (self.factors[chosen] @ noise[..., None])[..., 0])

    def log_prob(self, z: Array) -> Array:
        """Return the normalised log density of points ``(n, d)``, in nats, ``(n,)``."""
        return np.asarray(np.logaddexp.reduce(self._log_parts(z), axis=0))

    def _log_parts(self, z: Array) -> Array:
        """Return the log density of each component times its weight, ``(k, n)``."""
        dim = z.shape[1]
        from_means = (z - self.means[:, None]).transpose(0, 2, 1)
        squared = np.sum((self._inverses @ from_means) ** 2, axis=1)
        constant = gammaln((DEGREES + dim) / 2) - gammaln(DEGREES / 2)
        constant -= 0.5 * dim * np.log(DEGREES * np.pi)
        parts = -0.5 * (DEGREES + dim) * np.log1p(squared / DEGREES) + constant
        return np.asarray(parts - self._log_scales[:, None] + np.log(self.weights)[:, None])

    def step(self, z: Array, rng: Any) -> tuple[Array, Array]:
        """Move points, ``(n, d)``, a step as wide as the component that each belongs to.

        Returns:
            The new points and the log ratio of the densities of the steps back and there, ``(n,)``.
        """
        shares = self.shares(z)
        ends = np.cumsum(shares, axis=0)
        chosen = np.minimum((rng.rand(len(z)) * ends[-1] > ends).sum(axis=0), len(ends) - 1)
        width = STEP / np.sqrt(z.shape[1])
        noise = width * rng.standard_normal(z.shape)
        new = z + (self.factors[chosen] @ noise[..., None])[..., 0]
        moved = (self._inverses @ (new - z).T) / width
        kernel = -0.5 * np.sum(moved**2, axis=1) - self._log_scales[:, None]
        with np.errstate(divide="ignore"):
            there, back = (np.log(each) + kernel for each in (shares, self.shares(new)))
        return new, np.logaddexp.reduce(back, axis=0) - np.logaddexp.reduce(there, axis=0)

    def shares(self, z: Array) -> Array:
        """Return the probability that points, ``(n, d)``, are of each component, ``(k, n)``."""
        parts = self._log_parts(z)
        return np.asarray(np.exp(parts - np.logaddexp.reduce(parts, axis=0)))

    def moved(self, centre: Array, factor: Array) -> Mixture:
        """Return it turned and stretched by a factor, ``(d, d)``, about a centre."""
        return Mixture(self.weights, centre + self.means @ factor.T, factor @ self.factors)

    @functools.cached_property
    def _inverses(self) -> Array:
        return np.linalg.inv(self.factors)

    @functools.cached_property
    def _log_scales(self) -> Array:
        return np.asarray(np.log(np.diagonal(self.factors, axis1=1, axis2=2)).sum(axis=1))


def standard(dim: int) -> Mixture:
    """Return a mixture of one component as wide as the prior."""
    return Mixture(np.ones(1), np.zeros((1, dim)), np.eye(dim)[None])


def learn_mixtures(chain: Array, seed: int) -> list[Mixture]:
    """Fit a mixture to each of m posteriors, from ``(m, ensembles, walkers, steps, dim)``."""
    rng = np.random.default_rng(seed)
    least, most, together = POINTS
    points = chain.reshape(len(chain), -1, chain.shape[-1])
    count = min(points.shape[1], max(least, min(most, together // len(chain))))
    few = np.stack([each[rng.choice(len(each), count, replace=False)] for each in points])
    return fit_mixtures(few, int(rng.integers(2**31)))


def proposal_of(mixtures: Sequence[Mixture]) -> Proposal:
    """Return the mixtures of m posteriors as a density to propose from."""

    def draw(n: int, seed: int) -> Array:
        rng = np.random.default_rng(seed)
        return np.stack([mixture.draw(n, rng) for mixture in mixtures])

    def log_prob(z: Array) -> Array:
        return np.stack([each.log_prob(one) for each, one in zip(mixtures, z, strict=True)])

    return Proposal(draw, log_prob)


def fit_mixtures(points: Array, seed: int) -> list[Mixture]:
    """Fit a mixture to each of m sets of points, ``(m, n, d)``."""
    rng = np.random.default_rng(seed)
    groups = [points[first : first + TOGETHER] for first in range(0, len(points), TOGETHER)]
    return [mixture for group in groups for mixture in _fitted(group, rng)]


def _fitted(points: Array, rng: np.random.Generator) -> list[Mixture]:
    """Fit 1, 2, 4, ... components to each of a few sets, as many as make it better."""
    m, n, dim = points.shape
    centres = points.mean(axis=1, keepdims=True)
    apart = np.swapaxes(points - centres, 1, 2)
    factors = cholesky(apart @ np.swapaxes(apart, 1, 2) / n)
    white = np.swapaxes(np.linalg.solve(factors, apart), 1, 2)
    best, found, going = np.full(m, np.inf), [standard(dim)] * m, np.arange(m)
    for count in 2 ** np.arange(1 + int(np.log2(COMPONENTS))):
        if not going.size or (count > 1 and n < 10 * count * dim):
            break
        gaussians = fit_gaussians(white[going], int(count), rng)
        criterion = count * (dim + 1) * (dim + 2) / 2 * np.log(n) - 2 * n * gaussians.log_prob
        for place in np.flatnonzero(criterion < best[going]):
            parts = gaussians.weights, gaussians.means, cholesky(gaussians.covariances)
            found[going[place]] = Mixture(*(part[place] for part in parts))
        best[going] = np.minimum(best[going], criterion)
        going = going[[len(found[which].weights) >= count // 2 for which in going]]
    placed = zip(found, centres[:, 0], factors, strict=True)
    return [mixture.moved(centre, factor) for mixture, centre, factor in placed]


def cholesky(covariance: Array) -> Array:
    """Return the Cholesky factor, ``(..., d, d)``; a direction without width gets a little."""
    dim = covariance.shape[-1]
    floor = 1e-9 * np.trace(covariance, axis1=-2, axis2=-1) / dim + 1e-300
    return np.linalg.cholesky(covariance + floor[..., None, None] * np.eye(dim))
