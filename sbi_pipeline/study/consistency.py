"""What the entries of a configuration say of each other: whether it makes sense as a whole."""

from __future__ import annotations

import fnmatch
import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .. import priors, registry
from ..campaigns.settings import Effort, Limits
from ..conditions import Conditions, check_independent, conditions_in
from ..expressions import Expression
from ..model import make_simulator
from ..priors.supports import check_normal, look_at
from ..simulators.absent import ABSENT
from ..simulators.function import PlainFunction
from ..training.search import candidates
from ..types import Array, Prior, declared_shape, is_vectorised
from . import counts, existing, observed, reuse, sources, suitability
from .binding import InconsistentError, first_few, near, not_among, what_it_says
from .data import data_shape, names_in, simulator_of
from .files import Keys
from .missing_checks import check_missing
from .names import check_parameter_names
from .round_checks import check_cut, check_sweep_of_rounds
from .schema import CampaignEntry, Config, Configuration
from .signatures import stated


def check_campaign(name: str, config: Config) -> None:
    """Check one campaign, and what of the rest concerns it.

    Raises:
        InconsistentError: With the first thing that makes no sense.
    """
    campaign, keys = config["campaigns"][name], ("campaigns", name)
    prior, kept = _priors(campaign, keys)
    conditions = _conditions(campaign, prior, keys)
    theta = _check_draws(campaign, prior, kept, keys)
    inferred = kept.names
    if "rounds" in campaign:
        check_cut(prior, inferred, keys)
    chosen = _chosen(campaign, config["estimators"], keys)
    methods = {each: config["estimators"][each]["method"] for each in chosen}
    suitability.check_discrete(kept, methods, keys)
    suitability.check_events(campaign, methods, keys)
    suitability.check_selection(config, campaign, chosen, keys)
    suitability.check_oblique(campaign, methods, kept, keys)
    check_parameter_names(campaign, prior.names, keys)
    _check_derived(campaign.get("derived_parameters", {}), theta, keys)
    existing.check_existing(name, config["campaigns"], prior)
    reuse.check_reuse(name, config["campaigns"])
    sources.check_source(campaign, reuse.own_rows(name, config["campaigns"])[0][1], prior, keys)
    check_missing(config, campaign, methods, keys)
    observed.check_observations(campaign, prior, conditions, keys)
    suitability.check_joined(campaign, methods, config.get("refine", {}), keys)
    suitability.check_proposals(config["estimators"], chosen)
    suitability.check_samplers(config, chosen, kept)
    suitability.check_refine(config.get("refine", {}), campaign, kept, methods)
    _check_networks(config, chosen, campaign)
    counts.check_parts(name, config["campaigns"], keys)
    _check_files(campaign.get("extra_files", ()), (*keys, "extra_files"))
    _check_effort(campaign, keys)


def check_sweep(name: str, config: Config) -> None:
    """Check what a sweep names, whether that goes together, and its numbers of simulations.

    Raises:
        InconsistentError: An unknown campaign or estimator, an estimator that does not suit the
            campaign, or too few simulations.
    """
    sweep = config["sweeps"][name]
    for key, table in (("campaign", "campaigns"), ("estimators", "estimators")):
        listed = sweep.get(key, [])
        for each in [listed] if isinstance(listed, str) else listed:
            if each not in config[table]:
                raise InconsistentError(("sweeps", name, key), not_among(each, config[table]))
    if "estimators" in sweep:
        _check_estimators(sweep, config, ("sweeps", name, "estimators"))
    campaign = config["campaigns"][sweep["campaign"]]
    _check_variation(sweep, config, ("sweeps", name))
    check_sweep_of_rounds(campaign, sweep, ("sweeps", name))
    counts.check_sweep_sizes(config["campaigns"], sweep, ("sweeps", name))
    _check_sweep_source(campaign, sweep, config["campaigns"], ("sweeps", name, "simulations"))


def _check_sweep_source(campaign: Config, sweep: Config, campaigns: Config, keys: Keys) -> None:
    """Refuse a sweep over more simulations than the table of parameters has."""
    sizes = sweep.get("simulations", [])
    prior, _ = _priors(campaign, ("campaigns", sweep["campaign"]))
    taken = sum(rows for _, rows in reuse.own_rows(sweep["campaign"], campaigns)[1:])
    if sizes:
        sources.check_size(campaign, max(sizes) - taken, prior, keys)


