"""From parameters to simulations in the store: the public face of a campaign.

`simulate` makes one shard whole. It plans tasks, each a part of one chunk; workers simulate, write
the chunk and return small records; this process alone appends them to the journal, which is the
commit. Killed at any moment, it resumes with the rows that no valid line of the journal names.
"""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import socket
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from .. import signals, streams
from ..fingerprint import canonical
from ..storage import journal
from ..storage import store as stores
from ..storage.journal import Journal
from ..storage.lease import Lease
from ..storage.store import FORMAT, Layout
from ..storage.tally import Tally
from ..types import Array, Prior
from . import isolation, parallel
from .chunks import Part, Recipe, Work
from .effort import Effort, check_limits
from .sizing import chunk_rows, first_look, missing, present

log = logging.getLogger(__name__)

DASK_SECONDS = 3.0  # work for which starting Dask pays


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
        prior: Store of the shard's parameters (`store.write_prior`).
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
    check_limits(
        time_limit=time_limit, memory_limit=memory_limit, retries=retries, block_size=block_size
    )
    recipe = Recipe(
        simulator=simulator,
        options=json.dumps(dict(options)),
        seed=seed,
        block_size=block_size if is_vectorised(simulator, options) else None,
        isolate=isolate or time_limit is not None or memory_limit is not None,
        time_limit=time_limit,
        retries=retries,
        memory_limit=memory_limit,
    )
    start, rows = _check_prior(prior, key, recipe.block_size, rows)
    with _disk_trouble_named(store), Lease(store) as lease, Journal(store) as ledger:
        stores.sweep(store)
        layout = stores.read_layout(store)
        if layout is not None:
            stores.tidy(store)
        cost = math.inf  # of a row, in seconds; unknown
        if layout is None:
            layout, cost = _create(prior, store, recipe, effort, rows, keep, lease.unclean)
        _check_store(store, layout, key, start, recipe.block_size)
        work = Work(recipe, layout, prior, store)
        _complete(work, effort, rows, cost, lease, ledger)
        number = int(receipt.stem.rpartition("-")[2]) if shard is None else shard
        return _write_receipt(receipt, work, number, time.perf_counter() - begin)


def is_vectorised(simulator: str, options: Mapping[str, Any]) -> bool:
    """Return whether a simulator takes many rows at once."""
    return bool(getattr(isolation.build(simulator, options), "vectorised", True))


def _check_prior(
    prior: Path, key: str, block_size: int | None, rows: int | None
) -> tuple[int, int]:
    """Return the global index of the first row and how many rows to make."""
    _, _, attrs = stores.read_prior(prior, slice(0, 0))
    if attrs["key"] != key:
        raise ValueError(f"{prior} was drawn for key {attrs['key']}, this is {key}; draw it again")
    held, start = stores.prior_rows(prior), int(attrs["start"])
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


def _create(
    prior: Path,
    store: Path,
    recipe: Recipe,
    effort: Effort,
    rows: int,
    keep: Sequence[str] | None,
    unclean: bool,
) -> tuple[Layout, float]:
    """Make an empty store that fits what the first rows show; return also the cost of a row."""
    if journal.read(store):
        raise ValueError(
            f"{store} has a journal but lost its zarr.json; 'sbi-pipeline repair' writes it anew, "
            "and no simulation is lost"
        )
    _, names, attrs = stores.read_prior(prior, slice(0, 0))
    unknown = [name for name in keep or () if name not in names]
    if unknown:
        raise ValueError(f"keep names {', '.join(unknown)}; {prior} has {', '.join(names)}")
    kept = names if keep is None else tuple(name for name in names if name in keep)
    size, block = effort.chunk_size, recipe.block_size or 1
    if size is not None and size % block:
        raise ValueError(f"chunk_size is {size}; wanted a multiple of block_size {block}")
    # Where Dask could survive a crash of the simulator, the first look must, too.
    careful = replace(recipe, isolate=recipe.isolate or unclean or effort.workers > 1)
    shape = first_look(careful, prior, rows, effort.max_failed_fraction)
    size = size or chunk_rows(shape, len(kept), rows, effort.workers, block)
    layout = Layout(attrs["key"], int(attrs["start"]), kept, shape.x_shape, shape.x_dtype, size)
    milliseconds = 1e3 * shape.seconds
    log.info("x is %s %s, %.3g ms a row", shape.x_dtype, shape.x_shape, milliseconds)
    stores.create(store, layout, rows, effort.bucket)
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


