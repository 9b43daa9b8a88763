"""Which campaigns learn their nuisances, for predictions, and why the others do not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .. import priors
from ..priors.families import TYPES
from .schema import CampaignEntry, Config, Configuration, Predictive
from .signatures import stated

MOST = 20
"""Nuisances that are learnt; more are drawn from their prior."""


def are_asked(config: Config) -> bool:
    """Say whether predictions are made, with nuisances from their posterior."""
    predicted = stated(Configuration, config, "predictive_draws") != 0
    chosen = stated(Predictive, config.get("predictive", {}), "nuisances")
    return predicted and chosen == "posterior"


def why_not_learnt(entry: Config, parameters: Sequence[str]) -> str:
    """Say why the nuisances of a campaign are not learnt; empty where they are, or are none.

    Args:
        entry: Of the campaign.
        parameters: Of its simulator.
    """
    dropped = [name for name in parameters if name not in not_dropped(entry)]
    return next(_reasons(entry, dropped), "") if dropped else ""


def not_dropped(entry: Config) -> list[str]:
    """Return the parameters of a campaign that are no nuisances: the inferred, then the known."""
    return [*entry["inferred_parameters"], *entry.get("known_parameters", ())]


def seen_through(estimators: Config, names: Sequence[str]) -> dict[str, Any]:
    """Return ``transform`` and ``embedding`` of x: those of the first estimator that says one.

    Args:
        estimators: All entries by name.
        names: Those of the campaign.
    """
    for name in names:
        network = estimators[name].get("network", {})
        if "embedding" in network:
            return {key: network[key] for key in ("transform", "embedding") if key in network}
    return {}


def _reasons(entry: Config, dropped: Sequence[str]) -> Iterator[str]:
    """Yield why nuisances are not learnt."""
    if stated(CampaignEntry, entry, "events"):
        yield "every event has nuisances of its own"
    if not stated(CampaignEntry, entry, "store_nuisance"):
        yield "store_nuisance: false keeps none to learn from"
    if "inventory" in entry:
        absent = [name for name in dropped if name not in entry["inventory"].parameters]
        yield from (f"the files of simulations do not hold {name}" for name in absent[:1])
    if len(dropped) > MOST:
        yield f"there are {len(dropped)}, and up to {MOST} are learnt"
    if isinstance(entry["priors"], str):
        yield "their prior is a class of your own, which does not say what it is given the rest"
    else:
        discrete = (name for name in dropped if _is_discrete(entry["priors"], name))
        yield from (f"{name} is discrete" for name in discrete)


def _is_discrete(specs: Mapping[str, Any], name: str) -> bool:
    entry = priors.entry_of(specs, name)
    return entry is not None and TYPES[entry["type"]].discrete
