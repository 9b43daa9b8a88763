"""What lies below a folder of results, found in one walk that looks into no store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..campaigns import inspection
from ..job_reports import SUFFIX, JobReport, read_report

Read = TypeVar("Read")

DEPTH = 4
"""Folders below that of results in which there may be something."""
DRAWS = "draws.zarr"
FILES = ("history.csv", "diagnostics.csv", "box.json", "simulations.json")
"""Of a study; the first two are read, the others tell that there is one."""


@dataclass(frozen=True)
class ResultsTree:
    """Files and stores below a folder of results, sorted.

    Attributes:
        folder: The folder.
        stores: Of shards that have begun.
        draws: Stores of the draws of catalogues.
        files: All others that tell of a study.
        jobs: What jobs tell that have not ended well, or not yet.
    """

    folder: Path
    stores: tuple[Path, ...]
    draws: tuple[Path, ...]
    files: tuple[Path, ...]
    jobs: tuple[JobReport, ...]

    def named(self, name: str) -> list[Path]:
        """Return the files of one name."""
        return [path for path in self.files if path.name == name]

    def below(self, path: Path) -> str:
        """Return how the place of a file is called."""
        return path.parent.relative_to(self.folder).as_posix()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing of a study."""
        return not (self.stores or self.draws or self.files or self.jobs)


def read_tree(folder: Path) -> ResultsTree:
    """Return what lies below a folder of results, links followed, by now."""
    stores, draws, files, reports = [], [], [], []
    for path in _walk(folder, DEPTH):
        if path.suffix == ".zarr":
            stores += [path] if inspection.is_store(path) else []
            draws += [path] if path.name == DRAWS else []
        elif path.name.endswith(SUFFIX):
            reports.append(path)
        else:
            files.append(path)
    jobs = [read_report(path, folder) for path in sorted(reports)]
    return ResultsTree(
        folder,
        tuple(sorted(stores, key=inspection.place_of)),
        tuple(sorted(draws)),
        tuple(sorted(files)),
        tuple(job for job in jobs if job is not None),
    )


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    """Yield stores and files of a study; a folder that goes meanwhile is none."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.name.endswith((*FILES, SUFFIX, ".zarr")):
            yield Path(entry.path)
        elif depth and entry.is_dir():
            yield from _walk(Path(entry.path), depth - 1)


def if_readable(read: Callable[[Path], Read], path: Path) -> Read | None:
    """Return what is read of a file; None where it is gone, torn or damaged."""
    try:
        return read(path)
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
