"""Rows that are read from the user's files instead of simulated; all else is as ever."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..existing.inventory import FileRows, RowsReader
from ..streams import Stream
from ..types import Array
from .settings import Limits

BLOCK_BYTES = 4_000_000
"""Of data that are read at once, about."""
MOST_ROWS = 1000
"""That are read at once, at most."""


@dataclass(frozen=True)
class ImportedRows:
    """A `tasks.RowMaker` that reads rows of files.

    Attributes:
        rows: Where they lie.
        block_size: Rows that are read at once.
        gaps: Whether NaN stands for an element that is missing.
    """

    rows: FileRows
    block_size: int
    gaps: bool = False

    limits = Limits()
    stream = Stream(0, "import")

    @property
    def name(self) -> str:
        """The first file."""
        return self.rows.files[0].path

    def caller(self) -> RowsCaller:
        """Return what reads them."""
        return RowsCaller(self.rows, self.block_size)

    def guarded(self) -> ImportedRows:
        """Return itself: reading does no harm."""
        return self


class RowsCaller:
    """A `callers.Caller` that looks rows up by their index.

    Args:
        rows: Where they lie.
        block_size: Rows of one call.
    """

    def __init__(self, rows: FileRows, block_size: int) -> None:
        self._reader, self._block_size = RowsReader(rows), block_size

    def __call__(self, parameters: Array, stream: Stream, index: int) -> Array:
        """Return the data of a block of rows.

        Raises:
            ValueError: They cannot be read, or parameters are others than in the file.
        """
        theta, x = self._reader.read(index * self._block_size, len(parameters))
        if not np.array_equal(theta, parameters):
            place = self._reader.place(index * self._block_size)
            raise ValueError(f"{place}: the parameters changed while they were imported; run again")
        return x

    def close(self) -> None:
        """Nothing to free."""


def block_rows(x_shape: tuple[int, ...], x_dtype: str, shard_size: int) -> int:
    """Return how many rows are read at once: they divide a shard."""
    row_bytes = np.dtype(x_dtype).itemsize * int(np.prod(x_shape, dtype=int))
    most = max(1, min(MOST_ROWS, BLOCK_BYTES // max(1, row_bytes), shard_size))
    return next(size for size in range(most, 0, -1) if not shard_size % size)
