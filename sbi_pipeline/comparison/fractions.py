"""How many objects of a catalogue are of each model: population fractions with their posterior.

With log evidences l_ik of object i under model k, and fractions f of the models with a flat prior,

    p(f | x) ~ product over i of sum over k f_k exp(l_ik).

MCMC draws from it until it has converged (`samplers.ensemble`), in normal space: breaking a stick
at Phi(z) makes of z ~ N(0, I) fractions with a flat prior. Giving each object a model and drawing f
given these in turn needs no density, but hardly moves where data tell little of each object.
"""

from __future__ import annotations

import logging

import numpy as np
from scipy import special

from ..posterior import log_normal
from ..samplers.ensemble import Emcee
from ..samplers.sampler import Problem
from ..types import Array

logger = logging.getLogger(__name__)

DRAWS, WALKERS = 2_000, 8
AT_ONCE = 2_000_000
"""Likelihoods of objects under fractions that are held in memory together."""
TINY = np.finfo(float).tiny


def sample_fractions(log_evidence: Array, seed: int, draws: int = DRAWS) -> Array:
    """Return draws of the fractions, ``(draws, models)``.

    Args:
        log_evidence: Of each object under each model, up to a constant of the object, ``(n,
            models)``.
        seed: Of the draws.
        draws: How many.
    """
    models = log_evidence.shape[1]
    likelihood = np.exp(log_evidence - log_evidence.max(axis=1, keepdims=True))

    def log_density(z: Array) -> Array:
        fractions = fractions_of(z[0])
        parts = np.array_split(fractions, 1 + fractions.shape[0] * len(likelihood) // AT_ONCE)
        log_likelihood = [np.log(part @ likelihood.T + TINY).sum(axis=1) for part in parts]
        return log_normal(z) + np.concatenate(log_likelihood)

    sampler = Emcee(walkers=max(WALKERS, 2 * (models - 1)))
    drawn = sampler(Problem(log_density, targets=1, theta_dim=models - 1, seed=seed), draws)
    if not drawn.converged[0]:
        logger.warning("fractions of models: %s", drawn.own[0]["statement"])
    return fractions_of(drawn.flat(draws)[0])


def fractions_of(z: Array) -> Array:
    """Break a stick: fractions, ``(n, models)``, of ``(n, models - 1)`` that are N(0, I)."""
    broken, left = [], np.ones(len(z))
    for place, lower in enumerate(special.ndtr(-z).T):
        rest = left * lower ** (1 / (z.shape[1] - place))
        broken.append(left - rest)
        left = rest
    return np.stack([*broken, left], axis=1)


def probabilities_among(log_evidence: Array, fractions: Array) -> Array:
    """Return the probability of each model for every object, ``(n, models)``, as one of them all.

    Averaged over draws of the fractions, ``(draws, models)``.
    """
    some = fractions[:: max(1, len(fractions) // 100)]
    each = [special.softmax(log_evidence + np.log(one), axis=1) for one in some]
    return np.asarray(np.mean(each, axis=0))
