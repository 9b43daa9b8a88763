"""Names usable in the configuration, and where what they name lives.

Your own simulator or prior needs no entry here: write ``"my_module:MySimulator"`` in the
configuration, with ``my_module.py`` in the folder you call ``snakemake`` from (or installed).
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any, TypeVar

Entry = TypeVar("Entry")

SIMULATORS = {
    "influenza": "sbi_pipeline.simulators.influenza:Influenza",
    "linear_gaussian": "sbi_pipeline.simulators.linear_gaussian:LinearGaussian",
    "moon_point": "sbi_pipeline.simulators.moons:MoonPoint",
    "moons": "sbi_pipeline.simulators.moons:Moons",
    "program": "sbi_pipeline.simulators.program:Program",
    "ringdown": "sbi_pipeline.simulators.ringdown:Ringdown",
    "source_counts": "sbi_pipeline.simulators.source_counts:SourceCounts",
    "two_moons": "sbi_pipeline.simulators.two_moons:TwoMoons",
}

ESTIMATORS = {
    "npe": "sbi_pipeline.estimators.npe:NPE",
    "nle": "sbi_pipeline.estimators.nle:NLE",
    "nre": "sbi_pipeline.estimators.nre:NRE",
    "fmpe": "sbi_pipeline.estimators.fmpe:FMPE",
    "cmpe": "sbi_pipeline.estimators.cmpe:CMPE",
}


def locate(name: str, table: dict[str, str]) -> str:
    """Return ``"module:attribute"`` for a name of ``table`` or a path of that form.

    Raises:
        ValueError: The name is neither.
    """
    if name in table:
        return table[name]
    if name.count(":") == 1 and all(part for part in name.split(":")):
        return name
    known = ", ".join(sorted(table))
    raise ValueError(f"{name!r} is not known; write one of {known}, or 'my_module:MyClass'")


def pick(name: str, table: dict[str, Entry], what: str) -> Entry:
    """Return an entry of a table that is not open to names of the user's own.

    Raises:
        ValueError: The name is not in it.
    """
    if name not in table:
        raise ValueError(f"{what} is {name!r}; it can be {', '.join(table)}")
    return table[name]


def load(name: str, table: dict[str, str]) -> Any:
    """Import what a name stands for.

    Raises:
        ValueError: The module cannot be found or imported, or lacks the attribute.
    """
    module_name, attribute = locate(name, table).split(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise ValueError(
            f"{name!r}: importing {module_name!r} failed with {type(error).__name__}: {error}; "
            f"looked in {here} and the installed packages"
        ) from error
    if not hasattr(module, attribute):
        raise ValueError(f"{name!r}: {module.__file__} has no {attribute!r}")
    return getattr(module, attribute)
