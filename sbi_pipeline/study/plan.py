"""The plan of a study: what is to be made, with which specification, from which files.

The rule files ask it everything; it alone knows the keys of the configuration. Methods that take
``wildcards`` are input functions of rules.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .. import sidecars
from . import shards
from .batches import Batch
from .campaign import Campaign
from .data import data_shape
from .reuse import own_rows
from .schema import Config, Configuration
from .signatures import stated
from .simulations import RESULTS, Simulations, joined, simulations_of
from .specification import Specification, stage

Members = list[dict[str, Any]]
DRAWS = "draws.zarr"
"""The store of the draws of a catalogue, to which each of its parts adds some."""
InputFunction = Callable[[Any], list[str]]
"""From the wildcards of a job to paths."""


class Plan(Mapping[str, Specification]):
    """Specifications by the path that each is written to, beside what is made with it.

    Args:
        config: A checked configuration, its sweeps expanded.

    Attributes:
        campaigns: By name.
        simulations: By name of their folder.
        sweeps: The members of each sweep, by name: ``campaign``, ``fit``, and settings.

    Raises:
        ValueError: Something in the configuration makes no sense.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        sweeps = config.get("sweeps", {})
        self.sweeps: dict[str, Members] = {
            name: list(sweep["members"]) for name, sweep in sweeps.items()
        }
        entries = config["campaigns"]
        rows = {name: own_rows(name, entries) for name in entries}
        made = {name: simulations_of(entries[name], own[0][1]) for name, own in rows.items()}
        fits = {each["fit"] for members in self.sweeps.values() for each in members}
        every = [name for name in config["estimators"] if name not in fits]
        self.campaigns = {
            name: Campaign(
                name,
                config,
                [made[each] for each, _ in rows[name]],
                tuple(entry.get("estimators", every)),
            )
            for name, entry in entries.items()
        }
        self.simulations = joined(made.values())
        self._shards: dict[str, Specification] = {}
        for each in self.simulations.values():
            self._shards |= shards.specifications(each)

    def __getitem__(self, path: str) -> Specification:
        """Return the specification that is written to a path."""
        if path in self._shards:
            return self._shards[path]
        for campaign in self.campaigns.values():
            if path in campaign:
                return campaign[path]
        return self._overviews[path]()

    def __iter__(self) -> Iterator[str]:
        """Yield all paths, inputs before what is made of them."""
        return itertools.chain(self._shards, *self.campaigns.values(), self._overviews)

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(1 for _ in self)

    @property
    def _overviews(self) -> dict[str, Callable[[], Specification]]:
        """Makers of the specifications of pages over campaigns, by path."""
        pages = {
            f"{RESULTS}/{name}/compare.spec.json": (lambda name=name: self._compare(name))
            for name in self.sweeps
        }
        accepted = {f"{RESULTS}/accepted.spec.json": self._judge} if self.strict else {}
        return {**pages, f"{RESULTS}/index.spec.json": self._index, **accepted}

    def _compare(self, name: str) -> Specification:
        members = self.sweeps[name]
        fits = [(each["campaign"], each["fit"]) for each in members]
        keys = {f"{one}/{fit}": self.campaigns[one].key("calibrate", fit) for one, fit in fits}
        follows = tuple(f"{RESULTS}/{one}/{fit}/calibrate.spec.json" for one, fit in fits)
        arguments = {"sweep": name, "members": members}
        return Specification("compare", arguments, keys, stage("compare"), follows)

    def _index(self) -> Specification:
        titles = {name: self.campaigns[name].entry.get("title", name) for name in self.reported}
        keys = {f"report of {name}": self.campaigns[name].key("report") for name in self.reported}
        keys |= {f"comparison of {name}": self._compare(name).key for name in self.sweeps}
        follows = (
            *(f"{RESULTS}/{name}/report.spec.json" for name in self.reported),
            *(f"{RESULTS}/{name}/compare.spec.json" for name in self.sweeps),
        )
        return Specification("index", {"titles": titles}, keys, stage("index"), follows)

    def _judge(self) -> Specification:
        follows = (f"{RESULTS}/index.spec.json",)
        return Specification("judge", {}, {"index": self._index().key}, stage("judge"), follows)

    @property
    def reported(self) -> list[str]:
        """Campaigns with a report of their own: those that are no part of a sweep."""
        members = {each["campaign"] for sweep in self.sweeps.values() for each in sweep}
        return [name for name in self.campaigns if name not in members]

    @property
    def strict(self) -> bool:
        """Whether a failed verdict is an error."""
        return bool(stated(Configuration, self.config, "strict"))

    @property
    def patterns(self) -> dict[str, str]:
        """Regular expressions of the wildcards of rules."""
        refinements = list(self.config.get("refine", {}))
        catalogues = {each: None for one in self.campaigns.values() for each in one.catalogues}
        return {
            "campaign": "|".join(self.campaigns),
            "estimator": "|".join([*self.config["estimators"], *refinements]),
            "trained": "|".join(self.config["estimators"]),
            "refined": "|".join(refinements) or "(?!)",
            "sweep": "|".join(self.sweeps) or "(?!)",
            "catalogue": "|".join(catalogues) or "(?!)",
            "observation": rf"(?!(?:{'|'.join(catalogues)})\b)\w+" if catalogues else r"\w+",
            "simulation": r"[^/]+",
            "shard": r"\d+",
            "part": r"\d+",
            "program": r"\w+",
        }

    def is_made(self, path: str) -> bool:
        """Say whether what is there was made with the specification planned for ``path``."""
        batch = self._batch(path)
        if batch is not None and path != batch.members[0].path:
            whole = all(self.is_made(each.path) for each in batch.members)
            return whole and batch.is_told(Path(path))
        planned = self[path]
        if not sidecars.is_made(Path(path), planned.content):
            return False
        if not all(self.is_made(each) for each in planned.follows):
            return False
        if planned.stage == "manifest":  # a receipt that was deleted wants its shard again
            (campaign,) = (each for each in self.campaigns.values() if path in each)
            return all(Path(each).is_file() for each in self._receipts(campaign))
        return planned.stage != "infer" or Path(path).with_name(DRAWS).exists()

    def _batch(self, path: str) -> Batch | None:
        """Return what the job of many observations makes that writes a path, if there is one."""
        found = (campaign.batch(path) for campaign in self.campaigns.values())
        return next((each for each in found if each is not None), None)

    # Input functions and parameters of rules ------------------------------------------------------

    def specification(self, wildcards: Any, output: Any) -> dict[str, Any]:
        """Return what a job makes its outputs with; ``output.spec`` is where it is written."""
        path = str(output.spec)
        batch = self._batch(path)
        if batch is not None:
            return batch.content
        return {**self[path].content, "follows": list(self[path].follows)}

    def of_shard(self, wildcards: Any) -> Simulations:
        """Return the simulations that a shard belongs to."""
        return self.simulations[wildcards.simulation]

    def first_of_table(self, wildcards: Any) -> list[str]:
        """Return the shard with which a table of parameters is looked at, for all others."""
        made = self.of_shard(wildcards)
        if made.source is None or wildcards.shard == "0":
            return []
        return [f"{made.folder}/prior-0.zarr"]

    def learners(self, wildcards: Any) -> list[str]:
        """Return estimators that learn the prior of the rows of a table, if these are of one."""
        made = self.of_shard(wildcards)
        if made.source is None:
            return []
        # Torch takes seconds, and campaigns from the prior go without.
        from ..estimators import traits  # noqa: PLC0415

        using = [each for each in self.campaigns.values() if made.name in each.stock_names]
        named = {name: None for each in using for name in each.estimators}
        entries = self.config["estimators"]
        return [name for name in named if traits(entries[name]["method"]).draws]

    def models(self) -> list[dict[str, Any]]:
        """Return what `preflight` is told of each folder of simulations."""
        return [
            {
                "name": name,
                "rows": made.rows,
                "workers": made.effort["workers"],
                "folder": made.folder,
                "bucket": made.bucket,
                "limits": dict(made.limits),
                "predictive_draws": stated(Configuration, self.config, "predictive_draws"),
                "source": made.source,
                **self._asked_of(name),
                **{key: made.spec.arguments[key] for key in ("model", "seed", "block_size")},
            }
            for name, made in self.simulations.items()
        ]

    def _asked_of(self, simulations: str) -> dict[str, Any]:
        """Return how many posteriors, observations and objects are asked of some simulations.

        A file is a call too, and an event of a set that is simulated.
        """
        sharing = [each for each in self.campaigns.values() if each.simulations.name == simulations]
        entries = [one.entry["observations"][name] for one in sharing for name in one.observations]
        return {
            "posteriors": sum(len(one.posteriors) * len(one.observations) for one in sharing),
            "observed": sum(entry.get("events", 1) for entry in entries),
            "catalogued": [
                one.catalogues[name].objects for one in sharing for _, name in one.catalogued
            ],
        }

    def all_programs(self) -> list[str]:
        """Return all files that simulators need."""
        return [path for made in self.simulations.values() for path in made.requires]

    def programs(self, wildcards: Any) -> list[str]:
        """Return files that a simulator needs, such as programs."""
        return list(self._simulations(wildcards).requires)

    def threads(self, wildcards: Any) -> int:
        """Return the threads of a job that simulates."""
        return self._simulations(wildcards).threads

    def limits(self, wildcards: Any) -> dict[str, Any]:
        """Return what guards a call of the simulator."""
        return dict(self._simulations(wildcards).limits)

    def effort(self, wildcards: Any) -> dict[str, Any]:
        """Return how simulations are made: what changes none of them."""
        return self._simulations(wildcards).effort

    def block_size(self, wildcards: Any) -> int:
        """Return the rows of one call of a vectorised simulator."""
        return int(self._simulations(wildcards).spec.arguments["block_size"])

    def _simulations(self, wildcards: Any) -> Simulations:
        """Return the simulations that a shard belongs to, or those of a campaign."""
        if "simulation" in wildcards.keys():  # noqa: SIM118 - a named list of Snakemake's
            return self.of_shard(wildcards)
        return self.simulations[self.campaigns[wildcards.campaign].simulations.name]

    def receipts(self, wildcards: Any) -> list[str]:
        """Return the receipts of the shards that a campaign needs."""
        return self._receipts(self.campaigns[wildcards.campaign])

    def _receipts(self, campaign: Campaign) -> list[str]:
        return [path for made in campaign.stocks for path in made.receipts(made.rows)]

    def held_out(self, wildcards: Any) -> str:
        """Return the manifest of the simulations that estimators are asked about.

        It is the campaign's own, or that of the largest of a sweep.
        """
        campaign = self.campaigns[wildcards.campaign]
        return f"{RESULTS}/{campaign.entry.get('held_out', campaign.name)}/simulations.json"

    def proposals(self, wildcards: Any) -> list[str]:
        """Return the estimator that MCMC on another one proposes from, if there is one."""
        campaign = self.campaigns[wildcards.campaign]
        return _trained(campaign, campaign.proposals(wildcards.trained))

    def calibration_proposals(self, wildcards: Any) -> list[str]:
        """Return the estimator that the calibration of another one proposes from, if any."""
        campaign = self.campaigns[wildcards.campaign]
        return _trained(campaign, campaign.proposals(wildcards.estimator, calibrating=True))

    def training(self, wildcards: Any) -> dict[str, Any]:
        """Return all options of a training, also those that are in no key."""
        return dict(self.config["estimators"][wildcards.estimator].get("training", {}))

    def networks(self, wildcards: Any) -> list[dict[str, Any]]:
        """Return the networks of a campaign that its data must suit, with all their options.

        None where planning has seen already that they do.
        """
        campaign = self.campaigns[wildcards.campaign]
        if data_shape(campaign.entry) is not None:
            return []
        # Torch takes seconds, and the jobs of a cluster plan too.
        from .suitability import all_options  # noqa: PLC0415

        entries = [(name, self.config["estimators"][name]) for name in campaign.estimators]
        return [
            {
                "estimator": name,
                "method": entry["method"],
                "options": all_options(entry["method"], entry.get("network", {})),
            }
            for name, entry in entries
        ]

    def likelihoods(self, wildcards: Any) -> list[str]:
        """Return the estimator of the likelihood that a posterior is refined by, if any."""
        name = self.config["refine"][wildcards.refined].get("likelihood")
        trained = name in self.campaigns[wildcards.campaign].estimators
        return [f"{RESULTS}/{wildcards.campaign}/{name}/estimator.pt"] if trained else []

    def of_estimators(self, pattern: str) -> InputFunction:
        """Return an input function: a pattern for each estimator of a campaign."""
        return lambda wildcards: [
            pattern.format(campaign=wildcards.campaign, estimator=name)
            for name in self.campaigns[wildcards.campaign].estimators
        ]

    def observed(self, wildcards: Any) -> list[str]:
        """Return the receipt of the observations that a job of many draws for."""
        return self._receipt(wildcards, "observe")

    def drawn(self, wildcards: Any) -> list[str]:
        """Return the receipt of the posteriors, refined or not, that a job of many tells of."""
        name = wildcards.estimator
        return self._receipt(wildcards, self.campaigns[wildcards.campaign].draws(name), name)

    def proposed(self, wildcards: Any) -> list[str]:
        """Return the receipt of the posteriors whose draws a job of many reweights."""
        name = self.config["refine"][wildcards.refined]["proposal"]
        return self._receipt(wildcards, self.campaigns[wildcards.campaign].draws(name), name)

    def _receipt(self, wildcards: Any, *job: str) -> list[str]:
        return [self.campaigns[wildcards.campaign].receipts(*job)[int(wildcards.part)]]

    def single_proposed(self, wildcards: Any) -> str:
        """Return the posterior whose draws are reweighted."""
        name = self.config["refine"][wildcards.refined]["proposal"]
        return f"{RESULTS}/{wildcards.campaign}/{name}/{wildcards.observation}/posterior.nc"

    def nuisances(self, wildcards: Any) -> list[str]:
        """Return what was learnt of the nuisances of a campaign, if that is asked for."""
        return self._of_nuisances(wildcards, "nuisances.pt")

    def nuisance_ranks(self, wildcards: Any) -> list[str]:
        """Return how it was checked."""
        return self._of_nuisances(wildcards, "nuisance_ranks.nc")

    def _of_nuisances(self, wildcards: Any, file: str) -> list[str]:
        learns = self.campaigns[wildcards.campaign].learns_nuisances
        return [f"{RESULTS}/{wildcards.campaign}/{file}"] if learns else []

    def diagnosed(self, wildcards: Any) -> list[str]:
        """Return the receipts of what is told of all posteriors of a campaign."""
        campaign = self.campaigns[wildcards.campaign]
        told = [campaign.receipts("diagnose", name) for name in campaign.posteriors]
        tables = [f"{folder}/objects.json" for folder in self.catalogues(wildcards)]
        return [*campaign.receipts("observe"), *itertools.chain(*told), *tables]

    def catalogues(self, wildcards: Any) -> list[str]:
        """Return the folders of what estimators say of the catalogues of a campaign."""
        campaign = self.campaigns[wildcards.campaign]
        return [f"{RESULTS}/{campaign.name}/{name}/{each}" for name, each in campaign.catalogued]

    def inferred(self, wildcards: Any) -> list[str]:
        """Return the receipts of the parts of a catalogue that an estimator has drawn for."""
        parts = self.campaigns[wildcards.campaign].parts(wildcards.trained, wildcards.catalogue)
        return [each.replace(".spec.json", ".json") for each in parts]

    def observations(self, wildcards: Any) -> list[str]:
        """Return the observations of a campaign."""
        campaign = self.campaigns[wildcards.campaign]
        return [
            f"{RESULTS}/{campaign.name}/observations/{each}.nc" for each in campaign.observations
        ]

    def posteriors(self, wildcards: Any) -> list[str]:
        """Return the folders of all posteriors of a campaign, refined ones too."""
        campaign = self.campaigns[wildcards.campaign]
        return [
            f"{RESULTS}/{campaign.name}/{name}/{each}"
            for name, each in itertools.product(campaign.posteriors, campaign.observations)
        ]

    def of_fits(self, pattern: str) -> InputFunction:
        """Return an input function: a pattern for each fit of a sweep, in order."""
        return lambda wildcards: [
            pattern.format(campaign=each["campaign"], estimator=each["fit"])
            for each in self.sweeps[wildcards.sweep]
        ]

    def of_reported(self, pattern: str) -> InputFunction:
        """Return an input function: a pattern for each campaign with a report of its own."""
        return lambda wildcards: [pattern.format(campaign=name) for name in self.reported]

    def of_sweeps(self, pattern: str) -> InputFunction:
        """Return an input function: a pattern for each sweep."""
        return lambda wildcards: [pattern.format(sweep=name) for name in self.sweeps]

    def verdicts(self) -> Iterator[str]:
        """Yield a line for each report that is there: where it is and what its verdict says."""
        for name in self.reported:
            verdict = sidecars.read_if_whole(Path(RESULTS, name, "verdict.json"))
            if verdict is not None:
                status, sentence = verdict["status"], verdict["sentence"]
                yield f"{RESULTS}/{name}/report.html: {status}. {sentence}"


def _trained(campaign: Campaign, names: list[str]) -> list[str]:
    return [f"{RESULTS}/{campaign.name}/{name}/estimator.pt" for name in names]
