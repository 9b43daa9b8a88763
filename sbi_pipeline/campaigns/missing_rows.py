"""The rows of a shard that are missing: found, simulated by who does it fastest, committed.

Workers simulate, write and return small records; this process alone appends them to the journal,
which is the commit.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import time
from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import signals
from ..progress import Counter, counting
from ..resolution import ENOUGH, Range, check_range
from ..storage import journal
from ..storage.arrays import FORMAT
from ..storage.chunks import whole_chunks
from ..storage.failures import Tally
from ..storage.journal import Journal
from ..storage.layout import Layout
from ..storage.lease import Lease
from ..storage.prior import read_prior
from ..storage.rows import grow, read_rows
from . import sequential
from .settings import Effort
from .tasks import Gaps, Work

log = logging.getLogger(__name__)

DASK_SECONDS = 3.0  # work for which starting Dask pays
CAMPAIGN = ("simulate", "import")  # others, at given parameters, may all be the same


def simulate_missing(
    work: Work, effort: Effort, rows: int, cost: float, lease: Lease, ledger: Journal
) -> None:
    """Simulate the rows that are missing and commit them."""
    store, layout = work.shard, work.layout
    done = _still_there(store, layout, journal.committed(journal.read_records(store)))
    _check_parameters(work, done)
    grow(store, rows)
    tally = Tally(done.values())
    tally.judge(effort.max_failed_fraction, str(store))
    parts = missing_rows(layout, rows, done)
    if not parts:
        return
    if tally.rows:
        cost = tally.simulator_seconds / tally.rows
    begins = layout.start == 0 and not tally.rows
    first_values = None
    if begins and work.recipe.stream.stage in CAMPAIGN:
        first_values = _FirstValues(work.shard)
    # After a run that died, what runs in this process is guarded: the simulator may have killed it.
    here = sequential.guarded(work) if lease.unclean else work
    ledger.append(_opening(layout, rows, effort))
    with (
        signals.interruptible(lambda: f"with {tally.rows} of {rows} rows committed"),
        counting("simulations", max(rows, tally.rows), tally.rows) as counter,
        closing(_run(work, here, parts, cost, effort)) as results,
    ):
        for records in results:
            lease.check()
            with signals.held():
                # A signal may reach the simulator, too: what it spoilt is no property of the row.
                if not (signals.asked() and any(record["failures"] for record in records)):
                    _commit(records, tally, ledger, counter)
            tally.judge(effort.max_failed_fraction, str(store))
            if first_values is not None and first_values.are_few:
                first_values.look(records)


@dataclass
class _FirstValues:
    """Looks at the first rows of a shard that are committed, until they are enough to judge."""

    shard: Path
    found: Range | None = None

    @property
    def are_few(self) -> bool:
        """Whether more rows are needed."""
        return self.found is None or self.found.rows < ENOUGH

    def look(self, records: sequential.Records) -> None:
        """Look at the rows that records are of.

        Raises:
            ValueError: Of enough rows their precision leaves nothing.
        """
        for record in records:
            stop = min(record["stop"], record["start"] + ENOUGH)
            new = Range.of(read_rows(self.shard, record["start"], stop).x)
            self.found = new if self.found is None else self.found.joined(new)
        if self.found is not None and self.found.rows >= ENOUGH:
            check_range(self.found, "first")


def _still_there(
    store: Path, layout: Layout, done: Mapping[int, Mapping[str, Any]]
) -> dict[int, Mapping[str, Any]]:
    """Return those committed records, by first row, whose chunk is still there."""
    there, whole = {}, whole_chunks(store, layout) if done else set()
    for start, record in done.items():
        chunk = start // layout.chunk_size
        if chunk in whole:
            there[start] = record
        else:
            span = f"rows {start} to {record['stop']}"
            log.warning("%s: chunk %d is gone; %s are simulated again", store, chunk, span)
    return there


def missing_rows(layout: Layout, rows: int, done: Mapping[int, Mapping[str, Any]]) -> list[Gaps]:
    """Return what is to be simulated to make ``rows`` rows, one part a chunk, in order.

    Args:
        layout: Layout of the shard.
        rows: Rows it shall have.
        done: Committed records by their first row.
    """
    spans: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for start, record in done.items():
        spans[start // layout.chunk_size].append((start, record["stop"]))
    parts = []
    for chunk in range(math.ceil(rows / layout.chunk_size)):
        first = chunk * layout.chunk_size
        gaps = _gaps(first, min(first + layout.chunk_size, rows), spans[chunk])
        if gaps:
            parts.append(Gaps(tuple(gaps)))
    return parts


def _gaps(first: int, last: int, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the ranges in ``first`` to ``last`` that no span covers."""
    gaps = []
    for start, stop in sorted(spans):
        if start > first:
            gaps.append((first, start))
        first = max(first, stop)
    if first < last:
        gaps.append((first, last))
    return gaps


def _check_parameters(work: Work, done: Mapping[int, Mapping[str, Any]]) -> None:
    """Make sure that rows committed earlier were simulated from these parameters."""
    for first in list(done)[:1]:
        parameters, names, _ = read_prior(work.prior, slice(first, first + 1))
        columns = [names.index(name) for name in work.layout.names]
        stored = read_rows(work.shard, first, first + 1).parameters
        if len(parameters) and stored.tobytes() != parameters[:, columns].tobytes():
            raise ValueError(
                f"{work.shard} was simulated from other parameters than {work.prior} holds, under "
                "the same key; move one of them away"
            )


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
    work: Work, here: Work, parts: Sequence[Gaps], cost: float, effort: Effort
) -> Generator[sequential.Records, None, None]:
    """Run tasks where it takes least time: starting Dask takes as long as a small shard."""
    seconds = cost * sum(part.rows for part in parts)
    if effort.cluster == "local" and (effort.workers == 1 or seconds < DASK_SECONDS):
        yield from sequential.run_here(here, parts, cost)
    else:
        from . import parallel  # noqa: PLC0415 - Dask takes half a second to import

        yield from parallel.run_on_dask(
            work,
            parts,
            effort=effort,
            row_seconds=cost,
        )


def _commit(records: sequential.Records, tally: Tally, ledger: Journal, counter: Counter) -> None:
    """Append what a task did to the journal: from here on its rows exist."""
    for record in records:
        known = len(tally.examples)
        tally.add(record)
        ledger.append({**record, "examples": tally.examples[known:]})
        counter.update(record["stop"] - record["start"], tally.failures)
