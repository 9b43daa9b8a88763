"""A plain function as a simulator: ``def simulate(parameters, rng)``, and whatever is called so.

It has no names of parameters of its own: those are the campaign's, in the order of its priors.
Whether it takes one row or many it may say, ``simulate.vectorised = True``; else it is called to
find out (`campaigns.functions`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..types import Array


@dataclass
class PlainFunction:
    """A function with its options and the names of what it takes.

    Attributes:
        function: Called with parameters, ``rng`` and the options.
        options: Keyword arguments of every call.
        parameters: Names of the columns.
    """

    function: Callable[..., Array]
    options: Mapping[str, Any]
    parameters: tuple[str, ...]

    def __call__(self, parameters: Array, rng: np.random.Generator) -> Array:
        """Simulate, one row or many, whichever the function takes."""
        return self.function(parameters, rng, **self.options)

    @property
    def columns(self) -> Sequence[str]:
        """What the function says its data are called; empty if it says nothing."""
        said: Sequence[str] = getattr(self.function, "columns", ())
        return said

    @property
    def vectorised(self) -> bool | None:
        """What the function says of itself; None if it says nothing."""
        said = getattr(self.function, "vectorised", None)
        return None if said is None else bool(said)


DRAWS = ("rng", "random", "generator", "random_state")
"""What the second argument of a function is called."""


def check_call(function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Refuse a function that cannot be called with parameters, ``rng`` and options.

    Raises:
        TypeError: It cannot.
    """
    try:
        signature = inspect.signature(function)
    except ValueError:
        return  # compiled code that does not say
    try:
        signature.bind(None, None, **options)
    except TypeError as error:
        raise TypeError(
            f"{error}; wanted def simulate(parameters, rng, ...), the options after these two, "
            "or a class"
        ) from error
    first = next(iter(signature.parameters), "")
    if first in DRAWS:
        raise TypeError(f"its first argument is {first!r}; wanted def simulate(parameters, rng)")
