"""The manifest of a campaign: the receipts of its shards joined, and which rows are for what.

A manifest lists rows of one simulation key, or ``stocks`` of several: the campaign's own, then
those that it reuses of other campaigns. Each stock keeps the indices, the seed and so the split and
the noise of its own key. Of a campaign within a box of the prior, a stock says which of its rows
lie inside.
"""

from __future__ import annotations

import base64
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import streams
from ..types import Array
from . import journal
from .arrays import FORMAT
from .failures import count_failures, distinct_failures
from .rows import read_outcomes, read_status

RECEIPT = (
    *("format", "key", "shard", "start", "rows", "names", "x_shape", "x_dtype"),
    *("failures", "examples", "simulator_seconds"),
)
SEVERAL, BOXED = 2, 3
"""Formats of a manifest of several keys, and of one whose rows are those within a box."""
AHEAD = 3
"""Times as many of the early rows are held out, and for so many times their number."""
FORMATS = (FORMAT, SEVERAL, BOXED)
ALIKE = {
    "parameters": "store_nuisance differs",
    "x_shape": "the simulator's shape depends on its parameters",
    "x_dtype": "the simulator's dtype depends on its parameters",
}
"""What rows of several keys must have in common, and why they may not."""


@dataclass(frozen=True)
class Stock:
    """Rows of one simulation key that a campaign lists.

    Attributes:
        simulation_key: The key.
        store: Folder of the shards, relative to the manifest's.
        rows: How many, the first ones.
        shards: Receipts of the shards that hold them.
        seed: Of their simulations; None for that of the campaign.
        block_size: Rows of one call of a vectorised simulator; None for that of the campaign.
        source: Where their parameters come from; None for the prior.
        within: Faces of a box to which they are confined beside that of the campaign, since they
            were simulated in a smaller one; None for no such box.
        inside: Which of the rows count, as `text_of_mask` writes it; None for all.
    """

    simulation_key: str
    store: str
    rows: int
    shards: Sequence[Mapping[str, Any]]
    seed: int | None = None
    block_size: int | None = None
    source: Mapping[str, Any] | None = None
    within: Mapping[str, Any] | None = None
    inside: str | None = None

    @property
    def rows_inside(self) -> Array | None:
        """Which of the rows count, ``(rows,)``; None for all."""
        return None if self.inside is None else mask_of_text(self.inside, self.rows)

    @property
    def count(self) -> int:
        """How many rows count."""
        inside = self.rows_inside
        return self.rows if inside is None else int(inside.sum())


FIELDS = tuple(Stock.__dataclass_fields__)


def receipt_names(others: int) -> list[str]:
    """Return what receipts are called, by key: the campaign's own, then those it reuses."""
    return ["receipts", *(f"reused receipts {number}" for number in range(1, others + 1))]


def stocks_of(content: Mapping[str, Any]) -> list[Stock]:
    """Return the rows that a manifest lists, by key, the campaign's own first."""
    return [
        Stock(**{name: each[name] for name in FIELDS if name in each})
        for each in content.get("stocks", [content])
    ]


def moved(content: Mapping[str, Any], stores: Sequence[str]) -> dict[str, Any]:
    """Return a manifest whose stocks lie in other folders."""
    listed = content.get("stocks", [content])
    there = [{**each, "store": store} for each, store in zip(listed, stores, strict=True)]
    return {**content, "stocks": there} if "stocks" in content else there[0]


