"""Whether estimators, samplers and refinements suit the campaign that they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import estimators, priors, samplers
from ..networks.encoders import embed
from ..priors.circles import periods_of
from ..priors.discrete import combinations
from ..priors.named import NamedPrior
from ..priors.supports import check_covers, look_at
from ..refinement import check_exact, knows_marginal
from ..types import Prior
from .binding import InconsistentError
from .data import simulator_of
from .files import Keys
from .schema import CampaignEntry, Config, Refinement, Rounds, SamplerEntry
from .signatures import record_of, stated, with_defaults

Shape = tuple[int, ...]


def check_discrete(prior: Prior, methods: Mapping[str, str], keys: Keys) -> None:
    """Refuse discrete parameters where they cannot be inferred."""
    discrete = combinations(prior)
    if discrete is None:
        return
    named = prior.names[discrete.columns[0]]
    if name := _that_draws(methods):
        raise InconsistentError(
            (*keys, "inferred_parameters"),
            f"{named!r} is discrete, and {name!r} ({methods[name]}) learns densities of continuous "
            f"parameters only; give this campaign estimators: those of {_for_mcmc()}, or make it a "
            "nuisance",
        )


def check_events(campaign: Config, methods: Mapping[str, str], keys: Keys) -> None:
    """Refuse a product over events where it is not the likelihood of all of them."""
    if not stated(CampaignEntry, campaign, "events"):
        for key in ("nuisance_scope", "selection"):
            if key in campaign:
                text = "has no effect: it is of a campaign with events: true; remove it"
                raise InconsistentError((*keys, key), text)
        return
    check_products(campaign, methods, keys)
    if campaign.get("selection") in ("tried", "all") and campaign.get("known_parameters"):
        text = "the known parameters of events that failed are not known; wanted detected"
        raise InconsistentError((*keys, "selection"), text)
    if "data" in campaign:
        text = "has no effect with events: true, whose figures are of quantiles; remove it"
        raise InconsistentError((*keys, "data"), text)
    listed = ", ".join(campaign.get("nuisance_parameters", ()))
    match campaign.get("nuisance_scope"):
        case None if listed:
            raise InconsistentError(
                (*keys, "events"),
                f"is {listed} drawn anew for every event (nuisance_scope: event) or shared by all "
                "events of a data set (nuisance_scope: dataset)? The posterior depends on it",
            )
        case "dataset":
            raise InconsistentError(
                (*keys, "nuisance_scope"),
                f"{listed} is shared by all events of a data set, so the likelihood of all "
                "is not the product of theirs and the posterior would come out too narrow; infer "
                "it too, or let one simulation be a whole set of events and take npe",
            )


def check_selection(config: Config, campaign: Config, chosen: Sequence[str], keys: Keys) -> None:
    """Refuse to count events that failed where an estimator is not to learn where they fail."""
    for name in chosen if campaign.get("selection") in ("tried", "all") else ():
        if config["estimators"][name].get("training", {}).get("failures") == "ignore":
            text = f"{name!r} has failures: ignore, and events that failed tell of theta"
            raise InconsistentError((*keys, "selection"), f"{text}; wanted auto, or detected")


def check_products(campaign: Config, methods: Mapping[str, str], keys: Keys) -> None:
    """Refuse to multiply over events what is no likelihood."""
    if not stated(CampaignEntry, campaign, "events"):
        return
    if name := _that_draws(methods):
        raise InconsistentError(
            (*keys, "events"),
            f"posteriors of single events cannot be multiplied, and {name!r} "
            f"({methods[name]}) learns posteriors; give this campaign estimators: those of "
            f"{_for_mcmc()}, or let one simulation be a whole set of events",
        )


def check_joined(
    campaign: Config, methods: Mapping[str, str], refinements: Config, keys: Keys
) -> None:
    """Refuse to join observations for methods without a density of all parameters together."""
    entries = campaign.get("observations", {})
    joined = next((name for name, entry in entries.items() if "joined" in entry), None)
    if joined is None:
        return
    where = (*keys, "observations", joined, "joined")
    for name, method in methods.items():
        traits = estimators.traits(method)
        if not (traits.density and traits.joint):
            others = estimators.having(lambda traits: traits.density and traits.joint)
            why = "learns margins" if traits.density else "has no density"
            text = f"{name!r} ({method}) {why}, and joining observations multiplies densities"
            raise InconsistentError(where, f"{text}; give this campaign estimators: {others}")
    for name, entry in refinements.items():
        if entry["proposal"] in methods and "likelihood" in entry:
            text = f"{name!r} refines by a likelihood, which joined observations are not refined by"
            raise InconsistentError(where, f"{text}; join them in a campaign of their own")


def check_oblique(campaign: Config, methods: Mapping[str, str], prior: Prior, keys: Keys) -> None:
    """Refuse oblique boxes where margins alone are learnt, or a parameter has no straight axis."""
    given = campaign.get("rounds")
    if given is None or stated(Rounds, given, "axes") != "principal":
        return
    for name in periods_of(prior):
        text = f"{name!r} is periodic, and a circle has no axes; wanted axes: parameters"
        raise InconsistentError((*keys, "rounds", "axes"), text)
    for name, method in methods.items():
        if not estimators.traits(method).joint:
            raise InconsistentError(
                (*keys, "rounds", "axes"),
                f"{name!r} ({method}) learns each parameter alone, and no axis between them; "
                f"wanted axes: parameters, or {estimators.having(lambda traits: traits.joint)}",
            )


def check_samplers(config: Config, chosen: Sequence[str], prior: Prior) -> None:
    """Refuse options of samplers that contradict each other or do not suit the parameters."""
    discrete = combinations(prior)
    dim = len(prior.names) if discrete is None else len(discrete.continuous)
    common = config.get("calibration", {}).get("sampler", {})
    for name in chosen:
        entry = config["estimators"][name]
        method, own = entry["method"], entry.get("sampler", {})
        _check_sampler(own, method, dim, ("estimators", name, "sampler"))
        _check_sampler(common, method, dim, ("calibration", "sampler"), quick=True)


def _check_sampler(given: Config, method: str, dim: int, keys: Keys, quick: bool = False) -> None:
    made_of = samplers.sampler_class(stated(SamplerEntry, given, "name"), estimators.traits(method))
    known = record_of(made_of, "", 0, {})
    options = {key: each for key, each in given.items() if key in known.options}
    try:
        made_of(**{**(made_of.quick(dim) if quick else {}), **options}).check(dim)
    except ValueError as error:
        raise InconsistentError(keys, str(error)) from error


def check_network(method: str, network: Config, x_shape: Shape | None, keys: Keys) -> None:
    """Refuse options of a network that contradict each other or do not suit the data.

    Args:
        method: The method.
        network: Its options, those that are given.
        x_shape: Shape of one data set; None where it is not known.
        keys: The way to them.
    """
    try:
        estimators.estimator_class(method).check(x_shape, **all_options(method, network))
    except ValueError as error:
        raise InconsistentError(keys, str(error)) from error


def all_options(method: str, network: Config) -> dict[str, Any]:
    """Return the options of a network, those not given at their defaults; of its embedding too."""
    record = record_of(estimators.build, method, 3, {"method": method, **network})
    options = with_defaults(record, network)
    embedding = options.get("embedding", "auto")
    if embedding != "auto":
        options["embedding"] = embedding_options(embedding)
    return options


def embedding_options(embedding: str | Config) -> dict[str, Any]:
    """Return the options of an embedding, its name among them, those not given at their defaults.

    Args:
        embedding: Its name, or a mapping of ``name`` and options.
    """
    given = {"name": embedding} if isinstance(embedding, str) else embedding
    return with_defaults(record_of(embed, "", 1, given), given)


def _for_mcmc() -> str:
    return estimators.having(lambda traits: not traits.draws)


def _that_draws(methods: Mapping[str, str]) -> str | None:
    """Return the first estimator that learns a posterior, if there is one."""
    return next((name for name, each in methods.items() if estimators.traits(each).draws), None)


def check_proposals(entries: Config, chosen: Sequence[str]) -> None:
    """Refuse MCMC that proposes from an estimator that is not trained or no posterior."""
    for name in chosen:
        proposal = stated(SamplerEntry, entries[name].get("sampler", {}), "proposal")
        if proposal in ("auto", "none"):
            continue
        keys = ("estimators", name, "sampler", "proposal")
        if proposal not in chosen:
            text = (
                f"{proposal!r} is not trained here; wanted auto, none or one of {', '.join(chosen)}"
            )
            raise InconsistentError(keys, text)
        method = entries[proposal]["method"]
        if not estimators.traits(method).proposes:
            raise InconsistentError(
                keys,
                f"{proposal!r} ({method}) does not give draws with their density; "
                f"{estimators.having(lambda traits: traits.proposes)} does",
            )


def check_refine(
    entries: Config, campaign: Config, prior: Prior, methods: Mapping[str, str]
) -> None:
    """Refuse to reweight what has no density, by what is no likelihood, or to wider priors."""
    for name, entry in entries.items():
        proposal, likelihood, keys = entry["proposal"], entry.get("likelihood"), ("refine", name)
        if name in methods:
            raise InconsistentError(keys, "an estimator has this name too; give it another")
        if proposal not in methods:
            continue  # another campaign's
        if stated(Refinement, entry, "recalibrate"):
            _check_recalibrated(entry, campaign, prior, keys)
            continue
        if likelihood is None and "priors" not in entry:
            text = "wanted a likelihood, priors, or both; or recalibrate: true"
            raise InconsistentError(keys, text)
        if likelihood is not None and not estimators.traits(methods[proposal]).proposes:
            raise InconsistentError(
                (*keys, "proposal"),
                f"draws of {proposal!r} ({methods[proposal]}) have no known density to be "
                "reweighted by a likelihood; those of "
                f"{estimators.having(lambda traits: traits.proposes)} have",
            )
        if likelihood not in (None, "exact") and (
            likelihood not in methods or estimators.traits(methods[likelihood]).draws
        ):
            raise InconsistentError(
                (*keys, "likelihood"),
                f"{likelihood!r} is no estimator of a likelihood trained here; wanted one of "
                f"{_for_mcmc()}, or exact",
            )
        given = [*prior.names, *campaign.get("known_parameters", ())]
        if "nuisance_draws" in entry and (why := _undrawn(campaign, given, likelihood)):
            text = f"has no effect: {why}; remove it"
            raise InconsistentError((*keys, "nuisance_draws"), text)
        if likelihood == "exact":
            _check_exact(campaign, given, (*keys, "likelihood"))
        _check_new_priors(entry.get("priors", {}), campaign, prior, (*keys, "priors"))


def _check_recalibrated(entry: Config, campaign: Config, prior: Prior, keys: Keys) -> None:
    """Refuse to correct what has no ranks of its own, or ranks that say nothing of a shift."""
    where = (*keys, "recalibrate")
    if others := [key for key in ("likelihood", "priors", "nuisance_draws") if key in entry]:
        text = f"moves draws, and {others[0]} weighs them; make two posteriors of it"
        raise InconsistentError(where, text)
    joined = any("joined" in each for each in campaign.get("observations", {}).values())
    if joined or stated(CampaignEntry, campaign, "events"):
        text = "held-out simulations are single ones, and say nothing of widths of several"
        raise InconsistentError(where, f"{text} together; remove it")
    if not isinstance(prior, NamedPrior):
        text = "the prior is a class of your own, in whose normal space parameters may mix"
        raise InconsistentError(where, f"{text}; remove it")
    for each in prior.parameters:
        why = "discrete" if each.family.discrete else "periodic" if each.periodic else ""
        why = why or ("drawn from a prior that depends on another" if each.parents else "")
        if why:
            text = f"{each.name!r} is {why}, and cannot be moved by its rank alone; remove it"
            raise InconsistentError(where, text)


def _undrawn(campaign: Config, inferred: Sequence[str], likelihood: str | None) -> str:
    """Say why no nuisances are drawn for a likelihood; empty where some are."""
    if likelihood != "exact":
        return "it is of an exact likelihood"
    if not campaign.get("nuisance_parameters"):
        return "the campaign has no nuisances"
    if knows_marginal(simulator_of(campaign), inferred):
        return "the simulator averages over nuisances itself"
    return ""


def _check_exact(campaign: Config, inferred: Sequence[str], keys: Keys) -> None:
    if stated(CampaignEntry, campaign, "events") and campaign.get("known_parameters"):
        text = "exact is of one data set, and known parameters differ from event to event"
        raise InconsistentError(keys, f"{text}; name an estimator of {_for_mcmc()} instead")
    try:
        check_exact(simulator_of(campaign), inferred)
    except ValueError as error:
        raise InconsistentError(keys, str(error)) from error


def _check_new_priors(new: Config, campaign: Config, prior: Prior, keys: Keys) -> None:
    if not new:
        return
    if isinstance(campaign["priors"], str):
        raise InconsistentError(keys, "the prior is a class of your own, which has no entries")
    if unknown := set(new) - set(prior.names):
        name = sorted(unknown)[0]
        raise InconsistentError(
            (*keys, name),
            f"{name!r} is not inferred; a prior can be changed after training for "
            f"{', '.join(prior.names)} only",
        )
    given = {**campaign["priors"], **new}
    entries = {
        name: entry for name in prior.names if (entry := priors.entry_of(given, name)) is not None
    }
    try:
        target = priors.build(entries, prior.names)
        look_at(target)
        check_covers(prior, target)
    except priors.ParameterError as error:
        raise InconsistentError((*keys, error.name), str(error)) from error
    except ValueError as error:
        raise InconsistentError(keys, str(error)) from error
