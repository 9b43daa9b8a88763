"""Figures of posteriors of many parameters: all of them at a glance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..types import Array
from .foremost import rank_correlations
from .posterior import CutAxis, circles_of, shared_parameters
from .style import FAINT, TRUTH, axis_label, canvas, key, line_of, palette, patch, styled

COLUMN = 30
"""Parameters below each other."""
MARKERS = "osD^v"
"""Of the posteriors in their order."""


@styled
def every_parameter(
    posteriors: Mapping[str, xr.DataTree],
    truth: Mapping[str, float] | None = None,
    colours: Mapping[str, str] | None = None,
) -> Figure:
    """Show median, central 68 % and 90 % of every parameter, in sds of its prior from its mean.

    Args:
        posteriors: Trees of ``posterior.nc`` by estimator, with draws of the prior.
        truth: Known true values by parameter.
        colours: By estimator.
    """
    shades, known = colours or palette(posteriors), truth or {}
    names, first = shared_parameters(posteriors), next(iter(posteriors.values()))
    columns = -(-len(names) // COLUMN)
    size = -(-len(names) // columns)
    figure = canvas(0.4 + 4.4 * columns, 1.0 + (0.1 + 0.1 * len(posteriors)) * size)
    axes = figure.subplots(1, columns, squeeze=False, sharex=True)[0]
    for axis, start in zip(axes, range(0, len(names), size), strict=True):
        own = names[start : start + size]
        _draw_rows(axis, own, posteriors, known, shades)
        labels = [axis_label(first[f"posterior/{name}"].attrs, name) for name in own]
        axis.set_yticks(range(len(own)), labels, fontsize=8)
        axis.set(ylim=(size - 0.4, -0.6), xlabel="(value − prior mean) / prior sd")
        axis.tick_params(axis="y", length=0)
        axis.spines["left"].set_visible(False)
    entries: dict[str, Line2D | Patch] = {
        who: line_of(shades[who], marker=marker, ms=4)
        for who, marker in zip(posteriors, MARKERS * len(posteriors), strict=False)
    }
    entries["prior mean ± sd"] = patch("#E3E3E3")
    if any(name in known for name in names):
        entries["truth"] = line_of(TRUTH, lw=0, marker="|", ms=8)
    key(figure, entries)
    return figure


@styled
def correlation_matrices(
    posteriors: Mapping[str, xr.DataTree], names: Sequence[str] | None = None
) -> Figure:
    """Show rank correlations of all pairs of parameters in each posterior.

    Args:
        posteriors: Trees of ``posterior.nc`` by estimator.
        names: Of the parameters; by default all that the posteriors share.
    """
    names = list(names or shared_parameters(posteriors))
    first = next(iter(posteriors.values()))
    labels = [first[f"posterior/{name}"].attrs.get("label") or name for name in names]
    side = max(3.6, 0.085 * len(names) + 1.0)
    figure = canvas(side * len(posteriors) + 0.8, side + 0.3)
    axes = figure.subplots(1, len(posteriors), squeeze=False)[0]
    size = float(np.clip(330 / len(names), 4, 8))
    for axis, (who, tree) in zip(axes, posteriors.items(), strict=True):
        found = rank_correlations(tree, names)
        np.fill_diagonal(found, np.nan)
        drawn = axis.imshow(found, cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
        places = range(len(names))
        axis.set_xticks(places, labels, rotation=90, fontsize=size)
        axis.set_yticks(places, labels, fontsize=size)
        axis.tick_params(length=0)
        axis.set_title(who)
    figure.colorbar(drawn, ax=axes.tolist(), shrink=0.8, label="rank correlation")
    return figure


def _draw_rows(
    axis: Axes,
    names: Sequence[str],
    posteriors: Mapping[str, xr.DataTree],
    truth: Mapping[str, float],
    shades: Mapping[str, str],
) -> None:
    """Draw a line of each posterior for each parameter, from the top downwards."""
    axis.axvspan(-1, 1, color=FAINT, alpha=0.2, lw=0)
    axis.axvline(0, color=FAINT, lw=0.6)
    circles = circles_of(posteriors, names)
    first = next(iter(posteriors.values()))
    steps = np.linspace(-0.28, 0.28, len(posteriors)) if len(posteriors) > 1 else [0.0]
    for place, name in enumerate(names):
        prior = _on_axis(circles, name, first[f"prior/{name}"].to_numpy().ravel())
        mean, sd = prior.mean(), prior.std() or 1.0
        each = zip(posteriors.items(), steps, MARKERS * len(posteriors), strict=False)
        for (who, tree), step, marker in each:
            draws = _on_axis(circles, name, tree[f"posterior/{name}"].to_numpy().ravel())
            quantiles = np.quantile((draws - mean) / sd, [0.05, 0.16, 0.5, 0.84, 0.95])
            low90, low68, middle, high68, high90 = quantiles
            axis.hlines(place + step, low90, high90, color=shades[who], lw=0.9)
            axis.hlines(place + step, low68, high68, color=shades[who], lw=2.4, alpha=0.7)
            axis.plot(middle, place + step, marker, color=shades[who], ms=3.5, mec="white", mew=0.4)
        if name in truth:
            at = (float(_on_axis(circles, name, np.asarray(truth[name]))) - mean) / sd
            axis.plot(at, place, "|", color=TRUTH, ms=9, mew=1.1)


def _on_axis(circles: Mapping[str, CutAxis], name: str, values: Array) -> Array:
    """Return values of a parameter as they lie on its axis."""
    return circles[name].shown(values) if name in circles else values
