"""The rows of several campaigns as those of one, whose parameter is which of them made a row."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np

from .. import streams
from ..storage.reading import Block, Reader, View
from ..types import Array

DIGITS = "digits"
"""Column of numbers in [0, 1), one for each row: `estimators.classifier` draws halves by them."""


@dataclass(frozen=True)
class ModelBlock(Block):
    """A block of one of the campaigns.

    Attributes:
        model: Which of them.
    """

    model: int = 0


@dataclass(frozen=True)
class ModelRows(Reader):
    """Rows of several campaigns; their parameters are their model, as ones and zeros, and digits.

    Blocks of the campaigns take turns, and so do rows where some are collected, so that these have
    as large a share of each campaign as all rows, however large its blocks are.

    Attributes:
        readers: Of the campaigns.
        seed: Of the digits.
    """

    readers: Sequence[Reader] = ()
    seed: int = field(kw_only=True, default=1)

    @classmethod
    def of(cls, readers: Sequence[Reader], labels: Sequence[str], seed: int) -> ModelRows:
        """Return the rows of campaigns as those of models with labels."""
        first = readers[0]
        names = (*labels, DIGITS)
        return cls(
            blocks=_in_turns(readers),
            stored=names,
            names=names,
            x_shape=first.x_shape,
            x_dtype=str(np.result_type(*(each.x_dtype for each in readers))),
            split=first.split,
            noise=first.noise,
            missing=first.missing,
            known=first.known,
            readers=readers,
            seed=seed,
        )

    def counts(self) -> Counter[str]:
        """Return how many rows that worked are in each part, and how many ``failed``, in all."""
        return sum((each.counts() for each in self.readers), Counter())

    def collect(self, limits: Mapping[str, int]) -> dict[str, View]:
        """Return the first rows that worked of some parts, at most so many, with noise.

        Of each campaign in turn, so that any number of the first has its share of each.
        """
        counts = [each.counts() for each in self.readers]
        found: dict[str, list[View]] = {part: [] for part in limits}
        for model, own in enumerate(counts):
            alone = replace(self, blocks=[each for each in self.blocks if _of(each, model)])
            shares = {
                part: math.ceil(limit * own[part] / max(sum(each[part] for each in counts), 1))
                for part, limit in limits.items()
            }
            for part, view in super(ModelRows, alone).collect(shares).items():
                found[part].append(view)
        return {part: _rows_in_turns(views).head(limits[part]) for part, views in found.items()}

    def read(self, block: Block, *wanted: str) -> dict[str, View]:
        """Return the rows of a block that worked, by part, without noise that is drawn at load."""
        assert isinstance(block, ModelBlock)
        read = self.readers[block.model].read(block, *wanted)
        return {part: self._told(block, view) for part, view in read.items()}

    def observed(self, block: Block, view: View, part: str, epoch: int = 0) -> View:
        """Return rows of a whole block with noise and gaps; other epochs, others of them."""
        assert isinstance(block, ModelBlock)
        seen = self.readers[block.model].observed(block, view, part, epoch)
        return replace(
            seen, x=seen.x.astype(np.result_type(self.x_dtype, seen.x.dtype), copy=False)
        )

    def _told(self, block: ModelBlock, view: View) -> View:
        """Return rows with their model and digits as parameters."""
        theta = np.zeros((len(view.row), len(self.names)))
        theta[:, block.model] = 1
        stage = f"halves {self.names[block.model]}"
        digits = streams.uniforms(self.seed, stage, block.index, block.rows, 1)
        theta[:, -1] = digits[view.row - block.index, 0]
        return replace(view, theta=theta, names=self.names)


def _in_turns(readers: Sequence[Reader]) -> list[Block]:
    """Return the blocks of all campaigns, each where its rows lie among all of its campaign."""
    placed: list[tuple[float, int, Block]] = []
    for model, reader in enumerate(readers):
        whole, seen = reader.rows, 0
        for block in reader.blocks:
            own = {each.name: getattr(block, each.name) for each in fields(Block)}
            middle = (seen + block.count / 2) / max(whole, 1)
            placed.append((middle, model, ModelBlock(**own, model=model)))
            seen += block.count
    return [block for _, _, block in sorted(placed, key=lambda each: each[:2])]


def _of(block: Block, model: int) -> bool:
    assert isinstance(block, ModelBlock)
    return block.model == model


def _rows_in_turns(views: Sequence[View]) -> View:
    """Return rows of all campaigns, each where it lies among those of its campaign."""
    some = [view for view in views if len(view.row)] or [views[0]]
    places = np.concatenate([(np.arange(len(view.row)) + 0.5) / len(view.row) for view in some])
    order = np.argsort(places, kind="stable")
    joined = {
        name: np.concatenate([view.arrays[name] for view in some])[order] for name in some[0].arrays
    }
    return View(**joined, names=some[0].names)


def model_numbers(theta: Array) -> Array:
    """Return the number of the model of rows, ``(n,)``, from their parameters."""
    return np.asarray(theta[:, :-1].argmax(axis=1))
