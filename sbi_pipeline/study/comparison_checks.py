"""What comparisons of models are refused for, before any job."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..fingerprint import of_array
from ..networks.conditioning import check_conditioner
from ..storage.noise import is_at_load
from . import reuse
from .binding import InconsistentError, near, not_among
from .data import data_shape, layout_of, read_entry, shared_observations, simulator_of
from .files import Keys
from .observed import given_as_known, known_values
from .rounds import chains_of
from .schema import CampaignEntry, Config, Observation
from .signatures import stated
from .suitability import embedding_options
from .sweeps import expanded
from .texts import drawn_from

ENDINGS = ("_error", "_in_population")
"""What names of columns of tables of objects may end with after a model's."""

Campaigns = Mapping[str, Config]
"""Entries of the campaigns of a comparison, by what they are called there."""


def check_comparison(name: str, config: Config) -> None:
    """Check one comparison of models, in a configuration whose campaigns make sense.

    Raises:
        InconsistentError: With the first thing that makes no sense.
    """
    entry, keys = config["comparisons"][name], ("comparisons", name)
    elsewhere = _told_elsewhere(config)
    _check_name(name, config, elsewhere, keys)
    _check_models(entry["models"], config, elsewhere, (*keys, "models"))
    for label in entry.get("odds", {}):
        if label not in entry["models"]:
            raise InconsistentError((*keys, "odds", label), not_among(label, entry["models"]))
    campaigns = {label: config["campaigns"][each] for label, each in entry["models"].items()}
    for label, campaign in entry["models"].items():
        if why := _why_none(campaign, config["campaigns"]):
            raise InconsistentError((*keys, "models", label), why)
    _check_alike(campaigns, (*keys, "models"))
    _check_observations(entry, campaigns, keys)
    _check_network(entry.get("network", {}), campaigns, (*keys, "network"))


def _told_elsewhere(config: Config) -> dict[str, str]:
    """Return what campaigns and estimators are that nobody wrote, by name: of sweeps, of rounds."""
    found: dict[str, str] = {}
    for sweep, entry in expanded(config).get("sweeps", {}).items():
        for member in entry["members"]:
            found |= dict.fromkeys((member["campaign"], member["fit"]), f"of the sweep {sweep!r}")
    for chain in chains_of(config):
        found |= dict.fromkeys((*chain.names, *chain.boxed), f"a round of {chain.campaign!r}")
        if chain.last != chain.campaign:
            found[chain.last] = f"the last round of {chain.campaign!r} about {chain.observation!r}"
    return found


def _check_name(name: str, config: Config, elsewhere: Mapping[str, str], keys: Keys) -> None:
    """Refuse the name of something else."""
    tables = {
        "campaigns": "a campaign",
        "estimators": "an estimator",
        "sweeps": "a sweep",
        "refine": "a refined posterior",
    }
    for table, what in tables.items():
        if name in config.get(table, {}):
            raise InconsistentError(keys, f"{what} has this name too; give it another")
    if name in elsewhere:
        raise InconsistentError(keys, f"{name!r} is {elsewhere[name]}; give it another name")


def _check_models(
    models: Mapping[str, str], config: Config, elsewhere: Mapping[str, str], keys: Keys
) -> None:
    """Refuse fewer than two campaigns, one that there is not, and one that is there twice."""
    if len(models) < len(("one", "another")):
        raise InconsistentError(keys, f"got {len(models)}; wanted two campaigns or more")
    seen: dict[str, str] = {}
    for label, name in models.items():
        where = (*keys, label)
        if name in elsewhere and name not in config["campaigns"]:
            text = f"{name!r} is {elsewhere[name]}; wanted a campaign of the configuration"
            raise InconsistentError(where, text)
        if name not in config["campaigns"]:
            raise InconsistentError(where, not_among(name, config["campaigns"]))
        if name in seen:
            text = f"{name!r} is {seen[name]!r} already; wanted each campaign once"
            raise InconsistentError(where, text)
        seen[name] = label
    _check_columns(models, keys)


def _check_columns(models: Mapping[str, str], keys: Keys) -> None:
    """Refuse two models that one column of a table of objects would be named after."""
    for label, ending in itertools.product(models, ENDINGS):
        if label + ending in models:
            text = f"tables have a column of that name for {label!r}; give it another"
            raise InconsistentError((*keys, label + ending), text)


def _why_none(name: str, campaigns: Config) -> str:
    """Say why a campaign can be no model of a comparison; empty where it can."""
    if stated(CampaignEntry, campaigns[name], "events"):
        return (
            f"{name!r} has events, and one row of it is one of them; only models of whole data "
            "sets are compared: let one simulation be a whole set"
        )
    for each, _ in reuse.own_rows(name, campaigns):
        entry = campaigns[each]
        for key, given in (("source", entry), ("drawn_from", entry.get("existing", {}))):
            if given.get(key) is not None:
                return (
                    f"{each!r} has a {key}, and the classifier takes rows for draws of the prior; "
                    "wanted a campaign whose simulations are"
                )
    return ""


def _check_alike(campaigns: Campaigns, keys: Keys) -> None:
    """Refuse campaigns whose data cannot be of one kind."""
    (first, one), *others = campaigns.items()
    for label, other in others:
        for differs in _differences(one, other):
            text = f"{differs} in {label!r} and in {first!r}; wanted the same in both"
            raise InconsistentError((*keys, label), text)


