"""`sbi-pipeline clean`: what no configuration names any more, listed or deleted."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from .configured import add_settings, plan_of_files


def add_clean(commands: Any) -> None:
    """Add the command to those of a parser."""
    command = commands.add_parser(
        "clean", help="list, or delete, what no configuration names any more"
    )
    command.set_defaults(run=_clean)
    command.add_argument(
        *("--configfile", "--configfiles"),
        action="append",
        nargs="+",
        default=[],
        metavar="FILE",
        help="a configuration, of one file or several; give it once for each whose results stay",
    )
    add_settings(command)
    command.add_argument("--delete", action="store_true", help="delete what is listed")


def _clean(chosen: argparse.Namespace) -> None:
    from .. import study  # noqa: PLC0415 - seconds that other commands need not wait for
    from ..study import leftovers  # noqa: PLC0415 - as above

    if not Path("results").is_dir():
        raise ValueError("no results here; are you where snakemake is called?")
    given = study.assignments(chosen.config)
    configurations = chosen.configfile or [study.default_files()]
    plans = [
        plan_of_files(files, {**given, "quick": quick})
        for files in configurations
        for quick in (False, True)
    ]
    found = leftovers.leftovers(plans)
    for each in found:
        beside = "".join(f", and {address}" for address in each.buckets)
        writing = ", being written: it stays" if each.written else ""
        sys.stdout.write(f"{_bytes(each.size):>9}  {each.place}{beside}{writing}\n")
    if chosen.delete and (who := leftovers.at_work()):
        raise ValueError(f"{who}: nothing is deleted meanwhile")
    free = [each for each in found if not each.written]
    for each in free if chosen.delete else []:
        leftovers.delete(each)
    names = ", ".join("+".join(files) for files in configurations)
    size = _bytes(sum(each.size for each in free))
    if chosen.delete:
        sys.stdout.write(f"{len(free)} deleted, {size}\n")
    elif free:
        sys.stdout.write(f"{len(free)} not named by {names}, {size}; --delete deletes them\n")
    elif not found:
        sys.stdout.write(f"everything in results is named by {names}\n")


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
