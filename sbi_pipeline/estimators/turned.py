"""Any estimator of a posterior, for parameters whose range is a circle.

A posterior at the place where a circle is cut has half of its mass at either end, which flows
describe badly. So the circle is cut anew for each data set, opposite to where the parameter is
expected: with u the fraction of the circle below it, and c(x) the direction of a linear regression
of (cos 2 pi u, sin 2 pi u) on x,

    u' = (u - c(x) + 1/2) mod 1,
    log q(z | x) = log q'(z' | x) + log N(z; 0, 1) - log N(z'; 0, 1),

and the estimator learns q'. Where the regression knows nothing the cut is anywhere, which is no
worse than before: for each x it is a one-to-one map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..networks.encoders import batched
from ..networks.periodic import is_periodic, without_circles
from ..networks.regression import GaussianRegression
from ..networks.scaling import Standardise
from .estimator import Estimator

MOST_NUMBERS = 500
"""Of x, that directions are a regression on; of more, every so many-th."""
MOST_ROWS = 20_000
EDGE = 1e-12
"""How near normal deviates come to an end, in fractions of the circle."""


class Turned(Estimator):
    """An estimator of the posterior of parameters some of which are periodic.

    Args:
        inner: The estimator that learns, of all parameters.
        periodic: Columns that are periodic.
        theta_dim: Number of inferred parameters.
        x_shape: Shape of one data set.
    """

    periodic: Tensor | None

    def __init__(
        self, inner: Estimator, periodic: Sequence[int], theta_dim: int, x_shape: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.traits, self.inner = inner.traits, inner
        self.theta_dim, self.x_shape = theta_dim, x_shape
        size = math.prod(x_shape)
        self.step = math.ceil(size / MOST_NUMBERS)
        self.scale = Standardise((math.ceil(size / self.step),))
        self.direction = GaussianRegression(math.ceil(size / self.step), 2 * len(periodic))
        self.columns = list(periodic)
        self.register_buffer("periodic", is_periodic(theta_dim, periodic), persistent=False)

    def training_done(self, share: float) -> None:
        """Pass on the share of the training that is done."""
        self.inner.training_done(share)

    def fit_scales(self, z: Tensor, x: Tensor) -> None:
        """Set what is fitted beforehand to training rows, ``(n, theta_dim)``, ``(n, *x_shape)``."""
        some = self._numbers(x[:MOST_ROWS])
        self.scale.fit(some)
        angle = 2 * math.pi * torch.special.ndtr(z[:MOST_ROWS, self.columns])
        self.direction.fit(self.scale(some), torch.cat((angle.cos(), angle.sin()), 1))
        self.inner.fit_scales(self._turned(z, x), x)

    def doubts(self, x: Tensor) -> list[str]:
        """Return what the estimator says of data that no simulation is like."""
        return self.inner.doubts(x)

    def loss(self, z: Tensor, x: Tensor) -> Tensor:
        """Return the loss of the estimator, ``(n,)``."""
        return self.inner.loss(self._turned(z, x), x)

    def log_prob(self, z: Tensor, x: Tensor) -> Tensor:
        """Return log q(z | x) in nats, ``(n,)``, for paired rows or for one data set x."""
        turned = self._turned(z, x)
        change = 0.5 * (turned.square() - z.square()).sum(-1)
        return self.inner.log_prob(turned, x) + change

    def sample_many(self, n: int, x: Tensor, *options: Any) -> Tensor:
        """Draw ``(m, n, theta_dim)`` for data sets ``(m, *x_shape)``."""
        drawn = self.inner.sample_many(n, x, *options)
        return self._moved(drawn, self._centres(x)[:, None] - 0.5)

    def _turned(self, z: Tensor, x: Tensor) -> Tensor:
        """Return z with circles cut opposite to where x says they are, ``(n, theta_dim)``."""
        return self._moved(z, 0.5 - self._centres(x))

    def _moved(self, z: Tensor, by: Tensor) -> Tensor:
        """Return z with periodic ones moved by a fraction of the circle, ``(..., theta_dim)``."""
        u = (torch.special.ndtr(z.double()) + by) % 1
        moved = torch.special.ndtri(u.clamp(EDGE, 1 - EDGE)).to(z)
        return without_circles(z, self.periodic, moved)

    def _centres(self, x: Tensor) -> Tensor:
        """Return where x says parameters are, as fractions of the circle, ``(n, theta_dim)``.

        Zero for those that are not periodic.
        """
        x = batched(x, self.x_shape)
        cos, sin = self.direction.predict(self.scale(self._numbers(x))).double().chunk(2, 1)
        turns = torch.atan2(sin, cos) / (2 * math.pi)
        return turns @ torch.eye(self.theta_dim).to(turns)[self.columns]

    def _numbers(self, x: Tensor) -> Tensor:
        """Return the numbers of x that directions are a regression on, ``(n, numbers)``."""
        return x.flatten(1)[:, :: self.step].nan_to_num()
