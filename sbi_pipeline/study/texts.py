"""What a report says of parameters, priors and the configuration."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import yaml

from .. import priors
from ..fingerprint import canonical
from ..priors.families import TYPES
from ..simulators.absent import ABSENT
from .schema import Config

ELSEWHERE = ("campaigns", "estimators", "sweeps", "comparisons", "strict")
"""Keys of the configuration of which one campaign's report says nothing, or only its part."""
OF_NUMBERS = ("quantiles", "copula")
"""Types of priors that are lists of numbers."""
READ = 10
"""Numbers that one reads."""
MEANS = ("dask", "bucket", "requires", "limits", "max_failed_fraction")
"""Keys of a campaign that cannot change a result."""


def without_texts(entries: Config) -> dict[str, Any]:
    """Return priors without labels and units, which change no draw."""
    return {
        name: {
            key: value for key, value in entry.items() if key == "type" or key not in priors.TEXTS
        }
        for name, entry in entries.items()
    }


def drawn_from(entries: Config) -> dict[str, Any]:
    """Return of priors what changes draws."""
    return {
        name: {key: value for key, value in entry.items() if key != "periodic"}
        for name, entry in without_texts(entries).items()
    }


def texts_of(campaign: Config) -> dict[str, dict[str, str]]:
    """Return label and unit of each parameter of a campaign, derived ones too."""
    derived = campaign.get("derived_parameters", {})
    entries = derived if isinstance(campaign["priors"], str) else {**campaign["priors"], **derived}
    return {
        name: {key: entry[key] for key in ("label", "unit") if key in entry}
        for name, entry in entries.items()
    }


def described(campaign: Config) -> list[dict[str, str]]:
    """Return every parameter with its role, prior, label and unit."""
    texts, parameters = texts_of(campaign), []
    for role in ("inferred", "nuisance", "known"):
        for name in campaign.get(f"{role}_parameters", ()):
            prior = _in_words(campaign["priors"], name)
            parameters.append({"name": name, "role": role, "prior": prior, **texts.get(name, {})})
    for name, entry in campaign.get("derived_parameters", {}).items():
        prior = entry["expression"]
        parameters.append({"name": name, "role": "derived", "prior": prior, **texts[name]})
    return parameters


def _in_words(entries: Config | str, name: str) -> str:
    """Return the prior of one parameter in a few words."""
    if isinstance(entries, str):
        return entries
    entry = priors.entry_of(entries, name)
    if entry is None:
        return "several"  # a pattern of nuisances that several entries have priors for
    arguments = TYPES[entry["type"]].arguments
    said = ", ".join([entry["type"], *(f"{key} {entry[key]}" for key in arguments)])
    if entry["type"] in OF_NUMBERS:
        said = entry.get("description") or entry["type"]
    return f"{said}, periodic" if entry.get("periodic") else said


def _in_short(entries: Config | str) -> Config | str:
    """Return priors without lists of numbers that nobody reads."""
    if isinstance(entries, str):
        return entries
    shown = {}
    for name, entry in entries.items():
        long = entry.get("type") in OF_NUMBERS and len(entry["values"]) > READ
        left = {key: each for key, each in entry.items() if key in ("type", *priors.TEXTS)}
        shown[name] = left if long else entry
    return shown


def as_written(campaign: Config) -> dict[str, Any]:
    """Return the entry of a campaign as it was written, where simulations were there already."""
    if "existing" not in campaign:
        return dict(campaign)
    made = {**campaign, "simulations": campaign["existing"]}
    hidden = {"existing", "inventory"} | ({"simulator"} if made["simulator"] == ABSENT else set())
    return {key: value for key, value in made.items() if key not in hidden}


def excerpt(name: str, config: Config, estimators: Sequence[str]) -> str:
    """Return the part of the configuration that concerns one campaign, as YAML.

    Sorted, since the order of keys must not matter; without what cannot change a result.
    """
    campaign = as_written(config["campaigns"][name])
    campaign = {k: v for k, v in campaign.items() if k not in MEANS}
    campaign["priors"] = _in_short(campaign["priors"])
    used = {each: config["estimators"][each] for each in estimators}
    others = {k: v for k, v in config.items() if k not in ELSEWHERE}
    whole = {"campaigns": {name: campaign}, "estimators": used, **others}
    return yaml.safe_dump(json.loads(canonical(whole)), sort_keys=True, allow_unicode=True)


def excerpt_of_comparison(name: str, config: Config) -> str:
    """Return the part of the configuration that concerns a comparison, as YAML, sorted."""
    told = {"comparisons": {name: config["comparisons"][name]}}
    told |= {key: config[key] for key in ("thresholds",) if key in config}
    return yaml.safe_dump(json.loads(canonical(told)), sort_keys=True, allow_unicode=True)
