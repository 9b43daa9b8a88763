"""What is known of the data of a campaign before anything is simulated."""

from __future__ import annotations

from functools import partial
from typing import Any

from .. import registry
from ..catalogues import Layout
from ..model import build_simulator
from ..observations import read_observation
from ..types import Simulator, declared_shape
from .schema import CampaignEntry, Config
from .signatures import stated


def simulator_of(campaign: Config) -> Simulator:
    """Return the simulator of a campaign with its options."""
    names = partial(names_in, campaign["priors"])
    return build_simulator(campaign["simulator"], campaign.get("options", {}), names)


def names_in(priors: Config | str) -> tuple[str, ...]:
    """Return the names of the parameters of priors, in their order.

    Raises:
        ValueError: One is a pattern, which names none.
    """
    if isinstance(priors, str):
        return tuple(registry.load_part(priors, {})().names)
    if patterns := [name for name in priors if set(name) & set("*?[")]:
        raise ValueError(
            f"{patterns[0]!r} of priors names no parameters, and a function has no names of its "
            "own; write each by itself, or take a class with parameters = ('a', 'b')"
        )
    return tuple(priors)


def data_shape(campaign: Config) -> tuple[int, ...] | None:
    """Return the shape of one data set, if the simulator says it or an observation shows it."""
    if "inventory" in campaign:
        shape: tuple[int, ...] = campaign["inventory"].x_shape
        return shape
    said = declared_shape(simulator_of(campaign))
    if said is None and not stated(CampaignEntry, campaign, "events"):
        entries = campaign.get("observations", {}).values()
        files = [entry["file"] for entry in entries if "file" in entry]
        return read_observation(files[0], "missing" in campaign).shape if files else None
    return said


def missing_of(campaign: Config) -> dict[str, Any]:
    """Return what stages are told of missing elements; empty where none are."""
    if "missing" not in campaign:
        return {}
    return {"missing": {"seed": stated(CampaignEntry, campaign, "seed"), **campaign["missing"]}}


def layout_of(entry: Config) -> Layout:
    """Return how the table of a catalogue holds its objects."""
    return Layout(
        table=entry["table"],
        name=entry.get("name"),
        columns=tuple(entry.get("columns", ())),
        files=entry.get("files"),
        truth=entry.get("truth", {}),
    )
