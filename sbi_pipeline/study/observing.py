"""What an observation is made with: the specification of `observe`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..fingerprint import of_array
from . import observed
from .data import missing_of, read_entry
from .schema import CampaignEntry, Config, Observation
from .signatures import stated
from .simulations import makers_of
from .specification import Makers, Specification, stage


def observe_specification(
    name: str, campaign: Config, model: Config, masks: Makers
) -> Specification:
    """Return what an observation is made with.

    Args:
        name: Of the observation.
        campaign: The entry of its campaign.
        model: What simulates.
        masks: The file that masks are drawn from, if they are.
    """
    entry = campaign["observations"][name]
    arguments = {"model": model, **known_as_argument(campaign), **_data_set(entry, campaign)}
    arguments |= missing_of(campaign)
    if "inventory" in campaign:
        arguments["x_shape"] = list(campaign["inventory"].x_shape)
    if _has_events(campaign):
        arguments["inferred_parameters"] = list(campaign["inferred_parameters"])
        arguments["several"] = True
        if campaign.get("selection", "detected") != "detected":
            arguments["selection"] = campaign["selection"]
    makers, each = stage("observe") | makers_of(campaign) | masks, [entry]
    if "joined" in entry:
        each = [campaign["observations"][other] for other in entry["joined"]]
        parts = zip(entry["joined"], each, strict=True)
        arguments["parts"] = {other: _data_set(one, campaign) for other, one in parts}
    for one in [one for one in each if "file" in one]:
        content = of_array(np.atleast_1d(np.squeeze(read_entry(one, campaign))))
        makers |= Makers({}, {f"data {one['file']}": content})
    return Specification("observe", arguments, makers=makers)


def known_as_argument(campaign: Config) -> dict[str, Any]:
    """Return the known parameters, as an argument of stages; nothing where there are none."""
    listed = list(campaign.get("known_parameters", ()))
    return {"known_parameters": listed} if listed else {}


def _data_set(entry: Config, campaign: Config) -> dict[str, Any]:
    """Return where the data of an observation come from."""
    known, events = known_as_argument(campaign), _has_events(campaign)
    found = {
        "truth": entry.get("parameters", entry.get("truth")),
        "file": entry.get("file"),
        "seed": stated(Observation, entry, "seed"),
    }
    if "columns" in entry:
        found["columns"] = entry["columns"]
    if known:
        given = observed.given_as_known(entry, known["known_parameters"])
        found["known"] = observed.known_values(given, events)
    if "tried" in entry:
        found["tried"] = entry["tried"]
    return found | ({"events": entry.get("events")} if events else {})


def _has_events(campaign: Config) -> bool:
    return bool(stated(CampaignEntry, campaign, "events"))
