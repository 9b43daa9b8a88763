"""Networks that summarise a set of events, of any number, in any order.

They take standardised data ``(n, events, features)`` and a mask ``(n, events)``, true for events
that are there, and return ``(n, out_dim)``.

References:
    Zaheer et al., Deep sets, NeurIPS 2017, https://arxiv.org/abs/1703.06114.
    Lee et al., Set transformer, ICML 2019, https://arxiv.org/abs/1810.00825.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..options import Depth, Few, Passes, Positive, Width
from .embedding import Embedding
from .neighbourhoods import n_features, neighbourhoods

Shape = tuple[int, ...]


def mlp(*widths: int) -> nn.Sequential:
    """Return linear layers of these widths with SiLU in between."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.SiLU(), nn.Linear(before, after)]
    return nn.Sequential(*layers[1:])


def pool(h: Tensor, mask: Tensor | None) -> Tensor:
    """Return mean over the events that are there, ``(n, events, dim) -> (n, dim)``."""
    if mask is None:
        return h.mean(1)
    weight = mask.unsqueeze(-1).to(h.dtype)
    return (h * weight).sum(1) / weight.sum(1).clamp(min=1)


def log_count(x: Tensor, mask: Tensor | None) -> Tensor:
    """Return log(1 + number of events) relative to all of them, ``(n, 1)``."""
    events = x.shape[1]
    count = x.new_full((len(x), 1), events) if mask is None else mask.sum(1, keepdim=True)
    return (1 + count).log() - math.log(1 + events)


