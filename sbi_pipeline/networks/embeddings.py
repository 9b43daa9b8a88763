"""Networks that summarise one data set: vectors, series, images; sets of events are in `sets`.

What an embedding is stands in `embedding`. Like elements are the pixels of a channel, or the
events of a set.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from torch import Tensor, nn

from ..options import Depth, Odd, Width
from .embedding import Embedding
from .sets import Shape, mlp

CHANNELS, LONG = 4, 8
"""A last axis as short as this behind axes as long as that is one of channels, not of pixels."""


class Flat(Embedding):
    """The elements of x as they are."""

    def __init__(self, x_shape: Shape) -> None:
        super().__init__()
        self.out_dim = math.prod(x_shape)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(n, out_dim)``."""
        return x.flatten(1)


class MLP(Embedding):
    """Fully connected layers over the flattened elements.

    Args:
        x_shape: Shape of one data set.
        out_dim: Number of summaries.
        hidden: Width of the layers.
        layers: Number of hidden layers.
    """

    def __init__(
        self, x_shape: Shape, *, out_dim: Width = 32, hidden: Width = 128, layers: Depth = 2
    ) -> None:
        super().__init__()
        self.out_dim = out_dim
        self.net = mlp(math.prod(x_shape), *[hidden] * layers, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(n, out_dim)``."""
        out: Tensor = self.net(x.flatten(1))
        return out


class Convolutional(Embedding):
    """Strided convolutions until few elements are left, then fully connected layers.

    Args:
        x_shape: ``(length,)`` or ``(channels, length)`` for one axis, ``(height, width)`` or
            ``(channels, height, width)`` for two.
        out_dim: Number of summaries.
        channels: Number of channels after the first layer; doubled by each further one, to at
            most four times as many.
        kernel: Odd width of the kernels.
    """

    axes: ClassVar[int]
    """Number of axes convolved over."""

    def __init__(self, x_shape: Shape, *, out_dim: int, channels: int, kernel: int) -> None:
        super().__init__()
        self.check(x_shape)
        axes, self.out_dim = self.axes, out_dim
        convolution = (nn.Conv1d, nn.Conv2d)[axes - 1]
        before = x_shape[0] if len(x_shape) > axes else 1
        size, after = list(x_shape[-axes:]), channels
        layers: list[nn.Module] = []
        while max(size) > 4:
            layers += [
                convolution(before, after, kernel, stride=2, padding=kernel // 2),
                nn.GroupNorm(1, after),
                nn.SiLU(),
            ]
            size = [-(-length // 2) for length in size]
            before, after = after, min(2 * after, 4 * channels)
        self.features = nn.Sequential(*layers)
        self.head = mlp(before * math.prod(size), 2 * out_dim, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(n, out_dim)``."""
        if x.ndim == self.axes + 1:
            x = x.unsqueeze(1)
        out: Tensor = self.head(self.features(x).flatten(1))
        return out

    @classmethod
    def check(cls, x_shape: Shape | None, **options: Any) -> None:
        """Refuse data that cannot be convolved over its axes, and channels that come last."""
        axes = cls.axes
        if x_shape is None:
            return
        if len(x_shape) not in (axes, axes + 1):
            raise ValueError(
                f"x has shape {x_shape}; a {axes}-d convolution takes {axes} axes, or "
                f"{axes + 1} with channels first"
            )
        if len(x_shape) > axes and x_shape[-1] <= CHANNELS and min(x_shape[:-1]) >= LONG:
            raise ValueError(
                f"x has shape {x_shape}, which is {x_shape[0]} channels of "
                f"{' x '.join(map(str, x_shape[1:]))}; if the last axis is that of channels, it "
                "must come first: let the simulator return np.moveaxis(x, -1, -"
                f"{axes + 1}), and move that of observations too"
            )

    @classmethod
    def scale_shape(cls, x_shape: Shape) -> Shape:
        """Return one scale a channel."""
        return (*x_shape[: -cls.axes], *[1] * cls.axes)

    @classmethod
    def with_gaps(cls, x_shape: Shape) -> Shape:
        """Return twice as many channels."""
        channels = x_shape[0] if len(x_shape) > cls.axes else 1
        return (2 * channels, *x_shape[-cls.axes :])


class CNN1D(Convolutional):
    """For series, ``(length,)`` or ``(channels, length)``; see `Convolutional`.

    Args:
        x_shape: Shape of one data set.
        out_dim: Number of summaries.
        channels: Number of channels after the first layer; doubled by each further one, to at
            most four times as many.
        kernel: Width of the kernels.
    """

    axes = 1

    def __init__(
        self, x_shape: Shape, *, out_dim: Width = 32, channels: Width = 16, kernel: Odd = 5
    ) -> None:
        super().__init__(x_shape, out_dim=out_dim, channels=channels, kernel=kernel)


class CNN2D(Convolutional):
    """For images, ``(height, width)`` or ``(channels, height, width)``; see `Convolutional`.

    Args:
        x_shape: Shape of one data set.
        out_dim: Number of summaries.
        channels: Number of channels after the first layer; doubled by each further one, to at
            most four times as many.
        kernel: Width of the kernels.
    """

    axes = 2

    def __init__(
        self, x_shape: Shape, *, out_dim: Width = 32, channels: Width = 16, kernel: Odd = 3
    ) -> None:
        super().__init__(x_shape, out_dim=out_dim, channels=channels, kernel=kernel)
