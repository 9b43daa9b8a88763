"""Which columns of the data can say anything of the parameters.

Columns are left out where nothing links them with the parameters, neither directly nor through
other columns, and where a regression on all of them, too, predicts nothing in held-out rows: many
columns may say much together of which each alone says too little to be told from chance.

Links are correlations of normal scores, their squares and products that chance does not explain. A
column that only calibrates others (the background in a second detector) is linked through them and
stays. ``columns: all`` keeps every column. Time and memory are linear in the columns.

Reference: Fan & Lv, Sure independence screening for ultrahigh dimensional feature space, J. R.
Stat. Soc. B 70, 2008, https://doi.org/10.1111/j.1467-9868.2008.00674.x.
"""

from __future__ import annotations

import logging
import math

import torch
from torch import Tensor

from .least_squares import best_fit, steps_of_fit

logger = logging.getLogger(__name__)

CHANCE = 1e-3  # of one false link among all
WEAKER = 3.0  # standard errors of a correlation, where links beyond chance leave something out
ELEMENTS = 30_000_000  # of scores, at most, of more than 5000 rows
PRODUCTS = 2e9  # multiplications by which columns are compared with others
AT_ONCE = 4_000_000
STRONGEST = 16  # columns whose products with parameters are looked at
MOST_EFFECTS = 64  # of parameters, that a regression is of


