"""What a regression sees of the parameters: a yardstick for what a network has learnt.

Data that say nothing and a network that learnt nothing look alike from within. A regression in
closed form tells them apart where it sees anything. It has two steps. Partial least squares take
all numbers of a data set, their squares, and for data of several axes what does not depend on the
order along the first, to predictions of the parameters, their squares and products. A regression on
these predictions, their squares and products then predicts each parameter and its square. It costs
seconds, has nothing to tune, and is no more than a lower limit: many networks see more.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .least_squares import best_fit
from .regression import GaussianRegression
from .scaling import Standardise, as_floats, choose_transform, moments

FEWEST = 100
"""Rows to fit to; fewer tell nothing."""
LEVELS = (0.0, 0.05, 0.16, 0.5, 0.84, 0.95, 1.0)
"""Quantiles along the first axis."""
MOST_COLUMNS = 8
"""Of the last axis whose products are averaged over the first."""
MOST_EFFECTS = 16
BOUND = 6.0
"""Sds that a prediction of held-out rows may be away."""


@dataclass(frozen=True)
class Seen:
    """What a regression says of data sets.

    Attributes:
        mean: Of the parameters in normal space, ``(n, theta_dim)``.
        square: Of their squares, ``(n, theta_dim)``.
        gain: Log density at the parameters over that of the prior, in nats, ``(n,)``.
    """

    mean: Tensor
    square: Tensor
    gain: Tensor


class Yardstick:
    """The regression, fitted to rows of z, ``(n, theta_dim)``, and data, ``(n, *x_shape)``.

    Args:
        z: Parameters in standard-normal space.
        x: Their data; NaN where they are missing.
        known: Known conditions of each in normal space, ``(n, known)``.
    """

    def __init__(self, z: Tensor, x: Tensor, known: Tensor) -> None:
        z, self.dim = z.double(), z.shape[1]
        self.scales = Standardise(tuple(x.shape[1:]), choose_transform(as_floats(x), z))
        self.scales.fit(as_floats(x))
        told = self._told(x, known)
        self.centre, self.sd = moments(told.double())
        told = self._standardised(told)
        wanted = squares_and_products(z)
        self.weight = best_fit(told, (wanted - wanted.mean(0)).float())[0]
        # Of every other row the first step was fitted to the predictions are too good.
        rows = slice(1, None, 2)
        found = told[rows] @ self.weight
        self.least, self.most = found.amin(0), found.amax(0)
        self.second = GaussianRegression(self._bent(found).shape[1], self.dim)
        self.squares = GaussianRegression(self._bent(found).shape[1], self.dim)
        self.second.fit(self._bent(found), z[rows])
        self.squares.fit(self._bent(found), z[rows].square())

    def __call__(self, z: Tensor, x: Tensor, known: Tensor) -> Seen:
        """Return what the regression says of other rows."""
        found = self._standardised(self._told(x, known)) @ self.weight
        bent = self._bent(found.clamp(self.least, self.most)).float()
        mean = self.second.predict(bent)
        rest = self.second.whiten(z.float(), mean)
        gain = 0.5 * (z.square().sum(1) - rest.square().sum(1)) + self.second.log_det(bent)
        return Seen(mean, self.squares.predict(bent), gain)

    def _told(self, x: Tensor, known: Tensor) -> Tensor:
        """Return all that the first step is told of data sets, ``(n, columns)``."""
        values = self.scales(as_floats(x))
        gaps = values.isnan()
        filled = values.nan_to_num(0.0)
        parts = [known.float(), known.square().float(), filled.flatten(1)]
        parts.append(filled.square().flatten(1))
        if gaps.any():
            parts.append(gaps.float().flatten(1))
        if values.ndim > 2:
            parts.append(without_order(values))
        return torch.cat(parts, 1)

    def _standardised(self, told: Tensor) -> Tensor:
        return ((told - self.centre) / self.sd).clamp(-BOUND, BOUND).float()

    def _bent(self, found: Tensor) -> Tensor:
        """Return predictions of the first step, their squares and products."""
        first, second = torch.triu_indices(found.shape[1], found.shape[1])
        return torch.cat((found, found[:, first] * found[:, second]), 1)


def squares_and_products(z: Tensor) -> Tensor:
    """Return parameters, their squares and, as far as these are few, products."""
    first, second = torch.triu_indices(z.shape[1], z.shape[1], 1)
    own = torch.cat((z, z.square()), 1)
    return torch.cat((own, z[:, first] * z[:, second]), 1)[:, : max(MOST_EFFECTS, own.shape[1])]


def without_order(values: Tensor) -> Tensor:
    """Return what does not depend on the order along the first axis of data ``(n, rows, ...)``.

    Quantiles, means and spreads of each column, products of columns, and how many rows are there;
    what is missing is NaN.
    """
    rows = values.flatten(2)
    there = ~rows.isnan()
    count = there.sum(1, keepdim=True).clamp(min=1)
    ordered = rows.sort(dim=1).values  # what is missing comes last
    places = torch.tensor(LEVELS)[:, None] * (count - 1)
    quantiles = ordered.gather(1, places.round().long()).nan_to_num(0.0)
    filled = rows.nan_to_num(0.0)
    mean = filled.sum(1) / count[:, 0]
    spread = (filled.square().sum(1) / count[:, 0] - mean.square()).clamp(min=1e-12).log()
    parts = [quantiles.flatten(1), mean, spread, there.float().mean(1)]
    if rows.shape[2] <= MOST_COLUMNS:
        first, second = torch.triu_indices(rows.shape[2], rows.shape[2], 1)
        parts.append((filled[..., first] * filled[..., second]).mean(1))
    return torch.cat(parts, 1)
