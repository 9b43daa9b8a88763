"""The specifications of all stages of one campaign, each with the keys of its inputs."""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from .. import registry
from ..simulators.absent import ABSENT
from . import texts
from .batches import Batch, Member
from .catalogues import PlannedCatalogue
from .drawn import Drawn
from .fits import Fits
from .places import RESULTS, place
from .rounds import Round
from .schema import Config, Configuration
from .signatures import stated
from .simulations import Simulations
from .specification import Specification, maker, stage

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
        self.drawn = Drawn(
            config,
            name,
            self.simulations.model,
            self.fits,
            self.refined,
            self.catalogues,
            round,
            lambda path: self[path].key,
        )
        self._shares = {self._path(*each): each for each in self._all_shares()}
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

    def _all_shares(self) -> Iterator[Place]:
        """Yield stage, name and observation of all that is made of one observation."""
        yield from (("observe", each) for each in self.observations)
        for name in self.posteriors:
            yield from ((self.drawn.stage_of(name), name, each) for each in self.observations)
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
        drawn, recipe = self.drawn, functools.partial
        yield self._path("manifest"), self.fits.manifest
        for each in self.observations:
            yield self._path("observe", each), recipe(drawn.observe, each)
        for each in self.catalogues:
            yield self._path("collect", each), recipe(drawn.collect, each)
        for name in self.estimators:
            yield self._path("train", name), recipe(self.fits.train, name)
        yield from self._calibrations()  # some estimators propose for others
        if self.fits.learn_nuisances and not self._is_told_elsewhere:
            yield self._path("learn_nuisances"), self.fits.nuisances
        for path, (stage_name, *names) in self._shares.items():
            if stage_name != "observe":
                yield path, recipe(getattr(drawn, stage_name), *names)  # called like its stage
        for name, each in self.catalogued:
            for part, path in enumerate(drawn.parts(name, each)):
                yield path, recipe(drawn.infer, name, each, part)
            yield self._path("tabulate", name, each), recipe(drawn.tabulate, name, each)
        if self.round is not None:
            for chain, following in self.round.next_boxes:
                path = f"{RESULTS}/{following}/truncate.spec.json"
                yield path, recipe(drawn.truncate, chain)
        if not self._is_told_elsewhere:
            yield self._path("report"), self._report

    def _calibrations(self) -> Iterator[tuple[str, Callable[[], Specification]]]:
        """Yield where calibrations are specified, with what makes these."""
        for name in self.estimators:
            yield self._path("calibrate", name), functools.partial(self.fits.calibrate, name)
        for name in self.calibrated:
            stage_name = self.drawn.told_by(name)
            make = getattr(self.drawn, stage_name)  # called like its stage
            yield self._path(stage_name, name), functools.partial(make, name)

    def _path(self, stage_name: str, *folders: str) -> str:
        return place(self.name, stage_name, *folders)

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
        return Batch(places[0][0], tuple(self._member(*each) for each in places))

    @property
    def _at_once(self) -> int:
        """The most observations of one job."""
        return int(stated(Configuration, self.config, "observations_per_job"))

    def _all_jobs(self) -> Iterator[tuple[str, list[Place]]]:
        """Yield the receipt of every job of many observations, with what it makes."""
        for job, places in itertools.groupby(self._shares.values(), lambda share: share[:-1]):
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

    def _told(self) -> Iterator[tuple[str, str]]:
        """Yield what the page tells of: its name among inputs, and where it is specified."""
        for name in self.estimators:
            yield f"calibration of {name}", self._path("calibrate", name)
        for name in self.calibrated:
            yield f"calibration of {name}", self._path(self.drawn.told_by(name), name)
        for name, each in itertools.product(self.posteriors, self.observations):
            yield f"posterior of {name}, {each}", self._path("diagnose", name, each)
        for name, each in itertools.product(self.ranked, self.observations):
            yield f"posterior SBC of {name}, {each}", self._path("posterior_sbc", name, each)
        for name, each in self.catalogued:
            yield f"catalogue {name}, {each}", self._path("tabulate", name, each)

    def _report(self) -> Specification:
        entry, config, told = self.entry, self.config, dict(self._told())
        asked = [
            maker("diagnostic", name, registry.DIAGNOSTICS)
            for name in registry.DIAGNOSTICS
            if name not in registry.OF_MODELS
        ]
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
                **{each: entry[each] for each in ("selection", "corner") if each in entry},
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
