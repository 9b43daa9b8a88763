"""What a training reads: epochs of mini-batches, from memory or streamed from the store.

Streaming takes whole blocks in random order into a pool and gives out a random half of the pool
whenever it is full, so that a row meets rows of other blocks; memory is bounded by the pool, not by
the campaign. Portions are made in a thread while the training works on the one before. The order is
a function of seed and epoch.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch

from .. import streams
from ..storage.reading import Block, Reader, View
from ..types import Array
from .learner import Rows

MEMORY = 2e9
HELD_OUT = 100_000  # validation rows that are used, at most
SAMPLE = 100_000  # training rows that scales are fitted to, at most
LEAST = 1000  # rows in a pool and of each of these, whatever memory they take

Pair = tuple[Array, Array]
ToNormal = Callable[[Array], Array]


class Source(Protocol):
    """Rows to learn from, read once an epoch in an order of its own."""

    @property
    def rows(self) -> int:
        """Rows of an epoch."""

    def to(self, device: torch.device) -> Source:
        """Return the same rows, given out on a device."""

    def epoch(self, number: int, batches: int) -> Generator[Rows, None, None]:
        """Yield rows in random order, as so many batches of one size: a compiled step knows one.

        A remainder of fewer rows than batches is left out, another one each time.
        """

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
        """Yield rows in random order, as so many batches of one size."""
        size = self.rows // batches
        order = torch.randperm(self.rows)[: batches * size].to(self.z.device)
        for batch in order.view(batches, size):
            yield self.z[batch], self.x[batch]

    def identity(self) -> Iterator[Any]:
        """Yield the tensors."""
        for tensor in (self.z, self.x):
            yield tensor.cpu().contiguous().numpy()


@dataclass(frozen=True)
class Streamed:
    """Training rows read block by block, in every epoch.

    Attributes:
        reader: Of the campaign.
        to_normal: From parameters to standard-normal space.
        rows: Training rows in all.
        pool: Rows that are shuffled together.
        seed: Of the order.
        held: Training rows of each block, without noise, where they are kept in memory.
        device: Where batches are given out.
    """

    reader: Reader
    to_normal: ToNormal
    rows: int
    pool: int
    seed: int
    held: Sequence[View] | None = None
    device: torch.device | str = "cpu"

    def to(self, device: torch.device) -> Streamed:
        """Return the same rows, given out on a device."""
        return replace(self, device=device)

    def epoch(self, number: int, batches: int) -> Generator[Rows, None, None]:
        """Yield rows in random order, as so many batches of one size."""
        with closing(ahead(self._portions(number))) as portions:
            moved = (
                (torch.from_numpy(z).to(self.device), torch.from_numpy(x).to(self.device))
                for z, x in portions
            )
            yield from cut(moved, batches, self.rows // batches)

    def _portions(self, epoch: int) -> Iterator[Pair]:
        """Yield all rows, shuffled, in portions of half a pool."""
        rng = streams.generator(self.seed, "shuffle", epoch)
        pool: list[Pair] = []
        for number in rng.permutation(len(self.reader.blocks)):
            pool += self._block(int(number), epoch)
            if sum(len(z) for z, _ in pool) >= self.pool:
                z, x = map(np.concatenate, zip(*pool, strict=True))
                pool.clear()
                order = rng.permutation(len(z))
                out, stay = np.split(order, [len(z) // 2])
                pool.append((z[stay], x[stay]))
                portion = z[out], x[out]
                del z, x  # they would stay in memory while the training works
                yield portion
        z, x = map(np.concatenate, zip(*pool, strict=True))
        order = rng.permutation(len(z))
        yield z[order], x[order]

    def _block(self, number: int, epoch: int) -> list[Pair]:
        """Return the training rows of a block; nothing where it has none."""
        block = self.reader.blocks[number]
        view = self.reader.read(block, "train")["train"] if self.held is None else self.held[number]
        if not len(view.row):
            return []
        return [pair(self.reader.observed(block, view, "train", epoch), self.to_normal)]

    def identity(self) -> Iterator[Any]:
        """Yield what decides the rows and their order."""
        reader = self.reader
        records = [
            [block.index, block.rows, block.record["checksum"], *_marks(block)]
            for block in reader.blocks
        ]
        drawn = [None if each is None else asdict(each) for each in (reader.noise, reader.missing)]
        drawn = drawn[:1] if reader.missing is None else drawn
        settings = [reader.names, dict(reader.split), *drawn, self.pool, self.seed]
        yield json.dumps([*settings, records]).encode()


def _marks(block: Block) -> list[int]:
    """Return what tells which rows of a block belong to the campaign, where not all do."""
    return [] if block.inside is None else [zlib.crc32(np.packbits(block.inside).tobytes())]


def pair(view: View, to_normal: ToNormal) -> Pair:
    """Return parameters in standard-normal space, in single precision, and data."""
    z = to_normal(view.theta) if len(view.theta) else view.theta
    return z.astype(np.float32), view.x


def ahead(items: Iterator[Pair]) -> Generator[Pair, None, None]:
    """Yield items, making the next one in a thread meanwhile."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item
            del item


