"""Checks of a configuration, before anything runs: where, what, and what was expected."""

from __future__ import annotations

import fnmatch
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import jsonschema

from .. import observations, priors, registry
from ..expressions import Expression
from ..priors.discrete import combinations
from ..priors.supports import check_covers
from ..types import Prior

Config = Mapping[str, Any]

SHARD_SIZE = 100_000
BLOCK_SIZE = 1_000
WITHOUT_PROPOSALS = ("nle", "nre", "cmpe")
POSTERIORS = ("npe", "fmpe", "cmpe")


def check(config: Config, schema: Config) -> None:
    """Check a configuration, before anything runs.

    Raises:
        ValueError: One line for each thing that is wrong: where, what, and what was expected.
    """
    validator = jsonschema.Draft202012Validator(schema)
    if problems := [_line(error) for error in validator.iter_errors(config)]:
        raise ValueError("\n".join(sorted(problems)))
    if "proposal" in config.get("calibration", {}).get("sampler", {}):
        raise ValueError("calibration.sampler: proposals are for observations only; remove it here")
    for name, campaign in config["campaigns"].items():
        try:
            _check_campaign(campaign, config)
        except (ValueError, TypeError) as error:
            raise ValueError(f"campaigns.{name}: {error}") from error
    if thresholds := config.get("thresholds"):
        checks = importlib.import_module("..checks", __package__)  # takes a second
        checks.check_thresholds(thresholds, vars(checks))


def _line(error: jsonschema.ValidationError) -> str:
    error = jsonschema.exceptions.best_match([error])  # within alternatives, the nearest one
    where = ".".join(str(part) for part in error.absolute_path) or "configuration"
    wanted = error.schema.get("description")
    match error.validator:
        case "additionalProperties":
            known = ", ".join(sorted(error.schema.get("properties", {})))
            unknown = sorted(set(error.instance) - set(error.schema.get("properties", {})))
            return f"{where}: unknown key {', '.join(map(repr, unknown))}; wanted one of {known}"
        case "enum":
            return (
                f"{where}: got {error.instance!r}; wanted one of {', '.join(error.schema['enum'])}"
            )
    return f"{where}: {error.message}" + (f"; wanted {wanted}" if wanted else "")


def _check_campaign(campaign: Config, config: Config) -> None:
    simulator = registry.load(campaign["simulator"], registry.SIMULATORS)
    try:
        names = tuple(simulator(**campaign.get("options", {})).parameters)
    except TypeError as error:
        raise ValueError(f"options of simulator {campaign['simulator']!r}: {error}") from error
    prior = priors.build(campaign["priors"], names)
    if isinstance(campaign["priors"], dict):
        _check_order(campaign["priors"])
    inferred = tuple(campaign["inferred_parameters"])
    _check_partition(names, inferred, nuisances(campaign, names))
    chosen = campaign.get("estimators", list(config["estimators"]))
    for name in chosen:
        if name not in config["estimators"]:
            raise ValueError(f"estimators: {name!r} is not among {', '.join(config['estimators'])}")
    methods = {name: config["estimators"][name]["method"] for name in chosen}
    _check_discrete(prior.keep(inferred), methods)
    _check_events(campaign, methods)
    _check_derived(campaign.get("derived_parameters", {}), inferred)
    _check_observations(campaign.get("observations", {}), names, campaign.get("events", False))
    _check_proposals(config["estimators"], chosen)
    _check_refine(config.get("refine", {}), campaign, prior.keep(inferred), methods)
    shard, block = campaign.get("shard_size", SHARD_SIZE), campaign.get("block_size", BLOCK_SIZE)
    if shard % block:
        raise ValueError(f"shard_size {shard} is no multiple of block_size {block}")


def nuisances(campaign: Config, names: Sequence[str]) -> tuple[str, ...]:
    """Return the nuisance parameters of a campaign, patterns such as ``flux_*`` written out."""
    listed = campaign.get("nuisance_parameters", ())
    return tuple(name for entry in listed for name in fnmatch.filter(names, entry) or [entry])


def _check_discrete(prior: Prior, methods: Mapping[str, str]) -> None:
    """Refuse discrete parameters where they cannot be inferred."""
    discrete = combinations(prior)
    if discrete is None:
        return
    named = prior.names[discrete.columns[0]]
    if name := _of_posterior(methods):
        raise ValueError(
            f"inferred_parameters: {named!r} is discrete, and {name!r} ({methods[name]}) learns "
            "densities of continuous parameters only; give this campaign estimators: those of nle "
            "or nre, or make it a nuisance"
        )


def _check_events(campaign: Config, methods: Mapping[str, str]) -> None:
    """Refuse a product over events where it is not the likelihood of all of them."""
    if not campaign.get("events", False):
        return
    if name := _of_posterior(methods):
        raise ValueError(
            f"events: posteriors of single events cannot be multiplied, and {name!r} "
            f"({methods[name]}) learns posteriors; give this campaign estimators: those of nle or "
            "nre, or let one simulation be a whole set of events"
        )
    listed = ", ".join(campaign.get("nuisance_parameters", ()))
    match campaign.get("nuisance_scope"):
        case None if listed:
            raise ValueError(
                f"events: is {listed} drawn anew for every event (nuisance_scope: event) or shared "
                "by all events of a data set (nuisance_scope: dataset)? The posterior depends on it"
            )
        case "dataset":
            raise ValueError(
                f"events: {listed} is shared by all events of a data set, so the likelihood of all "
                "is not the product of theirs and the posterior would come out too narrow; infer "
                "it too, or let one simulation be a whole set of events and take npe"
            )


