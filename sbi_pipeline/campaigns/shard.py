"""One shard of a campaign, from its parameters to its receipt: the public face of campaigns.

`simulate_shard` makes one shard whole. It plans tasks, each a part of one chunk; workers simulate,
write the chunk and return small records; this process alone appends them to the journal, which is
the commit. Killed at any moment, it resumes with the rows that no valid line of the journal names.
"""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..model import Model
from ..storage import chunks, journal
from ..storage.arrays import FORMAT
from ..storage.failures import Tally
from ..storage.journal import Journal
from ..storage.layout import Layout, create, read_layout
from ..storage.lease import Lease
from ..storage.prior import prior_rows, read_prior
from .first_rows import chunk_rows, first_look
from .functions import takes_many
from .missing_rows import simulate_missing
from .settings import Effort, Limits, require
from .tasks import Recipe, RowMaker, Work

log = logging.getLogger(__name__)

NO_LIMITS = Limits()
ONE_PROCESS = Effort()


def simulate_shard(
    *,
    prior: Path,
    store: Path,
    receipt: Path,
    model: Model,
    seed: int,
    key: str,
    shard: int | None = None,
    rows: int | None = None,
    block_size: int = 1000,
    keep: Sequence[str] | None = None,
    limits: Limits = NO_LIMITS,
    effort: Effort = ONE_PROCESS,
    stage: str = "simulate",
    observed: bool = False,
) -> dict[str, Any]:
    """Simulate the rows of a shard that are missing, then write its receipt.

    Args:
        prior: Store of the shard's parameters (`storage.prior.write_prior`).
        store: Store of the shard, made if it does not exist.
        receipt: JSON file, written last.
        model: What simulates.
        seed: Seed of the campaign.
        key: Simulation key; ``prior`` and an existing ``store`` must have it too.
        shard: Number of the shard; None to take it from the name of ``receipt``.
        rows: Rows asked for; None for all of ``prior``. A vectorised simulator makes whole blocks
            and keeps them: growing inside one then costs nothing.
        block_size: Rows a vectorised simulator is called on.
        keep: Names of the parameters to store; None for all.
        limits: What guards a call of the simulator.
        effort: How much is spent, and where.
        stage: What is simulated for; others have other random numbers.
        observed: Whether data are given the noise that is otherwise drawn at load.

    Returns:
        The receipt.

    Raises:
        ValueError: Parts do not belong together, or too many simulations failed.
    """
    require("block_size", block_size, "a number of rows, 1 or more", block_size >= 1)
    block = block_size if takes_many(model, limits) else None
    recipe = Recipe(model, seed, block, limits, stage, observed)
    return fill_shard(
        recipe,
        prior=prior,
        store=store,
        receipt=receipt,
        key=key,
        shard=shard,
        rows=rows,
        keep=keep,
        effort=effort,
    )


def fill_shard(
    recipe: RowMaker,
    *,
    prior: Path,
    store: Path,
    receipt: Path,
    key: str,
    shard: int | None = None,
    rows: int | None = None,
    keep: Sequence[str] | None = None,
    effort: Effort = ONE_PROCESS,
) -> dict[str, Any]:
    """Make the rows of a shard that are missing, then write its receipt; see `simulate_shard`.

    Args:
        recipe: How a row is made.
        prior: Store of the shard's parameters.
        store: Store of the shard.
        receipt: JSON file, written last.
        key: Simulation key.
        shard: Number of the shard.
        rows: Rows asked for.
        keep: Names of the parameters to store.
        effort: How much is spent, and where.
    """
    begin = time.perf_counter()
    start, rows = _check_prior(prior, key, recipe.block_size, rows)
    with _disk_trouble_named(store), Lease(store) as lease, Journal(store) as ledger:
        chunks.delete_partial_files(store)
        layout = read_layout(store)
        if layout is not None:
            chunks.delete_stale_files(store)
        cost = math.inf  # of a row, in seconds; unknown
        if layout is None:
            layout, cost = _make_store(prior, store, recipe, effort, rows, keep)
        _check_store(store, layout, key, start, recipe.block_size)
        work = Work(recipe, layout, prior, store)
        simulate_missing(work, effort, rows, cost, lease, ledger)
        number = int(receipt.stem.rpartition("-")[2]) if shard is None else shard
        return _write_receipt(receipt, work, number, time.perf_counter() - begin)