def cut(portions: Iterator[Rows], batches: int, size: int) -> Iterator[Rows]:
    """Yield consecutive rows of portions as so many batches of a size.

    Raises:
        ValueError: There are fewer rows.
    """
    z, x = next(portions)
    at = 0
    for _ in range(batches):
        batch: list[Rows] = []
        missing = size
        while missing:
            if at == len(z):
                following = next(portions, None)
                if following is None:
                    raise ValueError("the store lost rows while it was read; run again")
                (z, x), at = following, 0
            stop = min(at + missing, len(z))
            batch.append((z[at:stop], x[at:stop]))
            missing, at = missing - (stop - at), stop
        yield batch[0] if len(batch) == 1 else join(batch)


def join(batch: list[Rows]) -> Rows:
    """Return rows one after the other."""
    z, x = zip(*batch, strict=True)
    return torch.cat(z), torch.cat(x)


@dataclass(frozen=True)
class Training:
    """What a training starts from.

    Attributes:
        source: Training rows.
        held_out: Validation rows, all or the first `HELD_OUT` that fit.
        sample: The first training rows, for scales and choices.
        simulated: Rows of the campaign.
        failed: How many of them failed.
    """

    source: InMemory | Streamed
    held_out: InMemory
    sample: Rows
    simulated: int
    failed: int


def number_of_bytes(memory: float | str) -> int:
    """Return bytes written as a number or as a text such as ``"2 GB"``.

    Raises:
        ValueError: The text is no number of bytes.
    """
    if isinstance(memory, str):
        from dask.utils import parse_bytes  # noqa: PLC0415 - a quarter of a second

        return int(parse_bytes(memory))
    return int(memory)


def prepare(reader: Reader, to_normal: ToNormal, *, memory: float | str, seed: int) -> Training:
    """Read what fits in memory, and stream the training rows where they do not.

    Args:
        reader: Of the campaign.
        to_normal: From parameters to standard-normal space.
        memory: Bytes that the training rows may take, a number or such as ``"2 GB"``. If they take
            more they are streamed, and so many bytes are what pool, portions, validation rows and
            sample take together, about. With noise or gaps at load, twice as much in either case.
        seed: Of the order in which rows are streamed.

    Raises:
        ValueError: Rows are damaged or missing, none is left to train on, the noise at load fails,
            or ``memory`` makes no sense.
    """
    limit = number_of_bytes(memory)
    counts = reader.counts()
    check_counts(counts)
    row_bytes = _row_bytes(reader)
    fits = counts["train"] * row_bytes <= limit
    whole = fits and not reader.varies
    share = max(LEAST, int(limit / 8 / row_bytes))
    limits = {
        "train": counts["train"] if whole else min(counts["train"], SAMPLE, share),
        "validation": min(counts["validation"], HELD_OUT, share),
    }
    views = reader.collect(limits)
    train, held_out = (
        InMemory((torch.from_numpy(z), torch.from_numpy(x)))
        for z, x in (pair(views.pop(part), to_normal) for part in limits)
    )
    sample = train.z[:SAMPLE], train.x[:SAMPLE]
    numbers = reader.rows, counts["failed"]
    if whole:
        return Training(train, held_out, sample, *numbers)
    held = [reader.read(block, "train")["train"] for block in reader.blocks] if fits else None
    pool = max(LEAST, int(limit / 4 / row_bytes))
    source = Streamed(reader, to_normal, counts["train"], pool, seed, held)
    return Training(source, held_out, sample, *numbers)


def check_counts(counts: Mapping[str, int]) -> None:
    """Refuse a campaign whose failures leave nothing to learn from or to stop by."""
    empty = [part for part in ("train", "validation") if not counts[part]]
    if empty:
        raise ValueError(
            f"no row is left for {' and '.join(empty)}: {counts['failed']} simulations failed, "
            f"{counts['train']} of those that worked train and {counts['validation']} validate; "
            "see the reasons in simulations.json, or simulate more"
        )


def _row_bytes(reader: Reader) -> int:
    """Return the bytes that one row takes, with or without noise at load, what is more."""
    stored = np.dtype(reader.x_dtype).itemsize * math.prod(reader.x_shape)
    seen = reader.collect({"train": 1})["train"].x
    return 4 * len(reader.names) + max(stored, seen.itemsize * math.prod(seen.shape[1:]))
