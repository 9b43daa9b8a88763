"""`sbi-pipeline bundle` and `unbundle`: a finished campaign in one archive, and back."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .configured import add_configuration


def add_bundle(commands: Any) -> None:
    """Add the commands to those of a parser."""
    pack = commands.add_parser("bundle", help="put a finished campaign into one archive")
    pack.set_defaults(run=_bundle)
    pack.add_argument("folders", type=Path, nargs="+", metavar="results/CAMPAIGN")
    pack.add_argument("--out", type=Path, metavar="FILE", help=".zip or .tar.gz")
    pack.add_argument("--simulations", action="store_true", help="pack simulations, too")
    add_configuration(pack)
    unpack = commands.add_parser("unbundle", help="open such an archive, checksums verified")
    unpack.set_defaults(run=_unbundle)
    unpack.add_argument("archive", type=Path)
    unpack.add_argument("--into", type=Path, metavar="FOLDER", help="to be made")


def _bundle(chosen: argparse.Namespace) -> None:
    from .. import bundles, study  # noqa: PLC0415 - seconds that other commands need not wait for

    files = chosen.configfile or study.default_files()
    out = chosen.out or Path("-".join(folder.name for folder in chosen.folders) + ".zip")
    _say(
        bundles.pack(
            chosen.folders,
            out,
            files,
            study.assignments(chosen.config),
            with_simulations=chosen.simulations,
        )
    )


def _unbundle(chosen: argparse.Namespace) -> None:
    from .. import bundles  # noqa: PLC0415 - as above

    _say(bundles.unpack(chosen.archive, chosen.into))


def _say(sentences: Iterable[str]) -> None:
    for sentence in sentences:
        sys.stdout.write(f"{sentence}\n")
