"""How posteriors lean on the edges of their priors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..types import Array


def mass_at_edges(draws: Array, prior: Array) -> Array:
    """Return the fraction of draws outside the central 99 % of the prior, along the last axis.

    Args:
        draws: Of one parameter, ``(..., draws)``.
        prior: Draws of its prior, ``(k,)``.
    """
    low, high = np.quantile(prior, [0.005, 0.995])
    return np.asarray(np.mean((draws < low) | (draws > high), axis=-1))


def at_edge(draws: Mapping[str, Array], prior: Mapping[str, Array]) -> Array:
    """Return the largest mass at the edges of the prior over parameters, ``(m,)``.

    Args:
        draws: By parameter, ``(m, draws)``.
        prior: Draws of the prior by parameter, ``(k,)``; parameters that it lacks are left out.
    """
    none = np.zeros(len(next(iter(draws.values()))))
    return np.max([none, *(mass_at_edges(draws[name], prior[name]) for name in prior)], axis=0)
