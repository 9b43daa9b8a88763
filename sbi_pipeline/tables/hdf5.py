"""Tables in HDF5: data sets by their path, whose first axis is that of rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..types import Array
from .columns import Column, stacked, text_of


class Hdf5Table:
    """The data sets of an HDF5 file."""

    datasets = True

    def __init__(self, path: Path) -> None:
        import h5py  # noqa: PLC0415 - for this format alone

        self._path = path
        self.columns: dict[str, Column] = {}

        def note(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and item.shape:
                self.columns[name] = Column(item.shape[0], item.shape[1:], item.dtype)

        with h5py.File(path) as file:
            file.visititems(note)

    def texts(self, name: str, first: int, last: int) -> list[str]:
        """Return entries of a data set as text."""
        import h5py  # noqa: PLC0415 - as above

        with h5py.File(self._path) as file:
            return [text_of(each) for each in file[name][first:last].tolist()]

    def numbers(self, names: Sequence[str], first: int, last: int) -> Array:
        """Return ``(last - first, data sets, *shape)``."""
        import h5py  # noqa: PLC0415 - as above

        with h5py.File(self._path) as file:
            return stacked([file[name][first:last] for name in names])

    def place(self, row: int) -> str:
        """Return the index of a row."""
        return f"index {row}"
