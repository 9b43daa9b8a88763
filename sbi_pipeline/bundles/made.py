"""The results that a plan names, as files: with simulations or without."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from .. import sidecars
from ..storage import location
from ..storage.lease import FILE as LEASE
from ..study import Plan
from ..study.places import LEFT_OUT, RESULTS
from ..study.plan import DRAWS

QUICKLY_MADE = ("index", "judge")
"""Stages over all campaigns of a configuration, which snakemake makes in a second."""
NOT_RESULTS = (LEASE, LEFT_OUT)


def check_finished(plan: Plan, with_simulations: bool) -> None:
    """Refuse to pack what is not made as the configuration wants it.

    Raises:
        ValueError: See above; the first that is missing is named.
    """
    waiting = [name for name, each in plan.rounds.items() if each.waits_for]
    missing = [f"the rounds of {waiting[0]}"] if waiting else []
    is_made = plan.looked_at()
    for path in plan:
        stage = plan[path].stage
        needed = stage not in QUICKLY_MADE and (with_simulations or stage != "sample_prior")
        if needed and not is_made(path):
            missing.append(path.removesuffix(".spec.json"))
    if missing:
        more = f" and {len(missing) - 1} more results" if len(missing) > 1 else ""
        raise ValueError(
            f"{missing[0]}{more} are not there as the configuration wants them: run snakemake "
            "first; sbi-pipeline why tells what it will do"
        )


def results_of(plan: Plan, with_simulations: bool) -> Iterator[Path]:
    """Yield the files of all results that are made as planned, with their specifications."""
    is_made = plan.looked_at()
    for path in plan:
        spec = Path(path)
        there = sidecars.read_if_whole(spec)
        if there is None or not is_made(path):
            continue
        yield spec
        whole = with_simulations or plan[path].stage != "sample_prior"
        names = [*there.get("outputs", []), *([DRAWS] if plan[path].stage == "infer" else [])]
        for name in names if whole else []:
            yield from _files(spec.with_name(name))
    for campaign in plan.campaigns:
        yield from (path for path in _receipts(Path(RESULTS, campaign)) if plan.batch(str(path)))
    for name in plan.simulations if with_simulations else []:
        yield from _files(Path(RESULTS, "simulations", name))


def in_buckets(plan: Plan) -> list[str]:
    """Return the addresses of arrays in object stores, which no archive holds."""
    folders = [Path(RESULTS, "simulations", name) for name in plan.simulations]
    stores = [store for folder in folders for store in sorted(folder.glob("shard-*.zarr"))]
    where = [location.of(store) for store in stores]
    return [each.address for each in where if isinstance(each, location.Bucket)]


def _receipts(folder: Path) -> Iterator[Path]:
    """Yield what may be receipts of jobs of many observations."""
    yield from sorted(folder.glob("*-*.json"))
    yield from sorted(folder.glob("*/*-*.json"))


def _files(path: Path) -> Iterator[Path]:
    """Yield a file, or all below a folder but logs and what a run leaves."""
    if not path.is_dir():
        yield path
    for top, folders, names in os.walk(path, followlinks=True):
        folders.sort()
        yield from (Path(top, name) for name in sorted(names) if _is_wanted(name))


def _is_wanted(name: str) -> bool:
    return name not in NOT_RESULTS and not name.endswith((".log", ".partial"))


def campaigns_in(folders: Sequence[Path]) -> list[str]:
    """Return the names of campaigns, or of comparisons, from their folders below ``results``.

    Raises:
        ValueError: One is no such folder.
    """
    for folder in folders:
        if folder.parent != Path(RESULTS) or not folder.is_dir():
            raise ValueError(
                f"{folder}: wanted the folder of a campaign, {RESULTS}/NAME, in the folder where "
                "snakemake is called"
            )
    return [folder.name for folder in folders]
