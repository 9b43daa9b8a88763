"""Flows, encoders of data and the networks they are made of; nflows' home.

A flow is conditioned on a context ``(n, context_dim)``; a context of one row, ``(1, context_dim)``,
is shared by all rows. Names of `FLOWS` and `EMBEDDINGS` are usable in the configuration.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from nflows.distributions.normal import StandardNormal
from nflows.flows.base import Flow
from nflows.transforms.base import Transform
from nflows.transforms.permutations import ReversePermutation
from torch import Tensor, nn
from torch.nn import functional

from ..registry import load, pick
from .embeddings import EMBEDDINGS
from .mixture import GaussianMixture, n_outputs
from .scaling import Standardise, choose_transform, constant_columns
from .splines import Affine, AffineSpline, Autoregressive, Composition, Coupling, Map

# Networks -----------------------------------------------------------------------------------------


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


# Flows --------------------------------------------------------------------------------------------


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
    transforms: int | None = None,
    hidden: int = 32,
    blocks: int = 1,
    bins: int = 8,
    bound: float = 5.0,
) -> Transform:
    """Neural spline flow of coupling layers: one network pass a layer both ways.

    By default there are 6 layers, or as many as tell any two features apart.
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
    transforms: int = 3,
    hidden: int = 64,
    blocks: int = 2,
    bins: int = 8,
    bound: float = 5.0,
) -> Transform:
    """Autoregressive neural spline flow: density in one pass a layer, draws in ``features``."""
    map_ = AffineSpline(bins, bound)
    return autoregressive(features, context_dim, map_, transforms, hidden, blocks)


def maf(
    features: int, context_dim: int, *, transforms: int = 5, hidden: int = 64, blocks: int = 2
) -> Transform:
    """Masked autoregressive flow (Papamakarios et al. 2017, https://arxiv.org/abs/1705.07057)."""
    return autoregressive(features, context_dim, Affine(), transforms, hidden, blocks)


def mdn(
    features: int, context_dim: int, *, components: int = 8, hidden: int = 64, blocks: int = 2
) -> GaussianMixture:
    """Mixture of normals with full covariances: no flow, but small, and quick to draw from."""
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


def flow(name: str, features: int, context_dim: int, **options: Any) -> Flow | GaussianMixture:
    """Build a flow by name; ``options`` are those of the function of that name."""
    made = pick(name, FLOWS, "flow")(features, context_dim, **options)
    return Flow(made, StandardNormal([features])) if isinstance(made, Transform) else made


# Encoders -----------------------------------------------------------------------------------------


class Encoder(nn.Module):
    """Turns raw data into the context of a network: standardise, then summarise.

    Args:
        x_shape: Shape of one data set.
        transform: A name of `scaling.TRANSFORMS`.
        embedding: A name of `embeddings.EMBEDDINGS`, ``"my_module:MyEmbedding"``, or a mapping of
            ``name`` and options. With option ``mask: true``, the last feature of each event
            is 1 for events that are there and 0 for padding. With ``mixed: true``, the embedding
            multiplies in bfloat16: faster on recent GPUs, to three digits; flows never do.
    """

    def __init__(
        self,
        x_shape: tuple[int, ...],
        *,
        transform: str = "none",
        embedding: str | Mapping[str, Any] = "none",
    ) -> None:
        super().__init__()
        options = {"name": embedding} if isinstance(embedding, str) else dict(embedding)
        made_of = find_embedding(options.pop("name"))
        self.x_shape, self.masked = x_shape, options.pop("mask", False)
        self.mixed = bool(options.pop("mixed", False))
        seen = (*x_shape[:-1], x_shape[-1] - 1) if self.masked else x_shape
        self.embedding = made_of(seen, **options)
        self.out_dim: int = self.embedding.out_dim
        scale_shape = getattr(made_of, "scale_shape", lambda shape: shape)
        self.standardise = Standardise(scale_shape(seen), transform)

    def fit_scales(self, x: Tensor) -> None:
        """Set what standardises data from training rows, ``(n, *x_shape)``."""
        self.standardise.fit(*self._split(x))

    def _split(self, x: Tensor) -> tuple[Tensor, ...]:
        return (x[..., :-1], x[..., -1] > 0.5) if self.masked else (x,)

    def standardised(self, x: Tensor) -> Tensor:
        """Return the standardised elements of unmasked data, flattened, ``(n, elements)``."""
        return self.standardise(batched(x, self.x_shape)).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(n, out_dim)`` for data ``(n, *x_shape)``, one row for one data set."""
        values, *mask = self._split(batched(x, self.x_shape))
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.mixed):
            out: Tensor = self.embedding(self.standardise(values), *mask)
        return out.float()


def find_embedding(name: str) -> Any:
    """Return the class of an embedding, one of ours or ``"my_module:MyEmbedding"``."""
    return load(name, {}) if ":" in name else pick(name, EMBEDDINGS, "embedding")


def choose_encoder(
    z: Tensor, x: Tensor, *, vectors: str = "none", **options: Any
) -> dict[str, Any]:
    """Replace what an encoder's options leave to be chosen from training data by the choice.

    Args:
        z: Training rows of the parameters.
        x: Training rows of the data, ``(n, *x_shape)``.
        vectors: What to do with few elements; more than 64 get an MLP, images are convolved.
        **options: Those of `Encoder`, and others, which are passed on.
    """
    constant_columns(x)
    if options.setdefault("transform", "auto") == "auto":
        options["transform"] = choose_transform(x)
    if options.setdefault("embedding", "auto") == "auto":
        few = math.prod(x.shape[1:]) <= 64
        options["embedding"] = "cnn2d" if x.ndim >= 4 else vectors if few else "mlp"
    return options


def batched(x: Tensor, x_shape: tuple[int, ...]) -> Tensor:
    """Return data as floats, ``(n, *x_shape)``, with n = 1 for one data set.

    Raises:
        ValueError: The data have another shape.
    """
    if tuple(x.shape) == x_shape:
        x = x.unsqueeze(0)
    elif tuple(x.shape[1:]) != x_shape:
        raise ValueError(
            f"x has shape {tuple(x.shape)}; this estimator was trained on data sets of shape "
            f"{x_shape}, so give {x_shape} or (n, {', '.join(map(str, x_shape))})"
        )
    # Whole numbers to double precision: single holds them to 2^24 only.
    return x if x.dtype in (torch.float32, torch.float64) else x.double()
