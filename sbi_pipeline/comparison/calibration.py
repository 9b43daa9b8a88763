"""Is a classifier right about how sure it is? Recalibration, reliability, and scores with chance.

Log odds of models are scaled and shifted, l -> b l + a, so that the models of held-out rows are
likely (temperature and bias: multinomial logistic regression), b and a with a prior that is worth
little where rows are many. Rows that were not used for that tell how well it worked.

References:
    Platt, Probabilistic outputs for support vector machines, 1999.
    Guo, Pleiss, Sun & Weinberger, On calibration of modern neural networks, ICML 2017,
    https://arxiv.org/abs/1706.04599.
    Gneiting & Raftery, Strictly proper scoring rules, prediction, and estimation, JASA 102, 2007,
    https://doi.org/10.1198/016214506000001437.
    Spiegelhalter, Probabilistic prediction in patient management, Stat. Med. 5, 1986,
    https://doi.org/10.1002/sim.4780050506 (the z of the Brier score).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

from ..types import Array

SCALE_SD, SHIFT_SD = 0.5, 1.0
"""Prior of log b and of a."""
BINS = 10
FEWEST_IN_BIN = 20


@dataclass(frozen=True)
class Recalibration:
    """What scales and shifts log odds.

    Attributes:
        scale: b; below 1 for a classifier that is too sure.
        shifts: a of each model, ``(models,)``; that of the first is 0.
        covariance: Of log b and the other shifts, ``(models, models)``.
    """

    scale: float
    shifts: Array
    covariance: Array

    def __call__(self, logits: Array) -> Array:
        """Return scaled and shifted logits, ``(n, models)``."""
        return np.asarray(self.scale * logits + self.shifts)

    def errors(self, logits: Array) -> Array:
        """Return the covariance of these for rows ``(n, models)``: ``(n, models, models)``."""
        n, models = logits.shape
        slopes = np.zeros((n, models, models))
        slopes[:, :, 0] = self.scale * logits
        slopes[:, 1:, 1:] = np.eye(models - 1)
        return np.asarray(slopes @ self.covariance @ np.swapaxes(slopes, 1, 2))


def fit_recalibration(logits: Array, model: Array) -> Recalibration:
    """Fit scale and shifts to held-out rows.

    Args:
        logits: What the classifier says, ``(n, models)``.
        model: Which model made each row, ``(n,)``.
    """
    models = logits.shape[1]
    rows = np.arange(len(logits))
    one_hot = np.eye(models)[model]

    def split(values: Array) -> tuple[float, Array]:
        return float(np.exp(values[0])), np.concatenate([[0.0], values[1:]])

    def loss(values: Array) -> tuple[float, Array]:
        scale, shifts = split(values)
        told = scale * logits + shifts
        log_p = special.log_softmax(told, axis=1)
        wrong = np.exp(log_p) - one_hot
        gradient = np.concatenate([[scale * np.sum(wrong * logits)], wrong.sum(axis=0)[1:]])
        pull = values / np.array([SCALE_SD**2, *[SHIFT_SD**2] * (models - 1)])
        return float(-log_p[rows, model].sum() + 0.5 * values @ pull), gradient + pull

    found = optimize.minimize(loss, np.zeros(models), jac=True, method="BFGS").x
    scale, shifts = split(found)
    p = special.softmax(scale * logits + shifts, axis=1)
    slopes = np.zeros((len(logits), models, models))
    slopes[:, :, 0] = scale * logits
    slopes[:, 1:, 1:] = np.eye(models - 1)
    weighted = p[:, :, None] * slopes
    mean = weighted.sum(axis=1)
    information = np.einsum("nki,nkj->ij", weighted, slopes) - mean.T @ mean
    information += np.diag([SCALE_SD**-2, *[SHIFT_SD**-2] * (models - 1)])
    return Recalibration(scale, shifts, np.linalg.inv(information))


@dataclass(frozen=True)
class Scores:
    """How good probabilities of models are, by rows that nothing was fitted to.

    Attributes:
        log_score: Mean log probability of the true model, in nats.
        log_score_error: Its standard error.
        expected: What it would be were the probabilities right: minus their mean entropy.
        brier: Mean squared error of the probabilities, summed over models.
        chance_log: The log score of saying how frequent models are, whatever the data.
        chance_brier: Its Brier score.
        z: How far the Brier score is from what the probabilities themselves expect, in its
            standard errors: beyond 3, they are not right.
        scale: What scale a further recalibration would find: 1 for a classifier that is as sure as
            it should be.
        scale_error: The standard error of its logarithm.
        rows: How many rows.
    """

    log_score: float
    log_score_error: float
    expected: float
    brier: float
    chance_log: float
    chance_brier: float
    z: float
    scale: float
    scale_error: float
    rows: int

    @property
    def p_value(self) -> float:
        """Of the worse of both: the Brier score, and the scale, were the probabilities right."""
        worst = max(abs(self.z), abs(math.log(self.scale)) / self.scale_error)
        return float(min(1.0, 2 * 2 * stats.norm.sf(worst)))


def scores(log_p: Array, model: Array) -> Scores:
    """Score probabilities of models.

    Args:
        log_p: Log probabilities, ``(n, models)``.
        model: Which model made each row, ``(n,)``.
    """
    n, models = log_p.shape
    p, one_hot = np.exp(log_p), np.eye(models)[model]
    own = log_p[np.arange(n), model]
    frequent = one_hot.mean(axis=0)
    brier = np.sum((p - one_hot) ** 2, axis=1)
    # Of a row whose model is k with probability p_k: 1 + sum p^2 - 2 p_k.
    each = 1 + np.sum(p**2, axis=1, keepdims=True) - 2 * p
    expected = np.sum(p * each, axis=1)
    variance = np.sum(p * each**2, axis=1) - expected**2
    again = fit_recalibration(log_p - log_p.mean(axis=1, keepdims=True), model)
    return Scores(
        log_score=float(own.mean()),
        log_score_error=float(own.std() / np.sqrt(n)),
        expected=float(np.sum(p * log_p, axis=1).mean()),
        brier=float(brier.mean()),
        chance_log=float(special.xlogy(frequent, frequent).sum()),
        chance_brier=float(1 - np.sum(frequent**2)),
        z=float((brier - expected).sum() / np.sqrt(max(variance.sum(), 1e-12))),
        scale=again.scale,
        scale_error=float(np.sqrt(again.covariance[0, 0])),
        rows=n,
    )


@dataclass(frozen=True)
class Reliability:
    """How often a model made rows that it was given some probability for.

    Attributes:
        said: Mean probability of each bin, ``(bins,)``.
        happened: How often it was that model, ``(bins,)``.
        low: Lower end of what chance gives 95 % of right probabilities, ``(bins,)``.
        high: Upper end, ``(bins,)``.
        rows: In each bin, ``(bins,)``.
    """

    said: Array
    happened: Array
    low: Array
    high: Array
    rows: Array


def reliability(p: Array, happened: Array, bins: int = BINS) -> Reliability:
    """Compare probabilities with what happened, in bins of equal counts.

    Args:
        p: Probabilities, ``(n,)``.
        happened: Whether it did, ``(n,)`` of bool.
        bins: How many, at most; each has at least `FEWEST_IN_BIN` rows.
    """
    order = np.argsort(p, kind="stable")
    parts = np.array_split(order, max(1, min(bins, len(p) // FEWEST_IN_BIN)))
    said = np.array([p[part].mean() for part in parts])
    counts = np.array([len(part) for part in parts])
    ends = [stats.binom.ppf(level, counts, said) / counts for level in (0.025, 0.975)]
    return Reliability(
        said=said,
        happened=np.array([happened[part].mean() for part in parts]),
        low=ends[0],
        high=ends[1],
        rows=counts,
    )
