"""Thresholds of the verdict, bound to the diagnostics that take them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

from .. import diagnostics
from ..options import Described
from .binding import Binding, near
from .schema import Config
from .signatures import Option, Record, meanings_of

ONE = Annotated[float, Described("one number")]
TWO = Annotated[tuple[float, float], Described("[warn, fail]")]


def known() -> dict[str, Record]:
    """Return the thresholds of each diagnostic: numbers, and pairs to warn and to fail at."""
    return {name: _record(name, judge) for name, judge in diagnostics.thresholds().items()}


def bind_thresholds(binding: Binding, thresholds: Config) -> dict[str, Any]:
    """Bind names, kinds and order of thresholds to the defaults of diagnostics."""
    records, made = known(), {}
    for name, given in thresholds.items():
        keys = ("thresholds", name)
        if name not in records:
            wanted = f"wanted one of {', '.join(records)}"
            binding.wrong(keys, "unknown diagnostic" + near(name, records, wanted))
            continue
        before = len(binding.problems)
        made[name] = binding.record(records[name], given, keys)
        for argument, value in given.items() if len(binding.problems) == before else ():
            default = records[name].options[argument].default
            if isinstance(default, tuple) and not _agree(value, default):
                worse = "larger" if default[0] <= default[1] else "smaller"
                binding.wrong(
                    (*keys, argument),
                    f"warn at {value[0]:g} and fail at {value[1]:g} contradict each other; a fail "
                    f"must be worse than a warning, so {worse}",
                )
    return made


def _agree(value: Any, default: tuple[float, float]) -> bool:
    """Say whether a fail is worse than a warning."""
    warn, fail = map(float, value)
    return warn == fail or (warn < fail) == (default[0] <= default[1])


def _record(name: str, function: Callable[..., Any]) -> Record:
    meanings, options = meanings_of(function), {}
    for each in inspect.signature(function).parameters.values():
        if isinstance(each.default, int | float | tuple) and not isinstance(each.default, bool):
            kind = TWO if isinstance(each.default, tuple) else ONE
            options[each.name] = Option(kind, each.default, meanings.get(each.name, ""))
    return Record(f"the diagnostic {name}", options)
