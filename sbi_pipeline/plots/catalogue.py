"""Figures of a catalogue: means and widths of all objects, truths, and single objects."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from ..populations import CataloguedObject, Population
from ..types import Array
from .style import FAINT, INK, TRUTH, Look, axis_label, canvas, key, line_of, panels, patch

FEW = 40
"""Objects that are drawn one beside the other."""
BARS = 300
"""Objects that are drawn with error bars against their truth."""
MANY = 3000
"""Objects beyond which their density is drawn."""
MARKED = 30
"""Flagged objects of each kind that are marked, those with the smallest p-values."""
NAMED = 20
"""Objects whose names stand at the axis."""
SHORT = 8
"""Data with fewer elements are drawn as intervals."""
MARKS: dict[str, dict[str, Any]] = {
    "unlike simulations": {"marker": "o", "mfc": "none"},
    "misfit": {"marker": "x"},
    "edge": {"marker": "s", "mfc": "none"},
    "not converged": {"marker": "^", "mfc": "none"},
}


def widths(asked: Sequence[Population], look: Look) -> Figure:
    """Show where the objects lie and how well that is known: few one by one, many as a density.

    Flagged ones are marked, the prior is grey.
    """
    (population,) = asked
    if len(population.table) <= FEW:
        return _one_by_one(population, look)
    names = population.inferred
    figure, axes = panels(len(names), columns=3, width=_panel(names), height=2.5)
    for name, axis in zip(names, axes, strict=True):
        prior = population.parameters[name]
        mean, sd = _column(population, f"{name}_mean"), _column(population, f"{name}_sd")
        axis.set_xlim(_limits(mean))
        _scale_widths(axis, sd, prior.prior_sd)
        _cloud(axis, mean, sd, look.colours[population.name])
        _mark(axis, population, mean, sd)
        axis.set_xlabel(_label(population, name, look))
    for axis in axes[::3]:
        axis.set_ylabel("posterior sd")
    key(figure, _entries(population, look), _columns_of(figure))
    return figure


def recovered(asked: Sequence[Population], look: Look) -> Figure | None:
    """Show posterior means against the truths; None where no truth is known."""
    (population,) = asked
    names = [name for name in population.inferred if population.column(f"{name}_truth").size]
    if not names:
        return None
    figure, axes = panels(len(names), columns=3, width=_panel(names), height=2.8)
    colour = look.colours[population.name]
    for name, axis in zip(names, axes, strict=True):
        mean, truth = (_column(population, f"{name}_{what}") for what in ("mean", "truth"))
        reach = [mean, truth]
        if len(mean) <= BARS:
            low, high = (_column(population, f"{name}_{what}") for what in ("q16", "q84"))
            axis.vlines(truth, low, high, color=colour, lw=1.0, alpha=0.5)
            reach += [low, high]
        ends = _limits(np.concatenate(reach))
        axis.set(xlim=ends, ylim=ends, aspect="equal")
        _cloud(axis, truth, mean, colour)
        _mark(axis, population, truth, mean)
        axis.plot(ends, ends, color=INK, lw=0.7)
        axis.set_xlabel(f"true {_label(population, name, look)}")
    for axis in axes[::3]:
        axis.set_ylabel("posterior mean")
    entries = {population.name: line_of(colour, lw=0, marker="o", ms=4)} | _marks(population)
    key(figure, entries, _columns_of(figure))
    return figure


def predicted_object(asked: Sequence[CataloguedObject], look: Look) -> Figure:
    """Show the data of one object over the central 50 % and 90 % of what is predicted."""
    (one,) = asked
    x, predicted = one.data["x"], one.data["predicted"]
    if x.ndim == 2:
        return _image(one, x, predicted)
    figure, (axis,) = panels(1, 1, width=4.2, height=2.7)
    (dim,) = x.dims if x.ndim == 1 else ("element",)
    observed = x.to_numpy().ravel()
    at = x[dim].to_numpy() if dim in x.coords else np.arange(1, observed.size + 1)
    quantiles = predicted.transpose("level", ...).to_numpy().reshape(-1, observed.size)
    draw = _intervals if observed.size < SHORT else _bands
    draw(axis, at, quantiles, look.colours[one.estimator])
    axis.plot(at, observed, "o", color=INK, ms=3.5, mec="white", mew=0.5, rasterized=at.size > MANY)
    axis.set(
        title=_plain(one.name),
        xlabel=axis_label(x[dim].attrs if dim in x.coords else {}, "element of the data"),
        ylabel=axis_label(x.attrs, "data"),
    )
    key(
        figure,
        {
            "observed": line_of(INK, lw=0, marker="o", ms=3.5),
            "50 % of predictions": patch("#777777"),
            "90 %": patch("#BBBBBB"),
        },
    )
    return figure


def _one_by_one(population: Population, look: Look) -> Figure:
    """Draw every object with its central 68 % and 90 %, in the order of the first parameter."""
    table, names = population.table, population.inferred
    order = table[f"{names[0]}_mean"].to_numpy(dtype=float).argsort(kind="stable")
    figure = canvas(max(4.5, 1.6 + 0.17 * len(table)), 0.9 + 1.7 * len(names))
    axes = figure.subplots(len(names), 1, squeeze=False, sharex=True)[:, 0]
    at, colour = np.arange(len(table)), look.colours[population.name]
    for name, axis in zip(names, axes, strict=True):
        prior = population.parameters[name]
        low, high = prior.prior_mean - prior.prior_sd, prior.prior_mean + prior.prior_sd
        axis.axhspan(low, high, color=FAINT, alpha=0.2, lw=0)
        low90, low68, mean, high68, high90 = (
            _column(population, f"{name}_{what}")[order]
            for what in ("q05", "q16", "mean", "q84", "q95")
        )
        axis.vlines(at, low90, high90, color=colour, lw=1.0)
        axis.vlines(at, low68, high68, color=colour, lw=3.0, alpha=0.7)
        axis.plot(at, mean, "o", color=colour, ms=3.5, mec="white", mew=0.5)
        if population.column(f"{name}_truth").size:
            truth = _column(population, f"{name}_truth")[order]
            axis.plot(at, truth, "_", color=TRUTH, ms=7, mew=1.4)
        places = np.empty(len(table))
        places[order] = at
        _mark(axis, population, places, _column(population, f"{name}_mean"), size=8.0)
        axis.set_ylabel(_label(population, name, look))
    if len(table) <= NAMED:
        ticks = [_plain(str(name)) for name in table["object"].iloc[order]]
        axes[-1].set_xticks(at, ticks, rotation=45, ha="right")
    else:
        axes[-1].set(xticks=[], xlabel="object")
    axes[-1].set_xlim(-0.7, len(table) - 0.3)
    entries: dict[str, Line2D | Patch] = {
        "mean, 68 and 90 %": line_of(colour, marker="o", ms=3.5),
        "prior mean ± sd": patch("#E3E3E3"),
    }
    if population.known:
        entries["truth"] = line_of(TRUTH, lw=0, marker="_", ms=7, mew=1.4)
    key(figure, entries | _marks(population), _columns_of(figure))
    return figure


def _cloud(axis: Axes, x: Array, y: Array, colour: str) -> None:
    """Draw points, or where there are many their density, as an image in a PDF."""
    if len(x) <= MANY:
        size = 3.0 if len(x) <= 300 else 2.0
        axis.plot(
            x, y, "o", color=colour, ms=size, mew=0, alpha=0.55, rasterized=len(x) > 300, zorder=1
        )
        return
    left, right = axis.get_xlim()
    bottom, top = axis.get_ylim()
    logarithmic = axis.get_yscale() == "log"
    if logarithmic:
        bottom, top = math.log10(bottom), math.log10(top)
    axis.hexbin(
        x, y, gridsize=(44, 26), yscale="log" if logarithmic else "linear",
        extent=(left, right, bottom, top), bins="log", mincnt=1, cmap=_shades(colour),
        linewidths=0.15, rasterized=True, zorder=1,
    )  # fmt: skip


def _shades(colour: str) -> LinearSegmentedColormap:
    """Return shades of a colour: pale where there is one object, dark where there are most."""
    own = np.array(to_rgb(colour))
    ends = [(0.0, tuple(1 - 0.14 * (1 - own))), (0.6, tuple(own)), (1.0, tuple(0.65 * own))]
    return LinearSegmentedColormap.from_list(colour, ends)


def _mark(axis: Axes, population: Population, x: Array, y: Array, size: float = 5.5) -> None:
    """Mark flagged objects by the kind of their flag."""
    for flag, worst in _worst(population):
        axis.plot(x[worst], y[worst], ls="", color=INK, ms=size, mew=0.9, zorder=3, **MARKS[flag])


def _worst(population: Population) -> Iterator[tuple[str, Array]]:
    """Yield flags, and which of the objects that have one are marked."""
    order = population.smallest_p.argsort(kind="stable").to_numpy()
    for flag, has in population.having.items():
        if has.any():
            yield flag, order[has[order]][:MARKED]


def _marks(population: Population) -> dict[str, Line2D]:
    return {
        flag: line_of(INK, lw=0, ms=5.5, mew=0.9, **MARKS[flag]) for flag, _ in _worst(population)
    }


def _entries(population: Population, look: Look) -> dict[str, Line2D]:
    colour = look.colours[population.name]
    own = {population.name: line_of(colour, lw=0, marker="o", ms=4)}
    return own | {"prior sd": line_of(FAINT, lw=1.2, ls="--")} | _marks(population)


def _label(population: Population, name: str, look: Look) -> str:
    """Return label and unit of a parameter."""
    each = population.parameters[name]
    return axis_label({"label": each.label or look.label(name), "unit": each.unit}, name)


def _panel(names: Sequence[str]) -> float:
    """Return the width of a panel in inches; one alone has its legend beside nothing else."""
    return 4.2 if len(names) == 1 else 2.95


def _columns_of(figure: Figure) -> int:
    """Return how many entries of a legend fit beside each other."""
    return max(2, int(figure.get_figwidth() / 1.6))


def _column(population: Population, name: str) -> Array:
    return population.table[name].to_numpy(dtype=float)


def _limits(values: Array) -> tuple[float, float]:
    """Return the range of all but one in a thousand, with a margin."""
    low, high = np.nanquantile(values, [0.001, 0.999])
    margin = 0.06 * (high - low) or 1.0
    return float(low - margin), float(high + margin)


def _scale_widths(axis: Axes, sd: Array, prior_sd: float) -> None:
    """Make room for the widths and the prior's, with a logarithmic axis where they span much."""
    positive = sd[sd > 0]  # that of a discrete parameter may be 0
    low, high = np.quantile(positive, [0.001, 0.999]) if positive.size else (1.0, 1.0)
    if prior_sd > 0:
        high = max(high, prior_sd)
        axis.axhline(prior_sd, color=FAINT, lw=1.2, ls="--")
    if high < 6 * low:
        axis.set_ylim(0, 1.15 * high)
        return
    axis.set_yscale("log")
    axis.set_ylim(low / 1.4, high * 1.4)
    if high < 50 * low:  # few powers of ten: numbers between them, written out
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.yaxis.set_major_formatter(ScalarFormatter(useMathText=True))
    axis.yaxis.set_minor_formatter(NullFormatter())


