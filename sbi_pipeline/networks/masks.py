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

CHANCE = 1e-3  # that masks drawn without regard to z seem to depend on it
MOST_ROWS = 20_000  # that are looked at
FEWEST = 100  # rows that lack an element, and that have it, below which nothing is said of it


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
    z, missing = z[:MOST_ROWS].double(), missing[:MOST_ROWS]
    first, second = torch.triu_indices(z.shape[1], z.shape[1], 1)
    effects = _scaled(torch.cat((z, z.square(), z[:, first] * z[:, second]), 1))
    found = torch.cat([_correlation(part.double(), effects) for part in missing.split(256, 1)])
    level = torch.tensor(1 - 0.5 * CHANCE / (found.numel() * effects.shape[1])).double()
    limit = float(torch.special.ndtri(level)) / math.sqrt(len(z))
    column = int(found.argmax())
    return MaskTold(float(missing.double().mean()), float(found[column]), limit, column)


def _correlation(masks: Tensor, effects: Tensor) -> Tensor:
    """Return the largest correlation of each mask with effects, ``(columns,)``, in size."""
    found = (_scaled(masks).T @ effects).abs() / len(masks)
    # A mask that is nearly always, or nearly never, there correlates by chance as no normal does.
    rows = torch.minimum(masks.sum(0), (1 - masks).sum(0))
    return found.amax(1) * (rows >= FEWEST)


def _scaled(values: Tensor) -> Tensor:
    centred = values - values.mean(0)
    return centred / centred.square().mean(0).sqrt().clamp(min=1e-12)
