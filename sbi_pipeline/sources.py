"""What a training reads: epochs of mini-batches, from tensors in memory."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, Protocol

import torch

from .learner import Rows


class Source(Protocol):
    """Rows to learn from, read once an epoch in an order of its own."""

    rows: int
    """Rows of an epoch."""

    def to(self, device: torch.device) -> Source:
        """Return the same rows, given out on a device."""

    def epoch(self, number: int, batches: int) -> Generator[Rows, None, None]:
        """Yield all rows in random order, as so many batches of nearly equal size."""

    def identity(self) -> Iterator[Any]:
        """Yield buffers whose bytes decide what an epoch holds."""


class InMemory:
    """Parameters and data as tensors, shuffled by torch's generator anew for each epoch.

    Args:
        rows: Parameters in standard-normal space, ``(n, theta_dim)``, and data, ``(n, *x_shape)``.
    """

    def __init__(self, rows: Rows) -> None:
        self.z, self.x = rows[0].float(), rows[1]
        self.rows = len(self.z)

    def to(self, device: torch.device) -> InMemory:
        """Return the same rows on a device."""
        return InMemory((self.z.to(device), self.x.to(device)))

    def epoch(self, number: int, batches: int) -> Generator[Rows, None, None]:
        """Yield all rows in random order, as so many batches of nearly equal size."""
        order = torch.randperm(self.rows).to(self.z.device)
        for batch in order.tensor_split(batches):
            yield self.z[batch], self.x[batch]

    def identity(self) -> Iterator[Any]:
        """Yield the tensors."""
        for tensor in (self.z, self.x):
            yield tensor.cpu().contiguous().numpy()
