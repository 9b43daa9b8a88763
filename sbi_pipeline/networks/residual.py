"""Residual networks of inputs and a context, free or masked.

A context of one row, ``(1, context_dim)``, is shared by all rows.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ResidualMLP(nn.Module):
    """Residual network of inputs and a context.

    Args:
        in_dim: Number of inputs; none at all is allowed.
        out_dim: Number of outputs.
        hidden: Width.
        blocks: Number of residual blocks of two layers.
        context_dim: Length of the context; 0 for none.
    """

    def __init__(
        self, in_dim: int, out_dim: int, *, hidden: int = 64, blocks: int = 2, context_dim: int = 0
    ) -> None:
        super().__init__()
        # The first layer as two sums, so that a shared context row is multiplied once.
        self.first = nn.Linear(in_dim, hidden) if in_dim else None
        self.context = nn.Linear(context_dim, hidden) if context_dim else None
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(hidden, elementwise_affine=False),  # the next layer scales
                nn.Linear(hidden, hidden),
                nn.SiLU(),
                nn.Linear(hidden, hidden),
            )
            for _ in range(blocks)
        )
        self.last = nn.Linear(hidden, out_dim)

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> Tensor:
        """Return ``(n, out_dim)`` for inputs ``(n, in_dim)``."""
        h = inputs.new_zeros(len(inputs), 1)
        if self.first is not None:
            h = self.first(inputs)
        if self.context is not None and context is not None:
            h = h + self.context(context)
        for block in self.blocks:
            h = h + block(h)
        out: Tensor = self.last(functional.silu(h))
        return out


class MaskedLinear(nn.Linear):
    """A linear layer some of whose weights are zero for good."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.to(self.weight), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return ``(n, out_dim)`` for inputs ``(n, in_dim)``."""
        return functional.linear(inputs, self.weight * self.mask, self.bias)


class AutoregressiveMLP(nn.Module):
    """Residual network whose outputs for feature i depend on features before i and the context.

    Hidden unit with degree d sees features up to d. Those of degree 0 see the context alone:
    nflows' MADE has none, so the first feature of each of its layers ignores the context.

    Args:
        features: Number of inputs.
        n_parameters: Number of outputs for each of them.
        hidden: Width.
        blocks: Number of residual blocks of two layers.
        context_dim: Length of the context; 0 for none.
    """

    def __init__(
        self, features: int, n_parameters: int, *, hidden: int, blocks: int, context_dim: int
    ) -> None:
        super().__init__()
        inputs = torch.arange(1, features + 1)
        units = torch.arange(hidden) * features // hidden  # 0 ... features - 1, evenly
        outputs = inputs.repeat_interleave(n_parameters)
        inner = units[:, None] >= units
        self.first = MaskedLinear(units[:, None] >= inputs)
        self.context = nn.Linear(context_dim, hidden, bias=False) if context_dim else None
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.SiLU(), MaskedLinear(inner), nn.SiLU(), MaskedLinear(inner))
            for _ in range(blocks)
        )
        self.last = MaskedLinear(outputs[:, None] > units)

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> Tensor:
        """Return ``(n, features * n_parameters)`` for inputs ``(n, features)``."""
        h = self.first(inputs)
        if self.context is not None and context is not None:
            h = h + self.context(context)
        for block in self.blocks:
            h = h + block(h)
        out: Tensor = self.last(functional.silu(h))
        return out


def start_at(layer: nn.Linear, initial: Tensor) -> None:
    """Make a last layer give ``initial``, repeated, whatever comes in."""
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(initial.repeat(layer.out_features // len(initial)))
