"""What rounds of a campaign, and sweeps over them, are refused for, before any job."""

from __future__ import annotations

from .. import priors
from ..priors.boxes import check_kept
from ..priors.families import TYPES
from ..priors.supports import look_at
from ..types import Prior
from .binding import InconsistentError, near, what_it_says
from .files import Keys
from .rounds import RoundChain, chains_about, chains_of, observations_of
from .schema import Config


def check_rounds(name: str, config: Config) -> None:
    """Check the rounds of a campaign, if it has any.

    Raises:
        InconsistentError: An unknown estimator or observation, a catalogue, one observation left
            out, sizes for another number of rounds, discrete parameters, a name that is taken, or
            rows of rounds that are to be reused.
    """
    entry, keys = config["campaigns"][name], ("campaigns", name, "rounds")
    for index, other in enumerate(entry.get("reuse", ())):
        if "rounds" in config["campaigns"].get(other, {}):
            text = f"{other!r} has rounds, whose rows are of boxes of the prior; reuse another one"
            raise InconsistentError(("campaigns", name, "reuse", index), text)
    if "rounds" not in entry:
        return
    given, there = entry["rounds"], entry.get("observations", {})
    for key in ("source", "reuse"):
        if key in entry:
            text = f"a campaign with {key} has no rounds: all its rows come from the prior"
            raise InconsistentError(("campaigns", name, key), f"{text}; remove one of the two")
    known = list(entry.get("estimators", config["estimators"]))
    if (estimator := given.get("estimator", known[0])) not in known:
        text = f"{estimator!r} is not among {', '.join(known)}{near(estimator, known)}"
        raise InconsistentError((*keys, "estimator"), text)
    _check_observations(entry, there, keys)
    sizes = given.get("simulations")
    if isinstance(sizes, list) and len(sizes) != given.get("at_most", len(sizes) + 1) - 1:
        raise InconsistentError(
            (*keys, "simulations"),
            f"got {len(sizes)} numbers and at_most {given['at_most']}; wanted one for each round "
            "before the last, whose number is simulations of the campaign",
        )
    _check_continuous(entry, keys)
    _check_names(name, config, keys)


def _check_names(name: str, config: Config, keys: Keys) -> None:
    """Refuse rounds that would be called like another campaign, or a round of one."""
    others = {each: "a campaign" for each in config["campaigns"] if each != name}
    for chain in chains_of(config):
        if chain.campaign != name:
            others |= dict.fromkeys(_names(chain), f"a round of {chain.campaign!r}")
    for chain in chains_about(name, config["campaigns"][name], config):
        if taken := [each for each in _names(chain) if each in others]:
            text = f"{taken[0]!r} is {others[taken[0]]}, and one of these rounds would be called so"
            raise InconsistentError(keys, f"{text}; rename one of the two")


def _names(chain: RoundChain) -> list[str]:
    return [chain.last, *chain.names, *chain.boxed]


def _check_observations(entry: Config, there: Config, keys: Keys) -> None:
    where = (*keys, "observation") if "observation" in entry["rounds"] else keys
    if not there:
        raise InconsistentError(keys, "the campaign has no observation; rounds are about one")
    about = observations_of(entry)
    for each in about:
        if each not in there:
            text = f"{each!r} is not among {', '.join(there)}{near(each, list(there))}"
            raise InconsistentError(where, text)
        if "table" in there[each]:
            text = f"{each!r} is a catalogue; rounds are about single observations"
            raise InconsistentError(where, text)
        if "joined" in there[each]:
            text = f"{each!r} joins observations; rounds are about single ones"
            raise InconsistentError(where, f"{text}: join them in a campaign without rounds")
    if left := [each for each in there if each not in about]:
        raise InconsistentError(
            where,
            f"{left[0]!r} is left out, and within the box of another observation nothing is known "
            "of it; name it too, or put it in a campaign without rounds",
        )


def _check_continuous(entry: Config, keys: Keys) -> None:
    if isinstance(entry["priors"], str):
        return
    for name in entry["inferred_parameters"]:
        prior = priors.entry_of(entry["priors"], name)
        if prior is not None and TYPES[prior["type"]].discrete:
            text = f"{name!r} is discrete and inferred; a box has no share of its values"
            raise InconsistentError(keys, f"{text}: make it a nuisance, or simulate in one round")


def check_sweep_of_rounds(campaign: Config, sweep: Config, keys: Keys) -> None:
    """Refuse a sweep over rounds that the campaign does not have, or over sizes as well.

    Raises:
        InconsistentError: See above.
    """
    if "rounds" not in sweep:
        return
    where = (*keys, "rounds")
    if "simulations" in sweep:
        text = "sweep over simulations or over rounds, not over both: boxes differ with either"
        raise InconsistentError(where, f"{text}; make two sweeps")
    if "rounds" not in campaign:
        text = f"{sweep['campaign']} has no rounds; give it some, or sweep over simulations"
        raise InconsistentError(where, text)


def check_cut(prior: Prior, inferred: tuple[str, ...], keys: Keys) -> None:
    """Refuse rounds of a joint prior that a box of the inferred parameters would not fit.

    They are kept in two orders: that of the campaign, and that in which they are stored.

    Raises:
        InconsistentError: See above.
    """
    if isinstance(prior, priors.NamedPrior):
        return
    theta = look_at(prior)
    for names in dict.fromkeys([inferred, tuple(sorted(inferred, key=prior.names.index))]):
        try:
            check_kept(prior, names, theta)
        except Exception as error:  # a prior of the user's own may raise anything
            raise InconsistentError((*keys, "priors"), what_it_says(error)) from error
