"""Existing simulations of a campaign: their files, what these hold, and what they were drawn from.

``simulations`` of a campaign is a number, or a mapping that says where simulations lie. The latter
becomes ``existing``, with what was found in the files as ``inventory``, and ``simulations`` the
number of rows: nothing below asks how rows came to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import priors, registry
from ..existing.contents import Naming
from ..existing.inventory import Inventory, take_inventory
from ..priors.supports import look_at
from ..simulators.absent import ABSENT
from ..types import Prior
from .binding import InconsistentError, Refusal, first_few, near
from .data import names_in, simulator_of
from .files import Keys
from .schema import CampaignEntry, Config
from .signatures import stated
from .texts import without_texts

FEWEST = 100
UNUSED_WITHOUT_SIMULATOR = ("options", "limits", "requires", "code_version", "extra_files")
NO_SOURCES = ("source", "rounds", "reuse")
UNCOVERED = 0.05
"""Probability of the priors where nothing was drawn, above which rows cannot stand for them."""
TRIED = 20_000


def with_existing(config: Config) -> tuple[dict[str, Any], list[Refusal]]:
    """Return a configuration with the files of existing simulations looked into; what is wrong."""
    campaigns, problems = {}, []
    for name, entry in config["campaigns"].items():
        keys: Keys = ("campaigns", name)
        campaigns[name] = entry
        try:
            campaigns[name] = _with_inventory(entry, keys)
        except InconsistentError as error:
            problems.append(Refusal(error.keys, str(error)))
    return {**config, "campaigns": campaigns}, problems


def _with_inventory(entry: Config, keys: Keys) -> Config:
    asked, where = entry["simulations"], (*keys, "simulations")
    if not isinstance(asked, Mapping):
        if "simulator" not in entry:
            known = ", ".join(registry.SIMULATORS)
            text = f"'simulator' is missing; wanted one of {known}, or simulations: {{files: ...}}"
            raise InconsistentError(keys, text)
        return entry
    _check_without_simulator(entry, keys)
    whole = {"simulator": ABSENT, **entry}
    names = _names(whole, keys)
    try:
        found = take_inventory(*_patterns(asked), _naming(asked, names, whole))
    except ValueError as error:
        raise InconsistentError(where, str(error)) from error
    rows = asked.get("rows", found.rows)
    if rows > found.rows:
        text = f"got {rows}; the files hold {found.rows} rows: ask for fewer, or leave it out"
        raise InconsistentError((*where, "rows"), text)
    if rows < FEWEST:
        text = f"there are {rows} rows in {len(found.files)} files; wanted {FEWEST} or more"
        raise InconsistentError(where, text)
    return {**whole, "simulations": rows, "existing": asked, "inventory": found}


def _names(entry: Config, keys: Keys) -> tuple[str, ...]:
    try:
        made = simulator_of(entry)
        return tuple(made.parameters)
    except Exception as error:  # a simulator or prior of the user's own may raise anything
        where = (*keys, "priors" if entry["simulator"] == ABSENT else "simulator")
        raise InconsistentError(where, str(error)) from error


def _check_without_simulator(entry: Config, keys: Keys) -> None:
    """Refuse what is of a simulator where there is none."""
    if "simulator" in entry:
        return
    for key in UNUSED_WITHOUT_SIMULATOR:
        if key in entry:
            text = "has no effect: no simulator is given; remove it, or write 'simulator'"
            raise InconsistentError((*keys, key), text)
    for name, each in entry.get("observations", {}).items():
        if "parameters" in each:
            text = "nothing can simulate it: no simulator is given; wanted 'file' or 'table'"
            raise InconsistentError((*keys, "observations", name), text)


def _patterns(asked: Config) -> tuple[list[str], list[str]]:
    """Return patterns of files with data, and of others with parameters, if these are others.

    Raises:
        ValueError: Nothing says which files.
    """
    files = _listed(asked.get("files", []))
    if files:
        return files, []
    data, parameters = _listed(asked.get("x", [])), asked.get("parameters", [])
    if not data or not parameters or isinstance(parameters, Mapping):
        raise ValueError(
            "'files' is missing; wanted files with parameters and data, or a pattern of files for "
            "each of 'parameters' and 'x'"
        )
    return data, _listed(parameters)


def _naming(asked: Config, names: tuple[str, ...], entry: Config) -> Naming:
    """Return what arrays are called.

    Raises:
        ValueError: A name is given to what is no parameter.
    """
    needed = tuple(entry["inferred_parameters"])
    given = asked.get("parameters", {})
    if not asked.get("files"):
        array = "" if str(_listed(given)[0]).endswith(".npy") else None
        return Naming(names, needed, array, {}, ())
    x = tuple(_listed(asked.get("x", [])))
    if not isinstance(given, Mapping):
        return Naming(names, needed, given, {}, x)
    for name in given:
        if name not in names:
            raise ValueError(f"no parameter {name!r}{near(name, names, first_few(names))}")
    return Naming(names, needed, None, given, x)


def _listed(given: Any) -> list[Any]:
    return list(given) if isinstance(given, list | tuple) else [given]


def stored_parameters(campaign: Config) -> list[str]:
    """Return the parameters whose values are kept of existing simulations."""
    found: Inventory = campaign["inventory"]
    if stated(CampaignEntry, campaign, "store_nuisance"):
        return list(found.parameters)
    return [name for name in found.parameters if name in campaign["inferred_parameters"]]


def density_of(campaign: Config) -> dict[str, Any]:
    """Return what the rows of existing simulations are weighed by.

    It is ``priors`` of all ``parameters``, and ``drawn_from``: priors of the stored ones that they
    were drawn from, None where these are the same.
    """
    entries = campaign["priors"]
    plain = entries if isinstance(entries, str) else without_texts(entries)
    drawn = campaign["existing"].get("drawn_from")
    stored = stored_parameters(campaign)
    return {
        "priors": plain,
        "parameters": list(simulator_of(campaign).parameters),
        "drawn_from": None if drawn is None else _drawn_from(drawn, plain, stored),
    }


def _drawn_from(drawn: Config, entries: Config | str, stored: list[str]) -> dict[str, Any]:
    """Return the density that rows were drawn from, as an entry for each stored parameter.

    Raises:
        ValueError: A parameter has none, or is none.
    """
    given = dict(drawn)
    for name, edges in given.pop("box", {}).items():
        if not (isinstance(edges, list) and len(edges) == 2):
            raise ValueError(f"box.{name} is {edges!r}; wanted [least, most]")
        given[name] = {"type": "uniform", "min": edges[0], "max": edges[1]}
    for name in given:
        if name not in stored:
            raise ValueError(
                f"{name!r} is no parameter of the files; they hold {first_few(stored)}"
            )
    found = {}
    for name in stored:
        entry = given.get(name)
        if entry is None and isinstance(entries, Mapping):
            entry = priors.entry_of(entries, name)
        if entry is None:
            raise ValueError(f"nothing says what {name!r} was drawn from")
        found[name] = without_texts({name: entry})[name]
    return found


def check_existing(name: str, campaigns: Config, prior: Prior) -> None:
    """Check what a campaign with existing simulations says beside them.

    Args:
        name: Of the campaign.
        campaigns: All entries.
        prior: Of all parameters.

    Raises:
        InconsistentError: With the first thing that makes no sense.
    """
    campaign, keys = campaigns[name], ("campaigns", name)
    for other in campaign.get("reuse", ()):
        if "existing" in campaigns.get(other, {}):
            text = f"{other!r} has existing simulations; list all files in one campaign instead"
            raise InconsistentError((*keys, "reuse"), text)
    if "existing" not in campaign:
        return
    for key in NO_SOURCES:
        if key in campaign:
            text = "cannot be together with existing simulations; remove one of the two"
            raise InconsistentError((*keys, key), text)
    if campaign["simulator"] == ABSENT and isinstance(campaign["priors"], Mapping):
        names_in(campaign["priors"])
    where = (*keys, "simulations", "drawn_from")
    stored = tuple(stored_parameters(campaign))
    try:
        target = prior.keep(stored)
    except ValueError as error:
        text = f"the files hold {', '.join(stored)}: {error}"
        raise InconsistentError((*keys, "priors"), text) from error
    try:
        density = density_of(campaign)["drawn_from"]
        if density is not None:
            drawn_from = priors.build(density, stored)
            look_at(drawn_from)
            _check_covers(target, drawn_from)
    except ValueError as error:
        raise InconsistentError(where, str(error)) from error


def _check_covers(target: Prior, drawn_from: Prior) -> None:
    """Refuse rows that leave out a part of the prior that matters."""
    u = np.random.default_rng(0).random((TRIED, len(target.names)))
    lost = float(np.mean(np.isneginf(drawn_from.log_prob(target.from_uniform(u)))))
    if lost > UNCOVERED:
        raise ValueError(
            f"{100 * lost:.3g} % of the probability of the priors lies where nothing was drawn, "
            "which no weights mend; narrow the priors, or add simulations there"
        )
