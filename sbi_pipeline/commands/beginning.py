"""`sbi-pipeline init`: a folder with a small study that runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from .. import new_study


def add_init(commands: Any) -> None:
    """Add the command to those of a parser."""
    kinds = "\n".join(f"  {name:<10} {data}" for name, data in new_study.KINDS.items())
    command = commands.add_parser(
        "init",
        help="make a folder with a small study that runs",
        description=f"Make a folder with a small study that runs. Examples:\n{kinds}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=_init)
    command.add_argument("folder", type=Path, help="to be made")
    command.add_argument("--example", choices=new_study.KINDS, default="on_off")


def _init(chosen: argparse.Namespace) -> None:
    sys.stdout.write(new_study.begin(chosen.folder, chosen.example))
