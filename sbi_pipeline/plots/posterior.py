"""Figures of posteriors: corner, prior against posterior."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, ScalarFormatter
from scipy.stats import gaussian_kde

from ..priors.circles import Period, across_the_emptiest, rolled, unrolled
from ..types import Array
from .style import FAINT, TRUTH, axis_label, edges, key, line_of, palette, panels, styled
from .typeset import asymmetric

# Probability inside 1 and 2 sigma of a two-dimensional normal.
LEVELS = (0.393, 0.865)
LINES = ("-", "--", "-.", (0, (1, 1)))
"""Of the posteriors in their order, so that colours are not all that tells them apart."""
MAX_DRAWS = 20_000
PRIOR_DRAWS, PRIOR_WIDTH = 600, 1.15
"""Draws of a prior, which has no fine structure, and their kernel in units of Scott's."""
LINE = 0.25  # inches from one line of medians to the next


@styled
def corner_overlay(
    posteriors: Mapping[str, xr.DataTree],
    truth: Mapping[str, float] | None = None,
    colours: Mapping[str, str] | None = None,
    names: Sequence[str] | None = None,
) -> Figure:
    """Overlay the posteriors of several estimators, with the prior in grey and the truth dashed.

    Contours hold 39.3 % and 86.5 %: 1 and 2 sigma of a normal. Above the diagonal stand medians
    with the ends of the central 68 %.

    Args:
        posteriors: Trees of ``posterior.nc`` by estimator.
        truth: Known true values by parameter.
        colours: By estimator.
        names: Of the parameters that are shown; by default all that the posteriors share.

    Raises:
        ValueError: The posteriors share no parameter.
    """
    shades, known = colours or palette(posteriors), dict(truth or {})
    names = list(names or shared_parameters(posteriors))
    first = next(iter(posteriors.values()))
    circles = circles_of(posteriors, names)
    known |= {name: float(circles[name].shown(known[name])) for name in {*circles} & {*known}}
    columns = {who: _columns(tree, names, circles) for who, tree in posteriors.items()}
    limits = _limits(columns, [known.get(name) for name in names])
    labels = [axis_label(first[f"posterior/{name}"].attrs, name) for name in names]
    figure, panel, margins = _square(len(names), len(posteriors))
    lines = dict(zip(posteriors, LINES * len(posteriors), strict=False))
    for who, draws in columns.items():
        _corner().corner(
            draws,
            fig=figure,
            bins=30,
            range=limits,
            labels=labels,
            color=shades[who],
            levels=LEVELS,
            smooth=1.0,
            plot_datapoints=False,
            plot_density=False,
            fill_contours=True,
            no_fill_contours=True,  # corner's white base would hide what lies below
            contourf_kwargs={"colors": [to_rgba(shades[who], alpha) for alpha in (0, 0.12, 0.3)]},
            contour_kwargs={"linewidths": 1.3, "linestyles": lines[who]},
            hist_kwargs={"density": True, "linewidth": 1.5, "linestyle": lines[who]},
            max_n_ticks=4 if panel > 1.5 else 3,
            label_kwargs={"fontsize": 12},
        )
    figure.subplots_adjust(*margins)  # corner has set its own
    axes = np.array(figure.axes).reshape(len(names), len(names))
    for axis in axes.diagonal():  # corner fits heights to the last one drawn
        axis.set_ylim(0, 1.1 * max(outline.get_xy()[:, 1].max() for outline in axis.patches))
    if "prior" in first.children:
        _draw_prior(axes, _columns(first, names, circles, "prior"), limits)
    for i, name in enumerate(names):
        _draw_truth(axes, i, known.get(name))
        marginals = {who: draws[:, i] for who, draws in columns.items()}
        period = circles[name].period if name in circles else None
        _write_medians(axes[i, i], marginals, shades, LINE / panel, period)
    for axis in figure.axes:
        axis.tick_params(labelrotation=0)
        axis.xaxis.set_label_coords(0.5, -0.32 / panel)
        axis.yaxis.set_label_coords(-0.52 / panel, 0.5)
        for side in (axis.xaxis, axis.yaxis):
            if isinstance(side.get_major_formatter(), ScalarFormatter):
                side.set_major_formatter(PlainTicks())
    for i, name in enumerate(names):
        if name in circles:
            sides = [axes[-1, i].xaxis, *([axes[i, 0].yaxis] if i else [])]
            for side in sides:
                circles[name].label(side)
    entries = _entries(shades, list(posteriors), first, known)
    figure.legend(list(entries.values()), list(entries), loc="upper right")
    return figure