def _check_parameters(work: Work, done: Mapping[int, Mapping[str, Any]]) -> None:
    """Make sure that rows committed earlier were simulated from these parameters."""
    for first in list(done)[:1]:
        parameters, names, _ = stores.read_prior(work.prior, slice(first, first + 1))
        columns = [names.index(name) for name in work.layout.names]
        stored = stores.read_rows(work.shard, first, first + 1).parameters
        if len(parameters) and stored.tobytes() != parameters[:, columns].tobytes():
            raise ValueError(
                f"{work.shard} was simulated from other parameters than {work.prior} holds, under "
                "the same key; move one of them away"
            )


def _complete(
    work: Work, effort: Effort, rows: int, cost: float, lease: Lease, ledger: Journal
) -> None:
    """Simulate the rows that are missing and commit them."""
    store, layout = work.shard, work.layout
    done = present(store, layout, journal.committed(journal.read(store)))
    _check_parameters(work, done)
    stores.grow(store, rows)
    tally = Tally(done.values())
    tally.judge(effort.max_failed_fraction, str(store))
    parts = missing(layout, rows, done)
    if not parts:
        return
    if tally.rows:
        cost = tally.simulator_seconds / tally.rows
    # After a run that died, what runs in this process is guarded: the simulator may have killed it.
    here = parallel.guarded(work) if lease.unclean else work
    ledger.append(_opening(layout, rows, effort))
    bar = tqdm(total=max(rows, tally.rows), initial=tally.rows, unit=" sims", disable=None)
    with (
        signals.sigterm_noted() as stopped,
        bar,
        closing(_run(work, here, parts, cost, effort)) as results,
    ):
        for records in results:
            lease.check()
            # SIGTERM may have reached the simulator, too: what it spoilt is no property of the row.
            if not (stopped.is_set() and any(record["failures"] for record in records)):
                _commit(records, tally, ledger, bar)
            if stopped.is_set():
                log.warning("SIGTERM: stopped, %d of %d rows are committed", tally.rows, rows)
                raise SystemExit(f"SIGTERM: {store} has {tally.rows} of {rows} rows")
            tally.judge(effort.max_failed_fraction, str(store))


def _opening(layout: Layout, rows: int, effort: Effort) -> dict[str, Any]:
    """Return the line of the journal that opens a run."""
    return {
        "kind": "run",
        "format": FORMAT,
        **asdict(layout),
        "rows": rows,
        "workers": effort.workers,
        "cluster": effort.cluster,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "time": round(time.time(), 3),
    }


def _run(
    work: Work, here: Work, parts: Sequence[Part], cost: float, effort: Effort
) -> Generator[parallel.Records, None, None]:
    """Run tasks where it takes least time: starting Dask takes as long as a small shard."""
    seconds = cost * sum(part.rows for part in parts)
    if effort.cluster == "local" and (effort.workers == 1 or seconds < DASK_SECONDS):
        yield from parallel.here(here, parts, cost)
    else:
        yield from parallel.through_dask(
            work,
            parts,
            cluster=effort.cluster,
            workers=effort.workers,
            minimum=effort.minimum,
            row_seconds=cost,
        )


def _commit(records: parallel.Records, tally: Tally, ledger: Journal, bar: tqdm[Any]) -> None:
    """Append what a task did to the journal: from here on its rows exist."""
    for record in records:
        known = len(tally.examples)
        tally.add(record)
        ledger.append({**record, "examples": tally.examples[known:]})
        bar.update(record["stop"] - record["start"])
    bar.set_postfix(tally.failures)


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
