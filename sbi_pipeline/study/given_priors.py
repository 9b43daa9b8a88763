"""Priors that stand in files: samples, densities on a grid, prior files of bilby.

Before anything else is asked of a configuration they become entries of plain numbers, so keys,
estimators and notebooks know nothing of files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..priors import samples
from ..priors.bilby import read_bilby
from ..priors.samples import Samples
from ..tables import naming
from .binding import InconsistentError, near
from .files import Keys
from .schema import Config

SOURCES = ("table", "samples")
KEYS = ("column", "density", "weights", "periodic", "unit", "label", "description")
BILBY = "bilby"


def priors_written_out(config: Config) -> dict[str, Any]:
    """Return a configuration with what its priors take from files written out.

    Raises:
        InconsistentError: A file is not there, or makes no sense.
    """
    made = dict(config)
    for part in ("campaigns", "refine"):
        entries = config.get(part)
        if isinstance(entries, Mapping):
            made[part] = {name: _entry(each, (part, name)) for name, each in entries.items()}
    return made


def _entry(entry: Any, keys: Keys) -> Any:
    given = entry.get("priors") if isinstance(entry, Mapping) else None
    if not isinstance(given, Mapping):
        return entry
    made = {**entry, "priors": _written_out(given, (*keys, "priors"))}
    simulations = entry.get("simulations")
    drawn = simulations.get("drawn_from") if isinstance(simulations, Mapping) else None
    if isinstance(drawn, Mapping):
        named = _of_one_file(drawn, given)
        where = (*keys, "simulations", "drawn_from")
        made["simulations"] = {**simulations, "drawn_from": _written_out(named, where)}
    return made


def _of_one_file(drawn: Config, given: Config) -> Config:
    """Return what rows were drawn from with ``samples: FILE`` written out for each parameter."""
    file = drawn.get("samples")
    if not isinstance(file, str):
        return drawn
    weights = {"weights": drawn["weights"]} if isinstance(drawn.get("weights"), str) else {}
    rest = {name: each for name, each in drawn.items() if name not in ("samples", "weights")}
    return {**{name: {"samples": file, **weights} for name in given if name not in rest}, **rest}


def _written_out(given: Config, keys: Keys) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, each in given.items():
        if name == BILBY and isinstance(each, str):
            found |= {
                one: entry for one, entry in _bilby(each, (*keys, name)).items() if one not in given
            }
        elif isinstance(each, Mapping) and any(source in each for source in SOURCES):
            _check_keys(each, (*keys, name))
            found[name] = each
        else:
            found[name] = each
    for name, each in found.items():
        if isinstance(each, Mapping) and "table" in each:
            found[name] = _alone(name, each, (*keys, name))
    return found | _joint(found, keys)


def _check_keys(entry: Config, keys: Keys) -> None:
    known = [*KEYS, *SOURCES]
    for key in entry:
        if key not in known:
            text = f"unknown key{near(key, known, 'a prior from a file takes ' + ', '.join(known))}"
            raise InconsistentError((*keys, key), text)
    for key, value in entry.items():
        if key != "periodic" and not isinstance(value, str):
            raise InconsistentError((*keys, key), f"got {value!r}; wanted text")
    if all(source in entry for source in SOURCES):
        raise InconsistentError(keys, "both table and samples; wanted one of the two")
    if "samples" in entry and "density" in entry:
        text = "has no effect: samples have no density; write table in place of samples"
        raise InconsistentError((*keys, "density"), text)


def _bilby(file: str, keys: Keys) -> dict[str, Any]:
    try:
        with naming(file):
            return read_bilby(Path(file))
    except ValueError as error:
        raise InconsistentError(keys, str(error)) from error


def _alone(name: str, entry: Config, keys: Keys) -> dict[str, Any]:
    """Return the entry of a parameter that depends on no other."""
    column, density = entry.get("column", name), entry.get("density")
    try:
        with naming(entry["table"]):
            if density:
                read = samples.read_samples(Path(entry["table"]), [column, density])
                made = samples.entry_of_density(column, read.columns[column], read.columns[density])
            else:
                read = samples.read_samples(Path(entry["table"]), [column], entry.get("weights"))
                made = samples.entry_of_samples(column, read.columns[column], read.weights)
    except ValueError as error:
        raise InconsistentError((*keys, "table"), str(error)) from error
    said = f"{'density' if density else 'samples'} of {entry['table']}, column {column}"
    return {**made, **_texts(entry, said)}


def _joint(given: Config, keys: Keys) -> dict[str, Any]:
    """Return the entries of parameters that share samples."""
    groups: dict[tuple[str, str | None], list[str]] = {}
    for name, each in given.items():
        if isinstance(each, Mapping) and "samples" in each:
            groups.setdefault((each["samples"], each.get("weights")), []).append(name)
    found: dict[str, Any] = {}
    for (file, weights), names in groups.items():
        columns = [given[name].get("column", name) for name in names]
        try:
            with naming(file):
                read = samples.read_samples(Path(file), columns, weights)
                own = dict(zip(names, (read.columns[each] for each in columns), strict=True))
                made, lost = samples.joint_entries(Samples(own, read.weights))
        except ValueError as error:
            raise InconsistentError((*keys, names[0], "samples"), str(error)) from error
        found |= {
            name: {**made[name], **_texts(given[name], _said(file, column, names, lost))}
            for name, column in zip(names, columns, strict=True)
        }
    return found


def _said(file: str, column: str, names: Sequence[str], lost: str) -> str:
    alone = f"samples of {file}, column {column}"
    return f"{alone}, Gaussian copula ({lost})" if len(names) > 1 else alone


def _texts(entry: Config, said: str) -> dict[str, Any]:
    """Return what an entry says beside where its numbers come from."""
    kept = {key: entry[key] for key in ("periodic", "unit", "label") if key in entry}
    return {**kept, "description": said}
