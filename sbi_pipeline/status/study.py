"""All of it together: how far a study is by now."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..head import is_locked
from .jobs import job_tables
from .rows import catalogue_table, simulation_tables
from .tables import StatusTable, StudyStatus
from .trainings import chain_table, curves, posterior_table, training_table
from .tree import ResultsTree, read_tree

if TYPE_CHECKING:
    from ..study import Plan


def status_of(folder: Path, plan: Plan | None = None, note: str = "") -> StudyStatus:
    """Return how far the study is whose results lie in a folder.

    Args:
        folder: Of results, or one below.
        plan: What is wanted there; None tells nothing of what waits.
        note: Why there is none.

    Raises:
        ValueError: There is no such folder, or nothing of a study in it.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; are you where snakemake is called?")
    tree = read_tree(folder)
    if plan is None and tree.is_empty:
        raise ValueError(f"{folder}: nothing of a study in it; name its folder of results")
    lines, planned = [f"{folder}, {time.strftime('%Y-%m-%d %H:%M:%S')}"], []
    if plan is not None:
        from .planned import WantedResults  # noqa: PLC0415 - seconds that a look without a plan saves

        wanted = WantedResults(plan.current())
        tree = dataclasses.replace(tree, jobs=tuple(filter(wanted.is_of_interest, tree.jobs)))
        running = "snakemake runs, or was killed" if is_locked(Path()) else "snakemake rests"
        lines[0] += f": {wanted.line()}; {running}"
        lines += wanted.verdicts()
        planned = [wanted.round_table(), wanted.stage_table(tree.jobs)]
    lines += [note] if note else []
    tables = [each for each in _tables(tree, planned) if each.rows]
    return StudyStatus(lines, tables, tuple(curves(tree)))


def _tables(tree: ResultsTree, planned: list[StatusTable]) -> Iterator[StatusTable]:
    yield from simulation_tables(tree)
    yield from planned[:1]
    yield training_table(tree)
    yield chain_table(tree.jobs)
    yield posterior_table(tree)
    yield catalogue_table(tree)
    yield from planned[1:]
    yield from job_tables(tree.jobs)
