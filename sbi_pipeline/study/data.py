"""What is known of the data of a campaign before anything is simulated."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from .. import registry
from ..catalogues import Layout
from ..model import build_simulator
from ..observation_files import Wanted, read_observation
from ..storage.manifest import AHEAD
from ..types import Array, Simulator, declared_columns, declared_shape
from .schema import CampaignEntry, Config, Split
from .signatures import record_of, stated, with_defaults

EARLY = 2_000
"""Rows of which more is held out, in campaigns so small that the usual fraction would be few."""


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


def split_of(campaign: Config, simulations: int | None = None) -> dict[str, Any]:
    """Return what `storage.manifest.split` is told of a campaign.

    Args:
        campaign: Its entry.
        simulations: Of the campaign, or of the largest of a sweep, which all have one split; None
            for those of the entry.
    """
    given = campaign.get("split", {})
    made = with_defaults(record_of(Split, "", 0, {}), given)
    few = (simulations or campaign["simulations"]) < AHEAD * EARLY and "test" not in given
    if few and made["validation"] + AHEAD * made["test"] < 1:
        return {**made, "early": EARLY}
    return made


def data_shape(campaign: Config) -> tuple[int, ...] | None:
    """Return the shape of one data set, if the simulator says it or an observation shows it."""
    said = said_shape(campaign)
    if said is None and not stated(CampaignEntry, campaign, "events"):
        found = first_file_shape(campaign)
        return found if found and 1 not in found else None  # these axes may be the file's alone
    return said


def said_shape(campaign: Config) -> tuple[int, ...] | None:
    """Return the shape of one data set, or event, as existing simulations or the simulator say."""
    if "inventory" in campaign:
        shape: tuple[int, ...] = campaign["inventory"].x_shape
        return shape
    return declared_shape(simulator_of(campaign))


def first_file_shape(campaign: Config) -> tuple[int, ...] | None:
    """Return the shape of the first observation in a file of its own, None if there is none."""
    entries = campaign.get("observations", {}).values()
    files = [entry for entry in entries if "file" in entry]
    return read_entry(files[0], campaign).shape if files else None


def read_entry(entry: Config, campaign: Config) -> Array:
    """Read the file of an observation of a campaign."""
    declared = declared_columns(simulator_of(campaign))
    columns, gaps = tuple(entry.get("columns", ())), "missing" in campaign
    with_failed = campaign.get("selection") == "all"  # which are NaN
    events = stated(CampaignEntry, campaign, "events")
    wanted = Wanted(columns, declared, gaps or with_failed, events)
    return read_observation(entry["file"], wanted)


def shared_observations(campaigns: Iterable[Config], *, tables: bool) -> list[str]:
    """Return the names of observations that all of some campaigns have, but for joined ones.

    Args:
        campaigns: Their entries.
        tables: Whether of catalogues, or of single data sets.
    """
    named = [
        {
            name
            for name, each in campaign.get("observations", {}).items()
            if ("table" in each) is tables and "joined" not in each
        }
        for campaign in campaigns
    ]
    return sorted(set.intersection(*named))


def missing_of(campaign: Config) -> dict[str, Any]:
    """Return what stages are told of missing elements; empty where none are."""
    if "missing" not in campaign:
        return {}
    return {"missing": {"seed": stated(CampaignEntry, campaign, "seed"), **campaign["missing"]}}


def layout_of(entry: Config, campaign: Config) -> Layout:
    """Return how the table of a catalogue of a campaign holds its objects."""
    return Layout(
        table=entry["table"],
        name=entry.get("name"),
        columns=tuple(entry.get("columns", ())),
        files=entry.get("files"),
        truth=entry.get("truth", {}),
        declared=declared_columns(simulator_of(campaign)),
        known=entry.get("known", {}),
    )
