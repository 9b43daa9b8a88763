"""Names of parameters: which can be written to files, and told from one another."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from .. import priors
from ..expressions import CONSTANTS
from .binding import InconsistentError, first_few, near
from .files import Keys
from .schema import Config

RESERVED = ("chain", "draw", "ensemble")
"""Axes of the files that parameters are written to."""
UNWRITABLE = re.compile(r"[/\x00-\x1f\x7f]|^\.|^\s|\s$|^$")
"""What neither netCDF nor the name of a file can hold, or a reader cannot see."""


def check_parameter_names(campaign: Config, names: Sequence[str], keys: Keys) -> None:
    """Refuse names that files of draws cannot hold, and pairs that look alike.

    Args:
        campaign: Its entry.
        names: Of all parameters of the simulator.
        keys: Where it stands.

    Raises:
        InconsistentError: See above.
    """
    derived = tuple(campaign.get("derived_parameters", {}))
    inferred = tuple(campaign["inferred_parameters"])
    for key, some in (("inferred_parameters", inferred), ("derived_parameters", derived)):
        for name in some:
            if name in RESERVED or UNWRITABLE.search(name):
                raise InconsistentError(
                    (*keys, key),
                    f"{name!r} cannot name a parameter in a file of draws; wanted a name without / "
                    "or control characters that begins with no dot and neither begins nor ends "
                    f"with a blank, and is none of {', '.join(RESERVED)}",
                )
    if both := set(derived) & set(inferred):
        name = both.pop()
        text = f"{name!r} is an inferred parameter; give the derived one another name"
        raise InconsistentError((*keys, "derived_parameters", name), text)
    places = {name: (*keys, "priors", name) for name in names}
    _check_alike(places | {name: (*keys, "derived_parameters", name) for name in derived})
    _check_constants(campaign, names, keys)
    _check_corner(campaign, (*inferred, *derived), keys)


def _check_corner(campaign: Config, drawn: Sequence[str], keys: Keys) -> None:
    """Refuse names in ``corner`` that no posterior has."""
    for place, name in enumerate(campaign.get("corner", ())):
        if name not in drawn:
            there = f"there are {first_few(list(drawn))}"
            text = f"{name!r} is no inferred or derived parameter{near(name, drawn, there)}"
            raise InconsistentError((*keys, "corner", place), text)


def _check_alike(places: Mapping[str, Keys]) -> None:
    """Refuse names that only a computer tells apart: one letter, written in two ways.

    Args:
        places: Where each stands.
    """
    seen: dict[str, str] = {}
    for name, keys in places.items():
        other = seen.setdefault(unicodedata.normalize("NFKC", name), name)
        if other != name:
            text = f"the parameters {other!r} ({other!a}) and {name!r} ({name!a}) look "
            raise InconsistentError(keys, f"{text}alike; give one of them another name")


def _check_constants(campaign: Config, names: Sequence[str], keys: Keys) -> None:
    """Refuse an expression with a name that is a parameter's and a constant's."""
    for name in sorted(set(names) & set(CONSTANTS)):
        for where, text in _expressions(campaign, keys):
            if re.search(rf"\b{name}\b", text):
                said = f"{text!r}: {name} is a parameter here, and a constant in expressions"
                raise InconsistentError(where, f"{said}; give the parameter another name")


def _expressions(campaign: Config, keys: Keys) -> Iterator[tuple[Keys, str]]:
    """Yield the expressions of a campaign, and where they stand."""
    entries = campaign["priors"]
    for name, entry in {} if isinstance(entries, str) else entries.items():
        texts = [each for key, each in entry.items() if key not in priors.TEXTS]
        yield from (((*keys, "priors", name), text) for text in texts if isinstance(text, str))
    for name, entry in campaign.get("derived_parameters", {}).items():
        yield (*keys, "derived_parameters", name), entry["expression"]