def _check_variation(sweep: Config, config: Config, keys: Keys) -> None:
    """Refuse a sweep of one fit, and one that says of nothing how it varies."""
    network = sweep.get("network", {})
    lists = [sweep[key] for key in ("simulations", "rounds", "seeds") if key in sweep]
    lists += network.values()
    campaign = config["campaigns"][sweep["campaign"]]
    fits = sweep.get("estimators", campaign.get("estimators", config["estimators"]))
    if not lists or math.prod(map(len, [fits, *lists])) == 1:
        raise InconsistentError(
            keys, "nothing varies; wanted simulations, rounds, network or seeds with several values"
        )
    for name in fits:
        grid = config["estimators"].get(name, {}).get("training", {}).get("grid") or {}
        if both := sorted(set(network) & set(grid.get("network", {}))):
            raise InconsistentError(
                (*keys, "network", both[0]),
                f"has no effect: {name} chooses {both[0]} by its own grid; remove one of the two",
            )


def _check_estimators(sweep: Config, config: Config, keys: Keys) -> None:
    """Refuse estimators of a sweep that its campaign could not have either."""
    campaign, where = config["campaigns"][sweep["campaign"]], ("campaigns", sweep["campaign"])
    _, kept = _priors(campaign, where)
    methods = {name: config["estimators"][name]["method"] for name in sweep["estimators"]}
    try:
        suitability.check_discrete(kept, methods, where)
        suitability.check_products(campaign, methods, where)
        if "rounds" in sweep:
            suitability.check_oblique(campaign, methods, kept, where)
    except InconsistentError as error:
        raise InconsistentError(keys, str(error)) from error
    suitability.check_samplers(config, sweep["estimators"], kept)


def parameters_of(campaign: Config, keys: Keys) -> tuple[str, ...]:
    """Return the names of a simulator's parameters.

    Raises:
        InconsistentError: It cannot be made, names none, or says a shape of data that is none.
    """
    simulator = campaign["simulator"]
    try:
        made_of = registry.load_part(simulator, registry.SIMULATORS)
    except ValueError as error:
        raise InconsistentError((*keys, "simulator"), str(error)) from error
    try:
        made = make_simulator(made_of, campaign.get("options", {}))
    except Exception as error:  # a user's class may raise anything
        where = (*keys, "options") if "options" in campaign else (*keys, "simulator")
        text = f"{simulator!r} cannot be made: {type(error).__name__}: {error}"
        raise InconsistentError(where, text) from error
    if isinstance(made, PlainFunction):
        return _names_in_priors(campaign["priors"], keys)
    try:
        names = tuple(made.parameters)
    except (AttributeError, TypeError) as error:
        raise InconsistentError(
            (*keys, "simulator"),
            f"{simulator!r} has no parameters; write parameters = ('a', 'b') in its class",
        ) from error
    try:
        declared_shape(made)
    except ValueError as error:
        raise InconsistentError((*keys, "simulator"), str(error)) from error
    return names


def _names_in_priors(entries: Config | str, keys: Keys) -> tuple[str, ...]:
    """Return the names of the parameters of a function, which are those of the priors."""
    try:
        return names_in(entries)
    except Exception as error:  # a prior of the user's own may raise anything
        raise InconsistentError((*keys, "priors"), what_it_says(error)) from error


def nuisances(campaign: Config, names: Sequence[str]) -> tuple[str, ...]:
    """Return the nuisance parameters of a campaign, patterns such as ``flux_*`` written out."""
    listed = campaign.get("nuisance_parameters", ())
    return tuple(name for entry in listed for name in fnmatch.filter(names, entry) or [entry])


def _priors(campaign: Config, keys: Keys) -> tuple[Prior, Prior]:
    """Return the prior of all parameters of a campaign, and of the inferred ones."""
    names = parameters_of(campaign, keys)
    prior = _prior(campaign, names, keys)
    inferred = tuple(campaign["inferred_parameters"])
    known = tuple(campaign.get("known_parameters", ()))
    _check_partition(names, inferred, nuisances(campaign, names), known, keys)
    try:
        return prior, prior.keep(inferred)
    except ValueError as error:
        text = "; known parameters may stand in the priors of nuisances alone" if known else ""
        raise InconsistentError((*keys, "inferred_parameters"), f"{error}{text}") from error


