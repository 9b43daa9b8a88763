"""A data set and numbers known beside it, as one row: how both travel to a network together.

The known numbers come first, then those of the data, flattened. Where nothing is known beside them,
data stay as they are.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..types import Array

if TYPE_CHECKING:  # it takes seconds, and arrays are packed without it
    from torch import Tensor


def packed(known: Array, x: Array) -> Array:
    """Return data sets with what is known beside them, ``(..., known + elements)``.

    Args:
        known: ``(..., known)``.
        x: ``(..., *x_shape)``; whole numbers and doubles keep double precision.
    """
    if not known.shape[-1]:
        return x
    kind = np.result_type(x.dtype, np.float32)
    rows = x.reshape(*known.shape[:-1], -1)
    return np.concatenate([known, rows], axis=-1, dtype=kind)


def unpacked(rows: Tensor, known: int, x_shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return what is known of data sets, ``(n, known)``, and the data, ``(n, *x_shape)``.

    Args:
        rows: Data sets as they are packed, ``(n, *packed_shape(known, x_shape))``.
        known: How many numbers are known beside each.
        x_shape: Shape of one data set.
    """
    flat = rows.flatten(1)
    data = flat[:, known:].reshape(-1, *x_shape) if known else rows
    return flat[:, :known].float(), data


def packed_shape(known: int, x_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of one data set as it is packed with so many known numbers."""
    return (known + math.prod(x_shape),) if known else tuple(x_shape)
