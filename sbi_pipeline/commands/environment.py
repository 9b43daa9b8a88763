"""`sbi-pipeline doctor`: what is installed here, and what of it would stop a run."""

from __future__ import annotations

import argparse
import sys
from typing import Any


def add_doctor(commands: Any) -> None:
    """Add the command to those of a parser."""
    command = commands.add_parser("doctor", help="what is installed, and what would stop a run")
    command.set_defaults(run=_doctor)


def _doctor(_: argparse.Namespace) -> None:
    from .. import doctor  # noqa: PLC0415 - it imports what may be broken

    wrong = 0
    for each in doctor.examine():
        sys.stdout.write(f"{each}\n")
        wrong += each.state == "wrong"
    if wrong:
        raise ValueError(f"{wrong} of these would stop a run; what to do stands beside each")
    sys.stdout.write("nothing found that would stop a run\n")
