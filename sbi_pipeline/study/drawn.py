"""What a campaign draws and what is told of it: posteriors, predictions, catalogues."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import observations
from ..fingerprint import of_array
from ..simulators.absent import ABSENT
from . import texts
from .catalogues import PlannedCatalogue
from .data import missing_of
from .fits import Fits
from .observing import known_as_argument, observe_specification
from .places import place
from .rounds import Round, RoundChain
from .schema import CampaignEntry, Config, Configuration, Refinement
from .signatures import stated
from .simulations import makers_of
from .specification import Makers, Specification, stage


@dataclass(frozen=True)
class Drawn:
    """Specifications of what is drawn for the observations and catalogues of one campaign.

    Attributes:
        config: The whole configuration.
        campaign: Its name.
        model: What simulates.
        fits: What it learns.
        refined: Names of its refined posteriors.
        catalogues: Those among its observations, by name.
        round: Which round it is, if it is one.
        key: From where a specification is written to the key of what is made with it.
    """

    config: Config
    campaign: str
    model: Mapping[str, Any]
    fits: Fits
    refined: Sequence[str]
    catalogues: Mapping[str, PlannedCatalogue]
    round: Round | None
    key: Callable[[str], str]

    @property
    def entry(self) -> Config:
        """What the configuration says of the campaign."""
        entry: Config = self.config["campaigns"][self.campaign]
        return entry

    def _path(self, stage_name: str, *folders: str) -> str:
        return place(self.campaign, stage_name, *folders)

    def _made(self, stage_name: str, *folders: str) -> str:
        """Return the key of what a stage makes in some folder of the campaign."""
        return self.key(self._path(stage_name, *folders))

    def _drawn(self, name: str, observation: str) -> str:
        """Return the key of a posterior, refined or not."""
        return self._made(self.stage_of(name), name, observation)

    def stage_of(self, name: str) -> str:
        """Return the stage that draws a posterior."""
        return "refine" if name in self.refined else "sample"

    def told_by(self, name: str) -> str:
        """Return the stage that says what a refined posterior makes of held-out simulations."""
        moved = stated(Refinement, self.config["refine"][name], "recalibrate")
        return "recalibrate" if moved else "calibrate_refined"

    def scores_events(self, name: str) -> bool:
        """Say whether predicted events are scored by what multiplies those of an observation."""
        return self._events and name in self.fits.estimators and self._predictive_draws != 0

    def parts(self, name: str, catalogue: str) -> list[str]:
        """Return where the specifications of the parts of a catalogue are written."""
        parts = range(self.catalogues[catalogue].parts)
        return [self._path(f"infer-{part}", name, catalogue) for part in parts]

    @property
    def _events(self) -> bool:
        return bool(stated(CampaignEntry, self.entry, "events"))

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
            "names": {"campaign": self.campaign, "estimator": name, "observation": observation},
        }

    def _texts(self) -> dict[str, dict[str, str]]:
        """Return label and unit of what a posterior is of."""
        shown = {*self.entry["inferred_parameters"], *self._derived}
        return {name: text for name, text in texts.texts_of(self.entry).items() if name in shown}

    def observe(self, observation: str) -> Specification:
        """Return what an observation is made with."""
        return observe_specification(observation, self.entry, self.model, self.fits.masks)

    def sample(self, name: str, observation: str) -> Specification:
        """Return what draws a posterior."""
        sampler = self.config["estimators"][name].get("sampler", {})
        inputs, follows = self.fits.drawn_from(name)
        selection = {"selection": self.entry.get("selection")} if self._events else {}
        return Specification(
            "sample",
            {"sampler": sampler, **selection, **self._labels(name, observation)},
            {**inputs, "observation": self._made("observe", observation)},
            stage("sample") | self.fits.sampler(name, sampler),
            follows,
        )

    def truncate(self, chain: RoundChain) -> Specification:
        """Return what the box of the next round is made with."""
        name, observation = chain.estimator, chain.observation
        box = None if self.round is None else self.round.box
        axes = {"axes": chain.axes} if chain.axes == "principal" else {}
        return Specification(
            "truncate",
            {"mass": chain.mass, "widening": chain.widening, **axes},
            {
                **({} if box is None else {"before": box.key}),
                "simulations": self._made("manifest"),
                "estimator": self._made("train", name),
                "calibration": self._made("calibrate", name),
                "observation": self._made("observe", observation),
                "posterior": self._drawn(name, observation),
            },
            stage("truncate"),
            (self._path("calibrate", name), self._path("sample", name, observation)),
        )

    def refine(self, name: str, observation: str) -> Specification:
        """Return what weighs a posterior, or moves it."""
        entry = self.config["refine"][name]
        likelihood = entry.get("likelihood")
        inputs = {
            "proposal": self._drawn(entry["proposal"], observation),
            "observation": self._made("observe", observation),
        }
        follows = [self._path(self.stage_of(entry["proposal"]), entry["proposal"], observation)]
        if likelihood in self.fits.estimators:
            inputs["likelihoods"] = self._made("train", likelihood)
            follows.append(self._path("train", likelihood))
        if stated(Refinement, entry, "recalibrate"):
            inputs["corrections"] = self._made("recalibrate", name)
            follows.append(self._path("recalibrate", name))
        return Specification(
            "refine",
            {
                "model": self.model,
                "exact": likelihood == "exact",
                "nuisance_draws": stated(Refinement, entry, "nuisance_draws"),
                "new_priors": texts.without_texts(entry.get("priors", {})),
                **self._labels(name, observation),
            },
            inputs,
            stage("refine") | makers_of(self.entry),
            tuple(follows),
        )

    def calibrate_refined(self, name: str) -> Specification:
        """Return what asks a reweighted posterior about held-out simulations."""
        entry = self.config["refine"][name]
        likelihood, proposal = entry["likelihood"], entry["proposal"]
        return self.fits.calibrate_refined(
            proposal,
            likelihood if likelihood in self.fits.estimators else None,
            {
                "model": self.model,
                "exact": likelihood == "exact",
                "nuisance_draws": stated(Refinement, entry, "nuisance_draws"),
            },
            makers_of(self.entry),
        )

    def recalibrate(self, name: str) -> Specification:
        """Return what corrects a posterior by held-out ranks."""
        proposal = self.config["refine"][name]["proposal"]
        path = self._path("calibrate", proposal)
        inputs = {"calibrations": self.key(path)}
        return Specification("recalibrate", {}, inputs, stage("recalibrate"), (path,))

    def diagnose(self, name: str, observation: str) -> Specification:
        """Return what predicts data from a posterior."""
        learnt, follows = self.fits.learnt_nuisances()
        if self.scores_events(name):
            learnt["estimators"] = self._made("train", name)
            follows = (*follows, self._path("train", name))
        return Specification(
            "diagnose",
            {
                "model": self.model,
                "several": self._events,
                "from_prior": self.fits.nuisances_from_prior,
                "predictive_draws": self._predictive_draws,
                "data": self.entry.get("data", {}),
            },
            {
                "posterior": self._drawn(name, observation),
                "observation": self._made("observe", observation),
                **learnt,
            },
            stage("diagnose") | makers_of(self.entry) | self._axis,
            (self._path(self.stage_of(name), name, observation), *follows),
        )

    def posterior_sbc(self, name: str, observation: str) -> Specification:
        """Return what checks an estimator where a posterior of it is."""
        options = self.fits.ranking(name)
        sampler = self.fits.sampler(name, options.get("sampler", {}))
        inputs, follows = self.fits.of_estimator(name)
        places = (("sample", name, observation), ("diagnose", name, observation))
        drawn, told = (self._path(*each) for each in places)
        return Specification(
            "posterior_sbc",
            {
                "model": self.model,
                "wanted": stated(Configuration, self.config, "posterior_calibration"),
                **options,
                **missing_of(self.entry),
            },
            {
                **inputs,
                "posterior": self.key(drawn),
                "predictive": self.key(told),
                "observation": self._made("observe", observation),
            },
            stage("posterior_sbc") | makers_of(self.entry) | sampler,
            (*follows, drawn, told),
        )

    def collect(self, catalogue: str) -> Specification:
        """Return what reads a catalogue."""
        planned, known = self.catalogues[catalogue], known_as_argument(self.entry)
        shape = self.entry["inventory"].x_shape if "inventory" in self.entry else None
        makers, missing = makers_of(self.entry) | self.fits.masks, missing_of(self.entry)
        return planned.collect(self.model, known, makers, shape, missing)

    def infer(self, name: str, catalogue: str, part: int) -> Specification:
        """Return what draws for the objects of one part of a catalogue."""
        planned = self.catalogues[catalogue]
        sampler = dict(self.config["estimators"][name].get("sampler", {}))
        sampler.pop("draws", None)
        inputs, follows = self.fits.drawn_from(name)
        learnt, followed = self.fits.learnt_nuisances()
        return planned.infer(
            part,
            {
                "model": self.model,
                "sampler": sampler,
                "draws": planned.draws,
                "block": planned.block(len(self.entry["inferred_parameters"])),
                "derived": self._derived,
                "predictive_draws": self._predictive_draws,
                **self.fits.at_load,
            },
            {"simulations": self._made("manifest"), **inputs, **learnt},
            self._made("collect", catalogue),
            self.fits.sampler(name, sampler) | makers_of(self.entry) | self.fits.masks,
            (*follows, *followed),
        )

    def tabulate(self, name: str, catalogue: str) -> Specification:
        """Return what puts together what is drawn for all objects of a catalogue."""
        parts = self.parts(name, catalogue)
        return Specification(
            "tabulate",
            {
                "model": self.model,
                "inferred_parameters": list(self.entry["inferred_parameters"]),
                "derived": self._derived,
                "texts": self._texts(),
                "data": self.entry.get("data", {}),
            },
            {
                "catalogue": self._made("collect", catalogue),
                **{f"part {number}": self.key(path) for number, path in enumerate(parts)},
            },
            stage("tabulate") | self._axis,
            tuple(parts),
        )
