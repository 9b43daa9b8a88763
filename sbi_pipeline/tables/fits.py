"""Tables in FITS: a binary table, or else an image whose first axis is that of rows.

A binary table is mapped to memory here: astropy, which reads its header, would copy whole columns
whenever the file is closed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..types import Array
from .columns import Column, stacked, text_of

EXTRA = "FITS needs astropy: pip install 'sbi-pipeline[fits]'"


@dataclass(frozen=True)
class Meaning:
    """What the header says of the stored entries of a column.

    Attributes:
        scale, zero: What they are multiplied with, and what is added.
        null: The whole number that stands for none.
        logical: Whether they are T and F.
    """

    scale: float = 1
    zero: float = 0
    null: int | None = None
    logical: bool = False

    def of(self, stored: Array) -> Array:
        """Return the values of entries."""
        if self.logical:
            return stored == ord("T")
        values = stored
        if (self.scale, self.zero) != (1, 0):
            values = stored * float(self.scale) + float(self.zero)
        return values if self.null is None else np.where(stored == self.null, np.nan, values)

    def of_entry(self, stored: Any) -> Any:
        """Return the value of one entry, a whole number to its last digit; None for none."""
        if stored == self.null:
            return None
        return stored if isinstance(stored, bytes) else stored * self.scale + self.zero


class FitsTable:
    """The one binary table of a FITS file, or its one image."""

    datasets = False

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open() as units:
            self._number = _number_of_data(units)
            unit = units[self._number]
            self._is_image = _is_image(unit)
            if self._is_image:
                self.columns: Mapping[str, Column] = {"": _image(unit)}
                return
            self._rows = unit.header["NAXIS2"]
            self._start = unit.fileinfo()["datLoc"]
            self._dtype = unit.columns.dtype.newbyteorder(">")
            self._meanings = {each.name: _meaning(each) for each in unit.columns}
            self.columns = {each.name: self._column(each) for each in unit.columns}

    def texts(self, name: str, first: int, last: int) -> list[str]:
        """Return entries of a column as text."""
        value = self._meanings[name].of_entry
        return [text_of(value(each)) for each in self._stored()[name][first:last].tolist()]

    def numbers(self, names: Sequence[str], first: int, last: int) -> Array:
        """Return ``(last - first, columns, *shape)``; whole numbers that stand for none are NaN."""
        if self._is_image:
            with self._open() as units:
                values = units[self._number].section[first:last]
            return stacked([values.astype(self.columns[""].dtype)])
        rows = self._stored()[first:last]
        return stacked([self._meanings[name].of(rows[name]) for name in names])

    def place(self, row: int) -> str:
        """Return the index of a row."""
        return f"index {row}"

    def _open(self) -> Any:
        """Open the file as one whose images are read in sections, which may be scaled."""
        try:
            from astropy.io import fits  # noqa: PLC0415 - an optional extra
        except ImportError as error:
            raise ValueError(EXTRA) from error
        return fits.open(self._path, memmap=False)

    def _stored(self) -> Array:
        return np.memmap(self._path, self._dtype, "r", self._start, (self._rows,))

    def _column(self, column: Any) -> Column:
        """Return what the header tells; bits, and vectors that differ in length, are records."""
        if column.format.lstrip("0123456789")[0] in "PQX":
            return Column(self._rows, (), np.dtype("V1"))
        dtype = self._dtype[column.name]
        return Column(self._rows, dtype.shape, dtype.base)


def _meaning(column: Any) -> Meaning:
    logical = column.format.lstrip("0123456789") == "L"
    scale = 1 if column.bscale in (None, "") else column.bscale
    null = None if column.null == "" else column.null
    return Meaning(scale, column.bzero or 0, null, logical)


def _is_image(unit: Any) -> bool:
    from astropy.io import fits  # noqa: PLC0415 - an optional extra

    return isinstance(unit, fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU)


def _number_of_data(units: Any) -> int:
    """Return the number of the unit that holds the table, or else the image.

    Raises:
        ValueError: There is none, or more than one.
    """
    from astropy.io import fits  # noqa: PLC0415 - an optional extra

    images = [n for n, unit in enumerate(units) if _is_image(unit) and unit.shape]
    tables = [
        n for n, unit in enumerate(units) if isinstance(unit, fits.BinTableHDU) and n not in images
    ]
    for found, kind in (tables, "binary tables"), (images, "images"):
        if len(found) > 1:
            names = ", ".join(units[n].name or str(n) for n in found)
            raise ValueError(f"it holds {len(found)} {kind} ({names}); wanted one")
        if found:
            return found[0]
    raise ValueError("it holds neither a binary table nor an image")


def _image(unit: Any) -> Column:
    single = unit.header["BITPIX"] == -32
    return Column(unit.shape[0], unit.shape[1:], np.dtype(np.float32 if single else np.float64))
