"""Tables of trainings, of chains and of posteriors; and their curves."""

from __future__ import annotations

import csv
import functools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..job_reports import DASH, Count, JobReport, duration, in_short
from .jobs import what_became
from .tables import Curve, StatusRow, StatusTable
from .tree import ResultsTree, if_readable

LOSSES = ("training loss", "validation loss")
EPOCHS, STEPS = "epochs", "steps"
MOST_POINTS = 400
"""Of a curve that is shown."""


def training_table(tree: ResultsTree) -> StatusTable:
    """Return a table of trainings: those that run or ended before their end, and those done."""
    rows = {job.name: _running(job, count) for job, count in jobs_counting(tree.jobs, EPOCHS)}
    at_work = {name.rpartition("/")[0] for name in rows}
    for path in tree.named("history.csv"):
        history = if_readable(_read_history, path)
        if history and tree.below(path) not in at_work:
            rows[tree.below(path)] = _done(tree.below(path), history)
    head = ("trainings", "epoch", "of", *LOSSES, "best epoch", "state")
    return StatusTable(head, [rows[name] for name in sorted(rows)])


def chain_table(jobs: Sequence[JobReport]) -> StatusTable:
    """Return a table of the chains of MCMC that grow."""
    rows = []
    for job, count in jobs_counting(jobs, STEPS):
        seen = (in_short(count.values.get(name, math.nan)) for name in ("R-hat", "effective draws"))
        steps = (f"{count.done:,.0f}", f"{count.total:,.0f}")
        share = count.done / max(count.total, 1)
        rows.append(StatusRow((job.name, *steps, *seen, _state(job)), share))
    return StatusTable(("chains", "step", "of at most", "R-hat", "effective draws", "state"), rows)


def posterior_table(tree: ResultsTree) -> StatusTable:
    """Return a table of posteriors that are made, one line an estimator, worst numbers told."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for path in tree.named("diagnostics.csv"):
        worst = if_readable(_read_diagnostics, path)
        if worst is not None:
            found[path.parents[1].relative_to(tree.folder).as_posix()].append(worst)
    rows = []
    for name, each in found.items():
        r_hat = max((r_hat for r_hat, _ in each if math.isfinite(r_hat)), default=math.nan)
        draws = min((ess for _, ess in each if math.isfinite(ess)), default=math.nan)
        told = "no chains" if math.isnan(r_hat) else in_short(r_hat)
        rows.append(StatusRow((name, f"{len(each):,}", told, f"{draws:,.0f}")))
    head = ("posteriors", "observations", "largest R-hat", "fewest effective draws")
    return StatusTable(head, rows, words=0)


def curves(tree: ResultsTree) -> Iterator[Curve]:
    """Yield losses of trainings and what was seen of chains, those that grow first."""
    at_work = set()
    for unit in (EPOCHS, STEPS):
        for job, count in jobs_counting(tree.jobs, unit):
            at_work.add(job.name.rpartition("/")[0])
            if len(count.points) > 1 and all(len(row) == len(count.names) for row in count.points):
                yield Curve(job.name, count.names, count.points, job.is_alive)
    for path in tree.named("history.csv"):
        history = if_readable(_read_history, path)
        if history and len(history) > 1 and tree.below(path) not in at_work:
            yield Curve(tree.below(path), ("epochs", *LOSSES), thinned(history))


def jobs_counting(jobs: Sequence[JobReport], unit: str) -> Iterator[tuple[JobReport, Count]]:
    """Yield jobs that count something, with how far they are; of several counts the last."""
    for job in jobs:
        found = [count for count in job.counts if count.unit == unit]
        if found:
            yield job, found[-1]


def thinned(points: Sequence[tuple[float, ...]]) -> list[tuple[float, ...]]:
    """Return every so many points, the last one among them."""
    step = -(-len(points) // MOST_POINTS)
    return list(points[::-1][::step][::-1])


def _running(job: JobReport, count: Count) -> StatusRow:
    losses = (in_short(count.values.get(name, math.nan)) for name in LOSSES)
    cells = (job.name, f"{count.done:.0f}", f"{count.total:.0f}", *losses, best(count.points))
    return StatusRow((*cells, _state(job)), count.done / max(count.total, 1))


def _done(name: str, history: Sequence[tuple[float, ...]]) -> StatusRow:
    epoch, *losses = history[-1]
    seen = map(in_short, losses)
    return StatusRow((name, f"{epoch:.0f}", DASH, *seen, best(history), "done"), share=1.0)


def best(points: Sequence[tuple[float, ...]]) -> str:
    """Return the epoch with the least validation loss, of epoch and losses."""
    known = [row for row in points if len(row) == 3 and math.isfinite(row[2])]
    return f"{min(known, key=lambda row: row[2])[0]:.0f}" if known else DASH


def _state(job: JobReport) -> str:
    if not job.is_alive:
        return what_became(job)
    left = job.seconds_left
    return "running" if math.isnan(left) else f"running, {duration(left)} to go"


def _read_history(path: Path) -> list[tuple[float, ...]]:
    return _history_of(path, path.stat().st_mtime_ns)


def _read_diagnostics(path: Path) -> tuple[float, float]:
    return _diagnostics_of(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=10_000)
def _history_of(path: Path, stamp: int) -> list[tuple[float, ...]]:
    """Return epoch and losses, row by row, of a file as it was at a time."""
    with path.open(newline="") as file:
        columns = ("epoch", "train_loss", "validation_loss")
        return [tuple(float(row[name]) for name in columns) for row in csv.DictReader(file)]


@functools.lru_cache(maxsize=100_000)
def _diagnostics_of(path: Path, stamp: int) -> tuple[float, float]:
    """Return the largest R-hat and the fewest effective draws over parameters; NaN for none."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = ([row[name] for row in rows if row[name]] for name in ("r_hat", "ess_least"))
    r_hats, draws = (list(map(float, column)) for column in columns)
    return max(r_hats, default=math.nan), min(draws, default=math.nan)
