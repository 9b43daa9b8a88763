"""The command `sbi-pipeline`: a new study, and looking after one from outside Snakemake.

sbi-pipeline init       make a folder with a small study that runs, to be changed into your own
sbi-pipeline check      is the configuration right? what Snakemake would refuse, and where it stands
sbi-pipeline why        what would run, and why, from the specifications beside the results
sbi-pipeline head       run snakemake so that nothing is lost when it ends: see docs/cluster.md
sbi-pipeline status     how far the study is, also while it runs: rows, rounds, trainings, chains,
                        what is at work, what failed; --watch renews it, --serve is a live page
sbi-pipeline seal       make each array of finished shards one file; growing one undoes it
sbi-pipeline verify     read every committed row and name what is damaged; change nothing
sbi-pipeline repair     delete damaged chunks; the next snakemake simulates just those rows; write
                        damaged zarr.json anew, from the journal
sbi-pipeline clean      list results and simulations that no given configuration names any more,
                        with sizes; with --delete, delete them
sbi-pipeline export     write a posterior in the format of another program, or as a table
sbi-pipeline bundle     put a finished campaign into one archive, from which others reproduce it
sbi-pipeline unbundle   open such an archive, its checksums verified
sbi-pipeline cite       print how a campaign was done, for a paper, and the works to be cited
sbi-pipeline doctor     what is installed here, and what of it would stop a run
sbi-pipeline schema     print the schema of a configuration, for editors
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__, commands, head, new_study, shipped

if TYPE_CHECKING:
    from .status.tables import StudyStatus
    from .study import Plan

PORT = 8642
"""Of the live page, if no other is named."""


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
    parser.add_argument("--version", action="version", version=f"sbi-pipeline {__version__}")
    known = parser.add_subparsers(required=True, metavar="command")
    _add_init(known)
    commands.add_commands(known)
    known.add_parser("schema", help="print the schema of a configuration").set_defaults(run=_schema)
    known.add_parser("head", help="run snakemake so that nothing is lost when it ends")
    for name, run in {"check": _check, "why": _why}.items():
        command = known.add_parser(name)
        command.set_defaults(run=run)
        command.add_argument("--configfile", action="append", default=[], metavar="FILE")
        command.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE")
        if name == "why":
            command.add_argument("targets", nargs="*", help="files or folders below results")
    _add_clean(known)
    _add_status(known)
    for name, look in COMMANDS.items():
        command = known.add_parser(name)
        command.set_defaults(run=_of_folder(look))
        command.add_argument(
            "folder",
            type=Path,
            nargs="?",
            default=Path("results/simulations"),
            help="folder of simulations, default results/simulations",
        )
    return parser


def _add_init(commands: Any) -> None:
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


def _add_clean(commands: Any) -> None:
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
    command.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE")
    command.add_argument("--delete", action="store_true", help="delete what is listed")


def _add_status(commands: Any) -> None:
    command = commands.add_parser("status", help="how far the study is, also while it runs")
    command.set_defaults(run=_status)
    command.add_argument(
        *("folder",),
        type=Path,
        nargs="?",
        default=Path("results"),
        help="folder of results, or one below; default results",
    )
    command.add_argument("--configfile", action="append", default=[], metavar="FILE")
    command.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE")
    how = command.add_mutually_exclusive_group()
    how.add_argument(
        "--watch",
        type=_seconds,
        nargs="?",
        const=5.0,
        metavar="SECONDS",
        help="renew it every so many seconds, by default 5",
    )
    how.add_argument(
        "--serve",
        type=int,
        nargs="?",
        const=PORT,
        metavar="PORT",
        help=f"a live page for browsers on this machine, by default at port {PORT}",
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.1 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text} seconds; wanted 0.1 to 86400")
    return seconds


def _init(chosen: argparse.Namespace) -> None:
    sys.stdout.write(new_study.begin(chosen.folder, chosen.example))


def _schema(_: argparse.Namespace) -> None:
    sys.stdout.write(shipped.SCHEMA.read_text())


def _of_folder(look: Callable[[Path], None]) -> Callable[[argparse.Namespace], None]:
    """Return a command that looks after a folder of simulations."""

    def run(chosen: argparse.Namespace) -> None:
        if not chosen.folder.is_dir():
            raise ValueError(f"{chosen.folder}: no such folder; are you where snakemake is called?")
        look(chosen.folder)

    return run


def _plan(chosen: argparse.Namespace, check: bool = True) -> Plan:
    """Return the plan of the configuration that is named, or of the one that lies here."""
    from . import study  # noqa: PLC0415 - seconds that looking after simulations need not wait for

    files = chosen.configfile or study.default_files()
    return _planned(files, study.assignments(chosen.config), check)


def _planned(files: Sequence[str], overrides: dict[str, Any], check: bool = True) -> Plan:
    from . import study  # noqa: PLC0415 - as above

    return study.Plan(study.load_configuration(files, overrides, check)).current()


def _clean(chosen: argparse.Namespace) -> None:
    from . import study  # noqa: PLC0415 - as above
    from .study import leftovers  # noqa: PLC0415

    if not Path("results").is_dir():
        raise ValueError("no results here; are you where snakemake is called?")
    given = study.assignments(chosen.config)
    configurations = chosen.configfile or [study.default_files()]
    plans = [
        _planned(files, {**given, "quick": quick})
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


def _check(chosen: argparse.Namespace) -> None:
    plan = _plan(chosen)
    campaigns = ", ".join(plan.campaigns)
    sys.stdout.write(f"the configuration is right; campaigns: {campaigns}\n")


def _why(chosen: argparse.Namespace) -> None:
    from .study.changes import changes  # noqa: PLC0415 - as above

    found = [f"{change}\n" for change in changes(_plan(chosen), chosen.targets)]
    sys.stdout.writelines(found or ["everything is as planned: nothing would run\n"])


def _status(chosen: argparse.Namespace) -> None:
    from .status.study import status_of  # noqa: PLC0415 - other commands need none of it

    plan, note = _plan_of_status(chosen)

    def look() -> StudyStatus:
        return status_of(chosen.folder, plan, note)

    first = look()
    if chosen.serve is not None:
        _serve(look, chosen.serve)
    elif chosen.watch is not None:
        _watch(look, chosen.watch)
    else:
        sys.stdout.write(f"{first}\n")


def _plan_of_status(chosen: argparse.Namespace) -> tuple[Plan | None, str]:
    """Return the plan of what lies in the folder; where there is none, why."""
    named = bool(chosen.configfile or chosen.config)
    if not chosen.folder.is_dir() or chosen.folder.resolve() != Path("results").resolve():
        if named:
            raise ValueError(f"{chosen.folder}: a configuration tells of the results that lie here")
        return None, ""
    try:
        return _plan(chosen, check=False), ""
    except (ValueError, OSError) as error:
        if named:
            raise
        return None, f"what waits is not known: {str(error).splitlines()[0]}"


def _watch(look: Callable[[], StudyStatus], seconds: float) -> None:
    """Show the status again and again, until Ctrl-C."""
    clear = "\033[H\033[2J\033[3J" if sys.stdout.isatty() else ""
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            sys.stdout.write(f"{clear}{look()}\n" + ("" if clear else "\n"))
            sys.stdout.flush()
            time.sleep(seconds)


def _serve(look: Callable[[], StudyStatus], port: int) -> None:
    """Serve the status as a live page, until Ctrl-C."""
    from .status.server import StatusServer  # noqa: PLC0415 - as above

    with StatusServer(look, port) as server:
        at = server.server_port
        sys.stdout.write(
            f"{server.address} (Ctrl-C ends it); from another machine first: "
            f"ssh -L {at}:{server.server_name}:{at} {socket.gethostname()}\n"
        )
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def _seal(folder: Path) -> None:
    from .campaigns import inspection  # noqa: PLC0415 - as above

    sealed = inspection.seal_finished(folder)
    for store in sealed:
        sys.stdout.write(f"sealed: {store}\n")
    sys.stdout.write(f"{len(sealed)} shards sealed\n")


def _verify(folder: Path) -> None:
    from .campaigns import inspection  # noqa: PLC0415 - as above

    damages = inspection.verify(folder)
    for damage in damages:
        sys.stdout.write(f"{damage.reason}\n")
    if damages:
        raise ValueError(f"{len(damages)} damaged places")
    sys.stdout.write("every committed row is as it was written\n")


def _repair(folder: Path) -> None:
    from .campaigns import inspection  # noqa: PLC0415 - as above

    damages = inspection.repair(folder)
    for damage in damages:
        done = "written anew" if damage.chunk is None else f"chunk {damage.chunk} deleted"
        sys.stdout.write(f"{damage.store}: {done}: {damage.reason}\n")
    chunks = {(each.store, each.chunk) for each in damages if each.chunk is not None}
    sys.stdout.write(f"{len(chunks)} damaged chunks; snakemake simulates what is missing\n")


COMMANDS = {"seal": _seal, "verify": _verify, "repair": _repair}


if __name__ == "__main__":
    main()
