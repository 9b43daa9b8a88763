"""`sbi-pipeline check`, `why` and `schema`: a configuration, what would run of it, its keys."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from .. import shipped
from .configured import add_configuration, plan_of


def add_check(commands: Any) -> None:
    """Add the commands to those of a parser."""
    check = commands.add_parser("check", help="is the configuration right?")
    check.set_defaults(run=_check)
    add_configuration(check)
    why = commands.add_parser("why", help="what would run, and why")
    why.set_defaults(run=_why)
    add_configuration(why)
    why.add_argument("targets", nargs="*", help="files or folders below results")
    schema = commands.add_parser("schema", help="print the schema of a configuration")
    schema.set_defaults(run=_schema)


def _check(chosen: argparse.Namespace) -> None:
    plan = plan_of(chosen)
    campaigns = ", ".join(plan.campaigns)
    sys.stdout.write(f"the configuration is right; campaigns: {campaigns}\n")


def _why(chosen: argparse.Namespace) -> None:
    from ..study.changes import changes  # noqa: PLC0415 - seconds that other commands need not wait for

    found = [f"{change}\n" for change in changes(plan_of(chosen), chosen.targets)]
    sys.stdout.writelines(found or ["everything is as planned: nothing would run\n"])


def _schema(_: argparse.Namespace) -> None:
    sys.stdout.write(shipped.SCHEMA.read_text())
