"""Simulations that a campaign takes from others: which, how many, and whether they go together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .binding import InconsistentError, first_few, near
from .files import Keys
from .schema import CampaignEntry, Config
from .signatures import stated
from .texts import drawn_from

ALIKE = ("simulator", "options", "priors", "code_version", "extra_files", "store_nuisance")
"""Entries that say what simulations are of: the same in campaigns that share rows."""


def check_reuse(name: str, campaigns: Config) -> None:
    """Check that a campaign can take the simulations of those that it names.

    Raises:
        InconsistentError: An unknown campaign, itself, other simulations, the same random numbers,
            or as many rows as it asks for.
    """
    entry, keys = campaigns[name], ("campaigns", name, "reuse")
    for index, other in enumerate(entry.get("reuse", ())):
        if other not in campaigns:
            there = f"there are {first_few(list(campaigns))}"
            raise InconsistentError(
                (*keys, index), f"no campaign {other!r}{near(other, campaigns, there)}"
            )
    for each in _below(name, campaigns):
        if each in _below(each, campaigns):
            text = f"{each!r} would reuse its own simulations; take it out of one list"
            raise InconsistentError(keys, text)
    for index, other in enumerate(entry.get("reuse", ())):
        _check_alike(entry, campaigns[other], other, (*keys, index))
    _check_seeds([name, *reused(name, campaigns)], campaigns, keys)
    taken = sum(rows for _, rows in own_rows(name, campaigns)[1:])
    if taken >= entry["simulations"]:
        text = f"got {entry['simulations']}, of which {taken} are reused; wanted more than these"
        raise InconsistentError(("campaigns", name, "simulations"), text)


def reused(name: str, campaigns: Config) -> list[str]:
    """Return the campaigns whose own simulations a campaign takes, also those that these take."""
    return [each for each in _below(name, campaigns) if each != name]


def own_rows(name: str, campaigns: Config) -> list[tuple[str, int]]:
    """Return campaigns and the rows that each simulates itself: a campaign, then those it takes."""
    others = [] if name in _below(name, campaigns) else reused(name, campaigns)
    rows = {each: own_rows(each, campaigns)[0][1] for each in others}
    return [(name, campaigns[name]["simulations"] - sum(rows.values())), *rows.items()]


def _below(name: str, campaigns: Config) -> list[str]:
    """Return all that a campaign reuses, near or far, each once."""
    found: dict[str, None] = {}
    waiting = list(campaigns[name].get("reuse", ()))
    while waiting:
        each = waiting.pop(0)
        if each in campaigns and each not in found:
            found[each] = None
            waiting += campaigns[each].get("reuse", ())
    return list(found)


def _check_alike(entry: Config, other: Config, name: str, keys: Keys) -> None:
    """Refuse rows of another simulator, or of other priors."""
    for key in ALIKE:
        if differing := next(_differences(key, _plain(other, key), _plain(entry, key)), None):
            raise InconsistentError(
                keys,
                f"{name!r} has other simulations: {differing}; wanted the same simulator, options "
                "and priors",
            )
    if not _plain(entry, "store_nuisance") and not _same_names(entry, other):
        text = f"{name!r} stores other parameters (store_nuisance: false); infer the same"
        raise InconsistentError(keys, text)
    if rows_may_lack(entry) != rows_may_lack(other):
        text = f"rows with NaN are good ones here or in {name!r}, and failed ones in the other"
        raise InconsistentError(keys, f"{text}; write missing: {{rows: true}} in both")


def rows_may_lack(entry: Config) -> bool:
    """Say whether simulated rows of a campaign may have NaN for what is missing."""
    return bool(entry.get("missing", {}).get("rows"))


def _plain(entry: Config, key: str) -> Any:
    """Return what an entry says that changes simulations, without texts."""
    if key == "store_nuisance":
        return stated(CampaignEntry, entry, key)
    value = entry.get(key) or None
    return drawn_from(value) if key == "priors" and isinstance(value, Mapping) else value


def _same_names(entry: Config, other: Config) -> bool:
    mine, theirs = (
        {*each["inferred_parameters"], *each.get("known_parameters", ())} for each in (entry, other)
    )
    return mine == theirs


def _differences(where: str, theirs: Any, mine: Any) -> Iterator[str]:
    """Yield what differs, by its place."""
    if isinstance(theirs, Mapping) and isinstance(mine, Mapping):
        for key in {**theirs, **mine}:
            yield from _differences(f"{where}.{key}", theirs.get(key), mine.get(key))
    elif theirs != mine:
        yield f"{where} is {theirs!r}, here {mine!r}"


def _check_seeds(names: list[str], campaigns: Config, keys: Keys) -> None:
    """Refuse two campaigns with the same seed: their rows would share random numbers."""
    seeds: dict[int, str] = {}
    for each in names:
        seed = stated(CampaignEntry, campaigns[each], "seed")
        if seed in seeds:
            raise InconsistentError(
                keys,
                f"{seeds[seed]!r} and {each!r} have the same seed, {seed}, so their rows would "
                "have the same random numbers; give one of them another",
            )
        seeds[seed] = each
