"""Invertible elementwise maps and the nflows transforms that condition them.

nflows' own spline transforms select rows with boolean masks, which `torch.compile` and
`torch.vmap` cannot follow. These compute every row and select with `where` and `clamp`; they keep
nflows' interface and agree with it to 1e-5 (``tests/test_splines.py``).

Features that are not ``present`` in a row are zero before and after every layer and add nothing to
its log |det|: what is left is a density of the others.

A map takes inputs ``(n, features)`` and raw network outputs ``(n, features, n_parameters)`` and
returns outputs and log |d output / d input|, both ``(n, features)``. A transform decides which
features a map's parameters may depend on.

Reference: Durkan, Bekasov, Murray & Papamakarios, Neural spline flows, NeurIPS 2019,
https://arxiv.org/abs/1906.04032.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from nflows.transforms.base import Transform
from nflows.transforms.permutations import Permutation
from torch import Tensor, nn
from torch.nn import functional

MIN_BIN = 1e-3
MIN_DERIVATIVE = 1e-3
# softplus(UNIT_DERIVATIVE) + MIN_DERIVATIVE == 1: the slope of the identity tails.
UNIT_DERIVATIVE = math.log(math.expm1(1 - MIN_DERIVATIVE))


def rational_quadratic(
    inputs: Tensor, raw: Tensor, *, bound: float, inverse: bool = False
) -> tuple[Tensor, Tensor]:
    """Monotonic rational-quadratic spline on [-bound, bound], the identity outside.

    Args:
        inputs: Any shape ``(...)``.
        raw: Unconstrained parameters, ``(..., 3 * bins - 1)``: widths, heights, inner derivatives.
        bound: Half the width of the interval.
        inverse: Map outputs back to inputs.

    Returns:
        Outputs and log of the absolute derivative (of the direction asked for), both ``(...)``.
    """
    bins = (raw.shape[-1] + 1) // 3
    # Bins first: the loops over rows inside each operation are then contiguous.
    raw, after = raw.movedim(-1, 0), (0, 0) * inputs.ndim
    # Parts by `split` and `unbind`: the gradient of a slice is as large as the whole.
    of_sizes, of_slopes = raw.split([2 * bins, bins - 1])
    shares = of_sizes.unflatten(0, (2, bins)).softmax(1)
    sizes = 2 * bound * MIN_BIN + 2 * bound * (1 - MIN_BIN * bins) * shares  # (2, bins, ...)
    edges = functional.pad(sizes.cumsum(1), (*after, 1, 0)) - bound
    slopes = MIN_DERIVATIVE + functional.softplus(
        functional.pad(of_slopes, (*after, 1, 1), value=UNIT_DERIVATIVE)
    )

    clamped = inputs.clamp(-bound, bound)
    index = (clamped >= edges[1 if inverse else 0, 1:-1]).sum(0, keepdim=True)
    pairs = index.expand(2, *index.shape)
    x0, y0 = edges.gather(1, pairs).squeeze(1).unbind()
    width, height = sizes.gather(1, pairs).squeeze(1).unbind()
    d0, d1 = slopes.gather(0, torch.cat((index, index + 1))).unbind()

    s = height / width
    curvature = d0 + d1 - 2 * s
    if inverse:
        # The root of a quadratic in the relative position, in the form that does not cancel.
        rise = clamped - y0
        bent = rise * curvature
        a = bent + height * (s - d0)
        b = height * d0 - bent
        c = -s * rise
        xi = 2 * c / (-b - (b.square() - 4 * a * c).clamp(min=0).sqrt())
    else:
        xi = ((clamped - x0) / width).clamp(0, 1)
    tent = xi * (1 - xi)
    denominator = s + curvature * tent
    numerator = d1 * xi.square() + 2 * s * tent + d0 * (1 - xi).square()
    log_slope = (numerator * (s / denominator).square()).log()
    if inverse:
        mapped, log_slope = x0 + xi * width, -log_slope
    else:
        mapped = y0 + height * (s * xi.square() + d0 * tent) / denominator

    inside = inputs.abs() < bound
    return torch.where(inside, mapped, inputs), torch.where(inside, log_slope, 0.0)


class Map(Protocol):
    """An invertible map of one feature at a time."""

    n_parameters: int

    def initial(self) -> Tensor:
        """Return raw parameters of the identity, ``(n_parameters,)``."""

    def __call__(self, inputs: Tensor, raw: Tensor, inverse: bool = False) -> tuple[Tensor, Tensor]:
        """Map ``(n, features)`` with raw parameters ``(n, features, n_parameters)``."""


class Spline:
    """Rational-quadratic spline with identity tails beyond ``bound``."""

    def __init__(self, bins: int = 8, bound: float = 5.0) -> None:
        if not 2 <= bins <= 100:
            raise ValueError(f"bins is {bins}; a spline takes from 2 to 100 of them")
        self.bound = bound
        self.n_parameters = 3 * bins - 1

    def initial(self) -> Tensor:
        """Return raw parameters of the identity, ``(n_parameters,)``."""
        raw = torch.zeros(self.n_parameters)
        raw[-((self.n_parameters - 2) // 3) :] = UNIT_DERIVATIVE
        return raw

    def __call__(self, inputs: Tensor, raw: Tensor, inverse: bool = False) -> tuple[Tensor, Tensor]:
        """Map ``(n, features)`` with raw parameters ``(n, features, n_parameters)``."""
        return rational_quadratic(inputs, raw, bound=self.bound, inverse=inverse)


class Affine:
    """Shift and scale; the log-scale is kept within +-10 without a hard edge."""

    n_parameters = 2

    def initial(self) -> Tensor:
        """Return raw parameters of the identity, ``(n_parameters,)``."""
        return torch.zeros(2)

    def __call__(self, inputs: Tensor, raw: Tensor, inverse: bool = False) -> tuple[Tensor, Tensor]:
        """Map ``(n, features)`` with raw parameters ``(n, features, n_parameters)``."""
        shift, log_scale = raw.unbind(-1)
        log_scale = 10 * torch.tanh(log_scale / 10)
        if inverse:
            return (inputs - shift) * torch.exp(-log_scale), -log_scale
        return inputs * torch.exp(log_scale) + shift, log_scale


class AffineSpline:
    """An affine map, then a spline: bins go where the mass is, however narrow it is."""

    def __init__(self, bins: int = 8, bound: float = 5.0) -> None:
        self.affine, self.spline = Affine(), Spline(bins, bound)
        self.n_parameters = self.affine.n_parameters + self.spline.n_parameters

    def initial(self) -> Tensor:
        """Return raw parameters of the identity, ``(n_parameters,)``."""
        return torch.cat((self.affine.initial(), self.spline.initial()))

    def __call__(self, inputs: Tensor, raw: Tensor, inverse: bool = False) -> tuple[Tensor, Tensor]:
        """Map ``(n, features)`` with raw parameters ``(n, features, n_parameters)``."""
        of_affine, of_spline = raw.split([self.affine.n_parameters, self.spline.n_parameters], -1)
        if inverse:
            inputs, log_slope = self.spline(inputs, of_spline, inverse)
            outputs, more = self.affine(inputs, of_affine, inverse)
        else:
            inputs, log_slope = self.affine(inputs, of_affine)
            outputs, more = self.spline(inputs, of_spline)
        return outputs, log_slope + more


def only(present: Tensor, outputs: Tensor, log_slope: Tensor) -> tuple[Tensor, Tensor]:
    """Return outputs and log slopes of features that are present, and zero for the others."""
    return torch.where(present, outputs, 0.0), torch.where(present, log_slope, 0.0)


class Coupling(Transform):
    """Maps some features with parameters that depend on the others and the context.

    Args:
        mapped: Which features are mapped, ``(features,)`` of bool; the others pass unchanged.
        map_: What is done to each of them.
        net: ``(n, n_kept), (n, context)`` to ``(n, n_mapped * map_.n_parameters)``.
    """

    def __init__(self, mapped: Tensor, map_: Map, net: nn.Module) -> None:
        super().__init__()
        self.map, self.net = map_, net
        self.register_buffer("kept_index", (~mapped).nonzero()[:, 0], persistent=False)
        self.register_buffer("mapped_index", mapped.nonzero()[:, 0], persistent=False)
        order = torch.cat((self.kept_index, self.mapped_index)).argsort()
        self.register_buffer("order", order, persistent=False)

    def _apply_map(
        self, inputs: Tensor, context: Tensor | None, inverse: bool, present: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        kept = inputs.index_select(1, self.kept_index)
        raw = self.net(kept, context).unflatten(-1, (-1, self.map.n_parameters))
        mapped, log_slope = self.map(inputs.index_select(1, self.mapped_index), raw, inverse)
        if present is not None:
            mapped, log_slope = only(present.index_select(1, self.mapped_index), mapped, log_slope)
        return torch.cat((kept, mapped), 1).index_select(1, self.order), log_slope.sum(-1)

    def forward(
        self, inputs: Tensor, context: Tensor | None = None, present: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return outputs ``(n, features)`` and log |det| ``(n,)``."""
        return self._apply_map(inputs, context, inverse=False, present=present)

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Undo `forward`; the log |det| is of the inverse."""
        return self._apply_map(inputs, context, inverse=True)


class Autoregressive(Transform):
    """Maps every feature with parameters that depend on those before it and the context.

    Args:
        features: Number of features; the inverse takes as many passes.
        map_: What is done to each of them.
        net: A masked network, ``(n, features), (n, context)`` to ``(n, features * n_parameters)``,
            the parameters of feature i a function of features before i only.
    """

    def __init__(self, features: int, map_: Map, net: nn.Module) -> None:
        super().__init__()
        self.features, self.map, self.net = features, map_, net

    def _raw(self, inputs: Tensor, context: Tensor | None) -> Tensor:
        raw: Tensor = self.net(inputs, context)
        return raw.unflatten(-1, (self.features, self.map.n_parameters))

    def forward(
        self, inputs: Tensor, context: Tensor | None = None, present: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return outputs ``(n, features)`` and log |det| ``(n,)``."""
        outputs, log_slope = self.map(inputs, self._raw(inputs, context))
        if present is not None:
            outputs, log_slope = only(present, outputs, log_slope)
        return outputs, log_slope.sum(-1)

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Undo `forward`, one feature after another; the log |det| is of the inverse."""
        outputs = torch.zeros_like(inputs)
        for _ in range(self.features):
            outputs, log_slope = self.map(inputs, self._raw(outputs, context), inverse=True)
        return outputs, log_slope.sum(-1)


class Composition(Transform):
    """Transforms one after another; nflows' own adds up in place, which `torch.vmap` refuses."""

    def __init__(self, layers: Sequence[Transform]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(
        self, inputs: Tensor, context: Tensor | None = None, present: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return outputs ``(n, features)`` and log |det| ``(n,)``."""
        steps = []
        for layer in self.layers:
            if present is None:
                inputs, log_det = layer(inputs, context)
            elif isinstance(layer, Permutation):
                inputs, log_det = layer(inputs, context)
                present, _ = layer(present)
            else:
                inputs, log_det = layer(inputs, context, present)
            steps.append(log_det)
        return inputs, torch.stack(steps).sum(0)

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Undo `forward`; the log |det| is of the inverse."""
        steps = []
        for layer in reversed(self.layers):
            inputs, log_det = layer.inverse(inputs, context)  # type: ignore[operator]
            steps.append(log_det)
        return inputs, torch.stack(steps).sum(0)
