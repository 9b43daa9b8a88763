"""Cores, memory, and how many threads numerical libraries will use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from .examined import Examined, in_gigabytes

GROUP = Path("/sys/fs/cgroup")
"""Where Linux tells of the limits of a container."""
LITTLE_MEMORY = 1e9


def of_machine() -> Iterator[Examined]:
    """Yield what is to be said of the machine."""
    yield _cores()
    yield _memory()
    yield _threads()


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cores() -> Examined:
    usable, every = usable_cores(), os.cpu_count() or 1
    found = f"{usable} of {every} may be used" if usable < every else f"{every}"
    quota, _, period = _limit("cpu.max").partition(" ")
    if quota.isdecimal() and period.isdecimal() and int(quota) < usable * int(period):
        allowed = int(quota) / int(period)
        return Examined(
            *("cores", f"{found}, and this container gets the time of {allowed:.2g}", "note"),
            f"snakemake --cores {max(1, int(allowed))}",
        )
    return Examined("cores", found)


def _memory() -> Examined:
    memory = psutil.virtual_memory()
    found = f"{in_gigabytes(memory.available)} free of {in_gigabytes(memory.total)}"
    limit = _limit("memory.max")
    free = memory.available
    if limit.isdecimal() and int(limit) < memory.total:
        found += f"; this container may use {in_gigabytes(int(limit))}"
        free = min(free, int(limit))
    if free < LITTLE_MEMORY:
        remedy = "a training may be killed; end other programs, or take another machine"
        return Examined("memory", found, "note", remedy)
    return Examined("memory", found)


def _threads() -> Examined:
    name = "OMP_NUM_THREADS"
    asked = os.environ.get(name)
    if asked is None:
        return Examined(name, "not set; jobs set it to their threads")
    if not asked.isdecimal() or int(asked) < 1:
        return Examined(name, f"is {asked!r}, no number of threads", "note", f"unset {name}")
    if int(asked) > usable_cores():
        found = f"{asked}, more than the {usable_cores()} cores"
        return Examined(name, found, "note", f"trainings get slow; export {name}=1, or unset it")
    return Examined(name, asked)


def _limit(name: str) -> str:
    """Return what stands in a file of the control group; empty where there is none."""
    try:
        return (GROUP / name).read_text().strip()
    except OSError:
        return ""
