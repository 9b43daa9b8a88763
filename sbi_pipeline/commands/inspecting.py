"""`sbi-pipeline seal`, `verify` and `repair`: simulations looked after."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def add_inspection(commands: Any) -> None:
    """Add the commands to those of a parser."""
    for name, look in {"seal": _seal, "verify": _verify, "repair": _repair}.items():
        command = commands.add_parser(name)
        command.set_defaults(run=_of_folder(look))
        command.add_argument(
            "folder",
            type=Path,
            nargs="?",
            default=Path("results/simulations"),
            help="folder of simulations, default results/simulations",
        )


def _of_folder(look: Callable[[Path], None]) -> Callable[[argparse.Namespace], None]:
    """Return a command that looks after a folder of simulations."""

    def run(chosen: argparse.Namespace) -> None:
        if not chosen.folder.is_dir():
            raise ValueError(f"{chosen.folder}: no such folder; are you where snakemake is called?")
        look(chosen.folder)

    return run


def _seal(folder: Path) -> None:
    from ..campaigns import inspection  # noqa: PLC0415 - seconds that other commands need not wait for

    sealed = inspection.seal_finished(folder)
    for store in sealed:
        sys.stdout.write(f"sealed: {store}\n")
    sys.stdout.write(f"{len(sealed)} shards sealed\n")


def _verify(folder: Path) -> None:
    from ..campaigns import inspection  # noqa: PLC0415 - as above

    damages = inspection.verify(folder)
    for damage in damages:
        sys.stdout.write(f"{damage.reason}\n")
    if damages:
        raise ValueError(f"{len(damages)} damaged places")
    sys.stdout.write("every committed row is as it was written\n")


def _repair(folder: Path) -> None:
    from ..campaigns import inspection  # noqa: PLC0415 - as above

    damages = inspection.repair(folder)
    for damage in damages:
        done = "written anew" if damage.chunk is None else f"chunk {damage.chunk} deleted"
        sys.stdout.write(f"{damage.store}: {done}: {damage.reason}\n")
    chunks = {(each.store, each.chunk) for each in damages if each.chunk is not None}
    sys.stdout.write(f"{len(chunks)} damaged chunks; snakemake simulates what is missing\n")
