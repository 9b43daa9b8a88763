"""How networks see parameters whose range is a circle: as points of it, which have no ends."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .scaling import as_ranks


def is_periodic(theta_dim: int, periodic: Sequence[int]) -> Tensor:
    """Return which of the parameters are periodic, ``(theta_dim,)`` of bool."""
    found = torch.zeros(theta_dim, dtype=torch.bool)
    found[list(periodic)] = True
    return found


def told(z: Tensor, periodic: Tensor) -> tuple[Tensor, Tensor]:
    """Return two numbers for each parameter, ``(..., theta_dim)`` each, of unit variance.

    z and its rank; of a periodic one, cosine and sine of its place on the circle.

    Args:
        z: In normal space.
        periodic: Which are, as `is_periodic` returns.
    """
    angle = 2 * math.pi * torch.special.ndtr(z)
    cos, sin = (math.sqrt(2) * each for each in (angle.cos(), angle.sin()))
    return torch.where(periodic, cos, z), torch.where(periodic, sin, as_ranks(z))
