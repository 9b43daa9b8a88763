"""`sbi-pipeline export`: a posterior in the file of another program."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

FORMATS = ("getdist", "chainconsumer", "bilby", "csv", "parquet", "latex")


def add_export(commands: Any) -> None:
    """Add the command to those of a parser."""
    command = commands.add_parser("export", help="write a posterior in another program's format")
    command.set_defaults(run=_export)
    command.add_argument("posterior", type=Path, help="a posterior.nc, or one of recommended/")
    command.add_argument("--to", choices=FORMATS, required=True)
    command.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="by default a name made of campaign, estimator and observation, in this folder; of "
        "getdist the path without endings",
    )


def _export(chosen: argparse.Namespace) -> None:
    from ..exports import export  # noqa: PLC0415 - seconds that other commands need not wait for

    for sentence in export(chosen.posterior, chosen.to, chosen.out):
        sys.stdout.write(f"{sentence}\n")
