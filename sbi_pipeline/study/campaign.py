"""The specifications of all stages of one campaign, each with the keys of its inputs."""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from .. import observations, registry
from ..fingerprint import of_array
from ..simulators.absent import ABSENT
from . import texts
from .batches import Batch, Member
from .catalogues import PlannedCatalogue
from .data import missing_of
from .fits import Fits
from .observing import known_as_argument, observe_specification
from .rounds import Round, RoundChain
from .schema import CampaignEntry, Config, Configuration, Refinement
from .signatures import stated
from .simulations import RESULTS, Simulations, makers_of
from .specification import Makers, Specification, maker, stage

Place = tuple[str, ...]
"""Stage, name of what makes it unless it is an observation itself, and observation."""


class Campaign(Mapping[str, Specification]):
    """Specifications by where they are written; each is made when it is asked for.

    Args:
        name: Name of the campaign in the configuration.
        config: The whole configuration.
        stocks: What the campaign has simulated, then what it reuses of others.
        estimators: Names of the estimators it trains.
        round: Which round it is, if it is one.
    """

    def __init__(
        self,
        name: str,
        config: Config,
        stocks: Sequence[Simulations],
        estimators: tuple[str, ...],
        round: Round | None = None,  # noqa: A002 - the word of the configuration
    ) -> None:
        self.name, self.config = name, config
        self.stocks, self.estimators = stocks, estimators
        self.simulations, self.round = stocks[0], round
        self.entry: Config = config["campaigns"][name]
        self.refined = [] if self._is_told_elsewhere else refined_names(config, estimators)
        self.catalogues = {
            each: PlannedCatalogue.of(observed, self.entry, config)
            for each, observed in self.entry.get("observations", {}).items()
            if "table" in observed
        }
        self._made: dict[str, Specification] = {}
        box = None if round is None else round.faces
        next_boxes = () if round is None else round.next_boxes
        oblique = any(chain.axes == "principal" for chain, _ in next_boxes)
        self.fits = Fits(
            config, name, estimators, stocks, box, lambda path: self[path].key, oblique
        )
        self._shares = {self._path(*place): place for place in self._all_shares()}
        self._jobs = dict(self._all_jobs())
        self._recipes = dict(self._all_recipes())

    def __getitem__(self, path: str) -> Specification:
        """Return the specification that is written to a path."""
        if path not in self._made:
            self._made[path] = self._recipes[path]()
        return self._made[path]

    def __contains__(self, path: object) -> bool:
        """Say whether a specification is written to a path, without making it."""
        return path in self._recipes

    def __iter__(self) -> Iterator[str]:
        """Yield all paths, inputs before what is made of them."""
        return iter(self._recipes)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._recipes)

    @property
    def observations(self) -> list[str]:
        """Names of the observations that are no catalogues."""
        return [each for each in self.entry.get("observations", {}) if each not in self.catalogues]

    @property
    def stock_names(self) -> list[str]:
        """Names of the folders of its simulations."""
        return [made.name for made in self.stocks]

    @property
    def shard_receipts(self) -> list[str]:
        """The receipts of the shards that it needs."""
        return [path for made in self.stocks for path in made.receipts(made.rows)]

    @property
    def catalogued(self) -> list[tuple[str, str]]:
        """Estimators and catalogues, every pair."""
        return list(itertools.product(self.estimators, self.catalogues))

    @property
    def posteriors(self) -> list[str]:
        """Names of estimators, then of refined posteriors."""
        return [*self.estimators, *self.refined]

    @property
    def calibrated(self) -> list[str]:
        """Names of the refined posteriors that are asked about held-out simulations.

        Truths are drawn from the prior that was simulated, not from another one.
        """
        entries = self.config.get("refine", {})
        asked = [name for name in self.refined if "priors" not in entries[name]]
        return asked if self.observations else []

    def told_by(self, name: str) -> str:
        """Return the stage that says what a refined posterior makes of held-out simulations."""
        moved = stated(Refinement, self.config["refine"][name], "recalibrate")
        return "recalibrate" if moved else "calibrate_refined"

    def _all_shares(self) -> Iterator[Place]:
        """Yield stage, name and observation of all that is made of one observation."""
        yield from (("observe", each) for each in self.observations)
        for name in self.posteriors:
            yield from ((self.draws(name), name, each) for each in self.observations)
        for name in () if self._is_told_elsewhere else self.posteriors:
            yield from (("diagnose", name, each) for each in self.observations)
        for name in self.ranked:
            yield from (("posterior_sbc", name, each) for each in self.observations)

    @property
    def ranked(self) -> tuple[str, ...]:
        """Names of the estimators that are checked where their posteriors are."""
        asked = stated(Configuration, self.config, "posterior_calibration")
        none = self._is_told_elsewhere or self.entry["simulator"] == ABSENT
        return () if none or not asked else self.estimators

    @property
    def _is_told_elsewhere(self) -> bool:
        """Whether the page of another campaign tells of it: that of a sweep, or of its last round.

        It makes what that one asks for.
        """
        return "held_out" in self.entry or (self.round is not None and not self.round.is_last)

    def _all_recipes(self) -> Iterator[tuple[str, Callable[[], Specification]]]:
        """Yield every path with what makes its specification, inputs before what they make."""
        makers = {
            "sample": self._sample,
            "refine": self._refine,
            "diagnose": self._diagnose,
            "posterior_sbc": self._posterior_sbc,
        }
        yield self._path("manifest"), self.fits.manifest
        for each in self.observations:
            yield self._path("observe", each), self._recipe(self._observe, each)
        for each in self.catalogues:
            yield self._path("collect", each), self._recipe(self._collect, each)
        for name in self.estimators:
            yield self._path("train", name), self._recipe(self.fits.train, name)
        yield from self._calibrations()  # some estimators propose for others
        if self.fits.learn_nuisances and not self._is_told_elsewhere:
            yield self._path("learn_nuisances"), self.fits.nuisances
        for path, (stage_name, *names) in self._shares.items():
            if stage_name != "observe":
                yield path, self._recipe(makers[stage_name], *names)
        for name, each in self.catalogued:
            for part, path in enumerate(self.parts(name, each)):
                yield path, functools.partial(self._infer, name, each, part)
            yield self._path("tabulate", name, each), self._recipe(self._tabulate, name, each)
        if self.round is not None:
            for chain, following in self.round.next_boxes:
                path = f"{RESULTS}/{following}/truncate.spec.json"
                yield path, functools.partial(self._truncate, chain)
        if not self._is_told_elsewhere:
            yield self._path("report"), self._report

    def _calibrations(self) -> Iterator[tuple[str, Callable[[], Specification]]]:
        """Yield where calibrations are specified, with what makes these."""
        for name in self.estimators:
            yield self._path("calibrate", name), self._recipe(self.fits.calibrate, name)
        for name in self.calibrated:
            makers = {
                "recalibrate": self._recalibrate,
                "calibrate_refined": self._calibrate_refined,
            }
            stage_name = self.told_by(name)
            yield self._path(stage_name, name), self._recipe(makers[stage_name], name)

    def _recipe(self, make: Callable[..., Specification], *names: str) -> Callable[[], Any]:
        return functools.partial(make, *names)

    def _path(self, stage_name: str, *folders: str) -> str:
        if stage_name in ("observe", "collect"):  # observations lie in one folder, a name each
            return "/".join([RESULTS, self.name, "observations", *folders]) + ".spec.json"
        return "/".join([RESULTS, self.name, *folders, f"{stage_name}.spec.json"])

    def parts(self, name: str, catalogue: str) -> list[str]:
        """Return where the specifications of the parts of a catalogue are written."""
        parts = range(self.catalogues[catalogue].parts)
        return [self._path(f"infer-{part}", name, catalogue) for part in parts]

    def receipts(self, stage_name: str, *name: str) -> list[str]:
        """Return the receipts of a stage that serves many observations, one a job.

        Args:
            stage_name: The stage.
            *name: Of the estimator or refinement, where there is one.
        """
        folder = "/".join([RESULTS, self.name, *name])
        jobs = range(math.ceil(len(self.observations) / self._at_once))
        return [f"{folder}/{stage_name}-{job}.json" for job in jobs]

    def batch(self, path: str) -> Batch | None:
        """Return what the job makes that writes a receipt, or one observation's specification."""
        places = [self._shares[path]] if path in self._shares else self._jobs.get(path)
        if places is None:
            return None
        return Batch(places[0][0], tuple(self._member(*place) for place in places))

    @property
    def _at_once(self) -> int:
        """The most observations of one job."""
        return int(stated(Configuration, self.config, "observations_per_job"))

    def _all_jobs(self) -> Iterator[tuple[str, list[Place]]]:
        """Yield the receipt of every job of many observations, with what it makes."""
        for job, places in itertools.groupby(self._shares.values(), lambda place: place[:-1]):
            several = list(places)
            for number, receipt in enumerate(self.receipts(*job)):
                yield receipt, several[number * self._at_once :][: self._at_once]

    def _member(self, stage_name: str, *folders: str) -> Member:
        """Return one observation's share of a job; the last of the folders is its name."""
        *name, observation = folders
        refined = self.config.get("refine", {}).get("".join(name), {})
        path = self._path(stage_name, *folders)
        return Member.planned(
            path,
            self[path],
            folder=f"{RESULTS}/{self.name}",
            name="".join(name),
            observation=observation,
            proposal=refined.get("proposal", ""),
        )

    def key(self, stage_name: str, *folders: str) -> str:
        """Return the key of what a stage makes in some folder of the campaign."""
        return self[self._path(stage_name, *folders)].key

    def _observed(self, observation: str) -> str:
        return self.key("observe", observation)

    def _drawn(self, name: str, observation: str) -> str:
        """Return the key of a posterior, refined or not."""
        return self.key(self.draws(name), name, observation)

    def draws(self, name: str) -> str:
        """Return the stage that draws a posterior."""
        return "refine" if name in self.refined else "sample"

    @property
    def _events(self) -> bool:
        return bool(stated(CampaignEntry, self.entry, "events"))

    def scores_events(self, name: str) -> bool:
        """Say whether predicted events are scored by what multiplies those of an observation."""
        return self._events and name in self.estimators and self._predictive_draws != 0

    @property
    def _axis(self) -> Makers:
        """Return the file that the values along the data are read from, as what takes part."""
        axis = self.entry.get("data", {}).get("axis", {})
        if not isinstance(axis.get("values"), str):
            return Makers({}, {})
        values = of_array(observations.axis_values(axis, None))
        return Makers({}, {f"data {axis['values']}": values})

    @property
    def _predictive_draws(self) -> int | str:
        """Data sets predicted of each posterior: none where nothing simulates."""
        if self.entry["simulator"] == ABSENT:
            return 0
        asked: int | str = stated(Configuration, self.config, "predictive_draws")
        return asked

    @property
    def _derived(self) -> dict[str, str]:
        """Expressions of the derived parameters by name."""
        entries = self.entry.get("derived_parameters", {})
        return {name: entry["expression"] for name, entry in entries.items()}

    def _labels(self, name: str, observation: str) -> dict[str, Any]:
        """Return what posterior files say of parameters and of themselves."""
        return {
            "derived": self._derived,
            "texts": self._texts(),
            "names": {"campaign": self.name, "estimator": name, "observation": observation},
        }

    def _texts(self) -> dict[str, dict[str, str]]:
        """Return label and unit of what a posterior is of."""
        shown = {*self.entry["inferred_parameters"], *self._derived}
        return {name: text for name, text in texts.texts_of(self.entry).items() if name in shown}

    def _observe(self, name: str) -> Specification:
        return observe_specification(name, self.entry, self.simulations.model, self.fits.masks)

    def _sample(self, name: str, observation: str) -> Specification:
        sampler = self.config["estimators"][name].get("sampler", {})
        inputs, follows = self.fits.drawn_from(name)
        selection = {"selection": self.entry.get("selection")} if self._events else {}
        return Specification(
            "sample",
            {"sampler": sampler, **selection, **self._labels(name, observation)},
            {**inputs, "observation": self._observed(observation)},
            stage("sample") | self.fits.sampler(name, sampler),
            follows,
        )

    def _truncate(self, chain: RoundChain) -> Specification:
        """Return what the box of the next round is made with."""
        name, observation = chain.estimator, chain.observation
        box = None if self.round is None else self.round.box
        axes = {"axes": chain.axes} if chain.axes == "principal" else {}
        return Specification(
            "truncate",
            {"mass": chain.mass, "widening": chain.widening, **axes},
            {
                **({} if box is None else {"before": box.key}),
                "simulations": self.key("manifest"),
                "estimator": self.key("train", name),
                "calibration": self.key("calibrate", name),
                "observation": self._observed(observation),
                "posterior": self._drawn(name, observation),
            },
            stage("truncate"),
            (self._path("calibrate", name), self._path("sample", name, observation)),
        )

    def _refine(self, name: str, observation: str) -> Specification:
        entry = self.config["refine"][name]
        likelihood = entry.get("likelihood")
        inputs = {
            "proposal": self._drawn(entry["proposal"], observation),
            "observation": self._observed(observation),
        }
        follows = [self._path(self.draws(entry["proposal"]), entry["proposal"], observation)]
        if likelihood in self.estimators:
            inputs["likelihoods"] = self.key("train", likelihood)
            follows.append(self._path("train", likelihood))
        if stated(Refinement, entry, "recalibrate"):
            inputs["corrections"] = self.key("recalibrate", name)
            follows.append(self._path("recalibrate", name))
        return Specification(
            "refine",
            {
                "model": self.simulations.model,
                "exact": likelihood == "exact",
                "nuisance_draws": stated(Refinement, entry, "nuisance_draws"),
                "new_priors": texts.without_texts(entry.get("priors", {})),
                **self._labels(name, observation),
            },
            inputs,
            stage("refine") | makers_of(self.entry),
            tuple(follows),
        )

    def _calibrate_refined(self, name: str) -> Specification:
        entry = self.config["refine"][name]
        likelihood, proposal = entry["likelihood"], entry["proposal"]
        return self.fits.calibrate_refined(
            proposal,
            likelihood if likelihood in self.estimators else None,
            {
                "model": self.simulations.model,
                "exact": likelihood == "exact",
                "nuisance_draws": stated(Refinement, entry, "nuisance_draws"),
            },
            makers_of(self.entry),
        )

    def _recalibrate(self, name: str) -> Specification:
        proposal = self.config["refine"][name]["proposal"]
        path = self._path("calibrate", proposal)
        inputs = {"calibrations": self[path].key}
        return Specification("recalibrate", {}, inputs, stage("recalibrate"), (path,))

    def _diagnose(self, name: str, observation: str) -> Specification:
        learnt, follows = self.fits.learnt_nuisances()
        if self.scores_events(name):
            learnt["estimators"] = self.key("train", name)
            follows = (*follows, self._path("train", name))
        return Specification(
            "diagnose",
            {
                "model": self.simulations.model,
                "several": self._events,
                "from_prior": self.fits.nuisances_from_prior,
                "predictive_draws": self._predictive_draws,
                "data": self.entry.get("data", {}),
            },
            {
                "posterior": self._drawn(name, observation),
                "observation": self._observed(observation),
                **learnt,
            },
            stage("diagnose") | makers_of(self.entry) | self._axis,
            (self._path(self.draws(name), name, observation), *follows),
        )

    def _posterior_sbc(self, name: str, observation: str) -> Specification:
        options = self.fits.ranking(name)
        sampler = self.fits.sampler(name, options.get("sampler", {}))
        inputs, follows = self.fits.of_estimator(name)
        places = (("sample", name, observation), ("diagnose", name, observation))
        drawn, told = (self._path(*place) for place in places)
        return Specification(
            "posterior_sbc",
            {
                "model": self.simulations.model,
                "wanted": stated(Configuration, self.config, "posterior_calibration"),
                **options,
                **missing_of(self.entry),
            },
            {
                **inputs,
                "posterior": self[drawn].key,
                "predictive": self[told].key,
                "observation": self._observed(observation),
            },
            stage("posterior_sbc") | makers_of(self.entry) | sampler,
            (*follows, drawn, told),
        )

    def _collect(self, catalogue: str) -> Specification:
        planned, known = self.catalogues[catalogue], known_as_argument(self.entry)
        shape = self.entry["inventory"].x_shape if "inventory" in self.entry else None
        makers, missing = makers_of(self.entry) | self.fits.masks, missing_of(self.entry)
        return planned.collect(self.simulations.model, known, makers, shape, missing)

    def _infer(self, name: str, catalogue: str, part: int) -> Specification:
        planned = self.catalogues[catalogue]
        sampler = dict(self.config["estimators"][name].get("sampler", {}))
        sampler.pop("draws", None)
        inputs, follows = self.fits.drawn_from(name)
        learnt, followed = self.fits.learnt_nuisances()
        return planned.infer(
            part,
            {
                "model": self.simulations.model,
                "sampler": sampler,
                "draws": planned.draws,
                "block": planned.block(len(self.entry["inferred_parameters"])),
                "derived": self._derived,
                "predictive_draws": self._predictive_draws,
                **self.fits.at_load,
            },
            {"simulations": self.key("manifest"), **inputs, **learnt},
            self.key("collect", catalogue),
            self.fits.sampler(name, sampler) | makers_of(self.entry) | self.fits.masks,
            (*follows, *followed),
        )

    def _tabulate(self, name: str, catalogue: str) -> Specification:
        parts = self.parts(name, catalogue)
        return Specification(
            "tabulate",
            {
                "model": self.simulations.model,
                "inferred_parameters": list(self.entry["inferred_parameters"]),
                "derived": self._derived,
                "texts": self._texts(),
                "data": self.entry.get("data", {}),
            },
            {
                "catalogue": self.key("collect", catalogue),
                **{f"part {number}": self[path].key for number, path in enumerate(parts)},
            },
            stage("tabulate") | self._axis,
            tuple(parts),
        )

    def _told(self) -> Iterator[tuple[str, str]]:
        """Yield what the page tells of: its name among inputs, and where it is specified."""
        for name in self.estimators:
            yield f"calibration of {name}", self._path("calibrate", name)
        for name in self.calibrated:
            yield f"calibration of {name}", self._path(self.told_by(name), name)
        for name, each in itertools.product(self.posteriors, self.observations):
            yield f"posterior of {name}, {each}", self._path("diagnose", name, each)
        for name, each in itertools.product(self.ranked, self.observations):
            yield f"posterior SBC of {name}, {each}", self._path("posterior_sbc", name, each)
        for name, each in self.catalogued:
            yield f"catalogue {name}, {each}", self._path("tabulate", name, each)

    def _report(self) -> Specification:
        entry, config, told = self.entry, self.config, dict(self._told())
        asked = [maker("diagnostic", name, registry.DIAGNOSTICS) for name in registry.DIAGNOSTICS]
        learnt, follows = self.fits.learnt_nuisances()
        boxes = () if self.round is None else self.round.boxes
        return Specification(
            "report",
            {
                "campaign": self.name,
                "title": entry.get("title", self.name),
                "question": entry.get("question", ""),
                "simulator": self.simulations.model["simulator"],
                "parameters": texts.described(entry),
                "thresholds": config.get("thresholds", {}),
                "configuration": texts.excerpt(self.name, config, self.estimators),
                **({"selection": entry["selection"]} if "selection" in entry else {}),
                **self.fits.at_load,
            },
            {
                "manifest": self.key("manifest"),
                **{name: self[path].key for name, path in told.items()},
                **{f"box {number}": each.key for number, each in enumerate(boxes, start=2)},
                **learnt,
            },
            functools.reduce(operator.or_, asked, stage("report") | self.fits.masks),
            (*told.values(), *follows),
        )


def refined_names(config: Config, estimators: Iterable[str]) -> list[str]:
    """Return the refined posteriors of a campaign: those whose proposal it trains."""
    entries = config.get("refine", {})
    return [name for name, entry in entries.items() if entry["proposal"] in estimators]
