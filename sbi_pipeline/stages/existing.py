"""Simulations that are there already: `import_rows` takes them into the ledger."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..campaigns.imports import ImportedRows
from ..campaigns.settings import Effort
from ..campaigns.shard import fill_shard
from ..existing.inventory import FileRows, RowsReader
from ..storage.prior import prior_rows, read_prior, write_prior
from ..types import Array
from .simulations import effort_of

logger = logging.getLogger(__name__)


def import_rows(
    *,
    receipt: Path,
    existing: Mapping[str, Any],
    parameters: Sequence[str],
    start: int,
    rows: int,
    total: int,
    block_size: int,
    shard_size: int,
    key: str,
    keep: Sequence[str] | None = None,
    gaps: bool = False,
    effort: Effort | None = None,
    threads: int = 1,
) -> None:
    """Take rows of one shard, from ``start`` on, from the user's files into its store.

    Whole blocks are taken, of the ``total`` that there are; a row with NaN in its data is a failed
    one, unless with ``gaps`` that stands for missing elements. A killed run goes on with the rows
    that are missing.

    Reads: the files that ``existing`` lists. Writes: the store of parameters
    ``prior-{shard}.zarr`` and the store ``shard-{shard}.zarr`` beside ``receipt``, and last the
    receipt.

    Raises:
        ValueError: A file was edited or cannot be read, or a parameter is NaN or infinite.
    """
    found = FileRows.of_json(existing)
    found.check_unchanged()
    shard = int(receipt.stem.rpartition("-")[2])
    prior = receipt.with_name(f"prior-{shard}.zarr")
    whole = min(-(-rows // block_size) * block_size, shard_size)
    if not _is_there(prior, key, start, whole):
        begun = time.monotonic()
        theta = _parameters(RowsReader(found), start, whole, block_size, parameters)
        write_prior(prior, theta, parameters, key=key, start=start)
        logger.info("parameters of %d rows read in %.1f s", whole, time.monotonic() - begun)
    logger.info("%d of %d rows are imported, from row %d on", rows, total, start)
    fill_shard(
        ImportedRows(found, block_size, gaps),
        prior=prior,
        store=receipt.with_suffix(".zarr"),
        receipt=receipt,
        key=key,
        rows=rows,
        keep=keep,
        effort=effort_of(effort, threads),
    )
    found.check_unchanged()


def _is_there(prior: Path, key: str, start: int, rows: int) -> bool:
    if not prior.exists():
        return False
    try:
        _, _, attrs = read_prior(prior, slice(0, 0))
        return (attrs["key"], attrs["start"], prior_rows(prior)) == (key, start, rows)
    except ValueError:
        return False  # written anew


def _parameters(
    reader: RowsReader, start: int, rows: int, block: int, names: Sequence[str]
) -> Array:
    """Return the parameters of some rows, ``(rows, dim)``.

    Raises:
        ValueError: One is NaN or infinite.
    """
    found = np.empty((rows, len(names)))
    for first in range(0, rows, block):
        theta = reader.parameters(start + first, min(block, rows - first))
        bad = ~np.isfinite(theta)
        if bad.any():
            row, column = (int(each[0]) for each in np.nonzero(bad))
            place = reader.place(start + first + row)
            value = theta[row, column]
            raise ValueError(f"{place}: {names[column]} is {value}; leave out this row")
        found[first : first + len(theta)] = theta
    return found
