"""What is said of one thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

State = Literal["ok", "note", "wrong"]


@dataclass(frozen=True)
class Examined:
    """One thing that was looked at.

    Attributes:
        name: What it is.
        found: What was found, in words.
        state: ``ok``; ``note``, where a run goes on and something may surprise; ``wrong``, where it
            would stop a run.
        remedy: What to do, where it is not ok.
    """

    name: str
    found: str
    state: State = "ok"
    remedy: str = ""

    def __str__(self) -> str:
        """Return it as a line."""
        remedy = f": {self.remedy}" if self.remedy else ""
        return f"{self.state:<5} {self.name:<14} {self.found}{remedy}"


def without_user(path: Path) -> str:
    """Return a path without the name of a user: ``~`` for the home folder."""
    try:
        return f"~/{path.relative_to(Path.home())}".removesuffix("/.")
    except (ValueError, RuntimeError):  # elsewhere; nobody knows where home is
        return str(path)


def in_gigabytes(size: float) -> str:
    """Return a number of bytes in GB."""
    return f"{size / 1e9:.3g} GB"
