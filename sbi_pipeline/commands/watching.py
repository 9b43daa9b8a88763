"""`sbi-pipeline status`: how far a study is, once, again and again, or as a live page."""

from __future__ import annotations

import argparse
import contextlib
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .configured import add_configuration, plan_of

if TYPE_CHECKING:
    from ..status.tables import StudyStatus
    from ..study import Plan

PORT = 8642
"""Of the live page, if no other is named."""


def add_status(commands: Any) -> None:
    """Add the command to those of a parser."""
    command = commands.add_parser("status", help="how far the study is, also while it runs")
    command.set_defaults(run=_status)
    command.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path("results"),
        help="folder of results, or one below; default results",
    )
    add_configuration(command)
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


def _status(chosen: argparse.Namespace) -> None:
    from ..status.study import status_of  # noqa: PLC0415 - other commands need none of it

    configuration = _WatchedConfiguration(chosen)
    configuration.read()

    def look() -> StudyStatus:
        return status_of(chosen.folder, *configuration.current())

    if chosen.watch is not None:
        _watch(look, chosen.watch)
        return
    first = look()
    if chosen.serve is not None:
        _serve(look, chosen.serve)
    else:
        sys.stdout.write(f"{first}\n")


class _WatchedConfiguration:
    """The configuration, read anew when one of its files has changed.

    Args:
        chosen: What the command line says.
    """

    def __init__(self, chosen: argparse.Namespace) -> None:
        self._chosen = chosen
        self._seen: list[tuple[str, int, int]] = []
        self._read: tuple[Plan | None, str] = None, ""

    def read(self) -> None:
        """Plan by its files as they are.

        Raises:
            ValueError: They were named and are wrong.
            OSError: They were named and cannot be read.
        """
        self._seen = _stamps(self._chosen)  # first, so that a later change is seen
        self._read = _plan_of_status(self._chosen)

    def current(self) -> tuple[Plan | None, str]:
        """Return the plan by now; where there is none, why, as while a file is being edited."""
        if _stamps(self._chosen) != self._seen:
            try:
                self.read()
            except (ValueError, OSError) as error:
                self._read = None, _unknown(error)
        return self._read


def _stamps(chosen: argparse.Namespace) -> list[tuple[str, int, int]]:
    """Return path, time and size of each file of the configuration that is there."""
    from .. import study  # noqa: PLC0415 - seconds that other commands need not wait for

    paths = map(Path, chosen.configfile or study.DEFAULTS)
    there = [(path, path.stat()) for path in paths if path.is_file()]
    return [(str(path), stat.st_mtime_ns, stat.st_size) for path, stat in there]


def _unknown(error: Exception) -> str:
    return f"what waits is not known: {str(error).splitlines()[0]}"


def _plan_of_status(chosen: argparse.Namespace) -> tuple[Plan | None, str]:
    """Return the plan of what lies in the folder; where there is none, why."""
    named = bool(chosen.configfile or chosen.config)
    if not chosen.folder.is_dir() or chosen.folder.resolve() != Path("results").resolve():
        if named:
            raise ValueError(f"{chosen.folder}: a configuration tells of the results that lie here")
        return None, ""
    try:
        return plan_of(chosen, check=False), ""
    except (ValueError, OSError) as error:
        if named:
            raise
        return None, _unknown(error)


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
    from ..status.server import StatusServer  # noqa: PLC0415 - as above

    with StatusServer(look, port) as server:
        at = server.server_port
        sys.stdout.write(
            f"{server.address} (Ctrl-C ends it); from another machine first: "
            f"ssh -L {at}:{server.server_name}:{at} {socket.gethostname()}\n"
        )
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