def join_stocks(own: Mapping[str, Any], reused: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Join what `join_receipts` makes of several keys; ``reused`` have their seed and block size.

    Raises:
        ValueError: Their rows do not go together.
    """
    every = [own, *reused]
    boxed = any("inside" in each for each in every)
    if not (reused or boxed):
        return dict(own)
    for each in reused:
        for entry, hint in ALIKE.items():
            if each[entry] != own[entry]:
                raise ValueError(
                    f"{each['store']} has {entry} {each[entry]}, {own['store']} {own[entry]}; "
                    f"{hint}, so they make no one campaign"
                )
    failures: Counter[str] = Counter()
    for each in every:
        failures.update(each["failures"])
    stocks = [{name: each[name] for name in FIELDS if name in each} for each in every]
    of_stock = ("store", "shards", "source", "within", "inside")
    rest = {name: value for name, value in own.items() if name not in of_stock}
    return {
        **rest,
        "format": BOXED if boxed else SEVERAL,
        "rows": sum(Stock(**each).count for each in stocks),
        "failures": dict(failures),
        "examples": distinct_failures(example for each in every for example in each["examples"]),
        "seconds": round(sum(each["seconds"] for each in every), 3),
        "stocks": stocks,
    }


def join_receipts(
    receipts: Sequence[Path], *, rows: int, key: str, store: str, split: Mapping[str, Any]
) -> dict[str, Any]:
    """Join the receipts of shards of one key into the record of one campaign.

    Args:
        receipts: Receipt of each shard, in order, beside its store.
        rows: Simulations asked for; shards may hold more.
        key: Key of this stage.
        store: Folder of the shards, relative to the manifest's.
        split: What `split` needs: ``seed``, ``validation`` and ``test``.

    Raises:
        ValueError: The receipts do not fit together or hold too few rows.
    """
    if not receipts:
        raise ValueError("no receipts of shards; simulate first")
    shards = [journal.read_json(path, *RECEIPT) for path in receipts]
    for path, shard in zip(receipts, shards, strict=True):
        _check_receipt(path, shard, shards[0])
    held = _check_order(receipts, shards)
    if held < rows:
        raise ValueError(f"the shards hold {held} rows, {rows} were asked for; simulate the rest")
    failures: Counter[str] = Counter()
    for path, shard in zip(receipts, shards, strict=True):
        failures.update(_failures(path, shard, rows))
    return {
        "format": FORMAT,
        "key": key,
        "simulation_key": shards[0]["key"],
        "store": store,
        "parameters": shards[0]["names"],
        "rows": rows,
        "shards": shards,
        "failures": dict(failures),
        "examples": distinct_failures(
            example for shard in shards for example in shard["examples"] if example["row"] < rows
        ),
        "split": dict(split),
        "x_shape": shards[0]["x_shape"],
        "x_dtype": shards[0]["x_dtype"],
        "seconds": round(sum(shard["simulator_seconds"] for shard in shards), 3),
    }


def rows_within(
    joined: Mapping[str, Any], receipts: Sequence[Path], contains: Callable[[Array], Array]
) -> dict[str, Any]:
    """Return the record of `join_receipts` of the rows within a box alone.

    Args:
        joined: The record of all rows.
        receipts: Those it was made of.
        contains: Which of some rows lie inside, from their stored parameters, ``(n, dim)``.
    """
    masks, failures = [np.empty(0, bool)], Counter[str]()
    for path, shard in zip(receipts, joined["shards"], strict=True):
        wanted = min(joined["rows"] - shard["start"], shard["rows"])
        if wanted <= 0:
            continue
        parameters, status = read_outcomes(path.with_suffix(".zarr"), 0, wanted)
        masks.append(contains(parameters))
        failures.update(count_failures(status[masks[-1]]))
    inside = np.concatenate(masks)
    examples = [each for each in joined["examples"] if inside[each["row"]]]
    found = {"failures": dict(failures), "examples": examples, "inside": text_of_mask(inside)}
    return {**joined, **found}


def text_of_mask(mask: Array) -> str:
    """Write which of some rows count as text: compressed bits in base 64."""
    return base64.b64encode(zlib.compress(np.packbits(mask).tobytes())).decode()


def mask_of_text(text: str, rows: int) -> Array:
    """Return what `text_of_mask` wrote of so many rows, ``(rows,)``."""
    bits = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    return np.unpackbits(bits, count=rows).astype(bool)


def split(
    start: int, rows: int, *, seed: int, validation: float, test: float | Array, early: int = 0
) -> dict[str, Array]:
    """Assign simulations to training, validation and test by their global index alone.

    A row keeps its part when the campaign grows or others fail. Of few simulations a small
    fraction is too few to judge by: the first ``early`` rows can hold out those of three times as
    many.

    Args:
        start: Global index of the first row.
        rows: Number of consecutive rows.
        seed: Seed of the campaign.
        validation: Fraction for validation.
        test: Fraction for test, or the probability of each row to be for it, ``(rows,)``.
        early: Of so many rows, the first ones, three times that fraction, and of twice as many
            after them none.

    Returns:
        Masks ``train``, ``validation`` and ``test``, ``(rows,)``.

    Raises:
        ValueError: Fractions make no sense.
    """
    least, most = float(np.min(test)), float(np.max(test))
    if min(validation, least) < 0 or validation + (AHEAD if early else 1) * most >= 1:
        raise ValueError(
            f"validation {validation:g} and test {most:g} must be fractions, together below 1"
        )
    u = streams.uniforms(seed, "split", start, rows, 1)[:, 0]
    held_out: float | Array = test
    if start < AHEAD * early:
        index = np.arange(start, start + rows)
        held_out = np.where(index < AHEAD * early, AHEAD * test * (index < early), test)
    return {
        "train": u >= held_out + validation,
        "validation": (held_out <= u) & (u < held_out + validation),
        "test": u < held_out,
    }


def _check_receipt(path: Path, shard: Mapping[str, Any], first: Mapping[str, Any]) -> None:
    """Make sure that a shard is of the same campaign and data as the first one."""
    if shard.get("format") != FORMAT:
        raise ValueError(
            f"{path} has format {shard.get('format')!r}, this version reads {FORMAT}; delete it "
            "and simulate with one version"
        )
    for entry, hint in (
        ("key", "shards of two campaigns"),
        ("names", "shards of two campaigns"),
        ("x_shape", "the simulator's shape depends on its parameters"),
        ("x_dtype", "the simulator's dtype depends on its parameters"),
    ):
        if shard[entry] != first[entry]:
            raise ValueError(
                f"{path} has {entry} {shard[entry]}, the first shard {first[entry]}; {hint}"
            )


def _check_order(receipts: Sequence[Path], shards: Sequence[Mapping[str, Any]]) -> int:
    """Make sure that shards follow each other without gaps; return the rows they hold."""
    held = 0
    for path, shard in zip(receipts, shards, strict=True):
        if shard["start"] != held:
            raise ValueError(
                f"{path} starts at row {shard['start']}, the shards before it end at {held}; "
                "is one missing or not finished?"
            )
        held += shard["rows"]
    return held


def _failures(path: Path, shard: Mapping[str, Any], rows: int) -> dict[str, int]:
    """Return the failures of a shard by reason, of those rows that were asked for."""
    wanted = min(rows - shard["start"], shard["rows"])
    if wanted == shard["rows"]:
        return dict(shard["failures"])
    if wanted <= 0:
        return {}
    status = read_status(path.with_suffix(".zarr"), wanted)
    return count_failures(status)