def _conditions(campaign: Config, prior: Prior, keys: Keys) -> Conditions:
    """Return the known conditions of a campaign, whose prior depends on no other parameter."""
    known = tuple(campaign.get("known_parameters", ()))
    try:
        conditions = conditions_in(prior, known)
        if known:
            check_independent(prior, campaign["inferred_parameters"], known)
    except ValueError as error:
        raise InconsistentError((*keys, "known_parameters"), str(error)) from error
    return conditions


def _check_draws(campaign: Config, prior: Prior, kept: Prior, keys: Keys) -> dict[str, Array]:
    """Refuse priors that cannot be drawn from; return draws of the inferred parameters, by name."""
    entries, where = campaign["priors"], (*keys, "priors")
    try:
        look_at(prior)
        theta = look_at(kept)
        check_normal(kept, theta)
    except priors.ParameterError as error:
        key = None if isinstance(entries, str) else priors.key_of(entries, error.name)
        raise InconsistentError(where if key is None else (*where, key), str(error)) from error
    except Exception as error:  # a prior of the user's own may raise anything
        raise InconsistentError(where, what_it_says(error)) from error
    return dict(zip(kept.names, theta.T, strict=True))


def _prior(campaign: Config, names: tuple[str, ...], keys: Keys) -> Prior:
    entries, where = campaign["priors"], (*keys, "priors")
    if isinstance(entries, Mapping):
        for name, entry in entries.items():
            try:
                priors.parameter(name, entry)
            except ValueError as error:
                raise InconsistentError((*where, name), str(error)) from error
            if name not in names and not fnmatch.filter(names, name):
                has = f"it has {first_few(names)}"
                text = "the simulator has no such parameter" + near(name, names, has)
                raise InconsistentError((*where, name), text)
        _check_order(entries, where)
    try:
        return priors.build(entries, names)
    except Exception as error:  # a prior of the user's own may raise anything
        raise InconsistentError(where, what_it_says(error)) from error


def _chosen(campaign: Config, entries: Config, keys: Keys) -> list[str]:
    chosen = list(campaign.get("estimators", entries))
    for name in chosen:
        if name not in entries:
            raise InconsistentError((*keys, "estimators"), not_among(name, entries))
    return chosen


def _check_files(paths: Sequence[str], keys: Keys) -> None:
    for index, path in enumerate(paths):
        if not Path(path).is_file():
            raise InconsistentError(
                (*keys, index), f"no such file: {path} (looked in {Path.cwd()})"
            )


def _check_effort(campaign: Config, keys: Keys) -> None:
    """Refuse what the job of a shard would refuse, and what does nothing there."""
    entry, where = campaign.get("dask", {}), (*keys, "dask")
    for key, record in (("dask", Effort), ("limits", Limits)):
        try:
            record(**campaign.get(key, {}))
        except ValueError as error:
            raise InconsistentError((*keys, key), str(error)) from error
    limits = campaign.get("limits", {})
    if limits.get("isolate") is False and Limits(**limits).is_guarded:
        text = "has no effect: a limit guards in any case; remove it, or the limit"
        raise InconsistentError((*keys, "limits", "isolate"), text)
    if "minimum" in entry and entry.get("cluster") != "slurm":
        text = "has no effect: it is of cluster: slurm; remove it"
        raise InconsistentError((*where, "minimum"), text)
    block = stated(CampaignEntry, campaign, "block_size") if _is_vectorised(campaign) else 1
    if (size := entry.get("chunk_size", block)) % block:
        text = f"got {size}; wanted a multiple of block_size, which is {block}"
        raise InconsistentError((*where, "chunk_size"), text)


def _is_vectorised(campaign: Config) -> bool | None:
    return is_vectorised(simulator_of(campaign))


def check_predictive(config: Config) -> None:
    """Refuse to say how data are predicted where none are.

    Raises:
        InconsistentError: It has no effect.
    """
    if "predictive" in config and stated(Configuration, config, "predictive_draws") == 0:
        text = "has no effect: predictive_draws is 0; remove one of the two"
        raise InconsistentError(("predictive",), text)


