"""Thresholds as a user writes them, checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import registered
from .check import WarnFail


def check_thresholds(given: Mapping[str, Mapping[str, Any]]) -> None:
    """Check names, kinds and order of thresholds against the defaults of the diagnostics.

    The defaults say which arguments are thresholds, whether one is a number or a pair (warn,
    fail), and which way a pair goes.

    Args:
        given: Keyword arguments by diagnostic.

    Raises:
        ValueError: One line on the first that is wrong.
    """
    every = {name: each.thresholds for name, each in registered().items() if each.thresholds}
    for name, arguments in given.items():
        if name not in every:
            raise ValueError(f"thresholds.{name}: not known; wanted one of {', '.join(every)}")
        for argument, value in arguments.items():
            where = f"thresholds.{name}.{argument}"
            if argument not in every[name]:
                raise ValueError(f"{where}: not known; wanted one of {', '.join(every[name])}")
            _check(where, value, every[name][argument])


def _check(where: str, value: Any, default: float | WarnFail) -> None:
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
