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
from torch import Tensor

from .. import streams
from ..conditions import NO_CONDITIONS, Conditions
from ..storage.reading import Block, Reader, View
from ..types import Array
from .learner import Rows

MEMORY = 2e9
HELD_OUT = 100_000  # validation rows that are used, at most
SAMPLE = 100_000  # training rows that scales are fitted to, at most
LEAST = 1000  # rows in a pool and of each of these, whatever memory they take

Arrays = tuple[Array, ...]
"""Parameters and data, and weights where rows have some."""
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
        held: Parameters in standard-normal space, ``(n, theta_dim)``, data, ``(n, *x_shape)``, and
            weights, ``(n,)``, where rows have some.
    """

    def __init__(self, held: Rows) -> None:
        self.held = (held[0].float(), *held[1:])
        self.rows = len(self.z)

    @property
    def z(self) -> Tensor:
        """The parameters."""
        return self.held[0]

    @property
    def x(self) -> Tensor:
        """The data."""
        return self.held[1]

    def to(self, device: torch.device) -> InMemory:
        """Return the same rows on a device."""
        return InMemory(tuple(each.to(device) for each in self.held))

    def epoch(self, number: int, batches: int) -> Generator[Rows, None, None]:
        """Yield rows in random order, as so many batches of one size."""
        size = self.rows // batches
        order = torch.randperm(self.rows)[: batches * size].to(self.z.device)
        for batch in order.view(batches, size):
            yield tuple(each[batch] for each in self.held)

    def identity(self) -> Iterator[Any]:
        """Yield the tensors."""
        for tensor in self.held:
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
        weighted: Whether rows come with their weights.
        conditions: Known conditions that data are shown with.
    """

    reader: Reader
    to_normal: ToNormal
    rows: int
    pool: int
    seed: int
    held: Sequence[View] | None = None
    device: torch.device | str = "cpu"
    weighted: bool = False
    conditions: Conditions = NO_CONDITIONS

    def to(self, device: torch.device) -> Streamed:
        """Return the same rows, given out on a device."""
        return replace(self, device=device)

    def epoch(self, number: int, batches: int) -> Generator[Rows, None, None]:
        """Yield rows in random order, as so many batches of one size."""
        with closing(ahead(self._portions(number))) as portions:
            moved = (
                tuple(torch.from_numpy(each).to(self.device) for each in portion)
                for portion in portions
            )
            yield from cut(moved, batches, self.rows // batches)

    def _portions(self, epoch: int) -> Iterator[Arrays]:
        """Yield all rows, shuffled, in portions of half a pool."""
        rng = streams.generator(self.seed, "shuffle", epoch)
        pool: list[Arrays] = []
        for number in rng.permutation(len(self.reader.blocks)):
            pool += self._block(int(number), epoch)
            if sum(len(each[0]) for each in pool) >= self.pool:
                whole = [np.concatenate(each) for each in zip(*pool, strict=True)]
                pool.clear()
                order = rng.permutation(len(whole[0]))
                out, stay = np.split(order, [len(order) // 2])
                pool.append(tuple(each[stay] for each in whole))
                portion = tuple(each[out] for each in whole)
                del whole  # they would stay in memory while the training works
                yield portion
        whole = [np.concatenate(each) for each in zip(*pool, strict=True)]
        order = rng.permutation(len(whole[0]))
        yield tuple(each[order] for each in whole)

    def _block(self, number: int, epoch: int) -> list[Arrays]:
        """Return the training rows of a block; nothing where it has none."""
        block = self.reader.blocks[number]
        view = self.reader.read(block, "train")["train"] if self.held is None else self.held[number]
        if not len(view.row):
            return []
        observed = self.reader.observed(block, view, "train", epoch)
        return [arrays_of_view(observed, self.to_normal, self.weighted, self.conditions)]

    def identity(self) -> Iterator[Any]:
        """Yield what decides the rows and their order."""
        reader = self.reader
        records = [
            [block.index, block.rows, block.record["checksum"], *_marks(block)]
            for block in reader.blocks
        ]
        drawn = [None if each is None else asdict(each) for each in (reader.noise, reader.missing)]
        drawn = drawn[:1] if reader.missing is None else drawn
        names = [*reader.names, *reader.known]
        settings: list[Any] = [names, dict(reader.split), *drawn, self.pool, self.seed]
        settings += [repr(reader.weighing)] if self.weighted else []
        yield json.dumps([*settings, records]).encode()


def _marks(block: Block) -> list[int]:
    """Return what tells which rows of a block belong to the campaign, where not all do."""
    return [] if block.inside is None else [zlib.crc32(np.packbits(block.inside).tobytes())]


def arrays_of_view(
    view: View, to_normal: ToNormal, weighted: bool, conditions: Conditions
) -> Arrays:
    """Return parameters in standard-normal space, data as shown, and weights if any.

    Parameters and weights are in single precision.
    """
    z = to_normal(view.theta) if len(view.theta) else view.theta
    weights = (view.weight,) if weighted and view.weight is not None else ()
    shown = conditions.beside(view.x, view.known)
    return (z.astype(np.float32), shown, *(each.astype(np.float32) for each in weights))


def ahead(items: Iterator[Arrays]) -> Generator[Arrays, None, None]:
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
    portion = next(portions)
    at = 0
    for _ in range(batches):
        batch: list[Rows] = []
        missing = size
        while missing:
            if at == len(portion[0]):
                following = next(portions, None)
                if following is None:
                    raise ValueError("the store lost rows while it was read; run again")
                portion, at = following, 0
            stop = min(at + missing, len(portion[0]))
            batch.append(tuple(each[at:stop] for each in portion))
            missing, at = missing - (stop - at), stop
        yield batch[0] if len(batch) == 1 else join(batch)


def join(batch: list[Rows]) -> Rows:
    """Return rows one after the other."""
    return tuple(torch.cat(each) for each in zip(*batch, strict=True))


@dataclass(frozen=True)
class Training:
    """What a training starts from.

    Attributes:
        source: Training rows.
        held_out: Validation rows, all or the first `HELD_OUT` that fit.
        sample: The first training rows, for scales and choices; where rows have weights, some of
            these, which follow the prior.
        simulated: Rows of the campaign.
        failed: How many of them failed.
        x_shape: Shape of one data set, without the known conditions it is packed with.
    """

    source: InMemory | Streamed
    held_out: InMemory
    sample: Rows
    simulated: int
    failed: int
    x_shape: tuple[int, ...]


def number_of_bytes(memory: float | str) -> int:
    """Return bytes written as a number or as a text such as ``"2 GB"``.

    Raises:
        ValueError: The text is no number of bytes.
    """
    if isinstance(memory, str):
        from dask.utils import parse_bytes  # noqa: PLC0415 - a quarter of a second

        return int(parse_bytes(memory))
    return int(memory)


def prepare(
    reader: Reader,
    to_normal: ToNormal,
    *,
    memory: float | str,
    seed: int,
    weighted: bool = False,
    conditions: Conditions = NO_CONDITIONS,
) -> Training:
    """Read what fits in memory, and stream the training rows where they do not.

    Args:
        reader: Of the campaign.
        to_normal: From parameters to standard-normal space.
        memory: Bytes that the training rows may take, a number or such as ``"2 GB"``. If they take
            more they are streamed, and so many bytes are what pool, portions, validation rows and
            sample take together, about. With noise or gaps at load, twice as much in either case.
        seed: Of the order in which rows are streamed.
        weighted: Whether rows come with their weights, where they have some.
        conditions: Known conditions that data are shown with.

    Raises:
        ValueError: Rows are damaged or missing, none is left to train on, the noise at load fails,
            or ``memory`` makes no sense.
    """
    limit = number_of_bytes(memory)
    counts = reader.counts()
    check_counts(counts)
    row_bytes = _row_bytes(reader, conditions)
    fits = counts["train"] * row_bytes <= limit
    whole = fits and not reader.varies
    share = max(LEAST, int(limit / 8 / row_bytes))
    limits = {
        "train": counts["train"] if whole else min(counts["train"], SAMPLE, share),
        "validation": min(counts["validation"], HELD_OUT, share),
    }
    views = reader.collect(limits)
    told = reader.rows, counts["failed"], views["train"].x.shape[1:]
    train, held_out = (
        InMemory(
            tuple(
                map(
                    torch.from_numpy,
                    arrays_of_view(views.pop(part), to_normal, weighted, conditions),
                )
            )
        )
        for part in limits
    )
    sample = sample_of(tuple(each[:SAMPLE] for each in train.held), seed)
    if whole:
        return Training(train, held_out, sample, *told)
    held = [reader.read(block, "train")["train"] for block in reader.blocks] if fits else None
    pool = max(LEAST, int(limit / 4 / row_bytes))
    rows = counts["train"]
    source = Streamed(
        reader,
        to_normal,
        rows,
        pool,
        seed,
        held,
        weighted=weighted,
        conditions=conditions,
    )
    return Training(source, held_out, sample, *told)


def sample_of(rows: Rows, seed: int) -> Rows:
    """Return parameters and data of rows that follow the prior: all, or some by their weights.

    They are as many as the rows are worth, taken at even steps of the sum of weights: few come
    twice.
    """
    z, x, *weights = rows
    if not weights:
        return z, x
    total = weights[0].double().cumsum(0)
    count = max(2, int(total[-1] ** 2 / weights[0].double().square().sum()))
    begin = float(streams.generator(seed, "sample", 0).random())
    wanted = (torch.arange(count, dtype=torch.double) + begin) * (total[-1] / count)
    places = torch.searchsorted(total, wanted).clamp(max=len(z) - 1)
    return z[places], x[places]


def check_counts(counts: Mapping[str, int]) -> None:
    """Refuse a campaign whose failures leave nothing to learn from or to stop by."""
    empty = [part for part in ("train", "validation") if not counts[part]]
    if empty:
        raise ValueError(
            f"no row is left for {' and '.join(empty)}: {counts['failed']} simulations failed, "
            f"{counts['train']} of those that worked train and {counts['validation']} validate; "
            "see the reasons in simulations.json, or simulate more"
        )


def _row_bytes(reader: Reader, conditions: Conditions) -> int:
    """Return the bytes that one row takes, with or without noise at load, what is more."""
    stored = np.dtype(reader.x_dtype).itemsize * math.prod(reader.x_shape)
    one = reader.collect({"train": 1})["train"]
    seen = conditions.beside(one.x, one.known)
    return 4 * len(reader.names) + max(stored, seen.itemsize * math.prod(seen.shape[1:]))
