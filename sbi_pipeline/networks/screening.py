"""Which columns of the data can say anything of the parameters.

A column is left out if nothing links it with the parameters, neither directly nor through other
columns. Links are correlations of normal scores, their squares and products that chance does not
explain. A column that only calibrates others (the background in a second detector) is linked
through them and stays. What no correlation of this kind shows is missed: ``columns: all`` keeps
every column.

Reference: Fan & Lv, Sure independence screening for ultrahigh dimensional feature space, J. R.
Stat. Soc. B 70, 2008, https://doi.org/10.1111/j.1467-9868.2008.00674.x.
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

CHANCE = 1e-3  # of one false link among all


def linked_columns(z: Tensor, x: Tensor, rows: int = 20_000) -> list[int]:
    """Return the columns of x that are linked with z, in order; all if none is.

    Args:
        z: Parameters in standard-normal space, ``(n, theta_dim)``.
        x: Data, ``(n, columns)``.
        rows: At most so many rows are looked at.
    """
    step = max(1, len(z) // rows)
    z, x = z[::step].double(), x[::step].double()
    moments = _scaled(torch.stack([scores := _normal_scores(x), scores.square()]))
    effects = _scaled(_effects(z))
    columns = x.shape[1]
    tests = 2 * columns * (effects.shape[1] + 2 * columns)
    limit = _limit(tests, len(z))
    strength = torch.stack([moment.T @ effects for moment in moments]).abs() / len(z)
    reached = (strength > limit).any(-1).any(0)  # (columns,)
    among = torch.stack([a.T @ b for a in moments for b in moments]).abs().amax(0) / len(z)
    linked = (among > limit).double()
    while True:
        more = reached | (linked @ reached.double() > 0)
        if bool((more == reached).all()):
            break
        reached = more
    if not reached.any():
        return list(range(columns))
    found: list[int] = reached.nonzero()[:, 0].tolist()
    if len(found) < columns:
        logger.info(
            "%d of %d columns of x are linked with no parameter and left out; columns: all keeps "
            "them",
            columns - len(found),
            columns,
        )
    return found


def _normal_scores(x: Tensor) -> Tensor:
    """Return the normal quantiles of each column's ranks, ``(n, columns)``; ties share one."""
    n = len(x)
    ranks = torch.empty_like(x)
    for j, column in enumerate(x.T):
        _, place, count = column.unique(return_inverse=True, return_counts=True)
        middle = count.cumsum(0) - 0.5 * count
        ranks[:, j] = (middle / n)[place]
    return torch.special.ndtri(ranks)


def _effects(z: Tensor) -> Tensor:
    """Return powers and products of parameters, ``(n, effects)``."""
    first, second = torch.triu_indices(z.shape[1], z.shape[1], 1)
    return torch.cat((z, z.square(), z**3, z[:, first] * z[:, second]), 1)


def _scaled(values: Tensor) -> Tensor:
    """Return columns with zero mean and unit variance; constant ones are zero."""
    centred = values - values.mean(-2, keepdim=True)
    return centred / centred.square().mean(-2, keepdim=True).sqrt().clamp(min=1e-12)


def _limit(tests: int, rows: int) -> float:
    """Return the correlation that one of so many tests exceeds by chance with `CHANCE`."""
    level = torch.tensor(1 - 0.5 * CHANCE / tests, dtype=torch.float64)
    return float(torch.special.ndtri(level)) / rows**0.5