def _bands(axis: Axes, at: Array, quantiles: Array, colour: str) -> None:
    low90, low50, middle, high50, high90 = quantiles
    axis.fill_between(at, low90, high90, color=colour, alpha=0.22, lw=0)
    axis.fill_between(at, low50, high50, color=colour, alpha=0.4, lw=0)
    axis.plot(at, middle, color=colour, lw=1.3)


def _intervals(axis: Axes, at: Array, quantiles: Array, colour: str) -> None:
    low90, low50, _, high50, high90 = quantiles
    axis.vlines(at, low90, high90, color=colour, lw=1.5, alpha=0.6)
    axis.vlines(at, low50, high50, color=colour, lw=5.0, alpha=0.6)
    axis.set_xticks(at)
    axis.margins(x=0.3 / len(at))


def _image(one: CataloguedObject, x: xr.DataArray, predicted: xr.DataArray) -> Figure:
    """Show an image and its residual in sds, from the central 90 % of the predictions."""
    low, _, middle, _, high = predicted.transpose("level", ...).to_numpy()
    sd = (high - low) / 3.29
    pull = (x.to_numpy() - middle) / np.where(sd > 0, sd, np.nan)
    figure = canvas(4.6, 2.4)
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    for axis, image, title, options in (
        (axes[0], x.to_numpy(), _plain(one.name), {"cmap": "cividis"}),
        (axes[1], pull, "residual [sd]", {"vmin": -4, "vmax": 4, "cmap": "RdBu_r"}),
    ):
        drawn = axis.imshow(image, origin="lower", interpolation="nearest", **options)
        axis.set_title(title)
        figure.colorbar(drawn, ax=axis, shrink=0.85)
    return figure


def _plain(name: str) -> str:
    """Return a name that matplotlib takes for no formula, cut where it is long."""
    return (name if len(name) <= 24 else f"{name[:23]}…").replace("$", r"\$")
