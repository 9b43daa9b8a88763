"""Tables in Parquet; lists of one length are vectors. Numbers are held as one array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..types import Array
from .columns import Column, float_type, text_of

BATCH = 65_536
MOST_HELD = 10_000_000
"""Numbers that are held as one array; of more, rows are read in the order they are asked for."""


class ParquetTable:
    """A Parquet file."""

    datasets = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: dict[tuple[str, ...], Array] = {}
        self._reading: dict[tuple[str, ...], tuple[int, Array | None, Any]] = {}
        file = self._file()
        self.columns = {each.name: _column(file, each) for each in file.schema_arrow}

    def texts(self, name: str, first: int, last: int) -> list[str]:
        """Return entries of a column as text."""
        values = self._file().read(columns=[name])[name].slice(first, last - first)
        return [text_of(each) for each in values.to_pylist()]

    def numbers(self, names: Sequence[str], first: int, last: int) -> Array:
        """Return ``(last - first, columns, *shape)``; nulls are NaN."""
        key = tuple(names)
        if self.columns[key[0]].rows * len(key) * self._width(key[0]) > MOST_HELD:
            return self._slice(key, first, last)
        if key not in self._held:
            self._held[key] = self._read(key)
        return self._held[key][first:last].copy()

    def place(self, row: int) -> str:
        """Return the index of a row."""
        return f"index {row}"

    def _file(self) -> Any:
        try:
            from pyarrow import parquet  # noqa: PLC0415 - for this format alone
        except ImportError as error:
            raise ValueError("Parquet needs pyarrow: pip install pyarrow") from error
        return parquet.ParquetFile(self._path)

    def _width(self, name: str) -> int:
        return int(np.prod(self.columns[name].shape, dtype=int))

    def _slice(self, names: tuple[str, ...], first: int, last: int) -> Array:
        """Return rows, read on from where the reading before ended, or else from the beginning."""
        at, held, rest = self._reading.get(names, (0, None, None))
        if rest is None or at > first:
            at, held, rest = 0, None, self._batches(names)
        while held is None or at + len(held) < min(last, self.columns[names[0]].rows):
            at, held = self._further(at, held, next(rest), first)
        self._reading[names] = at, held, rest
        return held[max(0, first - at) : last - at].copy()

    def _further(self, at: int, held: Array | None, batch: Array, first: int) -> tuple[int, Array]:
        """Return the rows that are held, and where they begin, when a batch more is read."""
        whole = batch if held is None else np.concatenate([held, batch])
        unused = min(max(0, first - at), len(whole))
        return at + unused, whole[unused:]

    def _read(self, names: Sequence[str]) -> Array:
        columns = [self.columns[name] for name in names]
        dtype = float_type(each.dtype for each in columns)
        values = np.empty((columns[0].rows, len(names), *columns[0].shape), dtype)
        first = 0
        for batch in self._batches(names):
            values[first : first + len(batch)] = batch
            first += len(batch)
        return values

    def _batches(self, names: Sequence[str]) -> Iterator[Array]:
        """Yield all rows, some at a time."""
        columns = [self.columns[name] for name in names]
        dtype, first = float_type(each.dtype for each in columns), 0
        size = max(1, BATCH // max(1, self._width(names[0])))
        for batch in self._file().iter_batches(size, columns=list(names)):
            values = np.empty((len(batch), len(names), *columns[0].shape), dtype)
            for column, name in enumerate(names):
                entries = batch.column(name)
                vectors = bool(columns[0].shape)
                made = self._vectors(name, entries, first) if vectors else _floats(entries)
                values[:, column] = made
            first += len(batch)
            yield values

    def _vectors(self, name: str, lists: Any, first: int) -> Array:
        """Return lists as ``(n, length)``.

        Raises:
            ValueError: One has another length than the first of all.
        """
        (length,) = self.columns[name].shape
        lengths = [-1 if each is None else each for each in _lengths(lists)]
        for row, found in enumerate(lengths, first):
            if found != length:
                got = "no entry" if found < 0 else f"shape ({found},)"
                text = f"column {name!r} has {got}, at {self.place(0)} shape ({length},)"
                raise ValueError(f"{self.place(row)}: {text}; wanted one shape")
        return _floats(lists.flatten()).reshape(-1, length)


def _column(file: Any, entry: Any) -> Column:
    from pyarrow import types  # noqa: PLC0415 - for this format alone

    kind = entry.type
    shape: tuple[int, ...] = ()
    if types.is_fixed_size_list(kind):
        kind, shape = kind.value_type, (kind.list_size,)
    elif types.is_list(kind) or types.is_large_list(kind):
        kind, shape = kind.value_type, (_first_length(file, entry.name),)
    return Column(file.metadata.num_rows, shape, _numpy_type(kind))


def _numpy_type(kind: Any) -> np.dtype[Any]:
    """Return a dtype of the same kind; that of text for what holds no numbers."""
    from pyarrow import types  # noqa: PLC0415 - for this format alone

    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
        return np.dtype(kind.to_pandas_dtype())
    if types.is_decimal(kind) or types.is_null(kind):
        return np.dtype(float)
    return np.dtype("M8[s]" if types.is_date(kind) or types.is_timestamp(kind) else object)


def _first_length(file: Any, name: str) -> int:
    batch = next(file.iter_batches(1, columns=[name]), None)
    return 0 if batch is None else _lengths(batch.column(0))[0] or 0


def _lengths(lists: Any) -> list[int | None]:
    from pyarrow import compute  # noqa: PLC0415 - for this format alone

    found: list[int | None] = compute.list_value_length(lists).to_pylist()
    return found


def _floats(entries: Any) -> Array:
    import pyarrow as pa  # noqa: PLC0415 - for this format alone

    if not pa.types.is_float32(entries.type):
        entries = entries.cast(pa.float64(), safe=False)
    values: Array = entries.to_numpy(zero_copy_only=False)
    return values
