"""Missing elements: which elements of the data are not there, drawn whenever rows are read.

A campaign says how gaps arise: by chance, element by element or in runs and blocks, or as in the
rows of a file of masks. They are drawn after the noise, NaN takes the place of the value, and that
NaN is the mask for all that reads. A training sees other gaps in each epoch; validation and test
rows get one draw, the same for every estimator. A simulator may also return NaN itself.

Streams go by campaign seed, part of the split, epoch and global index of the row.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from .. import streams
from ..tables import open_table
from ..types import Array

TO_DECLARE = "say how gaps arise under 'missing' of the campaign"
"""What to do about NaN in data, in messages."""

WORDS = {"true": "1", "false": "0"}
Lengths = int | Sequence[int]


@dataclass(frozen=True)
class MissingElements:
    """Takes elements away from data.

    Attributes:
        seed: Seed of the campaign.
        probability: That an element is missing; None where that is not how gaps arise.
        length: Of a run of missing elements, or of a block along each axis of the data.
        patterns: File with masks to draw from, one a row: 1 where an element is there, 0 where it
            is missing.
        rows: Whether simulated rows have NaN themselves, and nothing is drawn.
    """

    seed: int
    probability: float | None = None
    length: Lengths = 1
    patterns: str | None = None
    rows: bool = False

    def __call__(
        self, x: Array, row: Array, part: str, epoch: int = 0, *, seed: int | None = None
    ) -> Array:
        """Return data with NaN for what is missing, ``(n, *x_shape)``.

        Args:
            x: Data, ``(n, *x_shape)``.
            row: Their indices in their key, ``(n,)``.
            part: Of the split.
            epoch: Of the training.
            seed: Of another campaign, whose rows they are.

        Raises:
            ValueError: Masks do not fit the data.
        """
        if self.rows or not len(x):
            return x
        at = streams.indexed(self.seed if seed is None else seed, f"missing/{part}/{epoch}")
        missing = self._masks(x.shape[1:], (at(int(each)) for each in row))
        return np.where(missing, np.nan, x).astype(np.result_type(x.dtype, np.float32), copy=False)

    def check(self, x_shape: tuple[int, ...]) -> None:
        """Refuse lengths and masks that do not fit data of a shape.

        Raises:
            ValueError: They do not.
        """
        if self.patterns is not None:
            self.given_masks(x_shape)
        elif self.probability is not None:
            self._lengths(x_shape)

    def _masks(self, shape: tuple[int, ...], each: Iterable[np.random.Generator]) -> Array:
        """Return which elements are missing, ``(n, *x_shape)`` of bool, one data set a stream."""
        if self.patterns is not None:
            known = self.given_masks(shape)
            return known[[int(rng.integers(len(known))) for rng in each]]
        assert self.probability is not None
        lengths = self._lengths(shape)
        # Blocks begin everywhere alike, also before the data: an element is missing if any of
        # those begins that would reach it.
        begins = 1 - (1 - self.probability) ** (1 / math.prod(lengths))
        wider = tuple(n + length - 1 for n, length in zip(shape, lengths, strict=True))
        missing = np.stack([rng.random(wider) < begins for rng in each])
        for axis, length in enumerate(lengths, start=1):
            windows = np.lib.stride_tricks.sliding_window_view(missing, length, axis)
            missing = np.asarray(windows.any(-1))
        return missing

    def _lengths(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the length of a block along each axis of the data."""
        given = self.length
        lengths = (given,) * len(shape) if isinstance(given, int) else tuple(given)
        if len(lengths) != len(shape):
            raise ValueError(
                f"length is {list(lengths)}; the data have shape {shape}: wanted one number, or "
                f"{len(shape)} of them"
            )
        return lengths

    def given_masks(self, shape: tuple[int, ...]) -> Array:
        """Return which elements are missing in each mask of the file, ``(masks, *x_shape)``.

        Raises:
            ValueError: They do not fit data of that shape.
        """
        held = self._held
        if math.prod(held.shape[1:]) != math.prod(shape):
            raise ValueError(
                f"patterns {self.patterns}: a mask has shape {held.shape[1:]}; the data have "
                f"{shape}: wanted a row of {math.prod(shape)} numbers for each mask"
            )
        return held.reshape(-1, *shape)

    @cached_property
    def _held(self) -> Array:
        """What is missing in each mask of the file, ``(masks, ...)``, as the file has it."""
        return read_patterns(Path(str(self.patterns)))


def read_patterns(path: Path) -> Array:
    """Return which elements are missing, ``(masks, ...)``, of a file of ones and zeros.

    Raises:
        ValueError: It holds something else, or a mask in which all is missing.
    """
    try:
        there = _ones_and_zeros(path)
    except Exception as error:
        raise ValueError(f"patterns {path}: {error}") from error
    empty = ~there.reshape(len(there), -1).any(axis=1)
    if empty.any():
        text = f"all is missing in its mask {int(empty.argmax())}, counted from 0"
        raise ValueError(f"patterns {path}: {text}; leave it out")
    return ~there


def _ones_and_zeros(path: Path) -> Array:
    """Return what is there, ``(masks, ...)`` of bool."""
    if not path.is_file():
        raise ValueError(f"no such file (looked in {Path.cwd()})")
    if path.suffix.lower() in (".npy", ".npz"):
        table = open_table(path)
        values = table.numbers([""], 0, table.columns[""].rows)[:, 0]
    else:
        values = _of_text(path)
    if not values.size or values.ndim < 2:
        raise ValueError(f"it has shape {values.shape}; wanted a mask a row")
    other = values[~np.isin(values, (0, 1))]
    if other.size:
        raise ValueError(
            f"it holds {other.flat[0]:g}; wanted 1 where an element is there, 0 where it is missing"
        )
    return values == 1


def _of_text(path: Path) -> Array:
    """Return the rows of numbers of a text file, without a header."""
    lines = [line for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    cells = [re.split(r"[\s,;]+", line.strip().lower()) for line in lines if line[0] != "#"]
    rows = [[WORDS.get(each, each) for each in row] for row in cells]
    if rows and not all(each in ("0", "1", "0.0", "1.0") for each in rows[0]):
        del rows[0]
    if len({len(row) for row in rows}) > 1:
        raise ValueError("its rows differ in length; wanted a number for each element in each row")
    return np.array(rows, dtype=float)
