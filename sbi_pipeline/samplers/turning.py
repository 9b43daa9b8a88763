"""MCMC of parameters whose range is a circle: it is cut where the posterior is not.

Walkers cannot step across a cut, and those on either side of one make two clumps. So the circle of
each periodic parameter is cut opposite to the mean direction of its posterior, which a first look
tells; in the coordinate that begins there the prior is N(0, 1) as before. With c fixed for each
data set, z' = Phi^-1((Phi(z) - c + 1/2) mod 1), and

    log p(z') = log p(z) + log N(z'; 0, 1) - log N(z; 0, 1).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from scipy import special

from ..priors.circles import turned, turned_back
from ..types import Array
from .draws import Draws
from .sampler import Problem, Proposal

LOOKS = 2000
"""Draws of the proposal, or of the prior, that say where a posterior is."""


@dataclasses.dataclass(frozen=True)
class Cuts:
    """Where the circles of m posteriors are cut.

    Attributes:
        columns: Which parameters are periodic.
        centres: What is opposite to the cut, as fractions of the circle, ``(m, columns)``.
    """

    columns: Sequence[int]
    centres: Array

    def of(self, some: Sequence[int]) -> Cuts:
        """Return those of some of the posteriors."""
        return dataclasses.replace(self, centres=self.centres[list(some)])

    def turn(self, z: Array) -> Array:
        """Return z as it is after these cuts, ``(m, ..., theta_dim)``."""
        return self._moved(turned, z)

    def turn_back(self, z: Array) -> Array:
        """Undo `turn`."""
        return self._moved(turned_back, z)

    def gain(self, z: Array, moved: Array) -> Array:
        """Return by how much the log density at the one is less than at the other, ``(m, ...)``."""
        one, other = z[..., self.columns], moved[..., self.columns]
        return np.asarray(0.5 * np.sum(one**2 - other**2, axis=-1))

    def problem(self, given: Problem) -> Problem:
        """Return a problem after these cuts."""
        return dataclasses.replace(
            given,
            log_density=self._density(given.log_density),
            proposal=None if given.proposal is None else self._proposal(given.proposal),
        )

    def undone(self, draws: Draws) -> Draws:
        """Return draws of such a problem as they are without these cuts."""
        z = self.turn_back(draws.z)
        log_prob = draws.log_prob - self.gain(z, draws.z)
        return dataclasses.replace(draws, z=z, log_prob=log_prob)

    def _density(self, log_density: Callable[[Array], Array]) -> Callable[[Array], Array]:
        def after(moved: Array) -> Array:
            z = self.turn_back(moved)
            return log_density(z) + self.gain(z, moved)

        return after

    def _proposal(self, given: Proposal) -> Proposal:
        return Proposal(
            draw=lambda n, seed: self.turn(given.draw(n, seed)),
            log_prob=self._density(given.log_prob),
        )

    def _moved(self, move: Callable[[Array, Array], Array], z: Array) -> Array:
        found = np.array(z, dtype=float)
        between = (1,) * (z.ndim - 2)
        centres = self.centres.reshape(len(self.centres), *between, len(self.columns))
        found[..., self.columns] = move(found[..., self.columns], centres)
        return found


def cuts_of(problem: Problem, columns: Sequence[int]) -> Cuts:
    """Return where to cut circles, by a first look at each posterior.

    Args:
        problem: Of m posteriors.
        columns: Which parameters are periodic.
    """
    if problem.proposal is not None:
        z = problem.proposal.draw(LOOKS, problem.seed)
        drawn_from = problem.proposal.log_prob(z)
    else:
        rng = np.random.default_rng(problem.seed)
        z = np.repeat(rng.normal(size=(1, LOOKS, problem.theta_dim)), problem.targets, axis=0)
        drawn_from = -0.5 * np.sum(z**2, axis=-1)
    log_weight = problem.log_density(z) - drawn_from
    log_weight = np.where(np.isfinite(log_weight), log_weight, -np.inf)
    log_weight[np.isneginf(log_weight).all(axis=1)] = 0
    weight = special.softmax(log_weight, axis=1)[..., None]
    points = np.exp(2j * np.pi * special.ndtr(z[..., list(columns)]))
    turns = np.angle((weight * points).sum(axis=1)) / (2 * np.pi)
    return Cuts(list(columns), turns % 1)
