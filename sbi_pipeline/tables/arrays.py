"""Arrays of NumPy's as tables: one column without a name, whose first axis is that of rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..types import Array
from .columns import Column, stacked, text_of


class NumpyTable:
    """An .npy file, mapped to memory, or an .npz file of one array, which is read whole."""

    datasets = False

    def __init__(self, path: Path) -> None:
        self._path = path
        values = self._array()
        if not values.ndim:
            raise ValueError("it holds one number; wanted an array whose first axis is objects")
        self.columns = {"": Column(len(values), values.shape[1:], values.dtype)}

    def texts(self, name: str, first: int, last: int) -> list[str]:
        """Return entries as text."""
        return [text_of(each) for each in self._array()[first:last].tolist()]

    def numbers(self, names: Sequence[str], first: int, last: int) -> Array:
        """Return ``(last - first, 1, *shape)``."""
        return stacked([self._array()[first:last]])

    def place(self, row: int) -> str:
        """Return the index of a row."""
        return f"index {row}"

    def _array(self) -> Array:
        if self._path.suffix.lower() == ".npy":
            return np.load(self._path, mmap_mode="r", allow_pickle=False)
        with self._path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if len(arrays.files) != 1:
                held = f"{len(arrays.files)} arrays ({', '.join(arrays.files)})"
                raise ValueError(f"it holds {held}; wanted one: save that one alone")
            return arrays[arrays.files[0]]