@styled
def prior_to_posterior(
    posteriors: Mapping[str, xr.DataTree],
    truth: Mapping[str, float] | None = None,
    colours: Mapping[str, str] | None = None,
    names: Sequence[str] | None = None,
) -> Figure:
    """Show each parameter's marginal in the range of its prior: what the data taught.

    Args:
        posteriors: Trees of ``posterior.nc`` by estimator.
        truth: Known true values by parameter.
        colours: By estimator.
        names: Of the parameters that are shown; by default all that the posteriors share.
    """
    shades, known = colours or palette(posteriors), dict(truth or {})
    names, first = list(names or shared_parameters(posteriors)), next(iter(posteriors.values()))
    circles = circles_of(posteriors, names)
    known |= {name: float(circles[name].shown(known[name])) for name in {*circles} & {*known}}
    figure, axes = panels(len(names), columns=4, width=2.6, height=2.2)
    lines = dict(zip(posteriors, LINES * len(posteriors), strict=False))
    for name, axis in zip(names, axes, strict=True):
        prior = first[f"prior/{name}"].to_numpy().ravel()
        everything = [tree[f"posterior/{name}"].to_numpy().ravel() for tree in posteriors.values()]
        if name in circles:
            circle = circles[name]
            prior, *everything = (circle.shown(each) for each in (prior, *everything))
        low, high = np.quantile(prior, [0.005, 0.98])
        low, high = min(low, *map(np.min, everything)), max(high, *map(np.max, everything))
        bins = np.linspace(low, high, 50)
        axis.hist(prior, bins.tolist(), density=True, color=FAINT, alpha=0.45)
        for who, draws in zip(posteriors, everything, strict=True):
            start, end = np.quantile(draws, [0.0005, 0.9995])
            fine = edges(np.array([start, end]), 39)
            axis.hist(
                draws, fine, density=True, histtype="step", color=shades[who], lw=1.5,
                ls=lines[who],
            )  # fmt: skip
        if name in known:
            axis.axvline(known[name], color=TRUTH, ls="--", lw=1)
        if name in circles:
            circles[name].label(axis.xaxis)
        axis.set(xlabel=axis_label(first[f"posterior/{name}"].attrs, name), yticks=[])
        axis.spines["left"].set_visible(False)
    axes[0].set_ylabel("probability density")
    key(figure, _entries(shades, list(posteriors), first, known))
    return figure


def _square(parameters: int, lines: int) -> tuple[Figure, float, tuple[float, ...]]:
    """Return a figure for a corner plot, the size of a panel in inches, and room for labels.

    ``lines`` of text stand above each panel of the diagonal.
    """
    panel = max(1.1, min(1.75, 11 / parameters))
    gap = LINE * (lines + 0.5)
    left, bottom, right, top = 0.85, 0.6, 0.15 if parameters > 1 else 1.2, gap + 0.1
    # corner leaves 0.05 of a panel between panels.
    side = parameters * panel + (parameters - 1) * 0.05 * panel
    width, height = left + side + right, bottom + side + top
    margins = left / width, bottom / height, 1 - right / width, 1 - top / height
    return Figure(figsize=(width, height)), panel, margins


