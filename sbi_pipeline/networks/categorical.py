"""The probability of columns that take few whole values, one column after another.

p(x | context) is a product of softmaxes, p(x_i | x_1 ... x_{i-1}, context), whose logits are linear
in the context plus a masked network of everything before: the model of Germain et al., MADE, ICML
2015, https://arxiv.org/abs/1502.03509. It begins with the observed frequencies.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..options import Depth, Width
from .residual import AutoregressiveMLP, start_at

UNSEEN = math.log(1e-6)


class Categorical(nn.Module):
    """Autoregressive probability of discrete columns.

    Args:
        columns: Number of columns.
        levels: Number of consecutive whole values a column may take.
        context_dim: Length of the context.
        hidden: Width of the network.
        blocks: Number of its residual blocks.
    """

    lowest: Tensor
    frequencies: Tensor

    def __init__(
        self, columns: int, levels: int, context_dim: int, *, hidden: Width = 64, blocks: Depth = 1
    ) -> None:
        super().__init__()
        self.levels = levels
        self.register_buffer("lowest", torch.zeros(columns))
        self.register_buffer("frequencies", torch.zeros(columns, levels))
        # A path of its own for the context: a masked network shows it to the first columns
        # through few units.
        self.direct = nn.Linear(context_dim, columns * levels)
        self.net = AutoregressiveMLP(
            columns, levels, hidden=hidden, blocks=blocks, context_dim=context_dim
        )
        for layer in (self.direct, self.net.last):
            start_at(layer, torch.zeros(1))

    def fit(self, x: Tensor) -> None:
        """Set lowest values and frequencies from training rows, ``(n, columns)``."""
        self.lowest.copy_(x.amin(0))
        codes = nn.functional.one_hot((x - x.amin(0)).long(), self.levels).double()
        self.frequencies.copy_(((codes.sum(0) + 0.5) / (len(x) + 0.5 * self.levels)).log())

    def log_prob(self, x: Tensor, context: Tensor) -> Tensor:
        """Return log P(x | context) in nats, ``(n,)``.

        A value beyond those of the training rows counts as the nearest of them, a millionth as
        probable: it must not end a training in which it turns up late.
        """
        codes = x.float() - self.lowest
        beyond = (codes < 0) | (codes > self.levels - 1)
        codes = codes.clamp(0, self.levels - 1)
        logits = self.net(codes, context) + self.direct(context)
        logits = logits.unflatten(1, self.frequencies.shape) + self.frequencies
        picked = logits.log_softmax(-1).gather(-1, codes.long().unsqueeze(-1))
        return picked.sum((1, 2)) + UNSEEN * beyond.sum(1)
