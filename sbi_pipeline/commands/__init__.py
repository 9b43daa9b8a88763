"""Commands of `sbi-pipeline`, a room for each: what it is told, and what it says."""

from __future__ import annotations

from typing import Any

from .beginning import add_init
from .bundling import add_bundle
from .checking import add_check
from .citing import add_cite
from .cleaning import add_clean
from .environment import add_doctor
from .exporting import add_export
from .inspecting import add_inspection
from .watching import add_status

ROOMS = (
    *(add_init, add_check, add_status, add_inspection, add_clean),
    *(add_export, add_bundle, add_cite, add_doctor),
)


def add_commands(commands: Any) -> None:
    """Add the commands of all rooms to those of a parser."""
    for add in ROOMS:
        add(commands)
