"""How many objects of a catalogue are of each model: population fractions with their posterior.

With log evidences l_ik of object i under model k, and fractions f of the models with a flat prior,

    p(f | x) ~ product over i of sum over k f_k exp(l_ik),

sampled by giving each object a model and then drawing f given how many have each (Gibbs).

Reference: Diebolt & Robert, Estimation of finite mixture distributions through Bayesian sampling,
JRSS B 56, 1994, https://doi.org/10.1111/j.2517-6161.1994.tb01985.x.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from ..types import Array

WARM_UP, DRAWS = 200, 2_000


def sample_fractions(log_evidence: Array, seed: int, draws: int = DRAWS) -> Array:
    """Return draws of the fractions, ``(draws, models)``.

    Args:
        log_evidence: Of each object under each model, up to a constant of the object, ``(n,
            models)``.
        seed: Of the draws.
        draws: How many.
    """
    rng = np.random.default_rng([seed, 21])
    n, models = log_evidence.shape
    likelihood = np.exp(log_evidence - special.logsumexp(log_evidence, axis=1, keepdims=True))
    fractions = np.full(models, 1 / models)
    kept = np.empty((draws, models))
    for step in range(WARM_UP + draws):
        chance = likelihood * fractions
        edges = np.cumsum(chance, axis=1)
        model = (rng.random((n, 1)) * edges[:, -1:] > edges).sum(axis=1).clip(max=models - 1)
        fractions = rng.dirichlet(1 + np.bincount(model, minlength=models))
        if step >= WARM_UP:
            kept[step - WARM_UP] = fractions
    return kept


def probabilities_among(log_evidence: Array, fractions: Array) -> Array:
    """Return the probability of each model for every object, ``(n, models)``, as one of them all.

    Averaged over draws of the fractions, ``(draws, models)``.
    """
    some = fractions[:: max(1, len(fractions) // 100)]
    each = [special.softmax(log_evidence + np.log(one), axis=1) for one in some]
    return np.asarray(np.mean(each, axis=0))
