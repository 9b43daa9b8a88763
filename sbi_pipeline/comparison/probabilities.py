"""From log evidences to Bayes factors and probabilities of models, with their scatter, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from ..types import Array

SCATTER = 4_000
"""Draws of log evidences within their errors."""
CENTRAL = (0.025, 0.975)
MOST_SAID = 1e4
"""Factors beyond which only the logarithm is said."""
LEAST_SAID = 1e-3
"""Nats, the smallest error of a log Bayes factor that is said in a sentence."""


@dataclass(frozen=True)
class ComparedModels:
    """Models of one observation, compared in one way.

    Attributes:
        labels: Of the models.
        log_evidence: In nats, up to a constant, ``(models,)``; NaN where there is none.
        covariance: Of their errors, ``(models, models)``.
        log_odds: Log of the prior odds, ``(models,)``.
        most: Beyond what log Bayes factor the value is a fit that no rows contradict; infinite
            where there is no such limit.
    """

    labels: Sequence[str]
    log_evidence: Array
    covariance: Array
    log_odds: Array
    most: float = math.inf

    @property
    def order(self) -> list[int]:
        """The models, the most probable one first; those without evidence last."""
        value = np.nan_to_num(self.log_evidence + self.log_odds, nan=-np.inf)
        return [int(place) for place in np.argsort(-value, kind="stable")]

    @property
    def best(self) -> int:
        """The most probable model."""
        return self.order[0]

    def log_bayes_factor(self, one: int, other: int) -> tuple[float, float]:
        """Return the log Bayes factor of one model over another, and its standard error."""
        c = self.covariance
        variance = c[one, one] + c[other, other] - 2 * c[one, other]
        value = self.log_evidence[one] - self.log_evidence[other]
        return float(value), math.sqrt(max(float(variance), 0.0))

    @property
    def probability(self) -> Array:
        """Of each model, ``(models,)``; 0 for one without evidence."""
        value = np.nan_to_num(self.log_evidence + self.log_odds, nan=-np.inf)
        return np.asarray(special.softmax(value))

    def probability_ends(self) -> tuple[Array, Array]:
        """Return the ends of the central 95 % of probabilities within errors, ``(models,)`` each.

        Each model is put up against the others, so that ends are not cut by rounding at 0 or 1.
        """
        known = np.isfinite(self.log_evidence)
        rng = np.random.default_rng(7)
        factor = _root(self.covariance[np.ix_(known, known)])
        noise = rng.standard_normal((SCATTER, int(known.sum()))) @ factor.T
        drawn = np.zeros((SCATTER, len(known)))
        drawn[:, known] = special.softmax(
            self.log_evidence[known] + self.log_odds[known] + noise, axis=1
        )
        low, high = np.quantile(drawn, CENTRAL, axis=0)
        return low, high

    def in_words(self) -> str:
        """Return what the evidences say, as a sentence, without a scale of adjectives."""
        if int(np.isfinite(self.log_evidence).sum()) < 2:
            return "Fewer than two models have an evidence."
        best, second = self.order[:2]
        value, error = self.log_bayes_factor(best, second)
        low, high = self.probability_ends()
        first = self.labels[best]
        pair = (best, second) if value >= 0 else (second, best)
        more, less = (self.labels[place] for place in pair)
        told = f"log Bayes factor {_with_error(value, error)}"
        if abs(value) > self.most:
            sentence = f"The data favour {more} over {less} by a factor of {_factor(self.most)} "
            sentence += "at least: more than so many simulations can tell"
        elif abs(value) < 2 * error:
            sentence = f"The data do not tell {more} from {less} within the error"
        else:
            sentence = f"The data favour {more} over {less} by a factor of {_factor(abs(value))}"
        if value <= -2 * error:
            sentence += ", but the prior odds outweigh that"
        said = _probability(self.probability[best])
        odds = (
            "with equal prior odds" if np.ptp(self.log_odds) == 0 else "with the prior odds given"
        )
        ends = [_probability(each[best]) for each in (low, high)]
        within = "" if set(ends) == {said} else f" ({ends[0]} to {ends[1]})"
        return f"{sentence} ({told}); {first} has probability {said}{within} {odds}."


def _root(covariance: Array) -> Array:
    """Return a matrix whose product with its transpose is a covariance, which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)))


def _with_error(value: float, error: float) -> str:
    """Return a number with its error, which has two digits, but no more than three places."""
    error = max(error, LEAST_SAID)
    places = int(np.clip(1 - math.floor(math.log10(error)), 0, 3))
    return f"{value:.{places}f} ± {error:.{places}f}"


def _factor(log_factor: float) -> str:
    """Return a factor in words, of a log Bayes factor above 0."""
    factor = math.exp(min(log_factor, 700))
    if factor > MOST_SAID:
        return f"1e{log_factor / math.log(10):.0f}"
    return f"{factor:.2g}" if factor < 100 else f"{factor:.0f}"


def _probability(p: float) -> str:
    """Return a probability with the digits that tell it from 0 and 1."""
    rest = min(p, 1 - p)
    if rest < 1e-6:
        return "less than 1e-6" if p < 0.5 else "more than 0.999999"
    digits = max(2, 1 - math.floor(math.log10(rest)))
    return f"{p:.{digits}f}"
