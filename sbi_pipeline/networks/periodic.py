"""How networks see parameters whose range is a circle: as points of it, which have no ends."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .scaling import as_ranks


def is_periodic(theta_dim: int, periodic: Sequence[int]) -> Tensor | None:
    """Return which of the parameters are periodic, ``(theta_dim,)`` of bool; None where none is."""
    if not len(periodic):
        return None
    found = torch.zeros(theta_dim, dtype=torch.bool)
    found[list(periodic)] = True
    return found


def told_of(z: Tensor, periodic: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return two numbers for each parameter, ``(..., theta_dim)`` each, of unit variance.

    z and its rank; of a periodic one, cosine and sine of its place on the circle.

    Args:
        z: In normal space.
        periodic: Which are, as `is_periodic` returns.
    """
    if periodic is None:
        return z, as_ranks(z)
    angle = 2 * math.pi * torch.special.ndtr(z)
    cos, sin = (math.sqrt(2) * each for each in (angle.cos(), angle.sin()))
    return torch.where(periodic, cos, z), torch.where(periodic, sin, as_ranks(z))


def without_circles(values: Tensor, periodic: Tensor | None, other: Tensor | float = 0) -> Tensor:
    """Return numbers of parameters, ``(..., theta_dim)``, others in place of periodic ones."""
    return values if periodic is None else torch.where(periodic, other, values)
