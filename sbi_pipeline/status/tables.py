"""What is shown: tables of words and curves, the same in a terminal and on a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StatusRow:
    """A line of a table.

    Attributes:
        cells: In words.
        share: How much of it is done, from 0 to 1; None where that makes no sense.
        log: The log of the job that it tells of, if it is one.
    """

    cells: tuple[str, ...]
    share: float | None = None
    log: Path | None = None


@dataclass(frozen=True)
class StatusTable:
    """A table.

    Attributes:
        head: Names of the columns; the first is also that of the table.
        rows: Its lines.
        words: How many columns, the last ones, are words; those before are numbers, but the first.
    """

    head: tuple[str, ...]
    rows: Sequence[StatusRow]
    words: int = 1

    def is_words(self, column: int) -> bool:
        """Say whether a column holds words, which begin at the left."""
        return column == 0 or column >= len(self.head) - self.words


@dataclass(frozen=True)
class Curve:
    """What was seen of some work, step by step.

    Attributes:
        title: Whose it is.
        names: Of what is counted, and of what was seen.
        points: Row by row; NaN for what is not known.
        is_alive: Whether it grows.
    """

    title: str
    names: tuple[str, ...]
    points: Sequence[tuple[float, ...]]
    is_alive: bool = False


@dataclass(frozen=True)
class StudyStatus:
    """How far a study is.

    Attributes:
        lines: What is said first.
        tables: Those that have rows.
        curves: Of trainings and chains.
    """

    lines: Sequence[str]
    tables: Sequence[StatusTable]
    curves: Sequence[Curve] = ()

    def __str__(self) -> str:
        """Return it for a terminal."""
        return "\n".join([*self.lines, *(line for each in self.tables for line in _lines(each))])


def _lines(table: StatusTable) -> Iterator[str]:
    rows = [table.head, *(row.cells for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    yield ""
    for row in rows:
        cells = [
            cell.ljust(width) if table.is_words(place) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
