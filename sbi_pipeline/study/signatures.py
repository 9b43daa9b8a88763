"""What takes options: their names, annotations, defaults and meaning, from signatures."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import (
    Annotated,
    Any,
    NotRequired,
    Required,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from annotated_types import DocInfo

from .. import registry
from ..options import Chosen, Default, Internal, OneOf, Passes, Takes

MISSING = inspect.Parameter.empty
ENTRY = re.compile(r"^(?:    )?((?:\*{0,2}\w+)(?:, \*{0,2}\w+)*)(?: \(.*?\))?: (.*)$")


@dataclass(frozen=True)
class Option:
    """One option: what it may be, its default (`MISSING` where there is none), its meaning."""

    annotation: Any
    default: Any = MISSING
    meaning: str = ""

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is MISSING and not marks(self.annotation, Chosen)


@dataclass(frozen=True)
class Record:
    """What takes options.

    Attributes:
        name: What it is called in messages.
        options: What it takes, by name.
        open: Whether it takes others, of which nothing is known.
    """

    name: str
    options: Mapping[str, Option]
    open: bool = False


def record_of(taker: Any, name: str, given: int, values: Mapping[str, Any]) -> Record:
    """Return the options of a function, class, typed dictionary, or table of annotations.

    Args:
        taker: What takes options.
        name: What it is called in messages.
        given: Number of positional arguments that are no options.
        values: What is chosen, which decides where further options go; others are passed by
            default.
    """
    if isinstance(taker, Mapping):
        return Record(name, {key: _described(each) for key, each in taker.items()})
    if is_typeddict(taker):
        return Record(name, _entries(taker))
    options, rest = _keywords(taker, given)
    own = Record(name, options, open=rest is not None)
    passes = marks(rest, Passes)
    if not passes:
        return own
    chosen = {key: each.default for key, each in options.items()} | dict(values)
    target, label = picked(passes[0], chosen)
    if target is None:
        return own
    further = record_of(target, name, passes[0].given, values)
    options = {**further.options, **options}
    return Record(label or further.name, options, further.open)


def own_options(taker: Callable[..., Any], given: int) -> tuple[dict[str, Option], Passes | None]:
    """Return the options of a signature itself, and where it passes others on to."""
    options, rest = _keywords(taker, given)
    passes = marks(rest, Passes)
    return options, passes[0] if passes else None


def picked(passes: Passes, values: Mapping[str, Any]) -> tuple[Any, str]:
    """Return where options go and its name, if it was picked by one; None if nobody knows."""
    if isinstance(passes.to, Mapping):
        name = values.get(passes.by or "")
        try:
            return documented_entry(passes.to, name), str(name)
        except ValueError:
            return None, ""
    return (registry.load_part(passes.to, {}) if isinstance(passes.to, str) else passes.to), ""


def record_of_taken(takes: Takes, taker: Any, name: str, values: Mapping[str, Any]) -> Record:
    """Return the options that an entry of the configuration takes; see `record_of`."""
    if not takes.called or inspect.isclass(taker):
        return record_of(taker, name, takes.given, values)
    bears_it = inspect.isroutine(taker) or isinstance(taker, functools.partial)
    return record_of(taker if bears_it else taker.__call__, name, takes.called, values)


def documented_entry(table: Mapping[str, Any], name: Any) -> Any:
    """Return what a name stands for in a table, or ``"module:name"`` in one of parts.

    Raises:
        ValueError: It stands for nothing, or cannot be imported.
    """
    if isinstance(name, str) and is_open(table):
        found = registry.load_part(name, table)
        if not callable(found):
            raise ValueError(f"{name!r} is no class; wanted 'my_module:MyClass'")
        return found
    if not isinstance(name, str) or name not in table:
        raise ValueError(f"{name!r} is none of {', '.join(table)}")
    return table[name]


def is_open(table: Mapping[str, Any]) -> bool:
    """Say whether ``"module:name"`` can stand for an entry of a table: one of parts."""
    return all(isinstance(each, registry.Part) for each in table.values())


def marks(annotation: Any, kind: type) -> list[Any]:
    """Return the marks of one kind on an annotation."""
    return [each for each in metadata(annotation) if isinstance(each, kind)]


def metadata(annotation: Any) -> tuple[Any, ...]:
    """Return what an annotation is annotated with, the parts of a union left out."""
    return annotation.__metadata__ if get_origin(annotation) is Annotated else ()


def bare(annotation: Any) -> Any:
    """Return an annotation without what it is annotated with."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def default_of(option: Option) -> Any:
    """Return what is taken where an option is not given: a word where it is then chosen."""
    if said := marks(option.annotation, Default):
        return said[0].value
    if chosen := marks(option.annotation, Chosen):
        return chosen[0].words[0]
    return option.default


