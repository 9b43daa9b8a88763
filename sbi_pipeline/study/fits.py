"""What a campaign learns: its estimators, their calibration, the nuisances, and what draws."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .. import registry
from ..priors.boxes import Faces
from ..simulators.absent import ABSENT
from ..storage.manifest import receipt_names
from ..types import Traits
from . import nuisances
from .data import missing_of, split_of
from .places import place
from .schema import CampaignEntry, Config, EstimatorEntry, SamplerEntry
from .signatures import record_of, stated
from .simulations import Imported, Simulations, masks_of
from .specification import Makers, Specification, maker, stage

WATCHING = ("progress", "tensorboard")
"""Options of a training that show it and change nothing."""
Sources = tuple[dict[str, str], tuple[str, ...]]
"""Keys of inputs by name, and specifications of those that may come out otherwise."""


@dataclass(frozen=True)
class Fits:
    """Specifications of what is learnt from the simulations of one campaign.

    Attributes:
        config: The whole configuration.
        campaign: Its name.
        estimators: Names of the estimators it trains.
        stocks: What it has simulated, then what it reuses of others.
        box: Faces of the box of the prior that its rows lie in; None is the whole prior.
        key: From where a specification is written to the key of what is made with it.
        keep_draws: Whether a box is made of draws for held-out simulations.
    """

    config: Config
    campaign: str
    estimators: tuple[str, ...]
    stocks: Sequence[Simulations]
    box: Faces | None
    key: Callable[[str], str]
    keep_draws: bool = False

    @property
    def _entry(self) -> Config:
        entry: Config = self.config["campaigns"][self.campaign]
        return entry

    def _path(self, stage_name: str, *name: str) -> str:
        return place(self.campaign, stage_name, *name)

    def manifest(self) -> Specification:
        """Return which rows are learnt from, and which are held out."""
        return manifest_specification(self._entry, self.stocks, self.box)

    def train(self, name: str) -> Specification:
        """Return what an estimator is trained with."""
        entry = self.config["estimators"][name]
        network, training = entry.get("network", {}), entry.get("training", {})
        makers = (
            stage("train") | self.masks | maker("estimator", entry["method"], registry.ESTIMATORS)
        )
        for embedding in embeddings(entry["method"], network, training):
            makers |= maker("embedding", embedding, registry.EMBEDDINGS)
        arguments = {
            **self.rows,
            "method": entry["method"],
            "network": network,
            "training": {key: each for key, each in training.items() if key not in WATCHING},
            "seed": stated(EstimatorEntry, entry, "seed"),
            "events": self._events,
        }
        return Specification("train", arguments, self._simulations, makers)

    def calibrate(self, name: str) -> Specification:
        """Return what an estimator is asked about held-out simulations with."""
        options = dict(self.config.get("calibration", {}))
        sampler = options.pop("sampler", {})
        chosen = stated(SamplerEntry, sampler, "name") != "auto"
        if chosen or not self._traits(name).draws:  # otherwise options of MCMC have no effect
            options["sampler"] = sampler
        if self.keep_draws:
            options["keep_draws"] = True
        inputs, follows = self.drawn_from(name, calibrating=True)
        return Specification(
            "calibrate",
            {"calibration_options": options, **self.at_load},
            {"simulations": self._held_out, **inputs},
            stage("calibrate") | self.masks | self.sampler(name, options.get("sampler", {})),
            follows,
        )

    def calibrate_refined(
        self, proposal: str, likelihood: str | None, arguments: Config, makers: Makers
    ) -> Specification:
        """Return what a refined posterior is asked about held-out simulations with.

        Args:
            proposal: Name of the estimator whose draws are weighed.
            likelihood: That of the one that weighs them, if one does.
            arguments: Others of the stage.
            makers: What made the simulations.
        """
        options = {**self.config.get("calibration", {})}
        options.pop("sampler", None)
        read = [proposal] if likelihood is None else [proposal, likelihood]
        paths = tuple(self._path("train", each) for each in read)
        inputs = dict(zip(("estimator", "likelihoods"), map(self.key, paths), strict=False))
        return Specification(
            "calibrate_refined",
            {"calibration_options": options, **arguments, **self.at_load},
            {"simulations": self._held_out, **inputs},
            stage("calibrate_refined") | self.masks | self.sampler(proposal, {}) | makers,
            paths,
        )

    @property
    def _held_out(self) -> str:
        """Key of the manifest of the simulations that are asked about."""
        largest = self.config["campaigns"][self._entry.get("held_out", self.campaign)]
        return manifest_specification(largest, self.stocks, self.box).key

    def ranking(self, name: str) -> Config:
        """Return what calibration says of ranking draws that is of use where a posterior is."""
        given = self.config.get("calibration", {})
        used = ("draws",) if self._traits(name).draws else ("draws", "sampler")
        return {key: given[key] for key in used if key in given}

    def of_estimator(self, name: str) -> Sources:
        """Return an estimator as an input."""
        path = self._path("train", name)
        return {"estimator": self.key(path)}, (path,)

    def nuisances(self) -> Specification:
        """Return what the nuisances are learnt with."""
        network = nuisances.seen_through(self.config["estimators"], self.estimators)
        makers = stage("learn_nuisances") | self.masks
        for each in embedding_names([network.get("embedding", "auto")]):
            makers |= maker("embedding", each, registry.EMBEDDINGS)
        arguments = {**self.rows, "network": network}
        return Specification("learn_nuisances", arguments, self._simulations, makers)

    @cached_property
    def learn_nuisances(self) -> bool:
        """Whether bands of predictions draw nuisances from what is learnt of them."""
        asked = bool(self._entry.get("observations")) and nuisances.are_asked(self.config)
        asked = asked and self._entry["simulator"] != ABSENT
        some = len(self._parameters) > len(nuisances.not_dropped(self._entry))
        return asked and some and not self.nuisances_from_prior

    @property
    def nuisances_from_prior(self) -> str:
        """Why predictions draw nuisances from their prior, where that is not by choice."""
        if not nuisances.are_asked(self.config):
            return ""
        return nuisances.why_not_learnt(self._entry, self._parameters)

    def learnt_nuisances(self) -> Sources:
        """Return what was learnt of the nuisances, if anything, as an input."""
        if not self.learn_nuisances:
            return {}, ()
        path = self._path("learn_nuisances")
        return {"nuisances": self.key(path)}, (path,)

    def drawn_from(self, name: str, *, calibrating: bool = False) -> Sources:
        """Return an estimator that is drawn from, and what MCMC on it proposes from, as inputs.

        Args:
            name: Of the estimator.
            calibrating: Whether draws are those of the calibration, not of observations.
        """
        read = [name, *self.proposals(name, calibrating=calibrating)]
        paths = tuple(self._path("train", each) for each in read)
        return dict(zip(("estimator", "proposals"), map(self.key, paths), strict=False)), paths

    def proposals(self, name: str, *, calibrating: bool = False) -> list[str]:
        """Return the estimator that proposes what MCMC on another one draws, if there is one.

        Args:
            name: Of the other one.
            calibrating: As in `drawn_from`.
        """
        from ..samplers import sampler_class  # noqa: PLC0415 - as in `_traits`

        own = self.config["estimators"][name].get("sampler", {})
        drawn_by = self.config.get("calibration", {}).get("sampler", {}) if calibrating else own
        wanted, traits = stated(SamplerEntry, own, "proposal"), self._traits(name)
        if sampler_class(stated(SamplerEntry, drawn_by, "name"), traits).needs == "draws":
            return []
        if wanted != "auto":  # members of a sweep have no estimators but their own
            return [each for each in self.estimators if each == wanted]
        if traits.draws or self._events:
            return []
        return [each for each in self.estimators if self._traits(each).proposes][:1]

    def sampler(self, name: str, options: Config) -> Makers:
        """Return the sampler that draws from an estimator: the one named, or that suits it."""
        named = stated(SamplerEntry, options, "name")
        if named == "auto":
            from ..samplers.sampler import first_suitable  # noqa: PLC0415 - as in `_traits`

            named = first_suitable(self._traits(name))
        return maker("sampler", named, registry.SAMPLERS)

    def _traits(self, name: str) -> Traits:
        """Return what an estimator is."""
        # Torch takes seconds, and on a cluster every job plans: those before training go without.
        from ..estimators import traits  # noqa: PLC0415

        return traits(self.config["estimators"][name]["method"])

    @property
    def at_load(self) -> dict[str, Any]:
        """What stages that read data are told of noise and gaps that are drawn then."""
        return {**self.stocks[0].noise, **missing_of(self._entry)}

    @property
    def masks(self) -> Makers:
        """The file that masks are drawn from, if they are."""
        return masks_of(self._entry)

    @property
    def _events(self) -> bool:
        return bool(stated(CampaignEntry, self._entry, "events"))

    @property
    def _parameters(self) -> list[str]:
        return list(self.stocks[0].model["parameters"])

    @property
    def rows(self) -> dict[str, Any]:
        """What the rows are that are learnt from, as arguments of a stage."""
        known = self._entry.get("known_parameters")
        return {
            "priors": self.stocks[0].model["priors"],
            "parameters": self._parameters,
            "inferred_parameters": list(self._entry["inferred_parameters"]),
            **({"known_parameters": list(known)} if known else {}),
            **self.at_load,
        }

    @property
    def _simulations(self) -> dict[str, str]:
        return {"simulations": self.key(self._path("manifest"))}


def manifest_specification(
    entry: Config, stocks: Sequence[Simulations], box: Faces | None
) -> Specification:
    """Return which rows a campaign takes, and which of them are held out.

    Args:
        entry: Of the campaign.
        stocks: What it has simulated, itself or as one of a sweep, then what it reuses.
        box: Faces of the box that its rows lie in; None for all rows.
    """
    own, *others = stocks
    taken = sum(each.rows for each in others)
    arguments = {
        **own.stock,
        "rows": entry["simulations"] - taken if box is None else own.rows,
        "split": split_of(entry),
        "seed": own.seed,
    }
    if isinstance(own, Imported):
        arguments["density"] = own.density
    if box is not None:
        arguments |= {"box": box, "model": own.model}
    if others:
        arguments["reused"] = [each.reused_stock for each in others]
    keys = [each.spec.key for each in stocks]
    inputs = dict(zip(receipt_names(len(others)), keys, strict=True))
    return Specification("manifest", arguments, inputs, stage("manifest"))


def embeddings(method: str, network: Config, training: Config) -> Iterator[str]:
    """Yield the names of the embeddings that a training may use, those of its grid too."""
    from ..estimators import estimator_class  # noqa: PLC0415 - torch takes seconds

    if "embedding" in record_of(estimator_class(method), method, 2, network).options:
        yield from embeddings_tried(network, training)


def embeddings_tried(network: Config, training: Config) -> Iterator[str]:
    """Yield the names of the embeddings of a network that has one, those of a grid too."""
    grid = (training.get("grid") or {}).get("network", {})
    yield from embedding_names([network.get("embedding", "auto"), *grid.get("embedding", [])])


def embedding_names(named: Iterable[Any]) -> Iterator[str]:
    """Yield the names of embeddings, those that ``auto`` chooses from written out."""
    for embedding in named:
        name = embedding["name"] if isinstance(embedding, Mapping) else embedding
        yield from registry.AUTOMATIC_EMBEDDINGS if name == "auto" else [name]
