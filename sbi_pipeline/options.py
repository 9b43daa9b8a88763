"""What the options of a part may be: annotations its signature is written with.

An option is a keyword of a signature: its type, range and choices are the annotation, its default
is the default, and what it means stands in the docstring. A configuration is bound to these while
it is checked (`study.binding`); schema and tables of the manual are made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le, Lt, MinLen, Predicate

Count = Annotated[int, Ge(1)]
Seed = Annotated[int, Ge(0)]
Index = Annotated[int, Ge(0)]
Few = Annotated[int, Ge(1), Le(1_000)]
Width = Annotated[int, Ge(1), Le(16_384)]
Depth = Annotated[int, Ge(1), Le(1_000)]
Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Fraction = Annotated[float, Ge(0), Lt(1)]


@dataclass(frozen=True)
class Described:
    """Says in words what an annotation wants, where its type and range do not."""

    words: str


Odd = Annotated[int, Ge(1), Predicate(lambda value: value % 2 == 1), Described("an odd number")]


def all_differ(items: list[Any]) -> bool:
    """Say whether a list has nothing twice."""
    return not any(items.count(each) > 1 for each in items)


Indices = Annotated[
    list[Index],
    MinLen(1),
    Predicate(all_differ),
    Described("a list of one or more different whole numbers of at least 0"),
]


@dataclass(frozen=True)
class OneOf:
    """A name of a table: of functions or classes, or of `registry.Part`.

    A table of parts is open: ``"my_module:MyClass"`` stands for a class of the user's own.
    """

    table: Mapping[str, Any] = field(hash=False)  # in a list, annotations are held in sets
    besides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chosen:
    """What may be written instead of a value: words that are replaced by a choice from the data."""

    words: tuple[str, ...] = ("auto",)


@dataclass(frozen=True)
class Default:
    """The default of an entry that is not a keyword of a signature, or says it in words."""

    value: Any


@dataclass(frozen=True)
class Passes:
    """Where a signature's ``**rest`` goes.

    Attributes:
        to: What takes it, itself or as ``"module:name"``; or a table of which ``by`` picks one.
        by: Name of the option that picks from the table.
        given: Number of positional arguments that are passed beside it, which are no options.
    """

    to: Callable[..., Any] | str | Mapping[str, Any]
    by: str | None = None
    given: int = 0


@dataclass(frozen=True)
class Takes(Passes):
    """Whose options the mapping is that an option has for a value.

    Attributes:
        short: The one of these options that a plain text stands for.
        called: ``given`` where it is no class of the table but a function, which takes them in
            every call.
    """

    short: str | None = None
    called: int = 0


@dataclass(frozen=True)
class Internal:
    """Marks a keyword that is no option: the house passes it itself."""


INTERNAL = Internal()
