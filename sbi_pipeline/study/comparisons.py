"""Comparisons of campaigns as models of the same data: the specifications of their stages.

The classifier learns from rows of the whole prior, so of a campaign in rounds from those of its
first one; an evidence is that of the last round about its observation. Models are in the order of
their labels, as the order of keys must not matter.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from .. import registry
from . import texts
from .campaign import Campaign
from .compared_models import ComparedModel, EvidenceWay
from .data import shared_observations
from .fits import WATCHING, embeddings_tried
from .places import RESULTS, place
from .rounds import RoundChain
from .schema import Comparison, Config
from .signatures import stated
from .simulations import makers_of
from .specification import Makers, Specification, maker, stage


@dataclass(frozen=True)
class PlannedComparison:
    """A comparison of models: its specifications, and the files that they are made of.

    Attributes:
        name: Its name in the configuration.
        config: The whole configuration.
        models: In the order of their labels.
        observations: Names of those that models are compared by.
        catalogues: Names of catalogues, likewise.
    """

    name: str
    config: Config
    models: Sequence[ComparedModel]
    observations: Sequence[str]
    catalogues: Sequence[str]

    @property
    def entry(self) -> Config:
        """What the configuration says of it."""
        entry: Config = self.config["comparisons"][self.name]
        return entry

    @property
    def title(self) -> str:
        """Heading of its page."""
        return str(self.entry.get("title", self.name))

    @property
    def specifications(self) -> dict[str, Callable[[], Specification]]:
        """Makers of its specifications by path, inputs before what is made of them."""
        made = ("classify", "weigh_models", "compare_models")
        return {place(self.name, each): functools.partial(getattr, self, each) for each in made}

    def waits_for(self, path: str) -> str:
        """Return the round whose box must be known before a specification is; empty for none."""
        if path == place(self.name, "classify"):
            return ""
        campaigns = itertools.chain(*(each.drawn.values() for each in self.models))
        rounds = (each.round for each in campaigns if each.round is not None)
        return next((each.waits_for for each in rounds if each.waits_for), "")

    @cached_property
    def classify(self) -> Specification:
        """What the classifier learns from, and with which options."""
        network, training = self.entry.get("network", {}), self.entry.get("training", {})
        embeddings = (
            maker("embedding", each, registry.EMBEDDINGS)
            for each in embeddings_tried(network, training)
        )
        masks = (each.rows.fits.masks for each in self.models)
        return Specification(
            "classify",
            {
                "models": [each.told for each in self.models],
                "seed": stated(Comparison, self.entry, "seed"),
                "network": network,
                "training": {key: each for key, each in training.items() if key not in WATCHING},
            },
            self._simulations,
            _together(stage("classify"), *masks, *embeddings),
        )

    @cached_property
    def weigh_models(self) -> Specification:
        """What evidences are made of."""
        return Specification(
            "weigh_models",
            {
                "ways": [each.told for each in self._ways],
                "observations": list(self.observations),
                "nuisance_draws": stated(Comparison, self.entry, "nuisance_draws"),
                "seed": stated(Comparison, self.entry, "seed"),
            },
            dict(self._weighed()),
            _together(stage("weigh_models"), *(makers_of(each.entry) for each in self.models)),
            tuple(self._followed()),
        )

    @cached_property
    def compare_models(self) -> Specification:
        """What the page tells of."""
        odds = self.entry.get("odds", {})
        own = (place(self.name, "classify"), place(self.name, "weigh_models"))
        asked = [maker("diagnostic", name, registry.DIAGNOSTICS) for name in registry.OF_MODELS]
        posteriors = [
            place(campaign.name, "sample", campaign.estimators[0], observation)
            for _, observation, campaign in self._observed()
        ]
        return Specification(
            "compare_models",
            {
                "comparison": self.name,
                "title": self.title,
                "question": self.entry.get("question", ""),
                "models": [
                    {**each.told, "campaign": each.campaign, "title": each.title}
                    for each in self.models
                ],
                "odds": {each.label: odds.get(each.label, 1) for each in self.models},
                "observations": list(self.observations),
                "catalogues": list(self.catalogues),
                "configuration": texts.excerpt_of_comparison(self.name, self.config),
                "thresholds": self.config.get("thresholds", {}),
            },
            {
                "classifier": self.classify.key,
                "evidences": self.weigh_models.key,
                **self._simulations,
                **dict(self._shown()),
            },
            _together(stage("compare_models"), *asked),
            (*own, *posteriors),
        )

    @property
    def _simulations(self) -> dict[str, str]:
        """Keys of the manifests of the models."""
        return {f"simulations of {each.label}": each.rows.key("manifest") for each in self.models}

    @cached_property
    def _ways(self) -> list[EvidenceWay]:
        return [way for model in self.models for way in model.ways]

    def _observed(self) -> Iterator[tuple[str, str, Campaign]]:
        """Yield label, observation and the campaign that draws for it, models one by one."""
        for model in self.models:
            for each in self.observations:
                yield model.label, each, model.drawn[each]

    def _evidences(self) -> Iterator[tuple[EvidenceWay, str, Campaign]]:
        """Yield way, observation and the campaign that draws for it, ways one by one."""
        for way in self._ways:
            for each in self.observations:
                yield way, each, way.model.drawn[each]

    def _weighed(self) -> Iterator[tuple[str, str]]:
        """Yield the keys of what evidences are made of, by name."""
        for way, each, campaign in self._evidences():
            of, at = f"{way.model.label}, {way.name}, {each}", way.estimator
            yield f"estimator of {of}", campaign.key("train", at)
            yield f"posterior of {of}", campaign.key("sample", at, each)
            yield f"observation of {way.model.label}, {each}", campaign.key("observe", each)

    def _followed(self) -> Iterator[str]:
        """Yield where specifications lie of what evidences are made of, and changes by itself."""
        for way, each, campaign in self._evidences():
            yield place(campaign.name, "train", way.estimator)
            yield place(campaign.name, "sample", way.estimator, each)

    def _shown(self) -> Iterator[tuple[str, str]]:
        """Yield the keys of what the page is made of beside, by name."""
        for label, each, campaign in self._observed():
            first = campaign.estimators[0]
            yield f"observation of {label}, {each}", campaign.key("observe", each)
            yield f"posterior of {label}, {each}", campaign.key("sample", first, each)
        for model, each in itertools.product(self.models, self.catalogues):
            yield f"catalogue of {model.label}, {each}", model.rows.key("collect", each)

    # Files, in the order in which stages take them.

    @property
    def manifests(self) -> list[str]:
        """The simulations of each model."""
        return [f"{RESULTS}/{each.rows.name}/simulations.json" for each in self.models]

    @property
    def weighing_estimators(self) -> list[str]:
        """The estimator of each way, for each observation."""
        return [
            f"{RESULTS}/{campaign.name}/{way.estimator}/estimator.pt"
            for way, _, campaign in self._evidences()
        ]

    @property
    def weighing_posteriors(self) -> list[str]:
        """The posterior of each way, for each observation."""
        return [
            _posterior(campaign, way.estimator, each) for way, each, campaign in self._evidences()
        ]

    @property
    def weighing_observed(self) -> list[str]:
        """The observation of each way, for each observation."""
        return [_observation(campaign, each) for _, each, campaign in self._evidences()]

    @property
    def weighing_receipts(self) -> list[str]:
        """The receipts of the jobs that make these posteriors and observations."""
        return _receipts((way.estimator, campaign) for way, _, campaign in self._evidences())

    @property
    def observed(self) -> list[str]:
        """The observations, as each model has them."""
        return [_observation(campaign, each) for _, each, campaign in self._observed()]

    @property
    def posteriors(self) -> list[str]:
        """The posterior of each observation by the first estimator, of each model."""
        return [
            _posterior(campaign, campaign.estimators[0], each)
            for _, each, campaign in self._observed()
        ]

    @property
    def receipts(self) -> list[str]:
        """The receipts of the jobs that make these posteriors and observations."""
        return _receipts((each.estimators[0], each) for *_, each in self._observed())

    @property
    def tables(self) -> list[str]:
        """The catalogues, as each model has them."""
        every = itertools.product(self.models, self.catalogues)
        return [_observation(model.rows, each) for model, each in every]


def comparisons_of(
    config: Config, campaigns: Mapping[str, Campaign], chains: Sequence[RoundChain]
) -> dict[str, PlannedComparison]:
    """Return the comparisons of a configuration by name.

    Args:
        config: The configuration, before rounds become campaigns.
        campaigns: All that are planned by name, rounds too.
        chains: Rounds, of those that have some.
    """
    return {
        name: _planned(name, config, campaigns, chains) for name in config.get("comparisons", {})
    }


def _planned(
    name: str, config: Config, campaigns: Mapping[str, Campaign], chains: Sequence[RoundChain]
) -> PlannedComparison:
    entry = config["comparisons"][name]
    entries = {label: config["campaigns"][each] for label, each in entry["models"].items()}
    observations, catalogues = (
        entry.get(key, shared_observations(entries.values(), tables=key == "catalogues"))
        for key in ("observations", "catalogues")
    )
    models = []
    for label, campaign in sorted(entry["models"].items()):
        rounds = {each.observation: each for each in chains if each.campaign == campaign}
        first = next((each.name(1) for each in rounds.values()), campaign)
        drawn = {each: rounds[each].last if rounds else campaign for each in observations}
        models.append(
            ComparedModel(
                label,
                campaign,
                str(entries[label].get("title", campaign)),
                campaigns[first],
                {each: campaigns[by] for each, by in drawn.items()},
            )
        )
    return PlannedComparison(name, config, models, observations, catalogues)


def _together(*makers: Makers) -> Makers:
    return functools.reduce(operator.or_, makers)


def _posterior(campaign: Campaign, name: str, observation: str) -> str:
    return f"{RESULTS}/{campaign.name}/{name}/{observation}/posterior.nc"


def _observation(campaign: Campaign, name: str) -> str:
    return f"{RESULTS}/{campaign.name}/observations/{name}.nc"


def _receipts(drawing: Iterable[tuple[str, Campaign]]) -> list[str]:
    """Return the receipts of the observations of campaigns, and of posteriors by an estimator."""
    found: dict[str, None] = {}
    for name, campaign in drawing:
        found |= dict.fromkeys(campaign.receipts("observe"))
        found |= dict.fromkeys(campaign.receipts("sample", name))
    return list(found)
