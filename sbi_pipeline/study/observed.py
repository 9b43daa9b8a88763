"""Observations before anything is simulated: whether entries, files and truths make sense."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import catalogues, observations, priors
from ..conditions import Conditions
from ..observation_files import read_observation
from ..shapes import fits
from ..types import Prior
from .binding import InconsistentError, first_few, near
from .data import first_file_shape, layout_of, read_entry, said_shape
from .files import Keys
from .schema import CampaignEntry, Config
from .signatures import stated

KINDS = ("file", "parameters", "table", "joined")
ONLY_TABLES = ("name", "files", "draws")
ONLY_OTHERS = ("seed", "events", "tried")
SAID_BY_PARTS = ("truth", "known", "columns", "seed", "events", "tried")
"""Keys of an observation that mean something for a catalogue alone, or for no catalogue."""


def check_observations(campaign: Config, prior: Prior, conditions: Conditions, keys: Keys) -> None:
    """Check the observations of one campaign, those in files as far as their shape is known.

    Args:
        campaign: Its entry.
        prior: Of all parameters of the simulator.
        conditions: Its known parameters.
        keys: Where it stands.

    Raises:
        InconsistentError: With the first thing that makes no sense.
    """
    events = stated(CampaignEntry, campaign, "events")
    _check_axis(campaign, keys)
    for name, entry in campaign.get("observations", {}).items():
        where = (*keys, "observations", name)
        if sum(each in entry for each in KINDS) != 1:
            raise InconsistentError(where, f"wanted one of {', '.join(map(repr, KINDS))}")
        _check_keys(entry, where)
        if "table" in entry:
            _check_known_columns(entry, conditions, where)
            _check_table(entry, campaign, prior, where)
            continue
        if "joined" in entry:
            _check_joined(entry, campaign, where)
            continue
        if ("events" in entry) != (events and "parameters" in entry):
            raise InconsistentError(
                where,
                "'events' says how many to simulate, for a campaign with events: true and no file; "
                "wanted there, and only there",
            )
        if "truth" in entry and "file" not in entry:
            text = "'truth' is for a file; 'parameters' are truths"
            raise InconsistentError((*where, "truth"), text)
        if words := [
            each for each, value in entry.get("truth", {}).items() if isinstance(value, str)
        ]:
            text = "wanted a number; the name of a column is for a table"
            raise InconsistentError((*where, "truth", words[0]), text)
        if "seed" in entry and "file" in entry:
            text = "has no effect: a file has no seed; remove it"
            raise InconsistentError((*where, "seed"), text)
        for key in ("parameters", "truth"):
            for parameter in entry.get(key, {}):
                _check_known(parameter, prior, (*where, key, parameter))
            _check_truth(entry.get(key, {}), prior, (*where, key))
        if "columns" in entry and "file" not in entry:
            text = "has no effect: it is for a file or a table; remove it"
            raise InconsistentError((*where, "columns"), text)
        if "file" in entry:
            _check_file(entry, campaign, (*where, "file"))
        _check_tried(entry, campaign, where)
        _check_conditions(entry, campaign, conditions, where)


def _check_tried(entry: Config, campaign: Config, keys: Keys) -> None:
    """Refuse a number of events that were tried which is missing, useless, or too small."""
    wanted = campaign.get("selection") == "tried" and "file" in entry
    if wanted and "tried" not in entry:
        text = "how many events were tried for this file? selection: tried wants 'tried', a number"
        raise InconsistentError(keys, text)
    if "tried" not in entry:
        return
    if not wanted:
        text = "has no effect: it is for a file, in a campaign of events with selection: tried"
        raise InconsistentError((*keys, "tried"), f"{text}; remove it")
    worked = _events_of(entry, campaign)
    if entry["tried"] < worked:
        text = f"got {entry['tried']}; the file holds {worked} events that worked"
        raise InconsistentError((*keys, "tried"), text)


def _check_axis(campaign: Config, keys: Keys) -> None:
    """Refuse values along the data that are given twice, or not one for each element."""
    axis, where = campaign.get("data", {}).get("axis", {}), (*keys, "data", "axis")
    given = axis.get("values")
    useless = [key for key in ("start", "step") if key in axis and given is not None]
    if "column" in axis and not isinstance(given, str):
        useless.append("column")
    if useless:
        what = "it is of a file in 'values'" if useless[0] == "column" else "'values' says them all"
        raise InconsistentError((*where, useless[0]), f"has no effect: {what}; remove it")
    if given is None:
        return
    try:
        shape = said_shape(campaign) or first_file_shape(campaign)
        observations.axis_values(axis, math.prod(shape) if shape else None)
    except ValueError as error:
        raise InconsistentError((*where, "values"), str(error)) from error


def _check_known(parameter: str, prior: Prior, keys: Keys) -> None:
    """Refuse what is no parameter of the simulator."""
    if parameter not in prior.names:
        guess = near(parameter, prior.names)
        text = f"{parameter!r} is none of {first_few(prior.names)}{guess}"
        raise InconsistentError(keys, text)


def _check_keys(entry: Config, keys: Keys) -> None:
    """Refuse what has no effect for what an observation is: a catalogue, or not."""
    catalogue = "table" in entry
    for each in ONLY_OTHERS if catalogue else ONLY_TABLES:
        if each in entry:
            of = "one data set" if catalogue else "a table"
            raise InconsistentError((*keys, each), f"has no effect: it is for {of}; remove it")


def _check_joined(entry: Config, campaign: Config, keys: Keys) -> None:
    """Refuse to join what is no single observation, or to say of a whole what its parts say."""
    if others := [each for each in SAID_BY_PARTS if each in entry]:
        text = "has no effect: the observations that are joined have their own; remove it"
        raise InconsistentError((*keys, others[0]), text)
    there = campaign["observations"]
    for index, each in enumerate(entry["joined"]):
        where = (*keys, "joined", index)
        if each not in there:
            text = f"{each!r} is not among {first_few(list(there))}{near(each, list(there))}"
            raise InconsistentError(where, text)
        if kind := next((key for key in ("table", "joined") if key in there[each]), None):
            text = f"{each!r} is {'a catalogue' if kind == 'table' else 'joined itself'}"
            raise InconsistentError(where, f"{text}; wanted observations of one data set")
    if len(set(entry["joined"])) < max(2, len(entry["joined"])):
        text = f"got {', '.join(entry['joined'])}; wanted two or more, each once"
        raise InconsistentError((*keys, "joined"), text)


def _check_table(entry: Config, campaign: Config, prior: Prior, keys: Keys) -> None:
    """Refuse a table that holds no objects of the simulator's, as far as its header tells."""
    if stated(CampaignEntry, campaign, "events"):
        text = "a campaign of events has sets of them, and a table holds one data set a row"
        raise InconsistentError((*keys, "table"), f"{text}; give each set as a file of its own")
    if "object" in {*campaign["inferred_parameters"], *campaign.get("derived_parameters", {})}:
        text = "'object' names the objects of a catalogue; give the parameter another name"
        raise InconsistentError((*keys, "table"), text)
    for parameter, column in entry.get("truth", {}).items():
        _check_known(parameter, prior, (*keys, "truth", parameter))
        if not isinstance(column, str):
            text = "wanted the name of a column of the table"
            raise InconsistentError((*keys, "truth", parameter), text)
    try:
        _, *found = catalogues.shape_of(layout_of(entry, campaign))
        said = said_shape(campaign)
        if said is not None:
            observations.fit_shape(entry["table"], np.empty((0, *found)), said)
    except ValueError as error:
        raise InconsistentError((*keys, "table"), str(error)) from error