def _corner() -> Any:
    """Import corner, and with it ArviZ where that is installed: over a second, and a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"\s*ArviZ is undergoing a major", FutureWarning)
        import corner  # noqa: PLC0415
    return corner


def shared_parameters(posteriors: Mapping[str, xr.DataTree]) -> list[str]:
    """Return the continuous parameters all posteriors have, in the order of the first.

    Discrete ones have probabilities, in a table, rather than densities.
    """
    variables = [
        [str(name) for name in tree["posterior"].data_vars] for tree in posteriors.values()
    ]
    names = [name for name in variables[0] if all(name in others for others in variables)]
    if not names:
        raise ValueError(f"posteriors of {', '.join(posteriors)} share no parameter to show")
    first = posteriors[next(iter(posteriors))]["posterior"]
    return [name for name in names if "values" not in first[name].attrs] or names


class PlainTicks(ScalarFormatter):
    """Numbers of an axis as text, and only the power of ten that they share as a formula.

    Matplotlib makes formulas of all of them, of which a corner plot has dozens.
    """

    def __init__(self) -> None:
        super().__init__(useMathText=True)
        self.set_powerlimits((-3, 4))

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return a number without what would make it a formula."""
        return super().__call__(x, pos).removeprefix(r"$\mathdefault{").removesuffix("}$")


@dataclass(frozen=True)
class CutAxis:
    """Where the axis of a periodic parameter is cut.

    Attributes:
        period: Ends of its range.
        centre: Of the axis, which is as long as the range.
    """

    period: Period
    centre: float

    def shown(self, values: Array | float) -> Array:
        """Return values as they lie on the axis."""
        return unrolled(values, self.period, self.centre)

    def label(self, side: Axis) -> None:
        """Label an axis in the range of values; one of much of the circle at round ones."""
        side.set_major_formatter(FuncFormatter(self.tick))
        start, end = side.get_view_interval()
        low, high = self.period
        if end - start < (high - low) / 2:
            return
        steps = np.asarray(MaxNLocator(4).tick_values(low, high))
        whole = steps[(steps >= low) & (steps < high - 0.5 * (steps[1] - steps[0]))]
        places = self.shown(whole).tolist()
        side.set_major_locator(FixedLocator([each for each in places if start <= each <= end]))

    def tick(self, value: float, position: int | None = None) -> str:
        """Return the label of a tick, in the range of values."""
        rounding = 1e-9 * (self.period[1] - self.period[0])
        inside = float(rolled(value + rounding, self.period)) - rounding
        shown = 0.0 if abs(inside) < 2 * rounding else inside
        return f"{shown:.4g}".replace("-", "\u2212")


def circles_of(posteriors: Mapping[str, xr.DataTree], names: Sequence[str]) -> dict[str, CutAxis]:
    """Return where axes of the periodic parameters are cut: where draws of all are fewest."""
    found = {}
    for name in names:
        own = [tree[f"posterior/{name}"] for tree in posteriors.values()]
        given = own[0].attrs.get("period")
        if given is not None:
            low, high = map(float, given)
            draws = np.concatenate([each.to_numpy().ravel() for each in own])
            found[name] = CutAxis((low, high), across_the_emptiest(draws, (low, high)))
    return found


