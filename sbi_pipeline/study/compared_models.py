"""A campaign in its role of a model that is compared, and the ways to its evidence."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..simulators.absent import ABSENT
from . import texts
from .campaign import Campaign
from .data import simulator_of
from .schema import Config

EXACT = "exact"
"""What the evidence of a simulator that knows its likelihood is called."""


@dataclass(frozen=True)
class ComparedModel:
    """A campaign in its role of a model.

    Attributes:
        label: What the comparison calls it.
        campaign: Its name in the configuration.
        title: Of its page.
        rows: The campaign whose simulations are of the whole prior: itself, or its first round.
        drawn: By observation, the campaign that draws its posterior: itself, or the last round.
    """

    label: str
    campaign: str
    title: str
    rows: Campaign
    drawn: Mapping[str, Campaign]

    @property
    def entry(self) -> Config:
        """What the configuration says of the campaign."""
        return self.rows.entry

    @property
    def ways(self) -> list[EvidenceWay]:
        """How its evidence can be had; none where nothing is drawn for any observation."""
        # Torch takes seconds, and on a cluster every job plans.
        from ..estimators import traits  # noqa: PLC0415

        found: list[EvidenceWay] = []
        for campaign in itertools.islice(self.drawn.values(), 1):  # all train the same
            entries = campaign.config["estimators"]
            found += [EvidenceWay(self, EXACT, campaign.estimators[0])] if self._is_exact else []
            for name in sorted(campaign.estimators):
                its = traits(entries[name]["method"])
                if its.target == "likelihood" or its.composed:
                    found.append(EvidenceWay(self, name, name))
        return found

    @property
    def _is_exact(self) -> bool:
        """Whether the simulator knows the likelihood of what is observed."""
        from ..refinement import knows_likelihood  # noqa: PLC0415 - as in `ways`

        if self.entry["simulator"] == ABSENT or "missing" in self.entry:
            return False
        names = [*self.entry["inferred_parameters"], *self.entry.get("known_parameters", ())]
        return knows_likelihood(simulator_of(self.entry), names)

    @property
    def told(self) -> dict[str, Any]:
        """What stages are told of it: its label, and what its rows are."""
        return {"model": self.label, **self.rows.fits.rows}

    @property
    def new_priors(self) -> dict[str, Any]:
        """Priors that refinements of its posteriors change, by the name of the refinement."""
        entries = self.rows.config.get("refine", {})
        named = dict.fromkeys(itertools.chain(*(each.refined for each in self.drawn.values())))
        return {
            name: texts.without_texts(entries[name]["priors"])
            for name in sorted(named)
            if "priors" in entries[name]
        }


@dataclass(frozen=True)
class EvidenceWay:
    """A way to the evidence of a model.

    Attributes:
        model: The model.
        name: What it is called: the estimator of a likelihood, or ``exact``.
        estimator: Whose posterior proposes; of a likelihood it is that estimator itself.
    """

    model: ComparedModel
    name: str
    estimator: str

    @property
    def told(self) -> dict[str, Any]:
        """What the stage is told of it."""
        return {
            "model": self.model.label,
            "way": self.name,
            "exact": self.name == EXACT,
            "campaign_model": self.model.rows.simulations.model,
            "new_priors": self.model.new_priors,
        }