class DeepSet(Embedding):
    """Pooled features of events, told back to each event, pooled again.

    One round of pooling sees each event alone. With two, an event is seen in the light of all
    the others: noise about a shape that must itself be learnt shows only then.

    Args:
        x_shape: ``(events, features)``.
        out_dim: Number of summaries.
        hidden: Width of the layers.
        rounds: Number of times the events are pooled.
    """

    def __init__(
        self, x_shape: Shape, *, out_dim: Width = 32, hidden: Width = 64, rounds: Depth = 2
    ) -> None:
        super().__init__()
        check_set(x_shape)
        self.out_dim = out_dim
        self.rounds = nn.ModuleList(
            mlp(x_shape[1] + (hidden if i else 0), hidden, hidden, hidden) for i in range(rounds)
        )
        self.head = mlp(hidden * rounds + 1, hidden, out_dim)

    @classmethod
    def check(cls, x_shape: Shape | None, **options: Any) -> None:
        """Refuse what is no set of events."""
        check_set(x_shape)

    @staticmethod
    def scale_shape(x_shape: Shape) -> Shape:
        """Return one scale a feature."""
        return (1, x_shape[1])

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return ``(n, out_dim)`` for sets ``(n, events, features)``."""
        pooled: list[Tensor] = []
        for layer in self.rounds:
            told = [pooled[-1].unsqueeze(1).expand(-1, x.shape[1], -1)] if pooled else []
            pooled.append(pool(layer(torch.cat((x, *told), -1)), mask))
        out: Tensor = self.head(torch.cat((*pooled, log_count(x, mask)), -1))
        return out


class Attention(nn.Module):
    """Queries look at keys: multi-head attention and an MLP, both residual."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.both = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim)
        self.before, self.after = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.merge, self.net = nn.Linear(dim, dim), mlp(dim, 2 * dim, dim)

    def forward(self, asking: Tensor, asked: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return ``(n, m, dim)`` for queries ``(n, m, dim)`` and keys ``(n, k, dim)``."""
        q, (k, v) = self.query(self.before(asking)), self.both(asked).chunk(2, -1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q, k, v))
        allowed = None if mask is None else mask[:, None, None, :]
        seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        h = asking + self.merge(seen.transpose(1, 2).flatten(2))
        out: Tensor = h + self.net(self.after(h))
        return out


class SetTransformer(Embedding):
    """Events attend to each other through a few inducing points, then are pooled.

    Args:
        x_shape: ``(events, features)``.
        out_dim: Number of summaries.
        hidden: Width; a multiple of ``heads``.
        heads: Attention heads.
        inducing: Number of inducing points; the cost grows with events times this.
        layers: Number of rounds of attention.
    """

    def __init__(
        self,
        x_shape: Shape,
        *,
        out_dim: Width = 32,
        hidden: Width = 64,
        heads: Few = 4,
        inducing: Width = 16,
        layers: Depth = 2,
    ) -> None:
        super().__init__()
        check_set(x_shape)
        self.out_dim = out_dim
        self.first = mlp(x_shape[1], hidden, hidden)
        self.points = nn.ParameterList(
            nn.Parameter(torch.randn(1, inducing, hidden)) for _ in range(layers)
        )
        self.gather = nn.ModuleList(Attention(hidden, heads) for _ in range(layers))
        self.spread = nn.ModuleList(Attention(hidden, heads) for _ in range(layers))
        self.head = mlp((layers + 1) * hidden + 1, 2 * hidden, out_dim)

    @classmethod
    def check(cls, x_shape: Shape | None, **options: Any) -> None:
        """Refuse what is no set of events, and a width that heads cannot share."""
        check_set(x_shape)
        hidden, heads = options["hidden"], options["heads"]
        if hidden % heads:
            raise ValueError(f"hidden is {hidden}; wanted a multiple of heads, which is {heads}")

    @staticmethod
    def scale_shape(x_shape: Shape) -> Shape:
        """Return one scale a feature."""
        return (1, x_shape[1])

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return ``(n, out_dim)`` for sets ``(n, events, features)``."""
        h = self.first(x)
        pooled = [pool(h, mask)]
        for points, gather, spread in zip(self.points, self.gather, self.spread, strict=True):
            heard = gather(points.expand(len(h), -1, -1), h, mask)
            h = spread(h, heard)
            pooled.append(pool(h, mask))
        out: Tensor = self.head(torch.cat((*pooled, log_count(x, mask)), -1))
        return out


class PointCloud(Embedding):
    """Events as positions, each told what is around it, pooled as by `DeepSet`.

    Sets are brought to mean 0 and sd 1, each by itself; means and sds go to the head. Distances
    between events then show the thickness and the slope of structures wherever they are.

    Args:
        x_shape: ``(events, dimensions)``.
        out_dim: Number of summaries.
        widest: Width of the widest window around an event, in sds of its set.
        windows: Number of windows, each half as wide as the one before.
        **deep_set: Options of `DeepSet`.
    """

    def __init__(
        self,
        x_shape: Shape,
        *,
        out_dim: Width = 32,
        widest: Positive = 0.25,
        windows: Few = 3,
        **deep_set: Annotated[Any, Passes(DeepSet, given=1)],
    ) -> None:
        super().__init__()
        check_set(x_shape)
        events, dim = x_shape
        self.out_dim, self.widest, self.windows = out_dim, widest, windows
        self.set = DeepSet((events, dim + n_features(dim, windows)), out_dim=out_dim, **deep_set)
        self.head = mlp(out_dim + 2 * dim, 2 * out_dim, out_dim)

    @classmethod
    def check(cls, x_shape: Shape | None, **options: Any) -> None:
        """Refuse what is no set of events."""
        check_set(x_shape)

    @staticmethod
    def scale_shape(x_shape: Shape) -> Shape:
        """Return one scale a dimension."""
        return (1, x_shape[1])

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return ``(n, out_dim)`` for sets ``(n, events, dimensions)``."""
        mean = pool(x, mask)
        sd = pool((x - mean.unsqueeze(1)).square(), mask).sqrt().clamp(min=1e-6)
        position = (x - mean.unsqueeze(1)) / sd.unsqueeze(1)
        with torch.autocast(x.device.type, enabled=False):  # distances need all digits
            around = neighbourhoods(position, mask, self.widest, self.windows)
        summary = self.set(torch.cat((position, around), -1), mask)
        out: Tensor = self.head(torch.cat((summary, mean, sd.log()), -1))
        return out


def check_set(x_shape: Shape | None) -> None:
    """Refuse what is no set of events."""
    if x_shape is not None and len(x_shape) != 2:
        raise ValueError(f"x has shape {x_shape}; a set of events has shape (events, features)")
