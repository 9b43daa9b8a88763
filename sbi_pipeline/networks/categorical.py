"""The probability of which of few values columns take, one column after another.

A column has points, and may take other values, too: that it does is then its level 0.

p(x | context) is a product of softmaxes, p(x_i | x_1 ... x_{i-1}, context), whose logits are linear
in the context plus a masked network of everything before: the model of Germain et al., MADE, ICML
2015, https://arxiv.org/abs/1502.03509. It begins with the observed frequencies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..options import Depth, Width
from .residual import AutoregressiveMLP, start_at
from .values import Values

UNSEEN = math.log(1e-6)


class Categorical(nn.Module):
    """Autoregressive probability of discrete columns.

    Args:
        columns: Number of columns.
        levels: Number of values a column may take, that it takes another counted as one.
        context_dim: Length of the context.
        hidden: Width of the network.
        blocks: Number of its residual blocks.
    """

    points: Tensor
    slack: Tensor
    rest: Tensor
    frequencies: Tensor

    def __init__(
        self, columns: int, levels: int, context_dim: int, *, hidden: Width = 64, blocks: Depth = 1
    ) -> None:
        super().__init__()
        self.levels = levels
        whole = torch.arange(levels, dtype=torch.float64)
        self.register_buffer("points", whole.repeat(columns, 1))
        self.register_buffer("slack", torch.full((columns, levels), 0.1, dtype=torch.float64))
        self.register_buffer("rest", torch.zeros(columns, dtype=torch.bool))
        self.register_buffer("frequencies", torch.zeros(columns, levels))
        # A path of its own for the context: a masked network shows it to the first columns
        # through few units.
        self.direct = nn.Linear(context_dim, columns * levels)
        self.net = AutoregressiveMLP(
            columns, levels, hidden=hidden, blocks=blocks, context_dim=context_dim
        )
        for layer in (self.direct, self.net.last):
            start_at(layer, torch.zeros(1))

    def know(self, values: Sequence[Values]) -> None:
        """Set what each column takes."""
        self.points.fill_(torch.inf)  # no number lies near
        self.slack.fill_(0.0)
        for column, each in enumerate(values):
            self.rest[column] = each.rest
            levels = slice(each.rest, each.rest + len(each.points))
            self.points[column, levels] = torch.tensor(each.points, dtype=torch.float64)
            self.slack[column, levels] = torch.tensor(each.slack, dtype=torch.float64)

    def fit(self, x: Tensor) -> None:
        """Set frequencies by training rows, ``(n, columns)``; NaN is a number that is missing."""
        known = (~x.isnan()).double()
        codes = nn.functional.one_hot(self.codes(x)[0], self.levels) * known.unsqueeze(-1)
        there = torch.isfinite(self.points)
        there[:, 0] |= self.rest
        total = known.sum(0).unsqueeze(1) + 0.5 * there.sum(1, keepdim=True)
        self.frequencies.copy_(((codes.sum(0) + 0.5) / total).log())
        self.frequencies[~there] = -torch.inf

    def codes(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return which of its values each number is, and whether it is none of them.

        A number beyond the points of a column that takes no others counts as the nearest; one that
        is missing, NaN, as the first.
        """
        missing, x = x.isnan(), x.nan_to_num(0.0)
        away = (x.double().unsqueeze(-1) - self.points).abs()
        distance, nearest = away.min(-1)
        is_point = distance <= self.slack.expand_as(away).gather(-1, nearest.unsqueeze(-1))[..., 0]
        nearest = torch.where((is_point | ~self.rest) & ~missing, nearest, 0)
        return nearest, ~(is_point | self.rest | missing)

    def log_prob(self, x: Tensor, context: Tensor) -> Tensor:
        """Return log P(x | context) in nats, ``(n,)``, of the numbers that are there.

        A value beyond those of the training rows counts as the nearest of them, a millionth as
        probable: it must not end a training in which it turns up late.
        """
        codes, beyond = self.codes(x)
        inputs = codes.float()
        logits = self.net(inputs, context) + self.direct(context)
        logits = logits.unflatten(1, self.frequencies.shape) + self.frequencies
        picked = logits.log_softmax(-1).gather(-1, codes.unsqueeze(-1))[..., 0]
        return torch.where(x.isnan(), 0.0, picked).sum(1) + UNSEEN * beyond.sum(1)
