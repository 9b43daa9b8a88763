"""The command `sbi-pipeline`: looking after campaigns from outside Snakemake.

sbi-pipeline head       run snakemake so that nothing is lost when it ends: see docs/cluster.md
sbi-pipeline status     rows done, failed and rate of every shard, also while they run
sbi-pipeline seal       make each array of finished shards one file; growing one undoes it
sbi-pipeline verify     read every committed row and name what is damaged; change nothing
sbi-pipeline repair     delete damaged chunks; the next snakemake simulates just those rows; write
                        damaged zarr.json anew, from the journal
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from . import head
from .campaigns import inspection


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the commands above."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["head"]:
        head.main(given[1:])
        return
    parser = argparse.ArgumentParser(prog="sbi-pipeline", description="Look after simulations.")
    parser.add_argument("command", choices=["head", *COMMANDS], help="what to do")
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path("results/simulations"),
        help="folder of simulations, default results/simulations",
    )
    chosen = parser.parse_args(given)
    if not chosen.folder.is_dir():
        sys.exit(f"{chosen.folder}: no such folder; are you where snakemake is called?")
    try:
        COMMANDS[chosen.command](chosen.folder)
    except (ValueError, OSError) as error:
        sys.exit(str(error))


def _status(folder: Path) -> None:
    sys.stdout.write(inspection.table(inspection.status(folder)) + "\n")


def _seal(folder: Path) -> None:
    sealed = inspection.seal_finished(folder)
    for store in sealed:
        sys.stdout.write(f"sealed: {store}\n")
    sys.stdout.write(f"{len(sealed)} shards sealed\n")


def _verify(folder: Path) -> None:
    damages = inspection.verify(folder)
    for damage in damages:
        sys.stdout.write(f"{damage.reason}\n")
    if damages:
        sys.exit(f"{len(damages)} damaged places")
    sys.stdout.write("every committed row is as it was written\n")


def _repair(folder: Path) -> None:
    damages = inspection.repair(folder)
    for damage in damages:
        done = "written anew" if damage.chunk is None else f"chunk {damage.chunk} deleted"
        sys.stdout.write(f"{damage.store}: {done}: {damage.reason}\n")
    chunks = {(each.store, each.chunk) for each in damages if each.chunk is not None}
    sys.stdout.write(f"{len(chunks)} damaged chunks; snakemake simulates what is missing\n")


COMMANDS = {"status": _status, "seal": _seal, "verify": _verify, "repair": _repair}
