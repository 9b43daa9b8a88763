"""Figures of sweeps: how good fits are, against what was varied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from .style import FAINT, key, line_of, palette, panels, styled

DASHES = ("-", "--", ":", "-.")


@styled
def sweep_curves(table: pd.DataFrame, varied: Sequence[str], measures: Mapping[str, str]) -> Figure:
    """Show each measure against the first setting that was varied, a line for each combination.

    Points are means over seeds. Bars are the scatter over seeds, or for a single seed the standard
    error of the held-out simulations where it is known. Numbers of rounds stand beside points.

    Args:
        table: One row a fit: settings, ``seed``, measures.
        varied: Settings that differ, the horizontal axis first.
        measures: Names of columns and what they are, in words.
    """
    at, *others = [name for name in varied if name not in ("seed", "rounds")] or ["estimator"]
    groups = list(table.groupby(others, sort=False)) if others else [((), table)]
    shades = palette(dict.fromkeys(table["estimator"]))
    figure, axes = panels(len(measures), columns=2, width=4.2, height=2.9)
    entries = {}
    for line, (label, rows) in enumerate(groups):
        text = ", ".join(map(str, label if isinstance(label, tuple) else (label,)))
        one = rows["estimator"].iloc[0]
        colour = shades[one]
        dashes = DASHES[line % len(DASHES)] if len(groups) > len(shades) else "-"
        entries[text or one] = line_of(colour, ls=dashes)
        for axis, name in zip(axes, measures, strict=True):
            _curve(axis, rows, at, name, colour, dashes)
    for axis, (name, text) in zip(axes, measures.items(), strict=True):
        axis.set(xlabel=at.replace("_", " "), ylabel=text)
        if name == "coverage_error":
            chance = table.groupby(at, sort=False)["coverage_error_by_chance"].mean()
            axis.plot(chance.index, chance, color=FAINT, lw=1.2, ls=":")
            axis.set_ylim(bottom=0)
        if name.endswith("seconds") or name.startswith("sd_ratio_"):
            axis.set_yscale("log")
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter(ScalarFormatter())
            axis.yaxis.set_minor_formatter(NullFormatter())
        if _spans_decades(table[at]):
            axis.set_xscale("log")
        if "rounds" in table:
            _tell_rounds(axis, table, at, name)
        elif _is_number(table[at]):
            axis.set_xticks(table[at].unique(), table[at].unique().astype(str))
            axis.xaxis.set_minor_formatter(NullFormatter())
    if "coverage_error" in measures:
        entries["an honest posterior, by chance"] = line_of(FAINT, lw=1.2, ls=":")
    key(figure, entries)
    return figure


def _tell_rounds(axis: Axes, table: pd.DataFrame, at: str, name: str) -> None:
    """Write beside each point how many rounds it is after, and leave room for that."""
    of_points = [column for column in ("rounds", "observation", "estimator") if column in table]
    for _, point in table.groupby(of_points, sort=False):
        axis.annotate(
            f"{point['rounds'].iloc[0]}",
            (point[at].iloc[0], point[name].mean()),
            (5, 4),
            textcoords="offset points",
            fontsize=8,
        )
    axis.margins(0.1)


def _curve(axis: Axes, rows: pd.DataFrame, at: str, name: str, colour: str, dashes: str) -> None:
    seeds = rows.groupby(at, sort=False)[name]
    mean, error = seeds.mean(), seeds.std(ddof=1)
    if name == "nats":
        error = error.fillna(rows.groupby(at, sort=False)["nats_error"].mean())
    line = dashes if _is_number(rows[at]) else "none"
    error = error.fillna(0.0)
    axis.errorbar(mean.index, mean, error, fmt="o", ls=line, color=colour, ms=4, capsize=2)


def _is_number(values: pd.Series) -> bool:
    return bool(np.issubdtype(values.dtype, np.number))


def _spans_decades(values: pd.Series) -> bool:
    return bool(_is_number(values) and values.min() > 0 and values.max() >= 8 * values.min())