def linked_columns(z: Tensor, x: Tensor, rows: int = 20_000) -> list[int]:
    """Return the columns of x that say something of z, in order; all if none does.

    Args:
        z: Parameters in standard-normal space, ``(n, theta_dim)``.
        x: Data, ``(n, columns)``.
        rows: At most so many rows are looked at.
    """
    columns = x.shape[1]
    step = math.ceil(len(z) / min(rows, max(5000, ELEMENTS // columns)))
    z, x = z[::step].double(), x[::step]
    kept = _kept(_scaled(z).float(), scores_of_ranks(x), _scaled(_effects(z)).float())
    found: list[int] = kept.nonzero()[:, 0].tolist()
    if len(found) < columns:
        logger.info(
            "%d of %d columns of x are left out: no parameter is linked with them, and a "
            "regression on all columns predicts held-out rows no better for them; columns: all "
            "keeps them",
            columns - len(found),
            columns,
        )
    return found


def _kept(z: Tensor, scores: Tensor, effects: Tensor) -> Tensor:
    """Return which columns stay, ``(columns,)`` of bool."""
    n, columns = scores.shape
    tests = 2 * columns * (effects.shape[1] + 2 * columns)
    limit = _limit(tests, n)
    strength = _strength(scores, effects)
    kept = _joined(z, scores, strength, strength > limit, limit)
    for weaker in (limit, WEAKER / n**0.5):
        kept = kept | (strength > weaker)
        if kept.all() or not _teach(scores, effects, kept):
            return kept if kept.any() else torch.ones_like(kept)
    return torch.ones_like(kept)


def scores_of_ranks(x: Tensor) -> Tensor:
    """Return the normal quantiles of each column's ranks, ``(n, columns)``; ties share one.

    Of mean zero and variance one, in single precision; constant columns are zero.
    """
    n, columns = x.shape
    scores = torch.empty(n, columns)
    place = torch.arange(n, device=x.device)
    for first in range(0, columns, max(1, AT_ONCE // n)):
        some = slice(first, first + max(1, AT_ONCE // n))
        ordered, order = x[:, some].T.contiguous().sort(dim=1)
        new = torch.ones_like(ordered, dtype=torch.bool)
        new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
        ends = torch.ones_like(new)
        ends[:, :-1] = new[:, 1:]
        lowest = torch.where(new, place, 0).cummax(1).values
        highest = torch.where(ends, place, n).flip(1).cummin(1).values.flip(1)
        middle = (lowest + highest + 1).double() / (2 * n)
        ranks = torch.empty_like(middle).scatter_(1, order, torch.special.ndtri(middle))
        scores[:, some] = _scaled(ranks.T).float()
    return scores


def _strength(scores: Tensor, effects: Tensor) -> Tensor:
    """Return the largest correlation of each column, or of its square, with any effect."""
    n, columns = scores.shape
    found = torch.empty(columns)
    for first in range(0, columns, max(1, AT_ONCE // n)):
        some = slice(first, first + max(1, AT_ONCE // n))
        part = scores[:, some]
        pairs = torch.stack([part.T @ effects, _scaled(part.square()).T @ effects])
        found[some] = pairs.abs().amax((0, 2)) / n
    return found


def _joined(z: Tensor, scores: Tensor, strength: Tensor, reached: Tensor, limit: float) -> Tensor:
    """Return which columns are reached, those that are through others included.

    Of very many columns only the most strongly linked reach others: what is missed then, a
    regression on all finds.
    """
    n, columns = scores.shape
    most = max(64, int(PRODUCTS / n / columns))
    waiting = reached & (strength > 0)
    while waiting.any() and most > 0 and not reached.all():
        order = torch.where(waiting, strength, -1).argsort(descending=True)
        through = order[: min(most, int(waiting.sum()))]
        most -= len(through)
        others = scores[:, through]
        told = torch.cat((others, _scaled(others.square()), _products(z, others)), 1)
        waiting = (_strength(scores, told) > limit) & ~reached
        reached = reached | waiting
    return reached


def _products(z: Tensor, scores: Tensor) -> Tensor:
    """Return products of parameters and the strongest columns, which come first."""
    some = scores[:, :STRONGEST]
    return _scaled((z[:, :4, None] * some[:, None]).flatten(1))


def _teach(scores: Tensor, effects: Tensor, kept: Tensor) -> bool:
    """Say whether a regression on the columns that are not kept predicts what the others leave.

    It is fitted to one half of the rows and judged by the other.
    """
    fit, test = slice(0, None, 2), slice(1, None, 2)
    wanted = effects[:, :MOST_EFFECTS]
    rest = wanted.clone()
    for moment in (1, 2):
        inputs = _moment(scores, kept, moment)
        if inputs.shape[1]:
            rest = rest - inputs @ best_fit(inputs[fit], rest[fit])[0]
    steps = 6
    chance = _limit(2 * steps * wanted.shape[1], 1)
    for moment in (1, 2):
        inputs = _moment(scores, ~kept, moment)
        for weight in steps_of_fit(inputs[fit], rest[fit] - rest[fit].mean(0), steps):
            together = (inputs[test] @ weight) * (rest[test] - rest[test].mean(0))
            size = together.square().sum(0).sqrt().clamp(min=1e-12)
            if bool((together.sum(0) / size > chance).any()):
                return True
    return False


def _moment(scores: Tensor, columns: Tensor, moment: int) -> Tensor:
    """Return some columns of scores, or their squares, scaled."""
    some = scores[:, columns]
    return some if moment == 1 else _scaled(some.square_())


def _effects(z: Tensor) -> Tensor:
    """Return powers and products of parameters, ``(n, effects)``."""
    first, second = torch.triu_indices(z.shape[1], z.shape[1], 1)
    return torch.cat((z, z.square(), z**3, z[:, first] * z[:, second]), 1)


def _scaled(values: Tensor) -> Tensor:
    """Return columns with zero mean and unit variance; constant ones are zero."""
    centred = values - values.mean(-2, keepdim=True)
    return centred / centred.square().mean(-2, keepdim=True).sqrt().clamp(min=1e-6)


def _limit(tests: int, rows: int) -> float:
    """Return the correlation that one of so many tests exceeds by chance with `CHANCE`."""
    level = torch.tensor(1 - 0.5 * CHANCE / tests, dtype=torch.float64)
    return float(torch.special.ndtri(level)) / rows**0.5
