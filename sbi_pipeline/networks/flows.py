"""Flows, conditioned on a context ``(n, context_dim)``; nflows' home.

Names of `FLOWS` are usable in the configuration.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Annotated, Any

import torch
from annotated_types import Ge, Le
from nflows.transforms.base import Transform
from nflows.transforms.permutations import ReversePermutation
from torch import Tensor, nn

from ..options import Depth, Passes, Positive, Width
from ..registry import pick
from .mixture import GaussianMixture, n_outputs
from .residual import AutoregressiveMLP, ResidualMLP, start_at
from .splines import Affine, AffineSpline, Autoregressive, Composition, Coupling, Map

Bins = Annotated[int, Ge(2), Le(1_000)]


class Flow(nn.Module):
    """Density of ``(n, features)`` given a context: a transform takes it to N(0, I).

    nflows' own class of that name gives the same numbers, but its package imports matplotlib.

    Args:
        transform: From features to noise.
        features: Number of features.
    """

    def __init__(self, transform: Transform, features: int) -> None:
        super().__init__()
        self.features = features
        self._transform = transform  # files of estimators have its weights under this name

    def log_prob(self, inputs: Tensor, context: Tensor, present: Tensor | None = None) -> Tensor:
        """Return log q(inputs | context) in nats, ``(n,)``.

        Args:
            inputs: ``(n, features)``.
            context: ``(n, context)``.
            present: Which features the density is of, ``(n, features)`` of bool; the others have
                to be zero. None: all.
        """
        if present is None:
            noise, log_det = self._transform(inputs, context)
            features: int | Tensor = self.features
        else:
            noise, log_det = self._transform(inputs, context, present)
            features = present.sum(1)
        constant = 0.5 * math.log(2 * math.pi) * features
        return -0.5 * noise.square().sum(1) - constant + log_det

    def sample(self, n: int, context: Tensor) -> Tensor:
        """Draw ``(m, n, features)`` for contexts ``(m, context)``."""
        noise = torch.randn(len(context) * n, self.features, device=context.device)
        draws, _ = self._transform.inverse(noise, context.repeat_interleave(n, dim=0))
        return draws.unflatten(0, (len(context), n))


def coupling_mask(features: int, layer: int) -> Tensor:
    """Return which features layer number ``layer`` maps: a binary digit of their index, or not.

    Layers 2k and 2k + 1 are complements, and any two features are told apart by some digit.
    """
    if features == 1:
        return torch.ones(1, dtype=torch.bool)
    digit = (torch.arange(features) >> (layer // 2) % digits(features)) & 1
    return digit == layer % 2


def digits(features: int) -> int:
    """Return how many binary digits number the features."""
    return max(1, math.ceil(math.log2(features)))


def nsf(
    features: int,
    context_dim: int,
    *,
    transforms: Depth | None = None,
    hidden: Width = 32,
    blocks: Depth = 1,
    bins: Bins = 8,
    bound: Positive = 5.0,
) -> Transform:
    """Neural spline flow of coupling layers: one network pass a layer both ways.

    Args:
        features: Number of features.
        context_dim: Length of the context.
        transforms: Number of layers; by default 6, or as many as tell any two features apart.
        hidden: Width of the networks.
        blocks: Number of their residual blocks of two layers.
        bins: Number of pieces of a spline.
        bound: Splines end there, on both sides; beyond it the map is linear.
    """
    layers: list[Transform] = []
    for i in range(transforms or max(6, 2 * digits(features))):
        mapped, map_ = coupling_mask(features, i), AffineSpline(bins, bound)
        n_mapped = int(mapped.sum())
        net = ResidualMLP(
            features - n_mapped,
            n_mapped * map_.n_parameters,
            hidden=hidden,
            blocks=blocks,
            context_dim=context_dim,
        )
        start_at(net.last, map_.initial())
        layers.append(Coupling(mapped, map_, net))
    return Composition(layers)


def autoregressive(
    features: int, context_dim: int, map_: Map, transforms: int, hidden: int, blocks: int
) -> Transform:
    """Masked autoregressive layers, with the order of the features reversed in between."""
    layers: list[Transform] = []
    for i in range(transforms):
        if i:
            layers.append(ReversePermutation(features))
        net = AutoregressiveMLP(
            features, map_.n_parameters, hidden=hidden, blocks=blocks, context_dim=context_dim
        )
        start_at(net.last, map_.initial())
        layers.append(Autoregressive(features, map_, net))
    return Composition(layers)


def nsf_ar(
    features: int,
    context_dim: int,
    *,
    transforms: Depth = 3,
    hidden: Width = 64,
    blocks: Depth = 2,
    bins: Bins = 8,
    bound: Positive = 5.0,
) -> Transform:
    """Autoregressive neural spline flow: density in one pass a layer, draws in ``features``.

    Args:
        features: Number of features.
        context_dim: Length of the context.
        transforms: Number of layers.
        hidden: Width of the networks.
        blocks: Number of their residual blocks of two layers.
        bins: Number of pieces of a spline.
        bound: Splines end there, on both sides; beyond it the map is linear.
    """
    map_ = AffineSpline(bins, bound)
    return autoregressive(features, context_dim, map_, transforms, hidden, blocks)


def maf(
    features: int, context_dim: int, *, transforms: Depth = 5, hidden: Width = 64, blocks: Depth = 2
) -> Transform:
    """Masked autoregressive flow (Papamakarios et al. 2017, https://arxiv.org/abs/1705.07057).

    Args:
        features: Number of features.
        context_dim: Length of the context.
        transforms: Number of layers.
        hidden: Width of the networks.
        blocks: Number of their residual blocks of two layers.
    """
    return autoregressive(features, context_dim, Affine(), transforms, hidden, blocks)


def mdn(
    features: int, context_dim: int, *, components: Width = 8, hidden: Width = 64, blocks: Depth = 2
) -> GaussianMixture:
    """Mixture of normals with full covariances: no flow, but small, and quick to draw from.

    Args:
        features: Number of features.
        context_dim: Length of the context.
        components: Number of normals.
        hidden: Width of the network.
        blocks: Number of its residual blocks of two layers.
    """
    outputs = n_outputs(features, components)
    net = ResidualMLP(context_dim, outputs, hidden=hidden, blocks=blocks)
    with torch.no_grad():
        net.last.weight.mul_(0.1)
        net.last.bias.view(components, -1)[:, 1 : 1 + features].normal_()  # tell them apart
    return GaussianMixture(features, components, net)


FLOWS: dict[str, Callable[..., Transform | GaussianMixture]] = {
    "nsf": nsf,
    "nsf_ar": nsf_ar,
    "maf": maf,
    "mdn": mdn,
}


def default_width(name: str) -> int:
    """Return how wide the networks of a flow are where ``hidden`` is not given."""
    width: int = inspect.signature(pick(name, FLOWS, "flow")).parameters["hidden"].default
    return width


def flow(
    name: str,
    features: int,
    context_dim: int,
    **options: Annotated[Any, Passes(FLOWS, by="name", given=2)],
) -> Flow | GaussianMixture:
    """Build a flow by name; ``options`` are those of the function of that name."""
    made = pick(name, FLOWS, "flow")(features, context_dim, **options)
    return Flow(made, features) if isinstance(made, Transform) else made
