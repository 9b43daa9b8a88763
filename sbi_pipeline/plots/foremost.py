"""Which parameters a figure shows where there are more than it can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy import stats

from ..types import Array

MOST = 10
"""Parameters of one corner plot."""
RANKED = 2_000
"""Draws by which parameters are correlated."""


@dataclass(frozen=True)
class Foremost:
    """The parameters that matter most in posteriors of one observation.

    Attributes:
        names: All of them, in the order of the posterior.
        of: How many there are to choose from.
        informed: Those that the data tell most of, the most first.
        pairs: Those most correlated, the most first, with their rank correlations.
    """

    names: Sequence[str]
    of: int
    informed: Sequence[str] = ()
    pairs: Sequence[tuple[str, str, float]] = ()


def that_matter(
    informations: Mapping[str, float], correlations: Array, most: int = MOST
) -> Foremost:
    """Choose parameters: half by what the data tell of each, half by how they hang together.

    Args:
        informations: Divergence of the marginal from its prior in nats, by parameter; NaN where it
            is not known.
        correlations: Of the draws of all these, ``(n, n)``.
        most: How many are chosen.
    """
    names = list(informations)
    if len(names) <= most:
        return Foremost(names, len(names))
    known = [name for name in names if np.isfinite(informations[name])]
    informed = sorted(known, key=lambda name: -informations[name])[: most // 2]
    chosen, pairs = dict.fromkeys(informed), []
    rows, columns = np.triu_indices(len(names), k=1)
    for place in np.abs(correlations[rows, columns]).argsort(kind="stable")[::-1]:
        one, other = names[rows[place]], names[columns[place]]
        if len(chosen.keys() | {one, other}) > most:
            break
        chosen |= {one: None, other: None}
        pairs.append((one, other, float(correlations[rows[place], columns[place]])))
    return Foremost([name for name in names if name in chosen], len(names), informed, pairs)


def rank_correlations(tree: xr.DataTree, names: Sequence[str]) -> Array:
    """Return Spearman's correlations of draws of a posterior, ``(n, n)``; 0 with a constant."""
    draws = np.stack([tree[f"posterior/{name}"].to_numpy().ravel() for name in names])
    ranks = stats.rankdata(draws[:, :: max(1, draws.shape[1] // RANKED)], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.nan_to_num(np.corrcoef(ranks).reshape(len(names), len(names)))
    np.fill_diagonal(found, 1.0)
    return found


def strongest(found: Sequence[Array]) -> Array:
    """Return of several matrices of correlations, element by element, the one farthest from 0."""
    together = np.stack(found)
    return np.take_along_axis(together, np.abs(together).argmax(axis=0)[None], axis=0)[0]
