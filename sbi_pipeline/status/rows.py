"""Tables of simulations: shards, reasons of failed rows, and objects of catalogues."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..campaigns.inspection import ShardStatus, shard_status
from ..job_reports import duration, in_short
from ..storage.draws import DrawStore
from .tables import StatusRow, StatusTable
from .tree import ResultsTree

FEW = 20
"""Shards of a campaign that are listed one by one."""
HEAD = ("simulations", "rows", "of", "failed", "rows/s", "state")


def simulation_tables(tree: ResultsTree) -> Iterator[StatusTable]:
    """Yield a table of shards, of many those that are not done, and one of why rows failed."""
    shards, damaged = [], []
    for store in tree.stores:
        try:
            shards.append(shard_status(store))
        except (ValueError, KeyError, OSError) as error:
            damaged.append(StatusRow((_name(store), "", "", "", "", str(error))))
    by_folder = itertools.groupby(shards, lambda each: each.store.parent)
    folders = [list(alike) for _, alike in by_folder]
    rows = [row for alike in folders for row in _of_folder(alike)]
    is_summed = len(folders) == 1 and len(shards) > FEW
    if len(rows) > 1 and not is_summed:
        rows.append(_sum(f"{len(shards)} shards", shards))
    yield StatusTable(HEAD, rows + damaged)
    yield StatusTable(("failed rows", "reason", "rows"), list(_reasons(shards)), words=0)


def catalogue_table(tree: ResultsTree) -> StatusTable:
    """Return a table of catalogues, one line for each estimator."""
    rows = []
    for path in tree.draws:
        try:
            store = DrawStore(path)
            drawn, objects = store.drawn(), store.objects
            cells = (f"{drawn:,}", f"{objects:,}", "")
            rows.append(StatusRow((tree.below(path), *cells), share=drawn / max(objects, 1)))
        except (ValueError, OSError) as error:
            rows.append(StatusRow((tree.below(path), "", "", str(error))))
    return StatusTable(("catalogues", "objects", "of", ""), rows)


def _of_folder(shards: Sequence[ShardStatus]) -> Iterator[StatusRow]:
    """Yield lines of the shards of one folder, in the order of their numbers."""
    if len(shards) <= FEW:
        yield from map(_of_shard, shards)
        return
    yield _sum(f"{shards[0].store.parent.name}, {len(shards)} shards", shards)
    yield from map(_of_shard, [each for each in shards if each.state != "done"][:FEW])


def _of_shard(shard: ShardStatus) -> StatusRow:
    state = shard.state
    if state == "running" and shard.rate:
        state = f"running, {duration((shard.wanted - shard.rows) / shard.rate)} to go"
    return _row(_name(shard.store), [shard], shard.rate, state)


def _sum(name: str, shards: Sequence[ShardStatus]) -> StatusRow:
    running = [each for each in shards if each.state == "running"]
    rate = sum(each.rate for each in running)
    left = sum(each.wanted - each.rows for each in shards)
    count = Counter(each.state for each in shards)
    told = [f"{number} {state}" for state, number in count.items()]
    told += [f"{duration(left / rate)} to go"] if rate else []
    return _row(name, shards, rate, ", ".join(told))


def _row(name: str, shards: Sequence[ShardStatus], rate: float, state: str) -> StatusRow:
    rows, wanted = (sum(getattr(each, key) for each in shards) for key in ("rows", "wanted"))
    failed = sum(sum(each.failures.values()) for each in shards)
    cells = (name, f"{rows:,}", f"{wanted:,}", f"{failed:,}", in_short(rate), state)
    return StatusRow(cells, share=rows / max(wanted, 1))


def _reasons(shards: Sequence[ShardStatus]) -> Iterator[StatusRow]:
    for folder, alike in itertools.groupby(shards, lambda each: each.store.parent):
        reasons: Counter[str] = Counter()
        for shard in alike:
            reasons.update(shard.failures)
        for reason, rows in reasons.most_common():
            if rows:
                yield StatusRow((folder.name, reason, f"{rows:,}"))


def _name(store: Path) -> str:
    return f"{store.parent.name}/{store.stem}"