def _columns(
    tree: xr.DataTree, names: list[str], circles: Mapping[str, CutAxis], group: str = "posterior"
) -> Array:
    """Return draws of named parameters, ``(n, len(names))``, at most `MAX_DRAWS`."""
    own = {name: tree[f"{group}/{name}"].to_numpy().ravel() for name in names}
    shown = {name: circles[name].shown(own[name]) if name in circles else own[name] for name in own}
    columns = np.stack(list(shown.values()), axis=1)
    return columns[:: max(1, len(columns) // MAX_DRAWS)]


def _limits(columns: Mapping[str, Array], truth: list[float | None]) -> list[tuple[float, float]]:
    """Return a range for each parameter that holds all posteriors and the truth, with a margin."""
    ends = np.array([np.quantile(draws, [0.001, 0.999], axis=0) for draws in columns.values()])
    low, high = ends[:, 0].min(axis=0), ends[:, 1].max(axis=0)
    for i, value in enumerate(truth):
        if value is not None:
            low[i], high[i] = min(low[i], value), max(high[i], value)
    margin = np.where(high > low, 0.08 * (high - low), 0.5)
    return list(zip((low - margin).tolist(), (high + margin).tolist(), strict=True))


def _draw_prior(axes: Any, draws: Array, limits: list[tuple[float, float]]) -> None:
    """Add the prior in grey: its density on the diagonal, its contours below."""
    for i, (low, high) in enumerate(limits):
        counts, edges = np.histogram(draws[:, i], np.linspace(low, high, 16))
        density = counts / (len(draws) * np.diff(edges))
        top = axes[i, i].get_ylim()[1]
        axes[i, i].stairs(density, edges, fill=True, color=FAINT, alpha=0.35, zorder=0)
        axes[i, i].set_ylim(0, top)
        for j in range(i):
            _draw_prior_contours(axes[i, j], draws[:, [j, i]], limits[j], limits[i])


def _draw_prior_contours(
    axis: Axes, pairs: Array, x: tuple[float, float], y: tuple[float, float]
) -> None:
    if np.linalg.matrix_rank(np.cov(pairs.T)) < 2:
        return  # a constant, or two parameters that determine each other: no density to contour
    few = pairs[:PRIOR_DRAWS].T
    density = gaussian_kde(few, lambda kernels: PRIOR_WIDTH * kernels.scotts_factor())
    levels = np.quantile(density(few), 1 - np.array(LEVELS[::-1]))
    grid = np.meshgrid(np.linspace(*x, 40), np.linspace(*y, 40))
    height = density(np.stack([each.ravel() for each in grid])).reshape(40, 40)
    inside = [level for level in levels if height.min() < level < height.max()]
    if inside:
        axis.contour(*grid, height, levels=inside, colors=FAINT, linewidths=0.8, zorder=0)


def _draw_truth(axes: Any, i: int, value: float | None) -> None:
    if value is None:
        return
    for row in range(i, len(axes)):
        axes[row, i].axvline(value, color=TRUTH, ls="--", lw=1)
    for column in range(i):
        axes[i, column].axhline(value, color=TRUTH, ls="--", lw=1)


def _write_medians(
    axis: Axes,
    draws: Mapping[str, Array],
    shades: Mapping[str, str],
    spacing: float,
    period: Period | None,
) -> None:
    """Write median and central 68 % of each estimator above the panel, in its colour.

    The median of a periodic parameter, whose ends are given, stands within its range.
    """
    for line, (who, values) in enumerate(reversed(list(draws.items()))):
        low, median, high = np.quantile(values, [0.15865, 0.5, 0.84135])
        if period is not None:
            low, median, high = np.array([low, median, high]) + (rolled(median, period) - median)
        axis.text(
            0.5,
            1.0 + spacing * (0.3 + line),
            asymmetric(low, median, high),
            transform=axis.transAxes,
            ha="center",
            va="bottom",
            color=shades[who],
            fontsize=9.5,
        )


def _entries(
    shades: Mapping[str, str], names: list[str], tree: xr.DataTree, truth: Mapping[str, float]
) -> dict[str, Line2D | Patch]:
    """Return what a legend explains."""
    lines = zip(names, LINES * len(names), strict=False)
    entries: dict[str, Line2D | Patch] = {
        name: line_of(shades[name], ls=style) for name, style in lines
    }
    if "prior" in tree.children:
        entries["prior"] = Patch(color=FAINT, alpha=0.45)
    if truth:
        entries["truth"] = line_of(TRUTH, ls="--", lw=1)
    return entries
