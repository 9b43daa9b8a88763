"""Thresholds as a user writes them, checked before anything runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from .check import Check, Limits


def check_thresholds(
    thresholds: Mapping[str, Mapping[str, Any]], functions: Mapping[str, Callable[..., Any]]
) -> None:
    """Check names, kinds and order of thresholds against the defaults of the checks.

    Args:
        thresholds: Keyword arguments by check.
        functions: The checks by name; their defaults say which arguments are thresholds, whether
            one is a number or a pair (warn, fail), and which way a pair goes.

    Raises:
        ValueError: One line on the first that is wrong.
    """
    for name, given in thresholds.items():
        known = _defaults(functions[name])
        for argument, value in given.items():
            where = f"thresholds.{name}.{argument}"
            if argument not in known:
                raise ValueError(f"{where}: not known; wanted one of {', '.join(known)}")
            _check(where, value, known[argument])


def _defaults(function: Callable[..., Check]) -> dict[str, float | Limits]:
    parameters = inspect.signature(function).parameters.values()
    return {
        each.name: each.default for each in parameters if isinstance(each.default, float | tuple)
    }


def _check(where: str, value: Any, default: float | Limits) -> None:
    if not isinstance(default, tuple):
        if not isinstance(value, int | float):
            raise ValueError(f"{where}: got {value}; wanted one number, such as {default:g}")
        return
    if isinstance(value, int | float):
        raise ValueError(f"{where}: got {value:g}; wanted [warn, fail], such as {list(default)}")
    rising = default[0] <= default[1]
    if value[0] != value[1] and (value[0] < value[1]) != rising:
        raise ValueError(
            f"{where}: warn at {value[0]:g} and fail at {value[1]:g} contradict each other; a fail "
            f"must be worse than a warning, so {'larger' if rising else 'smaller'}"
        )
