"""The same as a page: tables, bars, curves as SVG, the last lines of logs of what failed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..job_reports import in_short
from ..reports.rendering import template
from .tables import Curve, StudyStatus

WIDTH, HEIGHT = 440.0, 150.0
"""Of the field of a curve, in its own units."""
CUT = 0.95
"""Share of the values of a curve that is seen whole: those of the first epochs may be huge."""
LAST_BYTES, LAST_LINES = 8_000, 20
"""Of a log."""
MOST_CURVES = 60


@dataclass(frozen=True)
class DrawnLine:
    """A line of a curve, ready to be drawn.

    Attributes:
        name: What it shows.
        path: For SVG's ``polyline``.
        last: Its last value, in words.
    """

    name: str
    path: str
    last: str


@dataclass(frozen=True)
class DrawnCurve:
    """A curve, ready to be drawn.

    Attributes:
        curve: The curve.
        lines: Its lines.
        low: The least value that is seen, in words.
        high: The largest.
        first: Where it begins.
        last: Where it ends.
    """

    curve: Curve
    lines: Sequence[DrawnLine]
    low: str
    high: str
    first: str
    last: str


def page(status: StudyStatus) -> str:
    """Return a page that renews itself."""
    return template("status.html").render(**_content(status), whole=True)


def inner_page(status: StudyStatus) -> str:
    """Return what is renewed of it."""
    return template("status.html").render(**_content(status), whole=False)


def _content(status: StudyStatus) -> dict[str, object]:
    drawn = [drawing for curve in status.curves[:MOST_CURVES] for drawing in drawings(curve)]
    return {
        "lines": status.lines,
        "tables": status.tables[::-1],  # what is at work comes last in a terminal, first here
        "drawn": drawn,
        "more": max(0, len(status.curves) - MOST_CURVES),
        "width": WIDTH,
        "height": HEIGHT,
        "tail": tail,
    }


def drawings(curve: Curve) -> list[DrawnCurve]:
    """Return a curve ready to be drawn: losses in one field, what has another scale in its own."""
    together = [place for place, name in enumerate(curve.names) if place and "loss" in name]
    fields = [together] if together else [[place] for place in range(1, len(curve.names))]
    found = (_drawing(curve, field) for field in fields)
    return [each for each in found if each is not None]


def _drawing(curve: Curve, columns: Sequence[int]) -> DrawnCurve | None:
    values = sorted(
        row[column] for row in curve.points for column in columns if math.isfinite(row[column])
    )
    if len(values) < 2:
        return None
    begin, end = curve.points[0][0], curve.points[-1][0]
    low, high = values[0], values[math.ceil(CUT * (len(values) - 1))]
    lines = [
        DrawnLine(
            curve.names[column],
            _path([(row[0], row[column]) for row in curve.points], (begin, end), (low, high)),
            in_short(curve.points[-1][column]),
        )
        for column in columns
    ]
    return DrawnCurve(curve, lines, in_short(low), in_short(high), in_short(begin), in_short(end))


def _path(
    points: Sequence[tuple[float, float]], across: tuple[float, float], up: tuple[float, float]
) -> str:
    """Return points as SVG wants them; what lies above the field is drawn above it, and cut."""
    width, height = (max(end - begin, 1e-12) for begin, end in (across, up))
    places = [
        (WIDTH * (x - across[0]) / width, HEIGHT * (1 - min((y - up[0]) / height, 10.0)))
        for x, y in points
        if math.isfinite(y)
    ]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def tail(log: Path | None) -> str:
    """Return the last lines of a log; empty for none."""
    if log is None:
        return ""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LAST_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-LAST_LINES:])
