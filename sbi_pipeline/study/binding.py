"""What a user wrote, bound to what takes it; what does not fit becomes a line.

Names, nesting and texts are looked after here, single values by pydantic. Nothing is filled in:
what comes out is what was written, with texts and floats made the numbers they stand for.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import types
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, is_typeddict

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from ..options import Chosen, Described, OneOf, Takes
from .files import Keys, Written
from .signatures import (
    Record,
    bare,
    documented_entry,
    is_open,
    marks,
    metadata,
    names_of,
    picked,
    record_of,
    record_of_taken,
)

NUMBER = re.compile(r"[-+]?(\d[\d_]*\.?\d*|\.\d+)([eE][-+]?\d+)?")
UNIONS = (Union, types.UnionType)
PLAIN = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


@dataclass(frozen=True)
class Refusal:
    """One thing that is wrong: the way to it, and what is wrong, what was wanted, what to do."""

    keys: Keys
    text: str

    def line(self, written: Written) -> str:
        """Return it as a line, beginning with file and line where they are known."""
        parts = [written.place(self.keys), dotted(self.keys), self.text]
        return ": ".join(part for part in parts if part)


class InconsistentError(ValueError):
    """Entries that contradict each other.

    Attributes:
        keys: The way to what is wrong, as far as it is in one place.
    """

    def __init__(self, keys: Keys, text: str) -> None:
        super().__init__(text)
        self.keys = keys


def dotted(keys: Keys) -> str:
    """Return the way to an entry as one writes it, such as ``campaigns.tiny.columns[2]``."""
    said = ""
    for key in keys:
        said += f"[{key}]" if isinstance(key, int) else f".{key}" if said else key
    return said


class Binding:
    """Binds values to annotations and collects what is wrong.

    Attributes:
        problems: What was found so far.
        thorough: Whether options are bound also where what takes them must be imported first.
    """

    def __init__(self, thorough: bool = True) -> None:
        self.problems: list[Refusal] = []
        self.thorough = thorough

    def wrong(self, keys: Keys, text: str) -> None:
        """Note a problem."""
        self.problems.append(Refusal(keys, text))

    def record(
        self, record: Record, given: Any, keys: Keys, known: Mapping[str, Any] | None = None
    ) -> Any:
        """Bind a mapping to what takes it.

        Args:
            record: What takes it.
            given: What was written.
            keys: The way to it.
            known: What decides beside it.
        """
        if not isinstance(given, Mapping):
            self.wrong(keys, f"got {shown(given)}; wanted {', '.join(record.options)}")
            return given
        unknowns = [] if record.open else [key for key in given if key not in record.options]
        meant = {each for key in unknowns for each in alike(key, record.options)}
        for name, option in record.options.items():
            if option.required and name not in given and name not in meant:
                meaning = f": {plain(option.meaning)}" if option.meaning else ""
                self.wrong(keys, f"{name!r} is missing; wanted {words(option.annotation)}{meaning}")
        around = {**(known or {}), **given}
        made = {}
        for name, value in given.items():
            where = (*keys, name)
            if name in record.options:
                annotation = record.options[name].annotation
                made[name] = self.value(annotation, value, where, around)
            elif record.open:
                made[name] = value
            else:
                self.wrong(where, unknown(name, record))
        return made

    def value(self, annotation: Any, value: Any, keys: Keys, around: Mapping[str, Any]) -> Any:
        """Bind one value to its annotation; ``around`` is what stands beside it."""
        if any(value == word for each in marks(annotation, Chosen) for word in each.words):
            return value
        takes = marks(annotation, Takes)
        if takes and (isinstance(value, Mapping) or (takes[0].short and isinstance(value, str))):
            return self._taken(takes[0], value, keys, around)
        kind = _member(bare(annotation), value)
        arguments = get_args(kind)
        if is_typeddict(kind) and isinstance(value, Mapping):
            made = self.record(record_of(kind, _called(kind), 0, {}), value, keys)
        elif isinstance(value, Mapping) and _is_mapping(kind) and arguments:
            made = self._mapping(annotation, arguments, value, keys)
        elif isinstance(value, list | tuple) and _is_list(kind) and arguments:
            made = self._list(annotation, arguments, value, keys)
        elif names := names_of(annotation):
            made = self._named(marks(annotation, OneOf), names, value, keys)
        else:
            made = self._single(annotation, value, keys)
        return made

    def _taken(self, takes: Takes, value: Any, keys: Keys, around: Mapping[str, Any]) -> Any:
        """Bind the options of what an entry describes."""
        if self.thorough or not isinstance(takes.to, str):
            return self._bind_taken(takes, value, keys, around)
        # What comes out must not depend on whether problems are asked for.
        return Binding()._bind_taken(takes, value, keys, around) if may_change(value) else value

    def _bind_taken(self, takes: Takes, value: Any, keys: Keys, around: Mapping[str, Any]) -> Any:
        given = {takes.short: value} if isinstance(value, str) else value
        target, name = picked(takes, around)
        if target is None:
            return value  # what picks it is wrong, which is said there
        values = {**around, **given}
        record = record_of_taken(takes, target, name or str(keys[-1]), values)
        if not isinstance(value, str):
            return self.record(record, value, keys, around)
        option = record.options[str(takes.short)]
        return self.value(option.annotation, value, keys, around)

    def _mapping(
        self, annotation: Any, arguments: Sequence[Any], value: Mapping[str, Any], keys: Keys
    ) -> Any:
        if not value and marks(annotation, MinLen):
            self.wrong(keys, "got no entry; wanted one or more")
        made = {}
        for name, each in value.items():
            before = len(self.problems)
            self.value(arguments[0], name, (*keys, name), {})
            if len(self.problems) == before:
                made[name] = self.value(arguments[1], each, (*keys, name), {})
        return made

    def _list(self, annotation: Any, arguments: Sequence[Any], value: Any, keys: Keys) -> Any:
        kinds = list(arguments)
        if kinds[-1] is Ellipsis or len(kinds) == 1:
            kinds = [kinds[0]] * len(value)
        if len(kinds) != len(value):
            self.wrong(keys, f"got {shown(value)}; wanted {words(annotation)}")
            return value
        before = len(self.problems)
        made = [
            self.value(kind, each, (*keys, i), {})
            for i, (kind, each) in enumerate(zip(kinds, value, strict=True))
        ]
        if len(self.problems) == before:  # of the whole: how many, and that none is there twice
            self._single(annotation, made, keys)
        return made

    def _named(self, tables: list[OneOf], names: list[str], value: Any, keys: Keys) -> Any:
        if value in tables[0].besides:
            return value
        is_own = isinstance(value, str) and ":" in value
        try:
            if value in names:
                return value
            documented_entry(tables[0].table, value if is_own else None)
        except (ValueError, TypeError) as error:
            own = ", or 'my_module:MyClass'" if is_open(tables[0].table) else ""
            wanted = f"wanted one of {', '.join(names)}{own}"
            text = f"got {shown(value)}{near(value, names, wanted)}"
            self.wrong(keys, str(error) if own and is_own else text)
        return value

    def _single(self, annotation: Any, value: Any, keys: Keys) -> Any:
        try:
            return converted(annotation, value)
        except ValueError:
            wanted = words(annotation)
            if wanted == "text" and isinstance(value, int | float):
                wanted += ", so write it in quotes"
            self.wrong(keys, f"got {shown(value)}; wanted {wanted}")
            return value


def converted(annotation: Any, value: Any) -> Any:
    """Return a value as its annotation wants it; numbers may be written as text.

    Raises:
        ValueError: It does not fit.
    """
    members = set(map(bare, parts(annotation)))
    if not isinstance(value, Mapping) and all(_takes_mappings(each) for each in members):
        raise ValueError("no mapping")
    if isinstance(value, bool) and bool not in members and members & {int, float}:
        raise ValueError("a truth value is no number")
    if isinstance(value, str) and members & {int, float} and NUMBER.fullmatch(value.strip()):
        value = float(value) if re.search("[.eE]", value) else int(value)
    if isinstance(value, float) and not math.isfinite(value) and members & {int, float}:
        raise ValueError("it is not finite")
    try:
        adapter = TypeAdapter(for_pydantic(annotation))
    except PydanticSchemaGenerationError:
        return value  # a class of the user's own, of which nothing is known
    try:
        made = adapter.validate_python(value)
    except ValidationError as error:
        raise ValueError(str(error)) from error
    if isinstance(made, bool) and not isinstance(value, bool):
        raise ValueError("it is no truth value")
    return made if isinstance(made, int) else value


def unknown(name: str, record: Record) -> str:
    """Return what is said of a key that nothing takes."""
    listed = ", ".join(sorted(record.options)) or "none"
    return "unknown key" + near(name, record.options, f"{record.name} takes {listed}")


def for_pydantic(annotation: Any) -> Any:
    """Return an annotation with what pydantic knows of it: ranges, patterns, predicates."""
    ours = Described.__module__
    kept = [each for each in metadata(annotation) if type(each).__module__ != ours]
    kind: Any = Annotated[bare(annotation), *kept] if kept else bare(annotation)
    return kind


def may_change(value: Any) -> bool:
    """Say whether options hold texts or whole floats, for which `converted` may have others."""
    if isinstance(value, Mapping):
        return any(map(may_change, value.values()))
    if isinstance(value, list):
        return any(map(may_change, value))
    if isinstance(value, str):
        return NUMBER.fullmatch(value.strip()) is not None
    return isinstance(value, float) and value.is_integer()


def parts(annotation: Any) -> list[Any]:
    """Return the members of a union, or the annotation itself."""
    plain = bare(annotation)
    return list(get_args(plain)) if get_origin(plain) in UNIONS else [annotation]


def plain(meaning: str) -> str:
    """Return what a docstring says of an option, for a line on a terminal."""
    return re.sub(r"`+", "'", meaning).replace(r" (\*)", "").rstrip(".")


def words(annotation: Any) -> str:
    """Return what an annotation wants, in words."""
    choices = [word for each in marks(annotation, Chosen) for word in each.words]
    if described := marks(annotation, Described):
        said = [described[0].words]
    elif names := names_of(annotation):
        said = ["one of " + ", ".join(names)]
    else:
        said = [_word(each) for each in parts(annotation)]
    return " or ".join(dict.fromkeys([*said, *choices]))


def _word(annotation: Any) -> str:
    if marks(annotation, Described) or get_origin(bare(annotation)) in UNIONS:
        return words(annotation)
    plain = bare(annotation)
    if plain in (None, type(None)):
        return "null"
    if get_origin(plain) is Literal:
        return " or ".join(map(str, get_args(plain)))
    if _is_list(plain):
        inner = [words(each) for each in get_args(plain) if each is not Ellipsis]
        return "a list of " + ", ".join(inner) if inner else "a list"
    if _is_mapping(plain) or is_typeddict(plain):
        return "a mapping"
    limits = [said for each in metadata(annotation) if (said := _limit(each))]
    return " ".join([PLAIN.get(plain, str(plain)), " and ".join(limits)]).strip()


def _limit(mark: Any) -> str:
    match mark:
        case Ge(ge=limit):
            return f"of at least {limit}"
        case Gt(gt=limit):
            return f"above {limit}"
        case Le(le=limit):
            return f"at most {limit}"
        case Lt(lt=limit):
            return f"below {limit}"
        case MinLen(min_length=length):
            return f"of {length} or more"
    return ""


def alike(name: Any, known: Collection[str]) -> list[str]:
    """Return the known name that is most like one; none where none is like it."""
    return difflib.get_close_matches(str(name), list(known), n=1)


def first_few(names: Sequence[str], most: int = 12) -> str:
    """Return names for a message, of many the first and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def what_it_says(error: Exception) -> str:
    """Return what an error says, with its kind unless it is one of ours."""
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"