def _check_prior(
    prior: Path, key: str, block_size: int | None, rows: int | None
) -> tuple[int, int]:
    """Return the global index of the first row and how many rows to make."""
    _, _, attrs = read_prior(prior, slice(0, 0))
    if attrs["key"] != key:
        raise ValueError(f"{prior} was drawn for key {attrs['key']}, this is {key}; draw it again")
    held, start = prior_rows(prior), int(attrs["start"])
    rows = held if rows is None else rows
    if block_size is not None:
        if start % block_size:
            raise ValueError(
                f"{prior} starts at row {start}, inside a block of {block_size} rows; the size of "
                "a shard must be a multiple of block_size"
            )
        rows = math.ceil(rows / block_size) * block_size
    if not 0 < rows <= held:
        raise ValueError(f"{prior} holds {held} rows, wanted {rows}; draw that many (whole blocks)")
    return start, rows


def _make_store(
    prior: Path,
    store: Path,
    recipe: RowMaker,
    effort: Effort,
    rows: int,
    keep: Sequence[str] | None,
) -> tuple[Layout, float]:
    """Make an empty store that fits what the first rows show; return also the cost of a row."""
    if journal.read_records(store):
        raise ValueError(
            f"{store} has a journal but lost its zarr.json; 'sbi-pipeline repair' writes it anew, "
            "and no simulation is lost"
        )
    _, names, attrs = read_prior(prior, slice(0, 0))
    unknown = [name for name in keep or () if name not in names]
    if unknown:
        raise ValueError(f"keep names {', '.join(unknown)}; {prior} has {', '.join(names)}")
    kept = names if keep is None else tuple(name for name in names if name in keep)
    size, block = effort.chunk_size, recipe.block_size or 1
    if size is not None and size % block:
        raise ValueError(f"chunk_size is {size}; wanted a multiple of block_size {block}")
    # Guarded in any case: nothing is known of the simulator, and what it does costs no campaign.
    shape = first_look(recipe.guarded(), prior, rows, effort.max_failed_fraction)
    size = size or chunk_rows(shape, len(kept), rows, effort.workers, block)
    layout = Layout(attrs["key"], int(attrs["start"]), kept, shape.x_shape, shape.x_dtype, size)
    milliseconds = 1e3 * shape.seconds
    log.info("x is %s %s, %.3g ms a row", shape.x_dtype, shape.x_shape, milliseconds)
    create(store, layout, rows, effort.bucket)
    return layout, shape.seconds


def _check_store(store: Path, layout: Layout, key: str, start: int, block_size: int | None) -> None:
    """Make sure that an existing store is the one wanted."""
    if (layout.key, layout.start) != (key, start):
        raise ValueError(
            f"{store} was made for key {layout.key} from row {layout.start} on, wanted {key} and "
            f"{start}; was the folder copied or edited by hand?"
        )
    if layout.chunk_size % (block_size or 1):
        raise ValueError(
            f"{store} has chunks of {layout.chunk_size} rows, no multiple of block_size "
            f"{block_size}; block_size belongs to the key"
        )


@contextmanager
def _disk_trouble_named(store: Path) -> Iterator[None]:
    """Say what to do when there is no space left, or none that may be written."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = "make room and start again"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            hint = "allow writing there and start again, or use snakemake --directory"
        else:
            raise
        reason = os.strerror(error.errno)
        raise ValueError(f"{store}: {reason}; what is committed is kept, {hint}") from error


def _write_receipt(receipt: Path, work: Work, shard: int, seconds: float) -> dict[str, Any]:
    """Write what the shard holds, from its journal alone, and return it."""
    layout = work.layout
    tally = Tally(journal.committed(journal.read_records(work.shard)).values())
    content = {
        "format": FORMAT,
        "key": layout.key,
        "shard": shard,
        "start": layout.start,
        "rows": tally.rows,
        "failures": dict(tally.failures),
        "examples": tally.examples,
        "seconds": round(seconds, 3),
        "simulator_seconds": round(tally.simulator_seconds, 3),
        "names": list(layout.names),
        "x_shape": list(layout.x_shape),
        "x_dtype": layout.x_dtype,
        "chunk_size": layout.chunk_size,
        "hosts": sorted(tally.hosts),
    }
    partial = receipt.with_name(f"{receipt.name}.partial")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.replace(receipt)
    return content