def _of_posterior(methods: Mapping[str, str]) -> str | None:
    """Return the first estimator that learns a posterior, if there is one."""
    for name, method in methods.items():
        if registry.load(method, registry.ESTIMATORS).traits.draws:
            return name
    return None


def _check_proposals(entries: Config, chosen: Sequence[str]) -> None:
    """Refuse MCMC that proposes from an estimator that is not trained or no posterior."""
    for name in chosen:
        proposal = entries[name].get("sampler", {}).get("proposal")
        if proposal is None:
            continue
        if proposal not in chosen:
            raise ValueError(
                f"estimators.{name}.sampler.proposal: {proposal!r} is not trained here; "
                f"wanted one of {', '.join(chosen)}"
            )
        if entries[proposal]["method"] in WITHOUT_PROPOSALS:
            raise ValueError(
                f"estimators.{name}.sampler.proposal: {proposal!r} ({entries[proposal]['method']}) "
                "does not give draws with their density; npe does"
            )


def _check_refine(
    entries: Config, campaign: Config, prior: Prior, methods: Mapping[str, str]
) -> None:
    """Refuse to reweight what has no density, by what is no likelihood, or to wider priors."""
    for name, entry in entries.items():
        proposal, likelihood = entry["proposal"], entry.get("likelihood")
        if name in methods:
            raise ValueError(f"refine.{name}: an estimator has this name too; give it another")
        if proposal not in methods:
            continue  # another campaign's
        if likelihood is None and "priors" not in entry:
            raise ValueError(f"refine.{name}: wanted a likelihood, priors, or both")
        if likelihood is not None and methods[proposal] in WITHOUT_PROPOSALS:
            raise ValueError(
                f"refine.{name}: draws of {proposal!r} ({methods[proposal]}) have no known density "
                "to be reweighted by a likelihood; those of npe and fmpe have"
            )
        if likelihood not in (None, "exact") and methods.get(likelihood) in (None, *POSTERIORS):
            raise ValueError(
                f"refine.{name}.likelihood: {likelihood!r} is no estimator of a likelihood trained "
                "here; wanted one of nle or nre, or exact"
            )
        _check_new_priors(f"refine.{name}", entry.get("priors", {}), campaign, prior)


def _check_new_priors(where: str, new: Config, campaign: Config, prior: Prior) -> None:
    if not new:
        return
    if isinstance(campaign["priors"], str):
        raise ValueError(f"{where}.priors: the prior is a class of your own, which has no entries")
    if unknown := set(new) - set(prior.names):
        raise ValueError(
            f"{where}.priors: {unknown.pop()!r} is not inferred; a prior can be changed after "
            f"training for {', '.join(prior.names)} only"
        )
    entries = {name: campaign["priors"][name] for name in prior.names}
    try:
        check_covers(prior, priors.build({**entries, **new}, prior.names))
    except ValueError as error:
        raise ValueError(f"{where}.priors: {error}") from error


def _check_derived(derived: Config, inferred: tuple[str, ...]) -> None:
    for name, entry in derived.items():
        if unknown := set(Expression(entry["expression"]).names) - set(inferred):
            raise ValueError(f"derived_parameters.{name}: {unknown.pop()!r} is not inferred")


def _check_observations(entries: Config, names: tuple[str, ...], events: bool) -> None:
    for name, entry in entries.items():
        if ("file" in entry) == ("parameters" in entry):
            raise ValueError(f"observations.{name}: wanted either 'file' or 'parameters'")
        if ("events" in entry) != (events and "parameters" in entry):
            raise ValueError(
                f"observations.{name}: 'events' says how many to simulate, for a campaign with "
                "events: true and no file; wanted there, and only there"
            )
        if "truth" in entry and "file" not in entry:
            raise ValueError(f"observations.{name}: 'truth' is for a file; 'parameters' are truths")
        for key in ("parameters", "truth"):
            if unknown := set(entry.get(key, {})) - set(names):
                raise ValueError(
                    f"observations.{name}.{key}: {unknown.pop()!r} is none of {', '.join(names)}"
                )
        if "file" in entry:
            observations.read(entry["file"])


def _check_order(entries: Config) -> None:
    """Refuse an expression in a parameter that is written only later."""
    seen: list[str] = []
    for name, entry in entries.items():
        for parent in priors.parameter(name, entry).parents:
            if not any(fnmatch.fnmatchcase(parent, written) for written in seen):
                raise ValueError(
                    f"priors.{name}: depends on {parent!r}, which is not written before it; "
                    f"before it come {', '.join(seen) or 'none'}"
                )
        seen.append(name)


def _check_partition(
    names: tuple[str, ...], inferred: tuple[str, ...], nuisance: tuple[str, ...]
) -> None:
    """Refuse lists of inferred and nuisance parameters that overlap, or miss or invent one."""
    if both := set(inferred) & set(nuisance):
        raise ValueError(f"{both.pop()!r} is both inferred and nuisance; wanted one of the two")
    if unknown := (set(inferred) | set(nuisance)) - set(names):
        raise ValueError(
            f"inferred_ or nuisance_parameters: {sorted(unknown)[0]!r} is not a parameter "
            f"of the simulator; it has {', '.join(names)}"
        )
    if missing := set(names) - set(inferred) - set(nuisance):
        raise ValueError(
            f"{sorted(missing)[0]!r} is neither in inferred_parameters nor in nuisance_parameters"
        )
