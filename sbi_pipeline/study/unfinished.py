"""What jobs leave that were killed: checkpoints of trainings and chains, for another run to go on.

Their names hold the key of what is being made. A run with the same key goes on from there and
removes them at its end; a run with another key never looks at them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from .. import registry
from ..job_reports import SUFFIX, JobReport, read_report

STAGES = ("train", "sample")
"""Stages that keep what they have so far."""
NAME = re.compile(
    rf"({'|'.join(STAGES)})-(?P<key>[0-9a-f]{{16}})(-.+)?\.(checkpoint|pt|chain)(\.partial)?"
)
"""Of a training, of the candidates and methods that it compares, or of chains."""


def pieces(folder: Path) -> Iterator[tuple[str, tuple[Path, ...]]]:
    """Yield the key of each unfinished work in a folder, and all that is left of it, links not."""
    named = [(found["key"], path) for path in folder.glob("*-*") if (found := _match(path))]
    for key, of in groupby(sorted(named), key=lambda each: each[0]):
        yield key, tuple(path for _, path in of)


def _match(path: Path) -> re.Match[str] | None:
    return None if path.is_symlink() else NAME.fullmatch(path.name)


def has_begun(folder: Path) -> bool:
    """Say whether a job of this package has worked in a folder and not ended well."""
    return any(pieces(folder)) or any(_jobs(folder))


def is_at_work(folder: Path) -> bool:
    """Say whether a job lives that works in a folder."""
    return any(job.is_alive for job in _jobs(folder))


def _jobs(folder: Path) -> Iterator[JobReport]:
    for path in folder.glob(f"*{SUFFIX}"):
        job = None if path.is_symlink() else read_report(path, folder)
        if job is not None and job.stage in registry.STAGES:
            yield job