def check_kinds(config: Config) -> None:
    """Refuse one name for a catalogue and for a single observation: their files would be alike.

    Raises:
        InconsistentError: Another campaign has a single observation of that name.
    """
    kinds: dict[str, tuple[bool, str]] = {}
    for campaign, given in config["campaigns"].items():
        for name, entry in given.get("observations", {}).items():
            kind, other = kinds.setdefault(name, ("table" in entry, campaign))
            if kind != ("table" in entry):
                text = f"{name!r} is a table here or in {other!r}, and one data set in the other"
                where = ("campaigns", campaign, "observations", name)
                raise InconsistentError(where, f"{text}; give one of them another name")


def _check_file(entry: Config, campaign: Config, keys: Keys) -> None:
    """Refuse a file that holds no data set of the simulator's, as far as their shape is known."""
    file, events = entry["file"], stated(CampaignEntry, campaign, "events")
    try:
        x_o = read_entry(entry, campaign)
        if (said := said_shape(campaign)) is not None:
            observations.check_shape(file, x_o, said, events)
    except ValueError as error:
        raise InconsistentError(keys, str(error)) from error
    shown = None if events else first_file_shape(campaign)
    if said is None and shown is not None and not fits(x_o.shape, shown):
        text = f"observation {file} has shape {x_o.shape}, one before it {shown}; wanted one shape"
        raise InconsistentError(keys, text)


