"""Discrete parameters: MCMC moves in the continuous ones, and the discrete ones are summed over.

With k running over all combinations of the discrete parameters' values, and z the continuous
parameters in normal space,

    p(z | x)     proportional to  N(z; 0, I) * sum_k P(k) L(x | z, k)
    P(k | z, x)  proportional to  P(k) L(x | z, k).

Walkers sample the first, where no jump between values is needed; each draw of z is then completed
by a draw of k from the second, which makes exact draws of both. P(k | x) is the mean of the second
over the draws, which is more precise than counting.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from ..types import Array, Prior
from .distributions import normal
from .named import NamedPrior, Parameter

MOST = 64
LogDensity = Callable[[Array], Array]


@dataclass(frozen=True)
class Discrete:
    """All combinations of the values of the discrete parameters.

    Attributes:
        columns: Which columns of theta are discrete, ``(d,)``.
        values: Their values, ``(k, d)``.
        codes: The same in normal space, where the estimator was trained, ``(k, d)``.
        log_prior: Log probability of each combination, ``(k,)``, in nats.
        theta_dim: Number of all parameters.
    """

    columns: Array
    values: Array
    codes: Array
    log_prior: Array
    theta_dim: int

    @property
    def continuous(self) -> Array:
        """Which columns of theta are continuous."""
        return np.setdiff1d(np.arange(self.theta_dim), self.columns)

    def _as_prior(self) -> Array:
        """Return what replaces N(0, I) at the codes by the probability of the values, ``(k,)``."""
        return np.asarray(self.log_prior - normal(0, 1).logpdf(self.codes).sum(axis=1))

    def joint(self, log_density: LogDensity) -> LogDensity:
        """Return log p(z, k | x): z, ``(m, n, c)``, to ``(m, n, k)``, from the density of all.

        ``log_density`` treats all columns as continuous with prior N(0, I).
        """

        def log_joint(z: Array) -> Array:
            m, n, _ = z.shape
            rows = np.empty((m, n, len(self.codes), self.theta_dim))
            rows[..., self.continuous] = z[:, :, None]
            rows[..., self.columns] = self.codes
            values = log_density(rows.reshape(m, -1, self.theta_dim)).reshape(m, n, -1)
            return np.asarray(values + self._as_prior())

        return log_joint

    def summed(self, log_density: LogDensity) -> LogDensity:
        """Return log p(z | x), the discrete parameters summed over: ``(m, n, c) -> (m, n)``."""
        joint = self.joint(log_density)
        return lambda z: np.asarray(special.logsumexp(joint(z), axis=-1))

    def complete(
        self, z: Array, log_density: LogDensity, rng: np.random.Generator
    ) -> tuple[Array, Array, Array]:
        """Draw the discrete parameters given the continuous ones.

        Args:
            z: Draws of the continuous parameters, ``(m, n, c)``.
            log_density: Of all columns, as for `joint`.
            rng: What to draw with.

        Returns:
            All parameters in normal space, ``(m, n, theta_dim)``; ``log_density`` there, ``(m,
            n)``; and the probability of each combination given x, ``(m, k)``.
        """
        different = z if z.shape[2] else z[:, :1]  # without continuous parameters all are the same
        joint = self.joint(log_density)(different)
        joint = np.broadcast_to(joint, (*z.shape[:2], joint.shape[2]))
        chance = special.softmax(joint, axis=-1)
        u = rng.random((*z.shape[:2], 1))
        pick = np.minimum((np.cumsum(chance, axis=-1) < u).sum(axis=-1), len(self.codes) - 1)
        rows = np.empty((*z.shape[:2], self.theta_dim))
        rows[..., self.continuous] = z
        rows[..., self.columns] = self.codes[pick]
        log_prob = np.take_along_axis(joint, pick[..., None], axis=-1)[..., 0]
        return rows, log_prob - self._as_prior()[pick], chance.mean(axis=1)

    def marginals(self, probability: Array) -> list[tuple[Array, Array]]:
        """Return the values of each discrete parameter and their probabilities, from those of k."""
        found = []
        for values in self.values.T:
            distinct, index = np.unique(values, return_inverse=True)
            found.append((distinct, np.bincount(index, weights=probability)))
        return found


def combinations(prior: Prior) -> Discrete | None:
    """Return the combinations of the discrete parameters of a prior, None if it has none.

    Raises:
        ValueError: There are too many, or a discrete parameter depends on another one.
    """
    if not isinstance(prior, NamedPrior):
        return None
    columns = [i for i, each in enumerate(prior.parameters) if each.family.discrete]
    if not columns:
        return None
    tables = [_values(prior.parameters[column]) for column in columns]
    count = int(np.prod([len(values) for values, _, _ in tables]))
    if count > MOST:
        names = ", ".join(prior.names[column] for column in columns)
        raise ValueError(
            f"the discrete parameters {names} have {count} combinations of values; at most {MOST} "
            "can be summed over: make one continuous, and let the simulator round it"
        )
    values, codes, log_prior = (
        np.array(list(itertools.product(*(table[part] for table in tables)))) for part in range(3)
    )
    return Discrete(np.array(columns), values, codes, log_prior.sum(axis=1), len(prior.parameters))


def _values(parameter: Parameter) -> tuple[Array, Array, Array]:
    """Return the values a discrete parameter can have, their codes and log probabilities."""
    if parameter.parents:
        raise ValueError(
            f"{parameter.name!r} is discrete and inferred, and its prior depends on "
            f"{parameter.parents[0]!r}; a discrete parameter that is inferred may not depend on "
            "others: write the dependence the other way round"
        )
    given = parameter.given({})
    low, high = given.support()
    values = np.arange(low, high + 1, dtype=float)
    values = values[given.pmf(values) > 0]
    codes = special.ndtri(given.cdf(values) - 0.5 * given.pmf(values))
    return values, codes, given.logpmf(values)
