"""The part of a configuration that some campaigns are made with, and the files that it names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from .. import fingerprint
from ..catalogues import files_of
from ..study import Plan
from ..study.files import TRUE, Loader, Written, read


class Dumper(yaml.SafeDumper):
    """Writes what `study.files` reads: texts that it would take for numbers are quoted."""


Dumper.yaml_implicit_resolvers = Loader.yaml_implicit_resolvers


def configuration_of(
    names: Sequence[str], files: Sequence[str], overrides: Mapping[str, Any]
) -> str:
    """Return a configuration that names some campaigns, and what they take rows of, alone.

    One file that names no others is taken as it was written, with its comments.

    Args:
        names: Of the campaigns, or of comparisons, which have all of theirs.
        files: Paths of YAML files, each over those before it.
        overrides: What ``snakemake --config`` was given.

    Raises:
        ValueError: One is no campaign of the configuration.
    """
    written = _with_quick(read(files, overrides))
    entries = written.values.get("campaigns", {})
    comparisons = written.values.get("comparisons", {})
    models = {name: each["models"].values() for name, each in comparisons.items()}
    names = [each for name in names for each in models.get(name, [name])]
    if unknown := [name for name in names if name not in entries]:
        raise ValueError(
            f"{unknown[0]} is no campaign of {', '.join(files)}, which names "
            f"{', '.join([*entries, *models])}; rounds and sweeps belong to the campaign they are "
            "made of"
        )
    kept = _with_reused(names, entries)
    if kept == set(entries) and len(files) == 1 and not overrides:
        return Path(files[0]).read_text(encoding="utf-8-sig")
    sweeps = written.values.get("sweeps", {})
    part = {
        **written.values,
        "campaigns": {name: entry for name, entry in entries.items() if name in kept},
        "sweeps": {name: each for name, each in sweeps.items() if each["campaign"] in kept},
        "comparisons": {
            name: each for name, each in comparisons.items() if kept.issuperset(models[name])
        },
    }
    several = ("sweeps", "comparisons")
    told = {key: value for key, value in part.items() if key not in several or value}
    return yaml.dump(told, Dumper=Dumper, sort_keys=False, allow_unicode=True)


def _with_quick(written: Written) -> Written:
    """Return a configuration with what it says of quick runs, if this is one, over the rest."""
    rest, smaller = written.without("if_quick")
    rest, quick = rest.without("quick")
    is_quick = quick is not None and str(quick.values).lower() in TRUE
    return rest.updated(smaller) if is_quick and smaller is not None else rest


def _with_reused(names: Iterable[str], entries: Mapping[str, Any]) -> set[str]:
    """Return campaigns with those whose simulations they take."""
    kept: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in kept:
            kept.add(name)
            waiting += entries[name].get("reuse", [])
    return kept


def named_files(text: str, plan: Plan, with_simulations: bool) -> Iterator[Path]:
    """Yield the data and programs that a configuration names, each a path from the working folder.

    Args:
        text: The configuration.
        plan: Made of it.
        with_simulations: Whether files of existing simulations are wanted.

    Raises:
        ValueError: One lies outside the working folder; or simulations in files are not wanted,
            without which nothing can be planned.
    """
    for name, campaign in plan.campaigns.items():
        inventory = campaign.entry.get("inventory")
        if inventory is not None and not with_simulations:
            raise ValueError(
                f"{name} takes its simulations from files, without which nobody can go on with the "
                "bundle: pack them with --simulations"
            )
        for known in () if inventory is None else inventory.files:
            yield from (_inside(each) for each in (known.path, known.beside) if each)
        for catalogue in campaign.catalogues.values():
            yield from (_inside(str(each)) for each in files_of(catalogue.layout))
        for program in campaign.simulations.requires:
            source = Path(f"{Path(program).name}.c")
            yield from filter(Path.is_file, (source, Path("config/programs") / source))
    written = yaml.load(text, Loader)
    yield from (_inside(each) for each in _texts(written) if _is_file(each))


def code_of(plan: Plan) -> tuple[dict[str, Path], list[str]]:
    """Return the modules of the user's that a plan is made with, and packages it needs beside them.

    Args:
        plan: The plan.

    Returns:
        Where files lie, by their paths from the working folder; names of packages elsewhere.
    """
    targets = {
        name.partition(" ")[2]
        for path in plan
        for name, content in plan[path].makers.contents.items()
        if isinstance(content, Mapping) and ":" in name
    }
    here, found, elsewhere = Path.cwd().resolve(), dict[str, Path](), list[str]()
    for target in sorted(targets):
        for module, path in sorted(fingerprint.files_of_sources(target).items()):
            if path.is_relative_to(here) and "site-packages" not in path.parts:
                found[path.relative_to(here).as_posix()] = path
            else:
                elsewhere.append(module)
    return found, sorted({each.partition(".")[0] for each in elsewhere})


def _texts(values: Any) -> Iterator[str]:
    """Yield all texts of a configuration but keys."""
    if isinstance(values, str):
        yield values
    elif isinstance(values, Mapping):
        for each in values.values():
            yield from _texts(each)
    elif isinstance(values, list):
        for each in values:
            yield from _texts(each)


def _is_file(text: str) -> bool:
    try:
        return bool(text) and "\n" not in text and Path(text).is_file()
    except (OSError, ValueError):  # too long for a name
        return False


def _inside(text: str) -> Path:
    """Return a path from the working folder.

    Raises:
        ValueError: It leaves it.
    """
    path = Path(os.path.normpath(text))
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(
            f"the configuration names {text}, which lies outside this folder; copy or link it "
            "into the folder, and name it there"
        )
    return path
