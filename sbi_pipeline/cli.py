"""The command `sbi-pipeline`: looking at a study and after its campaigns from outside Snakemake.

sbi-pipeline check      is the configuration right? what Snakemake would refuse, and where it stands
sbi-pipeline why        what would run, and why, from the specifications beside the results
sbi-pipeline head       run snakemake so that nothing is lost when it ends: see docs/cluster.md
sbi-pipeline status     rows done, failed and rate of every shard, and objects of catalogues that
                        have draws, also while they run
sbi-pipeline seal       make each array of finished shards one file; growing one undoes it
sbi-pipeline verify     read every committed row and name what is damaged; change nothing
sbi-pipeline repair     delete damaged chunks; the next snakemake simulates just those rows; write
                        damaged zarr.json anew, from the journal
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import head
from .campaigns import inspection

if TYPE_CHECKING:
    from .study import Plan

DEFAULTS = ("config/config.yaml", "config.yaml")
"""Where a configuration is looked for, as the Snakefile of this package and of a study do."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the commands above."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["head"]:
        head.main(given[1:])
        return
    chosen = _parser().parse_args(given)
    try:
        chosen.run(chosen)
    except (ValueError, OSError) as error:
        sys.exit(str(error))


def _parser() -> argparse.ArgumentParser:
    told = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("sbi-pipeline", description=__doc__, formatter_class=told)
    commands = parser.add_subparsers(required=True, metavar="command")
    commands.add_parser("head", help="run snakemake so that nothing is lost when it ends")
    for name, run in {"check": _check, "why": _why}.items():
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        command.add_argument("--configfile", action="append", default=[], metavar="FILE")
        command.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE")
        if name == "why":
            command.add_argument("targets", nargs="*", help="files or folders below results")
    for name, look in COMMANDS.items():
        command = commands.add_parser(name)
        command.set_defaults(run=_of_folder(look))
        command.add_argument(
            "folder",
            type=Path,
            nargs="?",
            default=Path("results/simulations"),
            help="folder of simulations, default results/simulations",
        )
    return parser


def _of_folder(look: Callable[[Path], None]) -> Callable[[argparse.Namespace], None]:
    """Return a command that looks after a folder of simulations."""

    def run(chosen: argparse.Namespace) -> None:
        if not chosen.folder.is_dir():
            raise ValueError(f"{chosen.folder}: no such folder; are you where snakemake is called?")
        look(chosen.folder)

    return run


def _plan(chosen: argparse.Namespace) -> Plan:
    """Return the plan of the configuration that is named, or of the one that lies here."""
    files = chosen.configfile or [path for path in DEFAULTS if Path(path).is_file()][:1]
    if not files:
        raise ValueError(f"no {' or '.join(DEFAULTS)} here; name one with --configfile")
    from . import study  # noqa: PLC0415 - seconds that looking after simulations need not wait for

    config = study.load_configuration(files, study.assignments(chosen.config))
    return study.Plan(config).current()


def _check(chosen: argparse.Namespace) -> None:
    plan = _plan(chosen)
    campaigns = ", ".join(plan.campaigns)
    sys.stdout.write(f"the configuration is right; campaigns: {campaigns}\n")


def _why(chosen: argparse.Namespace) -> None:
    from .study.changes import changes  # noqa: PLC0415 - as above

    found = [f"{change}\n" for change in changes(_plan(chosen), chosen.targets)]
    sys.stdout.writelines(found or ["everything is as planned: nothing would run\n"])


def _status(folder: Path) -> None:
    sys.stdout.write(inspection.table(inspection.status(folder)) + "\n")
    if catalogues := inspection.catalogues_table(folder.parent):
        sys.stdout.write(f"\n{catalogues}\n")


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
        raise ValueError(f"{len(damages)} damaged places")
    sys.stdout.write("every committed row is as it was written\n")


def _repair(folder: Path) -> None:
    damages = inspection.repair(folder)
    for damage in damages:
        done = "written anew" if damage.chunk is None else f"chunk {damage.chunk} deleted"
        sys.stdout.write(f"{damage.store}: {done}: {damage.reason}\n")
    chunks = {(each.store, each.chunk) for each in damages if each.chunk is not None}
    sys.stdout.write(f"{len(chunks)} damaged chunks; snakemake simulates what is missing\n")


COMMANDS = {"status": _status, "seal": _seal, "verify": _verify, "repair": _repair}


if __name__ == "__main__":
    main()