def _check_truth(truth: Mapping[str, float], prior: Prior, keys: Keys) -> None:
    """Refuse parameters that the prior excludes, as far as that can be told."""
    if isinstance(prior, priors.NamedPrior):
        given = {name: np.asarray(float(value)) for name, value in truth.items()}
        for each in prior.parameters:
            if each.name not in truth or set(each.parents) - set(truth):
                continue
            made, value = each.given(given), truth[each.name]
            low, high = made.support()
            if not low <= value <= high:
                raise InconsistentError(
                    (*keys, each.name),
                    f"got {value:g}; its prior reaches from {float(low):g} to {float(high):g}: "
                    f"widen it, or leave this value out",
                )
            if each.family.discrete and not made.pmf(value):
                text = f"got {value:g}; its prior gives that no probability"
                raise InconsistentError((*keys, each.name), text)
    elif set(truth) == set(prior.names):
        row = np.array([[truth[name] for name in prior.names]])
        if np.isneginf(prior.log_prob(row)).any():
            raise InconsistentError(keys, "lies outside the prior: widen it, or leave a value out")


def _check_conditions(entry: Config, campaign: Config, conditions: Conditions, keys: Keys) -> None:
    """Refuse known conditions of one data set that are missing, invented, or make no sense."""
    events = stated(CampaignEntry, campaign, "events")
    given, where = given_as_known(entry, conditions.names), (*keys, *["known"] * ("known" in entry))
    try:
        values = known_values(given, events)
        if "parameters" in entry:  # those not given are drawn
            if twice := sorted(set(given) & set(entry["parameters"])):
                raise ValueError(f"{twice[0]!r} is in 'parameters' as well; give it once")
            conditions.check_names({**dict.fromkeys(conditions.names), **given})
            conditions = conditions.only([name for name in conditions.names if name in given])
        conditions.of(values, (_events_of(entry, campaign),) if events else ())
    except ValueError as error:
        raise InconsistentError(where, str(error)) from error


def _events_of(entry: Config, campaign: Config) -> int:
    """Return how many events an observation has."""
    if "events" in entry:
        return int(entry["events"])
    return len(read_entry(entry, campaign))


def _check_known_columns(entry: Config, conditions: Conditions, keys: Keys) -> None:
    """Refuse known conditions of a table that are missing, invented, or make no sense."""
    given, where = entry.get("known", {}), (*keys, *["known"] * ("known" in entry))
    for name in set(conditions.names) & set(entry.get("truth", {})):
        text = f"{name!r} is known of every object; name its column under 'known'"
        raise InconsistentError((*keys, "truth", name), text)
    try:
        conditions.check_names(given)
        for name, value in given.items():
            if isinstance(value, list):
                raise ValueError(f"{name!r} is a list; wanted a column of the table, or a number")
            if not isinstance(value, str):
                conditions.only([name]).of({name: value})
    except ValueError as error:
        raise InconsistentError(where, str(error)) from error


def given_as_known(entry: Config, names: Sequence[str]) -> dict[str, Any]:
    """Return what is written as known of one data set, true values of a file among it.

    Args:
        entry: Of the observation.
        names: Of the known parameters.
    """
    true = {name: each for name, each in entry.get("truth", {}).items() if name in names}
    return {**true, **entry.get("known", {})}


def known_values(given: Mapping[str, Any], events: bool) -> dict[str, float | list[float]]:
    """Return known values as numbers; of events also lists, files of which are read.

    Raises:
        ValueError: There is more than one number, and no events.
    """
    found: dict[str, float | list[float]] = {}
    for name, value in given.items():
        if not events and not isinstance(value, int | float):
            text = "wanted a number; lists and files of them are for events, columns for a table"
            raise ValueError(f"{name} is {value!r}; {text}")
        is_file = isinstance(value, str)
        found[name] = np.ravel(read_observation(value)).tolist() if is_file else value
    return found