def stated(form: Any, entry: Mapping[str, Any], name: str) -> Any:
    """Return what an entry says, or the default that its form, a typed dictionary, states."""
    return entry[name] if name in entry else default_of(_entries(form)[name])


def with_defaults(record: Record, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with those that are not given at their defaults, as far as they have any."""
    defaults = {name: default_of(option) for name, option in record.options.items()}
    return {**{name: each for name, each in defaults.items() if each is not MISSING}, **given}


@cache
def _keywords(taker: Callable[..., Any], given: int) -> tuple[dict[str, Option], Any]:
    """Return the options of a function or class, and the annotation of its ``**rest`` if any."""
    hints = _hints(taker.__init__ if inspect.isclass(taker) else taker)
    meanings = meanings_of(taker)
    options, rest = {}, None
    for number, each in enumerate(inspect.signature(taker).parameters.values()):
        annotation = hints.get(each.name, Any)
        if each.kind is each.VAR_KEYWORD:
            rest = annotation
        elif each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY):
            if (number < given and each.kind is not each.KEYWORD_ONLY) or marks(
                annotation, Internal
            ):
                continue
            options[each.name] = Option(annotation, each.default, meanings.get(each.name, ""))
    return options, rest


def _hints(function: Any) -> dict[str, Any]:
    """Return the annotations of a function; none where they name what cannot be found."""
    try:
        return get_type_hints(function, include_extras=True)
    except Exception:  # a user's annotation may be anything
        return {}


@cache
def _entries(typed: Any) -> dict[str, Option]:
    """Return the entries of a typed dictionary."""
    meanings, entries = meanings_of(typed), {}
    for name, hint in get_type_hints(typed, include_extras=True).items():
        needed = get_origin(hint) is Required
        annotation = get_args(hint)[0] if get_origin(hint) in (Required, NotRequired) else hint
        entries[name] = Option(annotation, MISSING if needed else None, meanings.get(name, ""))
    return entries


def _described(annotation: Any) -> Option:
    said = marks(annotation, DocInfo)
    return Option(annotation, meaning=said[0].documentation if said else "")


def meanings_of(taker: Any) -> dict[str, str]:
    """Return what options mean, from the section of a Google docstring that lists them."""
    meanings: dict[str, str] = {}
    names: list[str] = []
    listed = False
    for line in inspect.cleandoc(taker.__doc__ or "").splitlines():
        if not line.startswith(" ") and line:
            listed = line in ("Args:", "Attributes:")
        elif listed and (found := ENTRY.match(line)) and not line.startswith("     "):
            names = [name.strip(" *") for name in found[1].split(",")]
            meanings |= dict.fromkeys(names, found[2])
        elif listed and line:
            meanings |= {name: f"{meanings[name]} {line.strip()}" for name in names}
    return meanings


def names_of(annotation: Any) -> list[str]:
    """Return the names of the table that an annotation takes one of."""
    return [name for each in marks(annotation, OneOf) for name in (*each.besides, *each.table)]