def check_posterior_calibration(config: Config) -> None:
    """Refuse to check estimators where posteriors are if nothing can be simulated for any.

    Raises:
        InconsistentError: It has no effect.
    """
    if not stated(Configuration, config, "posterior_calibration"):
        return
    reasons = [_why_not_simulated(each) for each in config["campaigns"].values()]
    if all(reasons):
        text = f"has no effect: {reasons[0]}; remove it"
        raise InconsistentError(("posterior_calibration",), text)


def _why_not_simulated(campaign: Config) -> str:
    if campaign["simulator"] == ABSENT:
        return "existing simulations have no simulator"
    return "posteriors are of many events" if campaign.get("events") else ""


def check_refinement(name: str, config: Config) -> None:
    """Check that there is what a posterior is refined from.

    Raises:
        InconsistentError: There is no such estimator.
    """
    proposal = config["refine"][name]["proposal"]
    if proposal not in config["estimators"]:
        text = not_among(proposal, config["estimators"])
        raise InconsistentError(("refine", name, "proposal"), text)


def _check_derived(derived: Config, theta: Mapping[str, Array], keys: Keys) -> None:
    """Refuse expressions that are none, or have no value anywhere in the prior."""
    for name, entry in derived.items():
        where = (*keys, "derived_parameters", name)
        try:
            expression = Expression(entry["expression"])
        except ValueError as error:
            raise InconsistentError(where, str(error)) from error
        are = f"inferred are {', '.join(theta)}"
        if unknown := sorted(set(expression.names) - set(theta)):
            text = f"{unknown[0]!r} is not inferred{near(unknown[0], theta, are)}"
            raise InconsistentError(where, text)
        if not expression.names:
            text = f"{expression.text!r} is of no inferred parameter; {are}"
            raise InconsistentError(where, text)
        if not np.isfinite(expression(theta)).any():
            text = f"{expression.text!r} is infinite or NaN everywhere in the prior"
            raise InconsistentError(where, text)


def _check_networks(config: Config, chosen: Sequence[str], campaign: Config) -> None:
    """Refuse options of networks, those of searches too, that do not suit the data."""
    x_shape = data_shape(campaign)
    for name in chosen:
        entry, keys = config["estimators"][name], ("estimators", name)
        method, network = entry["method"], entry.get("network", {})
        suitability.check_network(method, network, x_shape, (*keys, "network"))
        for settings in candidates(entry.get("training", {}).get("grid") or {}):
            tried = {**network, **settings["network"]}
            suitability.check_network(method, tried, x_shape, (*keys, "training", "grid"))


def _check_order(entries: Config, keys: Keys) -> None:
    """Refuse an expression in a parameter that is written only later."""
    seen: list[str] = []
    for name, entry in entries.items():
        for parent in priors.parameter(name, entry).parents:
            if not any(fnmatch.fnmatchcase(parent, written) for written in seen):
                raise InconsistentError(
                    (*keys, name),
                    f"depends on {parent!r}, which is not written before it; "
                    f"before it come {', '.join(seen) or 'none'}",
                )
        seen.append(name)


def _check_partition(
    names: tuple[str, ...],
    inferred: tuple[str, ...],
    nuisance: tuple[str, ...],
    known: tuple[str, ...],
    keys: Keys,
) -> None:
    """Refuse lists of inferred, nuisance and known parameters that overlap, miss or invent one."""
    roles = {"inferred": inferred, "nuisance": nuisance, "known": known}
    for one, other in itertools.combinations(roles, 2):
        if both := sorted(set(roles[one]) & set(roles[other])):
            text = f"{both[0]!r} is both {one} and {other}; wanted one of the two"
            raise InconsistentError((*keys, f"{other}_parameters"), text)
    for role, listed in roles.items():
        key = f"{role}_parameters"
        if unknown := sorted(set(listed) - set(names)):
            raise InconsistentError(
                (*keys, key),
                f"{unknown[0]!r} is not a parameter of the simulator"
                + near(unknown[0], names, f"it has {first_few(names)}"),
            )
    if missing := sorted(set(names) - {*inferred, *nuisance, *known}):
        text = (
            f"{missing[0]!r} is in none of inferred_parameters, nuisance_parameters and "
            "known_parameters"
        )
        raise InconsistentError(keys, text)
