"""From parameters to simulations in the store: the public face of a campaign.

`simulate` makes one shard whole. It plans tasks, each a part of one chunk; workers simulate, write
the chunk and return small records; this process alone appends them to the journal, which is the
commit. Killed at any moment, it resumes with the rows that no valid line of the journal names.
"""

from __future__ import annotations

import errno
import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .. import streams
from ..fingerprint import canonical
from ..storage import journal
from ..storage.arrays import FORMAT
from ..storage.chunks import sweep, tidy
from ..storage.journal import Journal
from ..storage.layout import read_layout
from ..storage.lease import Lease
from ..storage.tally import Tally
from ..types import Array, Prior
from . import isolation
from .completion import complete
from .opening import check_prior, check_store, make_store
from .settings import Effort, Limits, require
from .tasks import Recipe, Work


def draw(prior: Prior, *, seed: int, start: int, rows: int) -> Array:
    """Draw parameters for the global rows from ``start`` on, ``(rows, dim)``.

    Any split into calls gives the same rows.
    """
    return prior.from_uniform(streams.uniforms(seed, "prior", start, rows, len(prior.names)))


def simulate(
    *,
    prior: Path,
    store: Path,
    receipt: Path,
    simulator: str,
    options: Mapping[str, Any],
    seed: int,
    key: str,
    shard: int | None = None,
    rows: int | None = None,
    block_size: int = 1000,
    keep: Sequence[str] | None = None,
    max_failed_fraction: float = 0.5,
    chunk_size: int | None = None,
    workers: int = 1,
    minimum: int | None = None,
    cluster: str = "local",
    time_limit: float | None = None,
    memory_limit: int | None = None,
    isolate: bool = False,
    retries: int = 0,
    bucket: str | None = None,
) -> dict[str, Any]:
    """Simulate the rows of a shard that are missing, then write its receipt.

    Args:
        prior: Store of the shard's parameters (`storage.prior.write_prior`).
        store: Store of the shard, made if it does not exist.
        receipt: JSON file, written last.
        simulator: Name in the registry or ``"module:Class"``.
        options: Keyword arguments of the simulator.
        seed: Seed of the campaign.
        key: Simulation key; ``prior`` and an existing ``store`` must have it too.
        shard: Number of the shard; None to take it from the name of ``receipt``.
        rows: Rows asked for; None for all of ``prior``. A vectorised simulator makes whole blocks
            and keeps them: growing inside one then costs nothing.
        block_size: Rows a vectorised simulator is called on.
        keep: Names of the parameters to store; None for all.
        max_failed_fraction: Stop when more fail, beyond three standard deviations of chance.
        chunk_size: Rows in a chunk; None to choose from the measured cost. An existing store
            keeps its own.
        workers: Processes to simulate in, at most.
        minimum: The fewest of them, for a cluster that grows and shrinks with what there is to
            do; None for as many as ``workers``.
        cluster: ``"local"``, ``"slurm"`` or the address of a Dask scheduler.
        time_limit: Seconds a call of the simulator may take; implies ``isolate``.
        memory_limit: Bytes of address space the simulator may use; implies ``isolate``.
        isolate: Call the simulator in a guarded child process of the worker.
        retries: How often a row that crashed or ran too long is tried again.
        bucket: Address in an object store for the arrays of a new store, such as
            ``"s3://name/prefix"``; an existing store stays where it is. Journal and lease stay in
            ``store``.

    Returns:
        The receipt.

    Raises:
        ValueError: Parts do not belong together, or too many simulations failed.
    """
    begin = time.perf_counter()
    canonical(options)  # says what is wrong with options that cannot be written down
    effort = Effort(workers, minimum, cluster, chunk_size, max_failed_fraction, bucket)
    limits = Limits(time_limit, memory_limit, isolate, retries)
    require("block_size", block_size, "a number of rows, 1 or more", block_size >= 1)
    recipe = Recipe(
        simulator=simulator,
        options=json.dumps(dict(options)),
        seed=seed,
        block_size=block_size if is_vectorised(simulator, options) else None,
        isolate=limits.is_guarded,
        time_limit=time_limit,
        retries=retries,
        memory_limit=memory_limit,
    )
    start, rows = check_prior(prior, key, recipe.block_size, rows)
    with _disk_trouble_named(store), Lease(store) as lease, Journal(store) as ledger:
        sweep(store)
        layout = read_layout(store)
        if layout is not None:
            tidy(store)
        cost = math.inf  # of a row, in seconds; unknown
        if layout is None:
            layout, cost = make_store(prior, store, recipe, effort, rows, keep, lease.unclean)
        check_store(store, layout, key, start, recipe.block_size)
        work = Work(recipe, layout, prior, store)
        complete(work, effort, rows, cost, lease, ledger)
        number = int(receipt.stem.rpartition("-")[2]) if shard is None else shard
        return _write_receipt(receipt, work, number, time.perf_counter() - begin)


def is_vectorised(simulator: str, options: Mapping[str, Any]) -> bool:
    """Return whether a simulator takes many rows at once."""
    return bool(getattr(isolation.build(simulator, options), "vectorised", True))


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
    tally = Tally(journal.committed(journal.read(work.shard)).values())
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
