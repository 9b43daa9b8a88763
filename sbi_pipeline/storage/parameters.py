"""The parameters of all rows of a campaign, and whether rows are there twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..types import Array
from .journal import read_json
from .rows import read_outcomes, read_rows

COMPARED = 50
"""Pairs of rows with the same parameters whose data are compared."""


@dataclass(frozen=True)
class Parameters:
    """Parameters of all rows, in order.

    Attributes:
        stores: The shards.
        starts: Index of the first row of each.
        theta: ``(n, dim)``.
    """

    stores: Sequence[Path]
    starts: Sequence[int]
    theta: Array

    @classmethod
    def read(cls, receipts: Sequence[Path], rows: int) -> Parameters:
        """Read the parameters of the first rows of shards, by their receipts in order."""
        stores, starts, found = [], [], []
        for path in receipts:
            shard = read_json(path, "start", "rows")
            wanted = min(rows - shard["start"], shard["rows"])
            if wanted > 0:
                stores.append(path.with_suffix(".zarr"))
                starts.append(int(shard["start"]))
                found.append(read_outcomes(stores[-1], 0, wanted)[0])
        return cls(stores, starts, np.concatenate(found))

    def x(self, row: int) -> Array:
        """Return the data of a row."""
        place = int(np.searchsorted(self.starts, row, side="right")) - 1
        local = row - self.starts[place]
        return read_rows(self.stores[place], local, local + 1).x[0]


def refuse_twice(every: Parameters) -> None:
    """Refuse rows that are there twice, parameters and data, such as those of a copied file.

    Raises:
        ValueError: With the first two of them.
    """
    theta = np.ascontiguousarray(every.theta)
    whole = theta.view(np.dtype((np.void, theta.dtype.itemsize * theta.shape[1])))[:, 0]
    order = np.argsort(whole, kind="stable")
    same = np.flatnonzero(whole[order][1:] == whole[order][:-1])
    for place in same[np.linspace(0, len(same) - 1, min(len(same), COMPARED)).astype(int)]:
        one, other = sorted((int(order[place]), int(order[place + 1])))
        if np.array_equal(every.x(one), every.x(other), equal_nan=True):
            raise ValueError(
                f"rows {one} and {other} are the same, parameters and data, and {len(same)} rows "
                "have the parameters of another; is a file there twice? Leave out the copies"
            )
