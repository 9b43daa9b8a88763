"""Figures of rounds: how boxes and posteriors shrink, and the last ones over each other."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import ConvexHull

from ..rounds import SimulatedRounds
from ..types import Array
from .style import FAINT, INK, SERIES, Look, key, label_outer, line_of, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Span = tuple[float, float]

LAST = 3
"""Rounds that are drawn over each other."""


def draw_rounds(asked: Sequence[SimulatedRounds], look: Look) -> Figure:
    """Show how the box and the posterior of each parameter shrink from round to round."""
    (rounds,) = asked
    figure, axes = panels(len(rounds.parameters), columns=4, width=2.6, height=2.3)
    numbers = [each.number for each in rounds.rounds]
    colour = look.colours[rounds.estimator]
    for column, (name, axis) in enumerate(zip(rounds.parameters, axes, strict=True)):
        if rounds.boxes_are_of_parameters:
            box = [high - low for low, high in rounds.spans(name)]
            axis.semilogy(numbers, box, "s-", color=FAINT, ms=5, lw=1.4)
        sds = [4 * draws[:, column].std() for draws in rounds.draws]
        axis.semilogy(numbers, sds, "o-", color=colour, ms=5, lw=1.6)
        axis.set(title=look.label(name), xticks=numbers, xlim=(0.7, numbers[-1] + 0.3))
    label_outer(axes, "round", "width")
    entries = {rounds.estimator: line_of(colour, marker="o")}
    if rounds.boxes_are_of_parameters:
        entries = {"box": line_of(FAINT, marker="s"), **entries}
    key(figure, entries)
    return figure


def draw_rounds_corner(asked: Sequence[SimulatedRounds], look: Look) -> Figure:
    """Overlay the posteriors of the last rounds, with the box of the last one."""
    from .posterior import corner_overlay, shared_parameters  # noqa: PLC0415 - matplotlib, see `style`

    (rounds,) = asked
    named = {f"round {number}": tree for number, tree in enumerate(rounds.trees, start=1)}
    shown = dict(list(named.items())[-LAST:])
    truth = {} if rounds.truth is None else dict(zip(rounds.parameters, rounds.truth, strict=True))
    colours = dict(zip(shown, SERIES, strict=False))
    figure = corner_overlay(shown, truth, colours)
    names = shared_parameters(shown)
    axes = np.array(figure.axes).reshape(len(names), len(names))
    cut = rounds.parameters if rounds.boxes_are_of_parameters else ()
    known = [(names.index(name), list(rounds.spans(name))[-1]) for name in cut]
    for (row, upwards), (column, across) in itertools.product(known, known):
        if column <= row:
            _draw_box(axes[row, column], across, upwards if column < row else None)
    if rounds.boxes_are_oblique:
        _draw_outlines(axes, names, dict(zip(rounds.parameters, rounds.corners.T, strict=True)))
    return figure


def _draw_outlines(axes: Array, names: Sequence[str], corners: Mapping[str, Array]) -> None:
    """Draw the outline of an oblique box in a corner plot, dotted, and make room for it."""
    for row, column in itertools.product(range(len(names)), repeat=2):
        if column > row:
            continue
        axis, across, upwards = axes[row, column], corners.get(names[column]), None
        if across is not None:
            axis.set_xlim(*_with_room(axis.get_xlim(), across))
        if column < row and (upwards := corners.get(names[row])) is not None:
            axis.set_ylim(*_with_room(axis.get_ylim(), upwards))
        if across is not None and upwards is not None:
            points = np.stack([across, upwards], axis=1)
            outline = points[ConvexHull(points).vertices]
            axis.plot(*np.vstack([outline, outline[:1]]).T, color=INK, lw=0.8, ls=":")


def _with_room(limits: Span, values: Array) -> Span:
    room = 0.04 * np.ptp(values)
    return min(limits[0], values.min() - room), max(limits[1], values.max() + room)


def _draw_box(axis: Axes, across: Span, upwards: Span | None) -> None:
    """Draw the box of one panel of a corner plot, dotted, and make room for it."""
    left, right = across
    first, last = axis.get_xlim()
    room = 0.04 * (right - left)
    axis.set_xlim(min(first, left - room), max(last, right + room))
    if upwards is None:
        for face in across:
            axis.axvline(face, color=INK, lw=0.8, ls=":")
        return
    low, high = upwards
    bottom, top = axis.get_ylim()
    room = 0.04 * (high - low)
    axis.set_ylim(min(bottom, low - room), max(top, high + room))
    corners = [left, right, right, left, left], [low, low, high, high, low]
    axis.plot(*corners, color=INK, lw=0.8, ls=":")
