"""Looking after campaigns from outside: how far they are, and whether what they hold is whole.

`shard_status` reads receipts, journals and leases only, so it works while shards are being
simulated and from any machine that sees the files. `repair` deletes damaged chunks with the
receipts that vouch for them: the next `snakemake` finds these rows missing and simulates them
again, byte for byte. What describes the arrays (``zarr.json``) it writes anew from the journal, and
simulates nothing.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..storage import chunks, journal
from ..storage.chunks import rebuild
from ..storage.failures import Tally
from ..storage.layout import Layout, read_layout
from ..storage.lease import Lease, is_held
from ..storage.rows import read_record

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ShardStatus:
    """How far a shard is.

    Attributes:
        store: Its store.
        rows: Rows committed.
        wanted: Rows asked for in its last run.
        failures: Failed rows by reason.
        rate: Rows per second in its last run; 0 if it has made none.
        state: ``"done"``, ``"running"`` or ``"stopped"``.
    """

    store: Path
    rows: int
    wanted: int
    failures: dict[str, int]
    rate: float
    state: str


@dataclass(frozen=True)
class Damage:
    """Rows of a shard that are not what was committed.

    Attributes:
        store: The shard's store.
        chunk: Number of the chunk; None if not the rows are damaged but what describes the arrays.
        start: First local row.
        stop: Last local row, exclusive.
        reason: What is wrong.
    """

    store: Path
    chunk: int | None
    start: int
    stop: int
    reason: str


def verify(folder: Path) -> list[Damage]:
    """Read every committed row below a folder and return what is damaged."""
    return [damage for store in _stores(folder) for damage in _damages(store)]


def repair(folder: Path) -> list[Damage]:
    """Delete damaged chunks and the receipts of their shards, and return what was damaged.

    The next `snakemake` simulates their rows again, and no others.

    Raises:
        ValueError: A shard with damage is being written, or it cannot be repaired.
    """
    damages = []
    for store in _stores(folder):
        if found := list(_damages(store)):
            with Lease(store):
                if found[0].chunk is None:
                    log.warning("%s: writing zarr.json anew", store)
                    _rebuild(store)
                    found += _damages(store)
                _delete(store, {damage.chunk for damage in found if damage.chunk is not None})
            damages += found
    return damages


def seal_finished(folder: Path) -> list[Path]:
    """Make each array of the finished shards below a folder one file; return those shards.

    A shard in an object store is left alone: there is nothing to save. Not while they are read.

    Raises:
        ValueError: A shard is damaged or being written; it stays as it is.
    """
    sealed = []
    for store in _stores(folder):
        if shard_status(store).state != "done" or not chunks.in_chunks(store):
            continue
        with Lease(store):
            chunks.seal_arrays(store)
            if damages := list(_damages(store)):
                chunks.unseal_arrays(store)
                raise ValueError(damages[0].reason)
            chunks.delete_stale_files(store)
        sealed.append(store)
    return sealed


def _rebuild(store: Path) -> None:
    """Describe the arrays of a shard as its journal does, which has outlived them."""
    records = journal.read_records(store)
    runs = [record for record in records if record["kind"] == "run" and "x_shape" in record]
    if not runs:
        raise ValueError(
            f"{store}: its journal does not say what its zarr.json said; restore zarr.json, or "
            f"delete {store.name} and {store.stem}.json there, and snakemake simulates the same "
            "rows again"
        )
    fields = {field.name: runs[-1][field.name] for field in dataclasses.fields(Layout)}
    layout = Layout(**fields | {name: tuple(fields[name]) for name in ("names", "x_shape")})
    rebuild(store, layout, max(record.get("stop", record.get("rows", 0)) for record in records))


def _delete(store: Path, damaged: set[int]) -> None:
    layout = read_layout(store)
    assert layout is not None  # its chunks were read just now
    for chunk in damaged:
        log.warning("%s: deleting damaged chunk %d", store, chunk)
        chunks.delete_chunk(store, layout, chunk)
        store.with_suffix(".json").unlink(missing_ok=True)


def _stores(folder: Path) -> list[Path]:
    """Return the shard stores below a folder in the order of their numbers."""
    paths = []
    for top, names, _ in os.walk(folder):
        paths += [Path(top, name) for name in names if is_store(Path(top, name))]
        names[:] = [name for name in names if not name.endswith(".zarr")]
    return sorted(paths, key=place_of)


def is_store(path: Path) -> bool:
    """Say whether a folder is the store of a shard that has begun."""
    named = path.name.startswith("shard-") and path.suffix == ".zarr"
    return named and (path / journal.FILE).exists()


def place_of(store: Path) -> tuple[Path, int]:
    """Return what shards are sorted by: their folder and their number."""
    return store.parent, int(store.stem.rpartition("-")[2])


def _damages(store: Path) -> Iterator[Damage]:
    done = journal.committed(journal.read_records(store))
    end = max((record["stop"] for record in done.values()), default=0)
    reason = f"{store} has a journal but lost its zarr.json"
    try:
        layout = read_layout(store)
    except ValueError as error:
        layout, reason = None, str(error)
    if layout is None:
        if done:
            yield Damage(store, None, 0, end, reason)
        return
    for start, record in done.items():
        try:
            read_record(store, layout, record)
        except ValueError as error:
            chunk = start // layout.chunk_size
            yield Damage(store, chunk, start, record["stop"], str(error))


def shard_status(store: Path) -> ShardStatus:
    """Return how far a shard is.

    Raises:
        ValueError: Its receipt was damaged.
    """
    receipt, ledger = store.with_suffix(".json"), store / journal.FILE
    if receipt.exists() and receipt.stat().st_mtime >= ledger.stat().st_mtime:
        content = journal.read_json(receipt, "rows", "seconds", "failures")
        rate = content["rows"] / max(content["seconds"], 1e-3)
        return ShardStatus(
            store, content["rows"], content["rows"], content["failures"], rate, "done"
        )
    records = journal.read_records(store)
    tally = Tally(journal.committed(records).values())
    run, rate = _last_run(records)
    state = "running" if is_held(store) else "stopped"
    wanted = max(tally.rows, run.get("rows", 0))
    return ShardStatus(store, tally.rows, wanted, dict(tally.failures), rate, state)


def _last_run(records: list[dict[str, Any]]) -> tuple[dict[str, Any], float]:
    """Return the line that opened the last run, and the rows per second since."""
    runs = [index for index, record in enumerate(records) if record["kind"] == "run"]
    if not runs:
        return {}, 0.0
    run, *made = records[runs[-1] :]
    rows = sum(record["stop"] - record["start"] for record in made)
    return run, rows / max(made[-1]["time"] - run["time"], 1e-3) if made else 0.0
