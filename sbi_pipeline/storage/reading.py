"""Simulations as they are read for training, calibration and the report: block by block.

A block is what one line of a journal committed, rows of one chunk. Whenever its data are read, all
its bytes are compared with the checksum in that line. The nuisance parameters are dropped here, and
noise and gaps that were left for loading are drawn here. Rows of several keys are read one key
after the other, and keep the split, the noise and the gaps that they have in a campaign of their
own. Of a campaign within a box of the prior, rows outside are passed over.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..types import Array, Outcome
from . import journal
from .layout import Layout, read_layout
from .manifest import FORMATS, Stock, split, stocks_of
from .missing_elements import MissingElements
from .noise import Noise
from .rows import Rows, read_outcomes, read_record
from .weights import Weighing

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class View:
    """Simulations that worked, ``n`` of them, in the order of their rows.

    Attributes:
        theta: Parameters, ``(n, theta_dim)``, columns in the order of ``names``.
        x: Data, ``(n, *x_shape)``, in the simulator's dtype.
        row: Index of each simulation in the campaign, ``(n,)``.
        names: Names of the columns of ``theta``.
        weight: Of each, with a mean of about one, ``(n,)``; None where all count alike.
        known: Known conditions, ``(n, known)``; of no columns where there are none.
    """

    theta: Array
    x: Array
    row: Array
    names: tuple[str, ...]
    weight: Array | None = None
    known: Array = field(default_factory=lambda: np.empty((0, 0)))

    @property
    def arrays(self) -> dict[str, Array]:
        """What there is of each row, by name."""
        found = {"theta": self.theta, "x": self.x, "row": self.row, "known": self.known}
        return found if self.weight is None else {**found, "weight": self.weight}

    def head(self, rows: int) -> View:
        """Return the first rows."""
        return View(**{name: each[:rows] for name, each in self.arrays.items()}, names=self.names)


@dataclass(frozen=True)
class Block:
    """Consecutive committed rows.

    Attributes:
        store: The shard they lie in.
        layout: Its layout.
        record: Their record in its journal.
        rows: How many of them the campaign lists, from the first on.
        offset: Index in the campaign of the first row of their key.
        seed: Of their simulations; None for that of the campaign.
        block_size: Rows of one call of a vectorised simulator; None for that of the campaign.
        inside: Which of the rows belong to it, ``(rows,)``; None for all.
        stock: Place of their key among those of the manifest.
    """

    store: Path
    layout: Layout
    record: Mapping[str, Any]
    rows: int
    offset: int = 0
    seed: int | None = None
    block_size: int | None = None
    inside: Array | None = None
    stock: int = 0

    @property
    def count(self) -> int:
        """How many of the rows belong to the campaign."""
        return self.rows if self.inside is None else int(self.inside.sum())

    @property
    def start(self) -> int:
        """Index of the first row among those of its key, by which streams go."""
        return int(self.layout.start + self.record["start"])

    @property
    def index(self) -> int:
        """Index of the first row in the campaign."""
        return self.offset + self.start

    def read(self) -> Rows:
        """Return the rows, every byte checked."""
        return read_record(self.store, self.layout, self.record).head(self.rows)

    def outcomes(self) -> tuple[Array, Array]:
        """Return parameters and status; Zarr checks them, the journal's checksum is not compared.

        Parameters are those that were stored, ``(count, n_parameters)``.
        """
        first = self.record["start"]
        parameters, status = read_outcomes(self.store, first, first + self.rows)
        return parameters[self.chosen], status[self.chosen]

    @property
    def chosen(self) -> Array | slice:
        """An index of the rows that belong to the campaign."""
        return slice(None) if self.inside is None else self.inside


@dataclass(frozen=True)
class Reader:
    """The rows of a campaign, the same ones in the same parts for every estimator.

    Attributes:
        blocks: All rows, in order.
        stored: Names of the parameters in the store.
        names: Names of the parameters to keep, in order.
        x_shape: Shape of one data set, without noise that is drawn at load.
        x_dtype: Its dtype.
        split: Arguments of `manifest.split`; may be empty where only ``all`` rows are read.
        noise: What draws the noise at load, if there is any.
        missing: What draws which elements are missing, if any are.
        weighing: How rows are weighed that were drawn from another density than the prior. Test
            rows are then only those that follow the prior.
        known: Names of the known conditions to keep beside them, in order.
    """

    blocks: Sequence[Block]
    stored: tuple[str, ...]
    names: tuple[str, ...]
    x_shape: tuple[int, ...]
    x_dtype: str
    split: Mapping[str, Any]
    noise: Noise | None = None
    missing: MissingElements | None = None
    weighing: Weighing | None = None
    known: tuple[str, ...] = ()

    @property
    def varies(self) -> bool:
        """Whether rows are not the same in every epoch."""
        return self.noise is not None or (self.missing is not None and not self.missing.rows)

    def counts(self) -> Counter[str]:
        """Return how many rows that worked are in each part, and how many ``failed`` in all.

        Reads status only, and that only where a row failed.
        """
        found: Counter[str] = Counter()
        for block in self.blocks:
            good = np.ones(block.count, bool)
            if block.record["failures"]:
                good = block.outcomes()[1] == Outcome.OK
            found["failed"] += int((~good).sum())
            for part, mask in self.masks(block).items():
                found[part] += int((good & mask[block.chosen]).sum())
        return found

    def masks(self, block: Block) -> dict[str, Array]:
        """Return which rows of a block are for what, as in a campaign of their key alone."""
        own: dict[str, Any] = {} if block.seed is None else {"seed": block.seed}
        if self.weighing is not None:
            first = block.record["start"]
            theta, _ = read_outcomes(block.store, first, first + block.rows)
            own |= {"test": self.weighing.held_out(theta, self.split["test"]), "early": 0}
        return split(block.start, block.rows, **{**self.split, **own})

    def read(self, block: Block, *wanted: str) -> dict[str, View]:
        """Return the rows of a block that worked, by part, without noise that is drawn at load."""
        if not block.count:  # of an earlier round, none of whose rows lies in the box
            return dict.fromkeys(wanted, self._nothing)
        rows = block.read()
        good = rows.status == Outcome.OK
        if block.inside is not None:
            good &= block.inside
        masks = {"all": good}
        if set(wanted) - {"all"}:
            masks |= self.masks(block)
        found = {}
        for part in wanted:
            index = np.flatnonzero(good & masks[part])
            theta, known = (
                rows.parameters[index][:, self.columns(names)] for names in (self.names, self.known)
            )
            weight = self._weights(rows.parameters[index], part)
            found[part] = View(theta, rows.x[index], block.index + index, self.names, weight, known)
        return found

    def columns(self, names: Sequence[str]) -> list[int]:
        """Return the places of some parameters among those in the store."""
        return [self.stored.index(name) for name in names]

    def _weights(self, parameters: Array, part: str) -> Array | None:
        """Return the weights of rows of a part; None where all count alike, as those of tests."""
        if self.weighing is None or part == "test":
            return None
        if part == "train":
            fractions = self.split["validation"], self.split["test"]
            return self.weighing.of_training(parameters, *fractions)
        return self.weighing.weights(parameters)

    def observed(self, block: Block, view: View, part: str, epoch: int = 0) -> View:
        """Return rows of a whole block with noise and gaps; other epochs, others of them.

        There must be some: of none nobody knows the shape that noise gives them.
        """
        x, row = view.x, view.row - block.offset
        if self.noise is not None:
            own = {"seed": block.seed, "block_size": block.block_size}
            gaps = self.missing is not None and self.missing.rows
            x = self.noise(x, row, part, epoch, gaps=gaps, **own)
        if self.missing is not None:
            x = self.missing(x, row, part, epoch, seed=block.seed)
        return replace(view, x=x)

    def collect(self, limits: Mapping[str, int]) -> dict[str, View]:
        """Return the first rows that worked of some parts, at most so many, with noise.

        Reads no further than needed. Memory is taken as it is filled.
        """
        found = {part: _Filling(limit) for part, limit in limits.items()}
        for block in self.blocks:
            wanted = [part for part, filling in found.items() if not filling.full]
            if not wanted:
                break
            for part, view in self.read(block, *wanted).items():
                if len(view.row):
                    found[part].add(self.observed(block, view, part))
        return {part: filling.view(self._nothing) for part, filling in found.items()}

    @property
    def _nothing(self) -> View:
        """No rows."""
        theta, known = (np.empty((0, len(names))) for names in (self.names, self.known))
        x = np.empty((0, *self.x_shape), self.x_dtype)
        return View(theta, x, np.empty(0, np.int64), self.names, known=known)

    @property
    def rows(self) -> int:
        """How many rows the campaign has, failed ones counted."""
        return sum(block.count for block in self.blocks)

    def outcomes(self, rows: int) -> tuple[Array, Array]:
        """Return stored parameters, ``(n, n_parameters)``, and status of the first rows."""
        theta, status = zip(*(block.outcomes() for block in self._first(rows)), strict=True)
        return np.concatenate(theta)[:rows], np.concatenate(status)[:rows]

    def first_masks(self, rows: int) -> dict[str, Array]:
        """Return which of the first rows are for what, each ``(rows,)``."""
        found = [(block.chosen, self.masks(block)) for block in self._first(rows)]
        return {
            part: np.concatenate([masks[part][chosen] for chosen, masks in found])[:rows]
            for part in PARTS
        }

    def _first(self, rows: int) -> Iterator[Block]:
        """Yield the blocks that hold the first rows."""
        seen = 0
        for block in self.blocks:
            if seen >= rows:
                return
            yield block
            seen += block.count

    def some_parameters(self, rows: int) -> Array:
        """Return stored parameters of about so many rows, of blocks that are evenly spread."""
        step = max(1, round(self.rows / rows))
        return np.concatenate([block.outcomes()[0] for block in self.blocks[::step]])


class _Filling:
    """Arrays of a fixed length that blocks are copied into."""

    def __init__(self, limit: int) -> None:
        self.limit, self.filled = limit, 0
        self.held: View | None = None

    @property
    def full(self) -> bool:
        return self.filled >= self.limit

    def add(self, view: View) -> None:
        if self.held is None:
            empty = {
                name: np.empty((self.limit, *each.shape[1:]), each.dtype)
                for name, each in view.arrays.items()
            }
            self.held = View(**empty, names=view.names)
        rows = slice(self.filled, min(self.filled + len(view.row), self.limit))
        for name, each in view.arrays.items():
            self.held.arrays[name][rows] = each[: rows.stop - rows.start]
        self.filled = rows.stop

    def view(self, nothing: View) -> View:
        if self.held is None:
            return nothing
        some = {name: each[: self.filled] for name, each in self.held.arrays.items()}
        return View(**some, names=self.held.names)


def open_campaign(
    manifest: Path,
    names: Sequence[str] | None = None,
    noise: Noise | None = None,
    known: Sequence[str] = (),
    missing: MissingElements | None = None,
) -> Reader:
    """Find the rows of a campaign without reading them.

    Args:
        manifest: The campaign's manifest.
        names: Parameters to keep, in this order; None for all that are stored.
        noise: What draws the noise at load.
        known: Known conditions to keep beside them.
        missing: What draws which elements are missing.

    Raises:
        ValueError: Rows are missing, or a name is not stored.
    """
    content = json.loads(manifest.read_text())
    if (made := content["format"]) not in FORMATS:
        raise ValueError(f"{manifest} has format {made!r}; delete it and run snakemake again")
    stored = tuple(content["parameters"])
    names = stored if names is None else tuple(names)
    unknown = [name for name in (*names, *known) if name not in stored]
    if unknown:
        raise ValueError(
            f"{', '.join(unknown)} not among the stored parameters ({', '.join(stored)}); is it "
            "misspelt, or a nuisance parameter that store_nuisance: false left out?"
        )
    return Reader(
        blocks=list(_all_blocks(manifest.parent, stocks_of(content))),
        stored=stored,
        names=names,
        x_shape=tuple(content["x_shape"]),
        x_dtype=content["x_dtype"],
        split=content["split"],
        noise=noise,
        missing=missing,
        weighing=weighing_of(content),
        known=tuple(known),
    )


def weighing_of(content: Mapping[str, Any]) -> Weighing | None:
    """Return how the rows of a manifest are weighed; None where all count alike."""
    told = content.get("weights")
    if told is None or told["drawn_from"] is None:
        return None
    return Weighing.of(told, content["parameters"])


def load_simulations(manifest: Path | str, names: Sequence[str] | None = None) -> View:
    """Read all simulations of a campaign that worked into memory, every byte checked.

    Args:
        manifest: The campaign's manifest.
        names: Parameters to keep, in this order; None for all that are stored.

    Raises:
        ValueError: A chunk is damaged or missing, or a name is not stored.
    """
    reader = open_campaign(Path(manifest), names)
    return reader.collect({"all": reader.rows})["all"]


def _all_blocks(folder: Path, stocks: Sequence[Stock]) -> Iterator[Block]:
    """Yield the blocks of a campaign in order."""
    offset = 0
    for place, stock in enumerate(stocks):
        own: dict[str, Any] = {
            "stock": place,
            "offset": offset,
            "seed": stock.seed,
            "block_size": stock.block_size,
        }
        inside = stock.rows_inside
        for shard in stock.shards:
            wanted = min(stock.rows - shard["start"], shard["rows"])
            if wanted <= 0:
                continue
            path = folder / stock.store / f"shard-{shard['shard']}.zarr"
            for block in blocks(path, shard["key"], wanted):
                rows = slice(block.start, block.start + block.rows)
                yield replace(block, **own, inside=None if inside is None else inside[rows])
        offset += stock.rows


def blocks(path: Path, key: str, stop: int) -> Iterator[Block]:
    """Yield the committed blocks of a shard up to the local row ``stop``.

    Raises:
        ValueError: The store is another one, or rows are missing.
    """
    layout = read_layout(path)
    if layout is None or layout.key != key:
        raise ValueError(f"{path} is not the store of key {key}; simulate again")
    end = 0
    for start, record in journal.committed(journal.read_records(path)).items():
        if start != end or end >= stop:
            break
        end = record["stop"]
        yield Block(path, layout, record, min(end, stop) - start)
    if end < stop:
        raise ValueError(f"{path} holds {end} rows in sequence, wanted {stop}; simulate again")
