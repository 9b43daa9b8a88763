"""Moves of many independent ensembles of walkers in one batch.

Each is a move of emcee's: it updates half of the walkers of every ensemble from the other half,
then the reverse, which leaves the target as it is. All ensembles of all posteriors are moved by
one call of the log density.

References:
    Goodman & Weare, Ensemble samplers with affine invariance, CAMCoS 5, 2010,
    https://doi.org/10.2140/camcos.2010.5.65 (stretch).
    ter Braak, A Markov chain Monte Carlo version of the genetic algorithm differential evolution,
    Stat. Comput. 16, 2006, https://doi.org/10.1007/s11222-006-8769-1.
    ter Braak & Vrugt, Differential evolution Markov chain with snooker updater and fewer chains,
    Stat. Comput. 18, 2008, https://doi.org/10.1007/s11222-008-9104-9.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from emcee.moves import Move
from emcee.state import State

from ..types import Array
from .mixture import Mixture
from .sampler import Proposal


class Grouped(Move):
    """A red-blue move within each of several independent groups of walkers, all at once."""

    def __init__(self, groups: int) -> None:
        self.groups = groups

    def propose(self, model: Any, state: State) -> tuple[State, Array]:
        """Move one random half of every group against the other half, then the reverse."""
        random = model.random
        count, dim = state.coords.shape
        order = random.rand(self.groups, count // self.groups).argsort(axis=1)
        halves = order < order.shape[1] // 2
        accepted = np.zeros(count, dtype=bool)
        for moving in (halves.ravel(), ~halves.ravel()):
            walkers = state.coords[moving].reshape(self.groups, -1, dim)
            others = state.coords[~moving].reshape(self.groups, -1, dim)
            proposed, factors = self.proposal(walkers, others, random)
            proposed = proposed.reshape(-1, dim)
            log_prob, blobs = model.compute_log_prob_fn(proposed)
            log_ratio = factors.reshape(-1) + log_prob - state.log_prob[moving]
            accepted[moving] = np.log(random.rand(len(log_ratio))) < log_ratio
            new = State(proposed, log_prob=log_prob, blobs=blobs)
            state = self.update(state, new, accepted, moving)
        return state, accepted

    def proposal(self, walkers: Array, others: Array, random: Any) -> tuple[Array, Array]:
        """Propose for walkers, ``(groups, k, dim)``; returns them and log factors, (groups, k)."""
        raise NotImplementedError


class Stretch(Grouped):
    """Stretch move with scale a = 2."""

    def proposal(self, walkers: Array, others: Array, random: Any) -> tuple[Array, Array]:
        """Stretch each walker along the line through a random other one."""
        shape = walkers.shape[:2]
        stretch = (random.rand(*shape) + 1) ** 2 / 2
        anchor = _pick(others, random.randint(others.shape[1], size=shape))
        factors = (walkers.shape[-1] - 1) * np.log(stretch)
        return anchor + stretch[..., None] * (walkers - anchor), factors


class DifferentialEvolution(Grouped):
    """Differential evolution move; one in ten with full length, which jumps between modes."""

    def proposal(self, walkers: Array, others: Array, random: Any) -> tuple[Array, Array]:
        """Move each walker by the scaled difference of two random other ones."""
        groups, count, dim = walkers.shape
        first, second = _distinct(2, others.shape[1], (groups, count), random)
        difference = _pick(others, first) - _pick(others, second)
        scale = np.where(random.rand(groups, count) < 0.1, 1.0, 2.38 / np.sqrt(2 * dim))
        jitter = 1 + 1e-5 * random.randn(groups, count)
        return walkers + (scale * jitter)[..., None] * difference, np.zeros((groups, count))


class Snooker(Grouped):
    """Differential evolution along the line through another walker, with factor 1.7."""

    def proposal(self, walkers: Array, others: Array, random: Any) -> tuple[Array, Array]:
        """Move each walker towards or away from an anchor, by two others seen along that line."""
        groups, count, dim = walkers.shape
        anchor, first, second = (
            _pick(others, each) for each in _distinct(3, others.shape[1], (groups, count), random)
        )
        line = walkers - anchor
        length = np.linalg.norm(line, axis=-1)
        along = np.sum((first - second) * line, axis=-1) / length**2
        proposed = walkers + 1.7 * along[..., None] * line
        moved = np.linalg.norm(proposed - anchor, axis=-1)
        return proposed, (dim - 1) * np.log(moved / length)


class Fitted(Grouped):
    """Proposals from a Student distribution fitted to the other half, wherever the walker is.

    The other half stays where it is meanwhile, so the fit is no part of what moves: the argument of
    Goodman & Weare for their stretch move. On a posterior with one mode most proposals are
    accepted, and walkers forget in a few steps where they were; it wants several others for each
    dimension.
    """

    degrees = 10.0

    def proposal(self, walkers: Array, others: Array, random: Any) -> tuple[Array, Array]:
        """Draw anew for each walker; the factor is the ratio of the densities, old over new."""
        dim = walkers.shape[-1]
        mean = others.mean(axis=1, keepdims=True)
        centred = others - mean
        covariance = centred.transpose(0, 2, 1) @ centred / (others.shape[1] - 1)
        floor = 1e-9 * np.trace(covariance, axis1=1, axis2=2) / dim + 1e-300
        factor = np.linalg.cholesky(covariance + floor[:, None, None] * np.eye(dim))
        old = np.linalg.solve(factor, (walkers - mean).transpose(0, 2, 1)).transpose(0, 2, 1)
        scale = np.sqrt(random.chisquare(self.degrees, walkers.shape[:2]) / self.degrees)
        new = random.standard_normal(walkers.shape) / scale[..., None]
        squared = np.sum([old**2, new**2], axis=-1)
        was, becomes = -0.5 * (self.degrees + dim) * np.log1p(squared / self.degrees)
        return mean + new @ factor.transpose(0, 2, 1), was - becomes


class Independence(Grouped):
    """Proposals drawn from a density close to the target, wherever the walker is."""

    def __init__(self, groups: int, proposal: Proposal, targets: int) -> None:
        super().__init__(groups)
        self.given, self.targets = proposal, targets

    def proposal(self, walkers: Array, others: Array, random: Any) -> tuple[Array, Array]:
        """Draw anew for each walker; the factor is the ratio of the densities, old over new."""
        shape = (self.targets, -1, walkers.shape[-1])
        old = walkers.reshape(shape)
        new = self.given.draw(old.shape[1], int(random.randint(2**31)))
        densities = self.given.log_prob(np.concatenate([old, new], axis=1))
        was, becomes = np.split(densities, 2, axis=1)
        return new.reshape(walkers.shape), (was - becomes).reshape(walkers.shape[:2])


class Nearby(Grouped):
    """Steps as wide and as bent as the fitted component that a walker is in.

    In the neck of a funnel the other walkers are far apart, so that moves along their differences
    are all too long; the component fitted to those that are there has the neck's own width, and its
    steps go on where the chain has not been.
    """

    def __init__(self, groups: int, mixtures: Sequence[Mixture]) -> None:
        super().__init__(groups)
        self.mixtures = mixtures

    def proposal(self, walkers: Array, others: Array, random: Any) -> tuple[Array, Array]:
        """Step from each walker; the factor is the ratio of the steps back and there."""
        by_target = walkers.reshape(len(self.mixtures), -1, walkers.shape[-1])
        pairs = zip(self.mixtures, by_target, strict=True)
        moved, factors = zip(*(mixture.step(z, random) for mixture, z in pairs), strict=True)
        return np.stack(moved).reshape(walkers.shape), np.stack(factors).reshape(walkers.shape[:2])


def _pick(others: Array, index: Array) -> Array:
    """Return others, ``(groups, k, dim)``, by index, ``(groups, n)``."""
    return np.take_along_axis(others, index[..., None], axis=1)


def _distinct(many: int, count: int, shape: tuple[int, int], random: Any) -> list[Array]:
    """Return so many arrays of indices below ``count``, different from each other everywhere."""
    found: list[Array] = []
    for taken in range(many):
        index = random.randint(count - taken, size=shape)
        for before in np.sort(np.stack(found), axis=0) if found else ():
            index = index + (index >= before)
        found.append(index)
    return found
