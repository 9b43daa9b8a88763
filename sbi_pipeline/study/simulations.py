"""What campaigns want simulated, and the key under which they share it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import registry
from ..fingerprint import digest, fingerprint
from ..storage.noise import is_at_load
from .schema import BLOCK_SIZE, SHARD_SIZE, Config
from .texts import without_texts

FORMAT = 1
RESULTS = "results"


@dataclass(frozen=True)
class Simulations:
    """Rows that campaigns with one simulation key share.

    Attributes:
        name: ``{simulator}-{key}``, the name of their folder.
        spec: What the key is the hash of.
        rows: Rows wanted by the largest of these campaigns.
        dask: How to run them: the ``dask`` entry of the first of these campaigns.
        max_failed_fraction: Largest of these campaigns.
        limits: How to guard a simulator that crashes or hangs: arguments of `campaign.simulate`.
        bucket: Address in an object store for the arrays of new shards; empty for none.
        noise: What stages that read data are told of noise at load; empty without it.
        requires: Files that must be there before the simulator is called, such as programs.
    """

    name: str
    spec: Mapping[str, Any]
    rows: int
    dask: Mapping[str, Any]
    max_failed_fraction: float
    limits: Mapping[str, Any]
    bucket: str
    noise: Mapping[str, Any]
    requires: tuple[str, ...]

    @property
    def folder(self) -> str:
        """Folder of the stores and receipts."""
        return f"{RESULTS}/simulations/{self.name}"

    def receipts(self, rows: int) -> list[str]:
        """Return the receipts of the shards that hold the first ``rows`` rows."""
        shards = -(-rows // self.spec["shard_size"])
        return [f"{self.folder}/shard-{shard}.json" for shard in range(shards)]


def simulations_of(campaign: Config) -> Simulations:
    """Return what a campaign wants simulated; its key depends on nothing else."""
    simulator = campaign["simulator"]
    made = registry.load(simulator, registry.SIMULATORS)(**campaign.get("options", {}))
    entries = campaign["priors"]
    spec = {
        "format": FORMAT,
        "simulator": simulator,
        "options": campaign.get("options", {}),
        "code": fingerprint(
            registry.locate(simulator, registry.SIMULATORS),
            extra_files=[Path(path) for path in campaign.get("extra_files", [])],
            code_version=campaign.get("code_version"),
        ),
        "parameters": list(made.parameters),
        "priors": entries if isinstance(entries, str) else without_texts(entries),
        "seed": campaign.get("seed", 1),
        "shard_size": campaign.get("shard_size", SHARD_SIZE),
        "block_size": campaign.get("block_size", BLOCK_SIZE),
    }
    if isinstance(entries, str):
        spec["prior_code"] = fingerprint(entries)
    if not campaign.get("store_nuisance", True):
        spec["keep"] = sorted(campaign["inferred_parameters"], key=made.parameters.index)
    spec["key"] = digest(spec)
    return Simulations(
        name=f"{simulator.split(':')[-1]}-{spec['key']}",
        spec=spec,
        rows=campaign["simulations"],
        dask=campaign.get("dask", {}),
        max_failed_fraction=campaign.get("max_failed_fraction", 0.5),
        limits=campaign.get("limits", {}),
        bucket=campaign.get("bucket", ""),
        noise=_noise(spec) if is_at_load(made) else {},
        requires=tuple(campaign.get("requires", ())),
    )


def joined(wanted: Iterable[Simulations]) -> dict[str, Simulations]:
    """Return what is to be simulated in each folder, for all campaigns that share it."""
    folders: dict[str, Simulations] = {}
    for made in wanted:
        shared = folders.get(made.name, made)
        folders[made.name] = dataclasses.replace(
            shared,
            rows=max(made.rows, shared.rows),
            max_failed_fraction=max(made.max_failed_fraction, shared.max_failed_fraction),
            requires=tuple(dict.fromkeys([*shared.requires, *made.requires])),
        )
    return folders


def _noise(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return what draws the noise of simulations at load, as an argument of stages."""
    return {"noise": {key: spec[key] for key in ("simulator", "options", "block_size", "seed")}}
