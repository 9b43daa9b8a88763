"""What campaigns want simulated, and the key under which they share it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .. import registry
from ..campaigns.imports import block_rows
from ..existing.inventory import FileRows, Inventory
from ..fingerprint import digest
from ..priors.boxes import Faces
from ..simulators.absent import ABSENT
from ..storage.noise import is_at_load
from .data import simulator_of
from .existing import density_of, stored_parameters
from .nuisances import not_dropped
from .places import RESULTS
from .reuse import rows_may_lack
from .schema import CampaignEntry, Config, Dask
from .signatures import stated
from .specification import Makers, Specification, code, files, maker, stage
from .texts import drawn_from, without_texts

EXISTING = "existing-rows-"
"""How folders of imported rows begin; no simulator is called so."""
TOLD = 200
"""Files whose content a specification tells one by one, so that `why` can name them."""


@dataclass(frozen=True)
class Simulations:
    """Rows that campaigns with one simulation key share.

    Attributes:
        name: ``{simulator}-{key}``, the name of their folder.
        model: Simulator, options, parameters and priors.
        spec: What the key is the hash of.
        rows: Rows wanted by the largest of these campaigns.
        dask: How to run them: the ``dask`` entry of the first of these campaigns.
        max_failed_fraction: Largest of these campaigns.
        limits: Entries of `Limits`, which guard a call: the strictest of these campaigns.
        bucket: Address in an object store for the arrays of new shards; empty for none.
        noise: What stages that read data are told of noise at load; empty without it.
        requires: Files that must be there before the simulator is called, such as programs.
        within: Faces of a box of the prior to which a campaign takes only the rows in it; None for
            all that it takes.
    """

    name: str
    model: Mapping[str, Any]
    spec: Specification
    rows: int
    dask: Mapping[str, Any]
    max_failed_fraction: float
    limits: Mapping[str, Any]
    bucket: str
    noise: Mapping[str, Any]
    requires: tuple[str, ...]
    within: Faces | None = None

    @property
    def folder(self) -> str:
        """Folder of the stores and receipts."""
        return f"{RESULTS}/simulations/{self.name}"

    @property
    def shard_size(self) -> int:
        """Rows of one job."""
        return int(self.spec.arguments["shard_size"])

    @property
    def source(self) -> Mapping[str, Any] | None:
        """Where the parameters come from; None for the prior."""
        return self.spec.arguments.get("source")

    @property
    def seed(self) -> int:
        """Of prior, simulations and split."""
        return int(self.spec.arguments["seed"])

    @property
    def is_of_table(self) -> bool:
        """Whether that is a table."""
        return self.source is not None and "table" in self.source

    @property
    def stock(self) -> dict[str, Any]:
        """What a manifest of a campaign is told of these rows."""
        told: dict[str, Any] = {"store": f"../simulations/{self.name}", "rows": self.rows}
        told |= {} if self.source is None else {"source": self.source}
        return told if self.within is None else {**told, "within": self.within}

    @property
    def reused_stock(self) -> dict[str, Any]:
        """What a manifest of another campaign, which reuses them, is told of these rows."""
        own = {"seed": self.seed, "block_size": self.spec.arguments["block_size"]}
        return {**self.stock, **own}

    @property
    def effort(self) -> dict[str, Any]:
        """How they are made: what changes none of the rows."""
        return {
            "workers": stated(Dask, self.dask, "workers"),
            "minimum": self.dask.get("minimum"),
            "cluster": stated(Dask, self.dask, "cluster"),
            "chunk_size": self.dask.get("chunk_size"),
            "max_failed_fraction": self.max_failed_fraction,
            "bucket": self.bucket or None,
        }

    @property
    def threads(self) -> int:
        """The threads of a shard's job; workers elsewhere take none of its own."""
        return self.effort["workers"] if self.effort["cluster"] == "local" else 1

    def receipts(self, rows: int) -> list[str]:
        """Return the receipts of the shards that hold the first ``rows`` rows."""
        shards = -(-rows // self.shard_size)
        return [f"{self.folder}/shard-{shard}.json" for shard in range(shards)]


@dataclass(frozen=True)
class Imported(Simulations):
    """Rows that are read from the user's files.

    Attributes:
        inventory: What is in the files.
        split_seed: Of the split; None only where nothing is imported.
        density: What the rows are weighed by, see `existing.density_of`.
    """

    inventory: Inventory | None = None
    split_seed: int | None = None
    density: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        """Of the split: no row depends on it."""
        return int(self.split_seed or 0)

    def lying_in(self, start: int, rows: int) -> dict[str, Any]:
        """Return where some rows lie, whole blocks, as `existing.FileRows` reads it."""
        assert self.inventory is not None
        block, found = int(self.spec.arguments["block_size"]), self.inventory
        stop = min(start + -(-rows // block) * block, found.rows)
        before, files = found.spanning(start, stop)
        return FileRows(found.naming, files, before, found.x_shape, found.x_dtype).as_json()


def imported(campaign: Config, rows: int) -> Imported:
    """Return the rows of existing simulations; their key is that of the files' content.

    Args:
        campaign: Its entry.
        rows: How many are taken.
    """
    found: Inventory = campaign["inventory"]
    shard_size = stated(CampaignEntry, campaign, "shard_size")
    arguments = {
        "parameters": list(found.parameters),
        "keep": stored_parameters(campaign),
        "total": found.rows,
        "shard_size": shard_size,
        "block_size": block_rows(found.x_shape, found.x_dtype, shard_size),
    }
    gaps = {"gaps": True} if rows_may_lack(campaign) else {}
    arguments |= gaps
    contents = {each.path: each.content for each in found.files[:TOLD]}
    if len(found.files) > TOLD:
        contents["others"] = found.content
    named = digest([asdict(found.naming), *found.x_shape, found.x_dtype])
    files_and_names = {"rows of files": contents, "rows by the names given": named}
    makers = stage("import_rows") | Makers({}, files_and_names)
    spec = Specification("import_rows", arguments, makers=makers)
    density = density_of(campaign)
    return Imported(
        name=f"{EXISTING}{spec.key}",
        model={
            "simulator": campaign["simulator"],
            "options": campaign.get("options", {}),
            **{key: density[key] for key in ("parameters", "priors")},
            **gaps,
        },
        spec=spec,
        rows=rows,
        dask=campaign.get("dask", {}),
        max_failed_fraction=stated(CampaignEntry, campaign, "max_failed_fraction"),
        limits=campaign.get("limits", {}),
        bucket=campaign.get("bucket", ""),
        noise={},
        requires=tuple(campaign.get("requires", ())),
        inventory=found,
        split_seed=stated(CampaignEntry, campaign, "seed"),
        density=density,
    )


def simulations_of(campaign: Config, rows: int) -> Simulations:
    """Return what a campaign wants simulated; its key depends on nothing else.

    Args:
        campaign: Its entry.
        rows: How many it simulates itself.
    """
    if "existing" in campaign:
        return imported(campaign, rows)
    simulator, options = campaign["simulator"], campaign.get("options", {})
    made = simulator_of(campaign)
    priors = campaign["priors"]
    own_prior = isinstance(priors, str)
    model = {
        "simulator": simulator,
        "options": options,
        "parameters": list(made.parameters),
        "priors": priors if own_prior else without_texts(priors),
    }
    if rows_may_lack(campaign):
        model["gaps"] = True  # rows with NaN are good ones
    drawn = priors if own_prior else drawn_from(priors)
    arguments = {
        "model": {**model, "priors": drawn},
        "seed": stated(CampaignEntry, campaign, "seed"),
        "shard_size": stated(CampaignEntry, campaign, "shard_size"),
        "block_size": stated(CampaignEntry, campaign, "block_size"),
    }
    if not stated(CampaignEntry, campaign, "store_nuisance"):
        arguments["keep"] = sorted(not_dropped(campaign), key=made.parameters.index)
    makers = stage("sample_prior") | stage("simulate") | makers_of(campaign)
    if "source" in campaign:
        arguments["source"] = campaign["source"]
        makers |= files([each for key, each in campaign["source"].items() if key == "table"])
    spec = Specification("simulate", arguments, makers=makers)
    noise = {"simulator": simulator, "options": options}
    noise |= {key: arguments[key] for key in ("block_size", "seed")}
    return Simulations(
        name=f"{simulator.split(':')[-1]}-{spec.key}",
        model=model,
        spec=spec,
        rows=rows,
        dask=campaign.get("dask", {}),
        max_failed_fraction=stated(CampaignEntry, campaign, "max_failed_fraction"),
        limits=campaign.get("limits", {}),
        bucket=campaign.get("bucket", ""),
        noise={"noise": noise} if is_at_load(made) else {},
        requires=tuple(campaign.get("requires", ())),
    )


def makers_of(campaign: Config) -> Makers:
    """Return what makes the data of a campaign: its simulator, a prior of the user's own, files."""
    made = Makers()
    if campaign["simulator"] != ABSENT:
        made |= maker("simulator", campaign["simulator"], registry.SIMULATORS)
    if isinstance(campaign["priors"], str):
        made |= code("prior", campaign["priors"])
    made |= files(campaign.get("extra_files", []))
    if version := campaign.get("code_version"):
        made |= Makers({}, {"code_version": version})
    return made


def masks_of(campaign: Config) -> Makers:
    """Return the file that masks of missing elements are drawn from, if they are."""
    named = campaign.get("missing", {}).get("patterns")
    return files([named] if named else [])


def joined(wanted: Iterable[Simulations]) -> dict[str, Simulations]:
    """Return what is to be simulated in each folder, for all campaigns that share it."""
    folders: dict[str, Simulations] = {}
    for made in wanted:
        shared = folders.get(made.name, made)
        folders[made.name] = dataclasses.replace(
            shared,
            rows=max(made.rows, shared.rows),
            max_failed_fraction=max(made.max_failed_fraction, shared.max_failed_fraction),
            limits=strictest(made.limits, shared.limits),
            bucket=shared.bucket or made.bucket,
            requires=tuple(dict.fromkeys([*shared.requires, *made.requires])),
        )
    return folders


def strictest(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return the limits of two campaigns together, of each the strictest."""
    both = {**one, **other}
    for name in ("time_limit", "memory_limit"):
        if found := [each[name] for each in (one, other) if each.get(name) is not None]:
            both[name] = min(found)
    if "isolate" in both:
        both["isolate"] = bool(one.get("isolate") or other.get("isolate"))
    return both