def _differences(one: Config, other: Config) -> Iterator[str]:
    """Yield in words what of the data of two campaigns differs."""
    shapes = [data_shape(each) for each in (other, one)]
    if None not in shapes and shapes[0] != shapes[1]:
        yield f"data have the shapes {shapes[0]} and {shapes[1]}"
    if is_at_load(simulator_of(other)) != is_at_load(simulator_of(one)):
        yield "noise is drawn at load in one alone"
    if other.get("missing") != one.get("missing"):
        yield "'missing' differs"
    known = [each.get("known_parameters", []) for each in (other, one)]
    if known[0] != known[1]:
        yield f"known_parameters are {' and '.join(', '.join(each) or 'none' for each in known)}"
    elif known[0] and _priors_of(known[0], other) != _priors_of(known[0], one):
        yield "priors of known parameters differ"


def _priors_of(names: list[str], campaign: Config) -> Any:
    """Return the priors of some parameters; a class of the user's own is taken as a whole."""
    entries = campaign["priors"]
    if isinstance(entries, str):
        return entries
    return {name: each for name, each in drawn_from(entries).items() if name in names}


def _check_observations(entry: Config, campaigns: Campaigns, keys: Keys) -> None:
    """Refuse observations that a campaign lacks, that are of another kind, or of other data."""
    there = list(campaigns.values())
    shared = {
        key: shared_observations(there, tables=key == "catalogues")
        for key in ("observations", "catalogues")
    }
    if not any(shared.values()):
        text = "its campaigns share no observation; give each the same data by the same name"
        raise InconsistentError(keys, text)
    for key, known in shared.items():
        for index, name in enumerate(entry.get(key, ())):
            if name not in known:
                text = _why_not_shared(name, key, campaigns, known)
                raise InconsistentError((*keys, key, index), text)
        for name in entry.get(key, known):
            _check_same_data(name, campaigns, keys)


def _why_not_shared(name: str, key: str, campaigns: Campaigns, known: list[str]) -> str:
    """Say why a name is no observation, or no catalogue, of every campaign."""
    for label, campaign in campaigns.items():
        found = campaign.get("observations", {}).get(name)
        if found is None:
            wanted = f"all have {', '.join(known) or 'none'}"
            return f"{name!r} is no observation of {label!r}{near(name, known, wanted)}"
        if "joined" in found:
            return f"{name!r} joins several data sets, and the classifier sees one; name those"
        if ("table" in found) != (key == "catalogues"):
            kinds = ("a catalogue", "catalogues") if "table" in found else ("none", "observations")
            return f"{name!r} of {label!r} is {kinds[0]}; wanted it under {kinds[1]}"
    raise AssertionError(name)


def _check_same_data(name: str, campaigns: Campaigns, keys: Keys) -> None:
    """Refuse data that differ from campaign to campaign: each model is asked about the same."""
    (first, one), *others = campaigns.items()
    for label, other in others:
        if differs := _other_data(one, other, name):
            text = f"{name!r} is not the same data in {first!r} and {label!r}: {differs}"
            raise InconsistentError(keys, f"{text}; wanted one file in both")


def _other_data(one: Config, other: Config, name: str) -> str:
    """Say how the data of an observation differ between two campaigns; empty if they do not."""
    pair = (one, other)
    entries = [each["observations"][name] for each in pair]
    known = [
        known_values(given_as_known(entry, each.get("known_parameters", ())), events=False)
        for entry, each in zip(entries, pair, strict=True)
        if "table" not in entry
    ]
    if len(known) == len(pair) and known[0] != known[1]:
        return "its known parameters differ"
    kinds = [
        next(kind for kind in ("file", "parameters", "table") if kind in each) for each in entries
    ]
    if kinds[0] != kinds[1]:
        return f"it has {kinds[0]!r} in one and {kinds[1]!r} in the other"
    same = {"file": _is_same_file, "table": _is_same_table, "parameters": _is_simulated_alike}
    if same[kinds[0]](one, other, name):
        return ""
    if kinds[0] == "parameters":
        return (
            "each campaign simulates its own, which are alike only with one simulator, the same "
            "options and seed, and all its parameters given"
        )
    return f"the {kinds[0]}s differ"


def _is_same_file(one: Config, other: Config, name: str) -> bool:
    contents = {
        of_array(np.atleast_1d(np.squeeze(read_entry(each["observations"][name], each))))
        for each in (one, other)
    }
    return len(contents) == 1


def _is_same_table(one: Config, other: Config, name: str) -> bool:
    """Say whether a catalogue has the same objects in both, truths aside."""
    read = ("table", "name", "columns", "files", "declared", "known")
    layouts = [layout_of(each["observations"][name], each) for each in (one, other)]
    return all(len({str(getattr(each, key)) for each in layouts}) == 1 for key in read)


def _is_simulated_alike(one: Config, other: Config, name: str) -> bool:
    """Say whether a simulated observation comes out the same in both."""
    entries = [each["observations"][name] for each in (one, other)]
    seeds = {stated(Observation, each, "seed") for each in entries}
    given = [{**each["parameters"], **each.get("known", {})} for each in entries]
    whole = set(simulator_of(one).parameters) == set(given[0])
    alike = all(one.get(key, {}) == other.get(key, {}) for key in ("simulator", "options"))
    return whole and alike and given[0] == given[1] and len(seeds) == 1


def _check_network(network: Config, campaigns: Campaigns, keys: Keys) -> None:
    """Refuse columns, summaries and an embedding of the classifier that do not suit the data."""
    embedding = network.get("embedding", "auto")
    options = {
        "embedding": embedding if embedding == "auto" else embedding_options(embedding),
        "columns": network.get("columns", "auto"),
        "summaries": network.get("summaries", "auto"),
    }
    shapes = filter(None, map(data_shape, campaigns.values()))
    try:
        check_conditioner(next(shapes, None), **options)
    except ValueError as error:
        raise InconsistentError(keys, str(error)) from error
