"""Commands of `sbi-pipeline`, a room for each: what it is told, and what it says."""

from __future__ import annotations

from typing import Any

from .bundling import add_bundle
from .citing import add_cite
from .environment import add_doctor
from .exporting import add_export


def add_commands(commands: Any) -> None:
    """Add the commands of all rooms to those of a parser."""
    for add in (add_export, add_bundle, add_cite, add_doctor):
        add(commands)
