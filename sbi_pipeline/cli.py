"""The command `sbi-pipeline`: looking at campaigns from outside Snakemake.

sbi-pipeline status     rows done, failed and rate of every shard, also while they run
sbi-pipeline repair     delete damaged chunks; the next snakemake simulates just those rows
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from . import inspection


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the commands above."""
    parser = argparse.ArgumentParser(prog="sbi-pipeline", description="Look after simulations.")
    parser.add_argument("command", choices=["status", "repair"], help="what to do")
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path("results/simulations"),
        help="folder of simulations, default results/simulations",
    )
    chosen = parser.parse_args(arguments)
    if not chosen.folder.is_dir():
        sys.exit(f"{chosen.folder}: no such folder; are you where snakemake is called?")
    if chosen.command == "status":
        sys.stdout.write(inspection.table(inspection.status(chosen.folder)) + "\n")
        return
    try:
        damages = inspection.repair(chosen.folder)
    except ValueError as error:
        sys.exit(str(error))
    for damage in damages:
        sys.stdout.write(f"deleted: {damage}\n")
    sys.stdout.write(f"{len(damages)} damaged chunks; snakemake simulates what is missing\n")