def near(name: Any, known: Collection[str], then: str = "") -> str:
    """Return the question whether a known name was meant, if one is like it, and what follows."""
    found = alike(name, known)
    asked = f"; did you mean {found[0]!r}?" if found else ""
    return f"{asked}{' ' if asked else '; '}{then}" if then else asked


def not_among(name: str, known: Collection[str]) -> str:
    """Return that a name is none of those known, and which was meant if one is like it."""
    return f"{name!r} is not among {', '.join(known)}{near(name, known)}"


def shown(value: Any) -> str:
    """Return a value as one would write it, shortened."""
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=repr)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _member(annotation: Any, value: Any) -> Any:
    """Return the member of a union that is of the same kind as a value."""
    members = [bare(each) for each in parts(annotation)]
    if isinstance(value, Mapping):
        members = list(filter(_takes_mappings, members)) or members
    elif isinstance(value, list | tuple):
        members = [each for each in members if _is_list(each)] or members
    return members[0]


def is_single(annotation: Any) -> bool:
    """Say whether an annotation is of one number, text or truth value."""
    return bare(annotation) in PLAIN


def _takes_mappings(kind: Any) -> bool:
    return _is_mapping(kind) or is_typeddict(kind)


def _is_mapping(kind: Any) -> bool:
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and not is_typeddict(kind) and issubclass(origin, Mapping)


def _is_list(kind: Any) -> bool:
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, Sequence) and origin is not str


def _called(typed: Any) -> str:
    name = str(typed.__name__).removesuffix("Entry").lower()
    return f"an {name}" if name[0] in "aeio" else f"a {name}"
