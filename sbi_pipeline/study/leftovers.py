"""What lies in ``results`` and no configuration names any more: found, measured, deleted if asked.

Only what this package made is found: folders that hold a specification of one of its stages, what
such a specification lies beside, and what a killed job has left to go on from. Links are left
alone. Of rounds that wait for a box nobody knows which simulations they will name, so all that were
made in boxes are kept.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import head, registry, sidecars
from ..job_reports import SUFFIX
from ..storage import location
from ..storage.lease import FILE as LEASE
from ..storage.lease import is_held
from .campaign import Campaign
from .plan import Plan
from .simulations import EXISTING, RESULTS
from .unfinished import STAGES as KEPT_FROM
from .unfinished import has_begun, is_at_work, pieces

SPECIFICATION = ".spec.json"
STORE = ".zarr"
LEDGERS = ("predictive-", "posterior_sbc-")
"""How ledgers of dear predictions begin, which are deleted when these are written."""


@dataclass(frozen=True)
class Leftover:
    """Something that no configuration names.

    Attributes:
        place: Its folder, or one of its files.
        paths: All that would be deleted.
        size: In bytes, of what lies in the results tree.
        buckets: Addresses of arrays in object stores, which are deleted, too.
        written: Whether somebody is writing it.
    """

    place: Path
    paths: tuple[Path, ...]
    size: int
    buckets: tuple[str, ...]
    written: bool


@dataclass
class Named:
    """What configurations name.

    Attributes:
        specifications: Where specifications are written.
        folders: In which they lie, and all above these.
        simulations: Names of folders of simulations.
        ledgers: Parts of the names of ledgers that a killed run goes on with.
        unfinished: Keys of trainings and draws that a killed run goes on with.
        waiting: Campaigns that are rounds, some of which wait for a box.
    """

    specifications: set[str] = field(default_factory=set)
    folders: set[Path] = field(default_factory=set)
    simulations: set[str] = field(default_factory=set)
    ledgers: set[str] = field(default_factory=set)
    unfinished: set[str] = field(default_factory=set)
    waiting: set[str] = field(default_factory=set)

    def add(self, plan: Plan) -> None:
        """Add what a plan names."""
        self.specifications |= set(plan)
        for path, planned in plan.items():
            self.folders |= set(Path(path).parents)
            self.unfinished |= {planned.key} if planned.stage in KEPT_FROM else set()
        self.simulations |= set(plan.simulations)
        for each in plan.rounds.values():
            if each.waits_for:
                (chain,) = each.chains
                self.waiting |= {chain.last, *chain.names, *chain.boxed}
        for name, campaign in plan.campaigns.items():
            if name not in self.waiting:
                self.ledgers |= set(_ledgers(campaign))


def _ledgers(campaign: Campaign) -> Iterator[str]:
    for name, observation in itertools.product(campaign.posteriors, campaign.observations):
        for stage in ("diagnose", "posterior_sbc"):
            path = f"{RESULTS}/{campaign.name}/{name}/{observation}/{stage}{SPECIFICATION}"
            if path in campaign:
                yield campaign[path].key
    for path in itertools.chain(*(campaign.drawn.parts(*each) for each in campaign.catalogued)):
        yield str(campaign[path].arguments["recipe"])


def leftovers(plans: Sequence[Plan]) -> list[Leftover]:
    """Return what lies in ``results`` of the working folder and none of the plans names."""
    named = Named()
    for plan in plans:
        named.add(plan)
    simulations = Path(RESULTS, "simulations")
    found = [*_simulations(simulations, named), *_results(Path(RESULTS), named)]
    return [_measured(place, paths) for place, paths in found]


Found = Iterator[tuple[Path, tuple[Path, ...]]]


def _simulations(folder: Path, named: Named) -> Found:
    """Yield folders of simulations, and ledgers, that are not named."""
    for path in _folders(folder):
        if path.name.startswith(LEDGERS):
            is_known = any(each in path.name for each in named.ledgers)
        else:
            is_known = path.name in named.simulations or not any(_stores(path))
        if not is_known and (not named.waiting or _is_of_all_the_prior(path)):
            yield path, (path,)


def _is_of_all_the_prior(folder: Path) -> bool:
    """Say whether simulations are surely of no box."""
    if folder.name.startswith(EXISTING):
        return True
    spec = sidecars.read_if_whole(folder / f"prior-0{SPECIFICATION}")
    return spec is not None and "box" not in spec["arguments"].get("source", {})


def _results(folder: Path, named: Named) -> Found:
    """Yield what is not named below a folder that is."""
    yield from _beside(folder, named)
    for path in _folders(folder):
        if folder == Path(RESULTS) and path.name in {"simulations", *named.waiting}:
            continue
        if path in named.folders:
            yield from _results(path, named)
        elif _is_ours(path):
            yield path, (path,)


def _beside(folder: Path, named: Named) -> Found:
    """Yield the results in a folder whose specifications are not named, and these."""
    specs = {path: spec for path in _specifications(folder) if (spec := _read(path))}
    kept = {
        name
        for path, spec in specs.items()
        if str(path) in named.specifications
        for name in spec.get("outputs", [])
    }
    for path, spec in specs.items():
        if str(path) not in named.specifications:
            name = path.name.removesuffix(SPECIFICATION)
            told = (f"{name}.log", f"{name}{SUFFIX}")
            made = _there(folder, [name for name in spec.get("outputs", []) if name not in kept])
            yield (*made, path)[0], (*made, path, *_there(folder, told))
    for key, paths in pieces(folder):
        if key not in named.unfinished:
            yield paths[0], paths


def _there(folder: Path, names: Sequence[str]) -> list[Path]:
    """Return which of some files are there, links left out."""
    return [path for name in names if (path := folder / name).exists() and _is_plain(path)]


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_dir() and not path.is_symlink())


def _specifications(folder: Path) -> list[Path]:
    return sorted(filter(_is_plain, folder.glob(f"*{SPECIFICATION}")))


def _read(path: Path) -> dict[str, Any] | None:
    """Return a specification of a stage of this package, or None."""
    spec = sidecars.read_if_whole(path)
    return spec if spec is not None and spec.get("stage") in registry.STAGES else None


def _is_ours(folder: Path) -> bool:
    """Say whether a folder, or one below, holds a specification of a stage, or its beginnings."""
    inner = (path for path in _folders(folder) if path.suffix != STORE)
    made = any(map(_read, _specifications(folder)))
    return made or has_begun(folder) or any(map(_is_ours, inner))


def _is_plain(path: Path) -> bool:
    return not path.is_symlink()


def _stores(folder: Path) -> Iterator[Path]:
    """Yield the stores of shards and of their parameters."""
    for prefix in ("prior", "shard"):
        yield from folder.glob(f"{prefix}-*{STORE}")


def _measured(place: Path, paths: tuple[Path, ...]) -> Leftover:
    files = [file for path in paths for file in _files(path)]
    stores = [store for path in paths for store in _stores(path)]
    where = [location.of(store) for store in stores]
    return Leftover(
        place=place,
        paths=paths,
        size=sum(file.lstat().st_size for file in files),
        buckets=tuple(each.address for each in where if isinstance(each, location.Bucket)),
        written=any(is_held(file.parent) for file in files if file.name == LEASE)
        or any(is_at_work(each) for each in {file.parent for file in files}),
    )


def _files(path: Path) -> Iterator[Path]:
    """Yield a file, or all below a folder, links not followed."""
    if not path.is_dir():
        yield path
    for top, _, names in os.walk(path):
        yield from (Path(top, name) for name in names)


def delete(found: Leftover) -> None:
    """Delete something that no configuration names, what of it lies in object stores first.

    Raises:
        ValueError: An object store cannot be reached; the folder is kept.
    """
    for address in found.buckets:
        bucket = location.Bucket(address)
        for key in bucket.keys(""):
            bucket.delete(key)
    for path in found.paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def at_work() -> str:
    """Return who may be writing results of the working folder; empty for nobody.

    Raises:
        ValueError: Slurm does not answer.
    """
    if is_held(Path(".snakemake")):
        return "sbi-pipeline head runs"
    if head.is_locked(Path()):
        return "snakemake runs, or was killed (then: snakemake --unlock)"
    jobs = head.jobs(Path.cwd().resolve())
    return f"{len(jobs)} jobs are in the queue of Slurm" if jobs else ""
