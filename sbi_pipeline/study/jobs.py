"""What the jobs of a plan read and are told: all that rules ask of it.

Methods that take ``wildcards`` are input functions and parameters of rules.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .. import sidecars
from .campaign import Campaign
from .counts import few_held_out
from .data import data_shape
from .places import RESULTS, place
from .plan import Plan, box_of
from .preflights import models_of
from .simulations import EXISTING, Simulations

InputFunction = Callable[[Any], list[str]]
"""From the wildcards of a job to paths."""


class Jobs:
    """Inputs and parameters of the jobs of a plan.

    Args:
        plan: The plan; as boxes of rounds become known, another one takes its place.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    @property
    def plan(self) -> Plan:
        """The plan, with all boxes that are known by now."""
        self._plan = self._plan.current()
        return self._plan

    imported = rf"{EXISTING}[^/]+"
    """A regular expression of folders of imported rows."""
    simulated = rf"(?!{EXISTING})[^/]+"
    """And of all others."""

    def waits_for(self, path: str) -> str:
        """Return the round whose box must be known before a specification is; empty for none."""
        return self.plan.waits_for(path)

    def _campaign(self, wildcards: Any) -> Campaign:
        return self.plan.campaigns[wildcards.campaign]

    def specification(self, wildcards: Any, output: Any) -> dict[str, Any]:
        """Return what a job makes its outputs with; ``output.spec`` is where it is written."""
        path = str(output.spec)
        batch = self.plan.batch(path)
        if batch is not None:
            return batch.content
        return {**self.plan[path].content, "follows": list(self.plan[path].follows)}

    def of_shard(self, wildcards: Any) -> Simulations:
        """Return the simulations that a shard belongs to."""
        return self.plan.simulations[wildcards.simulation]

    def first_of_table(self, wildcards: Any) -> list[str]:
        """Return the shard with which a table of parameters is looked at, for all others."""
        made = self.of_shard(wildcards)
        if not made.is_of_table or wildcards.shard == "0":
            return []
        return [f"{made.folder}/prior-0.zarr"]

    def learners(self, wildcards: Any) -> list[str]:
        """Return estimators that learn the prior of the rows of a table, if these are of one."""
        made = self.of_shard(wildcards)
        if not made.is_of_table:
            return []
        # Torch takes seconds, and campaigns from the prior go without.
        from ..estimators import traits  # noqa: PLC0415

        using = [each for each in self.plan.campaigns.values() if made.name in each.stock_names]
        named = {name: None for each in using for name in each.estimators}
        entries = self.plan.config["estimators"]
        return [name for name in named if traits(entries[name]["method"]).draws]

    def models(self) -> list[dict[str, Any]]:
        """Return what `preflight` is told of each folder of simulations."""
        return models_of(self.plan)

    def all_programs(self) -> list[str]:
        """Return all files that simulators need."""
        return [path for made in self.plan.simulations.values() for path in made.requires]

    def source_of_program(self, wildcards: Any) -> str:
        """Return the C source of a program: beside the configuration, or in ``config/programs``."""
        beside = f"{wildcards.program}.c"
        return beside if Path(beside).exists() else f"config/programs/{beside}"

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
        return self.plan.simulations[self._campaign(wildcards).simulations.name]

    def receipts(self, wildcards: Any) -> list[str]:
        """Return the receipts of the shards that a campaign needs."""
        return self._campaign(wildcards).shard_receipts

    def held_out(self, wildcards: Any) -> str:
        """Return the manifest of the simulations that estimators are asked about.

        It is the campaign's own, or that of the largest of a sweep.
        """
        campaign = self._campaign(wildcards)
        return f"{RESULTS}/{campaign.entry.get('held_out', campaign.name)}/simulations.json"

    def proposals(self, wildcards: Any) -> list[str]:
        """Return the estimator that MCMC on another one proposes from, if there is one."""
        campaign = self._campaign(wildcards)
        return _trained(campaign, campaign.fits.proposals(wildcards.trained))

    def calibration_proposals(self, wildcards: Any) -> list[str]:
        """Return the estimator that the calibration of another one proposes from, if any."""
        campaign = self._campaign(wildcards)
        return _trained(campaign, campaign.fits.proposals(wildcards.trained, calibrating=True))

    def training(self, wildcards: Any) -> dict[str, Any]:
        """Return all options of a training, also those that are in no key."""
        return dict(self.plan.config["estimators"][wildcards.estimator].get("training", {}))

    def networks(self, wildcards: Any) -> list[dict[str, Any]]:
        """Return the networks of a campaign that its data must suit, with all their options.

        None where planning has seen already that they do.
        """
        campaign = self._campaign(wildcards)
        if data_shape(campaign.entry) is not None:
            return []
        # Torch takes seconds, and the jobs of a cluster plan too.
        from .suitability import all_options  # noqa: PLC0415

        entries = [(name, self.plan.config["estimators"][name]) for name in campaign.estimators]
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
        name = self._refinement(wildcards).get("likelihood")
        trained = name in self._campaign(wildcards).estimators
        return [f"{RESULTS}/{wildcards.campaign}/{name}/estimator.pt"] if trained else []

    def _refinement(self, wildcards: Any) -> dict[str, Any]:
        """Return the entry of a refined posterior: of any, of one weighed, or of one moved."""
        named = dict(wildcards.items())
        name = next(named[kind] for kind in ("refined", "weighed", "moved") if kind in named)
        return dict(self.plan.config["refine"][name])

    def corrections(self, wildcards: Any) -> list[str]:
        """Return how draws of a posterior are moved, if they are."""
        moved = self._campaign(wildcards).drawn.told_by(wildcards.refined) == "recalibrate"
        return [f"{RESULTS}/{wildcards.campaign}/{wildcards.refined}/calibration.nc"] * moved

    def corrected(self, wildcards: Any) -> str:
        """Return the calibration of the estimator whose draws are moved."""
        name = self._refinement(wildcards)["proposal"]
        return f"{RESULTS}/{wildcards.campaign}/{name}/calibration.nc"

    def proposal(self, wildcards: Any) -> str:
        """Return the estimator whose draws a posterior is refined from."""
        name = self._refinement(wildcards)["proposal"]
        return f"{RESULTS}/{wildcards.campaign}/{name}/estimator.pt"

    def refined_calibrations(self, wildcards: Any) -> list[str]:
        """Return what refined posteriors of a campaign say of held-out simulations."""
        campaign = self._campaign(wildcards)
        return [f"{RESULTS}/{campaign.name}/{name}/calibration.nc" for name in campaign.calibrated]

    def of_estimators(self, pattern: str) -> InputFunction:
        """Return an input function: a pattern for each estimator of a campaign."""
        return lambda wildcards: [
            pattern.format(campaign=wildcards.campaign, estimator=name)
            for name in self._campaign(wildcards).estimators
        ]

    def observed(self, wildcards: Any) -> list[str]:
        """Return the receipt of the observations that a job of many draws for."""
        return self._receipt(wildcards, "observe")

    def drawn(self, wildcards: Any) -> list[str]:
        """Return the receipt of the posteriors, refined or not, that a job of many tells of."""
        name = wildcards.estimator
        return self._receipt(wildcards, self._campaign(wildcards).drawn.stage_of(name), name)

    def told(self, wildcards: Any) -> list[str]:
        """Return the receipt of the predictions with whose simulations a job of many ranks."""
        return self._receipt(wildcards, "diagnose", wildcards.trained)

    def proposed(self, wildcards: Any) -> list[str]:
        """Return the receipt of the posteriors whose draws a job of many reweights."""
        name = self._refinement(wildcards)["proposal"]
        return self._receipt(wildcards, self._campaign(wildcards).drawn.stage_of(name), name)

    def _receipt(self, wildcards: Any, *job: str) -> list[str]:
        return [self._campaign(wildcards).receipts(*job)[int(wildcards.part)]]

    def single_proposed(self, wildcards: Any) -> str:
        """Return the posterior whose draws are reweighted."""
        name = self._refinement(wildcards)["proposal"]
        return f"{RESULTS}/{wildcards.campaign}/{name}/{wildcards.observation}/posterior.nc"

    def before(self, pattern: str) -> Callable[[Any], str]:
        """Return an input function: a pattern of the round whose posterior a box is made of."""

        def of_round(wildcards: Any) -> str:
            chain, name = self.plan.rounds_before[wildcards.campaign]
            names = {"campaign": name, "estimator": chain.estimator}
            return pattern.format(observation=chain.observation, **names)

        return of_round

    def box_before(self, wildcards: Any) -> list[str]:
        """Return the box of the round whose posterior a box is made of, if it has one."""
        _, name = self.plan.rounds_before[wildcards.campaign]
        return [str(box_of(name))] if self.plan.rounds[name].boxes else []

    def boxes(self, wildcards: Any) -> list[str]:
        """Return the boxes of the rounds of a campaign, in order."""
        each = self._campaign(wildcards).round
        if each is None:
            return []
        (chain,) = each.chains
        return [str(box_of(name)) for name in chain.boxed[: len(each.boxes)]]

    def rounds(self, wildcards: Any) -> list[str]:
        """Return the posteriors that these boxes were made of."""
        each = self._campaign(wildcards).round
        if each is None:
            return []
        (chain,) = each.chains
        posterior = f"{chain.estimator}/{chain.observation}/posterior.nc"
        return [f"{RESULTS}/{name}/{posterior}" for name in each.earlier]

    def nuisances(self, wildcards: Any) -> list[str]:
        """Return what was learnt of the nuisances of a campaign, if that is asked for."""
        return self._of_nuisances(wildcards, "nuisances.pt")

    def scoring(self, wildcards: Any) -> list[str]:
        """Return the estimator by which predicted events are scored, if they are."""
        campaign = self._campaign(wildcards)
        if not campaign.drawn.scores_events(wildcards.estimator):
            return []
        return [f"{RESULTS}/{wildcards.campaign}/{wildcards.estimator}/estimator.pt"]

    def nuisance_ranks(self, wildcards: Any) -> list[str]:
        """Return how it was checked."""
        return self._of_nuisances(wildcards, "nuisance_ranks.nc")

    def _of_nuisances(self, wildcards: Any, file: str) -> list[str]:
        learns = self._campaign(wildcards).fits.learn_nuisances
        return [f"{RESULTS}/{wildcards.campaign}/{file}"] if learns else []

    def diagnosed(self, wildcards: Any) -> list[str]:
        """Return the receipts of what is told of all posteriors of a campaign."""
        campaign = self._campaign(wildcards)
        told = [campaign.receipts("diagnose", name) for name in campaign.posteriors]
        told += [campaign.receipts("posterior_sbc", name) for name in campaign.ranked]
        tables = [f"{folder}/objects.json" for folder in self.catalogues(wildcards)]
        return [*campaign.receipts("observe"), *itertools.chain(*told), *tables]

    def catalogues(self, wildcards: Any) -> list[str]:
        """Return the folders of what estimators say of the catalogues of a campaign."""
        campaign = self._campaign(wildcards)
        return [f"{RESULTS}/{campaign.name}/{name}/{each}" for name, each in campaign.catalogued]

    def inferred(self, wildcards: Any) -> list[str]:
        """Return the receipts of the parts of a catalogue that an estimator has drawn for."""
        parts = self._campaign(wildcards).drawn.parts(wildcards.trained, wildcards.catalogue)
        return [each.replace(".spec.json", ".json") for each in parts]

    def observations(self, wildcards: Any) -> list[str]:
        """Return the observations of a campaign."""
        campaign = self._campaign(wildcards)
        return [
            f"{RESULTS}/{campaign.name}/observations/{each}.nc" for each in campaign.observations
        ]

    def posteriors(self, wildcards: Any) -> list[str]:
        """Return the folders of all posteriors of a campaign, refined ones too."""
        campaign = self._campaign(wildcards)
        return [
            f"{RESULTS}/{campaign.name}/{name}/{each}"
            for name, each in itertools.product(campaign.posteriors, campaign.observations)
        ]

    def of_fits(self, pattern: str, *, over_rounds: bool | None = None) -> InputFunction:
        """Return an input function: a pattern for each fit of a sweep, in order.

        Args:
            pattern: Of a path.
            over_rounds: Whether it is for sweeps over rounds alone, or for the others; None for
                all.
        """
        return lambda wildcards: [
            pattern.format(
                campaign=each["campaign"],
                estimator=each["fit"],
                observation=each.get("observation"),
            )
            for each in self.plan.sweeps[wildcards.sweep]
            if over_rounds in (None, "observation" in each)
        ]

    def of_reported(self, pattern: str) -> InputFunction:
        """Return an input function: a pattern for each campaign with a report of its own."""
        return lambda wildcards: [pattern.format(campaign=name) for name in self.plan.reported]

    def of_sweeps(self, pattern: str) -> InputFunction:
        """Return an input function: a pattern for each sweep."""
        return lambda wildcards: [pattern.format(sweep=name) for name in self.plan.sweeps]

    def of_comparisons(self, pattern: str) -> InputFunction:
        """Return an input function: a pattern for each comparison of models."""
        return lambda wildcards: [pattern.format(comparison=name) for name in self.plan.comparisons]

    def verdict_files(self, wildcards: Any) -> list[str]:
        """Return the verdicts of campaigns with a report of their own, then of comparisons."""
        names = [*self.plan.reported, *self.plan.comparisons]
        return [f"{RESULTS}/{name}/verdict.json" for name in names]

    def compared(self, files: str) -> InputFunction:
        """Return an input function: files that a comparison of models is made of.

        Args:
            files: Which, an attribute of `PlannedComparison`.
        """
        return lambda wildcards: list(getattr(self.plan.comparisons[wildcards.comparison], files))

    def notes(self) -> Iterator[str]:
        """Yield a line for each campaign of which little will be judged, and one for lost rows."""
        yield from few_held_out(self.plan.config)
        yield from self.plan.missing_rows()

    def verdicts(self) -> Iterator[str]:
        """Yield a line for each report that is there: where it is and what its verdict says."""
        plan = self.plan.current()
        pages = [(name, "report") for name in plan.reported]
        pages += [(name, "compare_models") for name in plan.comparisons]
        for name, stage_name in pages:
            verdict = sidecars.read_if_whole(Path(RESULTS, name, "verdict.json"))
            if verdict is None:
                continue
            said = f"{verdict['status']}. {verdict['sentence']}"
            if not plan.is_made(place(name, stage_name)):
                said = "of results that were made anew since, or are to be; name it to make it anew"
            yield f"{RESULTS}/{name}/report.html: {said}"


def _trained(campaign: Campaign, names: list[str]) -> list[str]:
    return [f"{RESULTS}/{campaign.name}/{name}/estimator.pt" for name in names]
