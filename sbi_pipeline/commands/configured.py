"""The configuration that a command is told of, and the plan of it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..study import Plan


def add_configuration(command: argparse.ArgumentParser) -> None:
    """Add the options that name a configuration, as of `snakemake`."""
    command.add_argument("--configfile", action="append", default=[], metavar="FILE")
    add_settings(command)


def add_settings(command: argparse.ArgumentParser) -> None:
    """Add the option that sets single keys."""
    command.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE")


def plan_of(chosen: argparse.Namespace, *, check: bool = True) -> Plan:
    """Return the plan of the configuration that is named, or of the one that lies here."""
    from .. import study  # noqa: PLC0415 - seconds that looking after simulations need not wait for

    files = chosen.configfile or study.default_files()
    return plan_of_files(files, study.assignments(chosen.config), check=check)


def plan_of_files(files: Sequence[str], settings: Mapping[str, Any], *, check: bool = True) -> Plan:
    """Return the plan of a configuration, with all boxes of rounds that are made by now.

    Args:
        files: Of the configuration; later ones win.
        settings: What wins over all of them.
        check: Whether to check what Snakemake checks, too.
    """
    from .. import study  # noqa: PLC0415 - as above

    return study.Plan(study.load_configuration(files, dict(settings), check)).current()
