"""Commands of `sbi-pipeline`, a room for each: what it is told, and what it says."""

from __future__ import annotations

from typing import Any

from . import bundling, citing, environment, exporting

ROOMS = (exporting, bundling, citing, environment)


def add_commands(commands: Any) -> None:
    """Add the commands of all rooms to those of a parser."""
    for room in ROOMS:
        room.add(commands)
