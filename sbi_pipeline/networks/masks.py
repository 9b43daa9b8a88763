"""Which elements are missing, and whether that says something of the parameters.

It does where a detector is blind to what is bright, say: the gaps are then data like the rest. That
is found by correlations of each element's mask with powers and products of the parameters, of which
chance explains none. A mask that depends on the value that is missing shows in the same way,
wherever that value depends on the parameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

CHANCE = 1e-3  # that a mask drawn without regard to z seems to depend on it


@dataclass(frozen=True)
class MaskTold:
    """How much masks say of the parameters.

    Attributes:
        share: Of the elements that are missing.
        correlation: The largest of an element's mask with the parameters, in size.
        by_chance: What it stays below in 999 of 1 000 cases where masks say nothing.
        column: Of that element, counted from 0.
    """

    share: float
    correlation: float
    by_chance: float
    column: int

    @property
    def is_certain(self) -> bool:
        """Whether masks depend on the parameters, beyond chance."""
        return self.correlation > self.by_chance


def what_masks_tell(z: Tensor, missing: Tensor) -> MaskTold:
    """Ask whether masks depend on the parameters.

    Args:
        z: Parameters in standard-normal space, ``(n, theta_dim)``.
        missing: Which elements are missing, ``(n, columns)`` of bool.
    """
    z, masks = z.double(), missing.double()
    first, second = torch.triu_indices(z.shape[1], z.shape[1], 1)
    effects = _scaled(torch.cat((z, z.square(), z[:, first] * z[:, second]), 1))
    # A mask that is nearly always, or nearly never, there correlates by chance as no normal does.
    rows = torch.minimum(masks.sum(0), (1 - masks).sum(0))
    found = (_scaled(masks).T @ effects).abs() / len(z)
    found = found.amax(1) * (rows >= FEWEST)
    level = torch.tensor(1 - 0.5 * CHANCE / max(1, found.numel() * effects.shape[1]))
    limit = float(torch.special.ndtri(level.double())) / math.sqrt(len(z))
    column = int(found.argmax()) if found.numel() else 0
    largest = float(found[column]) if found.numel() else 0.0
    return MaskTold(float(masks.mean()) if masks.numel() else 0.0, largest, limit, column)


FEWEST = 30
"""Rows in which an element is missing, and in which it is there, below which nothing is said."""


def _scaled(values: Tensor) -> Tensor:
    centred = values - values.mean(0)
    return centred / centred.square().mean(0).sqrt().clamp(min=1e-12)
