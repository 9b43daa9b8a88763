"""Weights of rows that were drawn from another density than the prior: prior over that density.

A loss that is multiplied with them is that of rows of the prior. What is asked of rows one by one,
such as held-out truths that are ranked, takes some of them instead, each with a probability
proportional to its weight: these follow the prior, and those that are left have other weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .. import priors
from ..priors.departure import departure_from, rows_to_compare
from ..priors.supports import outside
from ..types import Array, Prior

MOST_LIKELY = 0.4
"""Probability to be held out, of any row, at most."""
MOST_OUTSIDE = 0.5
"""Share of rows outside the prior above which something is wrong."""


@dataclass(frozen=True)
class Weighing:
    """How rows are weighed.

    Attributes:
        target: The prior of the stored parameters.
        drawn_from: What they were drawn from; None for the prior, and weights of one.
        log_mean: Log of the mean weight over rows, by which weights are divided.
        log_most: Log of the largest weight.
    """

    target: Prior
    drawn_from: Prior | None
    log_mean: float = 0.0
    log_most: float = 0.0

    @classmethod
    def of(cls, told: Mapping[str, Any], stored: Sequence[str]) -> Weighing:
        """Return how rows are weighed of which a manifest tells ``weights``.

        Args:
            told: ``priors``, ``parameters``, ``drawn_from``, and what `look` has found.
            stored: Names of the stored parameters.
        """
        whole = priors.build(told["priors"], told["parameters"])
        drawn = told["drawn_from"]
        return cls(
            whole.keep(tuple(stored)),
            None if drawn is None else priors.build(drawn, stored),
            told.get("log_mean", 0.0),
            told.get("log_most", 0.0),
        )

    def inside(self, theta: Array) -> Array:
        """Return which parameters, ``(n, dim)``, lie inside the prior, its edge left out."""
        return _inside(self.target, theta)

    def log_weights(self, theta: Array) -> Array:
        """Return log prior over density, ``(n,)``; -inf outside the prior.

        Args:
            theta: ``(n, dim)``.
        """
        found = np.full(len(theta), -np.inf)
        counts = self.inside(theta)
        if self.drawn_from is None:
            found[counts] = 0.0
        elif counts.any():
            some = theta[counts]
            found[counts] = self.target.log_prob(some) - self.drawn_from.log_prob(some)
        return found

    def weights(self, theta: Array) -> Array:
        """Return weights of parameters, ``(n, dim)``, with a mean of one over all rows."""
        return np.exp(self.log_weights(theta) - self.log_mean)

    def held_out(self, theta: Array, fraction: float) -> Array:
        """Return the probability of each row to be held out for tests, ``(n,)``.

        It is proportional to the weight, so that those held out follow the prior.

        Args:
            theta: Parameters of rows, ``(n, dim)``.
            fraction: Of all rows, to be held out; fewer are where a weight is large.
        """
        return self.share(fraction) * self.weights(theta)

    def share(self, fraction: float) -> float:
        """Return the fraction of all rows that is held out where one is asked for."""
        return float(min(fraction, MOST_LIKELY * np.exp(self.log_mean - self.log_most)))

    def of_training(self, theta: Array, validation: float, test: float) -> Array:
        """Return weights of rows that are learnt from, ``(n,)``: some of large weight are held out.

        Args:
            theta: Their parameters, ``(n, dim)``.
            validation: Fraction for validation.
            test: Fraction for tests that was asked for.
        """
        weights, share = self.weights(theta), self.share(test)
        return weights * (1 - validation - share) / (1 - validation - share * weights)

    def look(self, theta: Array) -> dict[str, Any]:
        """Return what is to be known of the weights of all rows.

        Args:
            theta: Their parameters, ``(n, dim)``.

        Returns:
            ``outside``, rows outside the prior; ``effective``, how many rows of the prior they are
            worth (Kish); ``log_mean`` and ``log_most`` of the weights; ``departure``, how they
            differ from what they were drawn from.

        Raises:
            ValueError: Most lie outside the prior, or one where nothing was to be drawn.
        """
        counts = self.inside(theta)
        missing = int((~counts).sum())
        if missing > MOST_OUTSIDE * len(theta):
            raise ValueError(self._most_are_outside(theta, missing))
        if self.drawn_from is None:
            drawn, of, weights = self.target, theta[counts], np.zeros(len(theta) - missing)
        else:
            self._refuse_undrawn(theta)
            drawn, of, weights = self.drawn_from, theta, self.log_weights(theta)[counts]
        most = float(weights.max())
        scaled = np.exp(weights - most)
        some = np.unique(np.linspace(0, len(of) - 1, rows_to_compare(drawn)).astype(int))
        return {
            "outside": missing,
            "effective": float(scaled.sum() ** 2 / np.square(scaled).sum()),
            "log_mean": most + float(np.log(scaled.mean())),
            "log_most": most,
            "departure": asdict(departure_from(drawn, of[some])),
        }

    def _most_are_outside(self, theta: Array, missing: int) -> str:
        values = dict(zip(self.target.names, theta.T, strict=True))
        counts = {name: int(bad.sum()) for name, bad in outside(values, self.target).items()}
        name = max(counts, key=lambda each: counts[each])
        low, high = values[name].min(), values[name].max()
        return (
            f"{missing} of {len(theta)} rows lie outside the prior, most by {name}, which is from "
            f"{low:.6g} to {high:.6g}; write the priors that you want of these simulations"
        )

    def _refuse_undrawn(self, theta: Array) -> None:
        assert self.drawn_from is not None
        values = dict(zip(self.target.names, theta.T, strict=True))
        for name, bad in outside(values, self.drawn_from).items():
            if bad.any():
                row = int(bad.argmax())
                raise ValueError(
                    f"row {row} has {name} = {values[name][row]:.6g}, where 'drawn_from' has no "
                    f"probability ({int(bad.sum())} such rows); write what they were drawn from"
                )


def _inside(prior: Prior, theta: Array) -> Array:
    """Return which parameters, ``(n, dim)``, a prior can take to normal space."""
    values = dict(zip(prior.names, theta.T, strict=True))
    found = np.ones(len(theta), bool)
    for bad in outside(values, prior).values():
        found &= ~bad
    if found.any():
        z = np.asarray(prior.to_normal(theta[found]))
        found[found] = np.isfinite(z).all(axis=1)
    return found
