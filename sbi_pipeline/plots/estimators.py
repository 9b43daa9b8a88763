"""Figures of estimators: training, rank statistics, coverage."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import binom, norm

from ..diagnostics import calibration, uniform
from ..types import Array
from .style import FAINT, INK, SERIES, key, line_of, palette, panels, styled

BAND = 0.14
DASHES = ("-", "--", ":")


@styled
def loss_curves(
    histories: Mapping[str, pd.DataFrame], colours: Mapping[str, str] | None = None
) -> Figure:
    """Show training and validation loss of each estimator; the best epoch is the one kept.

    Args:
        histories: ``history.csv`` by estimator.
        colours: By estimator.
    """
    shades = colours or palette(histories)
    figure, axes = panels(len(histories), columns=3, width=3.6, height=2.7)
    for (name, history), axis in zip(histories.items(), axes, strict=True):
        epochs, validation = history["epoch"], history["validation_loss"]
        axis.plot(epochs, history["train_loss"], color=shades[name], lw=1, alpha=0.6, label="train")
        axis.plot(epochs, validation, color=shades[name], lw=1.8, label="validation")
        if validation.notna().any():
            best = validation.idxmin()
            axis.axvline(epochs[best], color=FAINT, lw=0.9, ls=":")
            axis.plot(
                epochs[best],
                validation[best],
                "o",
                color=INK,
                ms=4.5,
                label=f"kept: epoch {epochs[best]:g}",
            )
        # The fall of the first epochs would flatten all that follows.
        settled = history[["train_loss", "validation_loss"]].iloc[len(history) // 20 :]
        low, high = np.nanmin(settled), np.nanquantile(settled, 0.98)
        if np.isfinite([low, high]).all() and high > low:
            axis.set_ylim(low - 0.08 * (high - low), high + 0.25 * (high - low))
        axis.set(title=name, xlabel="epoch", ylabel="loss")
        axis.legend(loc="upper right", frameon=True, framealpha=0.9, edgecolor="none")
    return figure


@styled
def step_sweep(
    calibrations: Mapping[str, xr.Dataset], colours: Mapping[str, str] | None = None
) -> Figure:
    """Show the energy score of draws made in few and in many steps; the least is the best.

    Args:
        calibrations: ``calibration.nc`` by estimator, of those with an ``energy_score``.
        colours: By estimator.
    """
    shades = colours or palette(calibrations)
    figure, (axis,) = panels(1, columns=1, width=4.2, height=2.7)
    for name, data in calibrations.items():
        score = data["energy_score"]
        mean, error = (score.sel(statistic=what) for what in ("mean", "error"))
        axis.errorbar(
            score["steps"], mean, 2 * error, color=shades[name], marker="o", ms=4, label=name
        )
    axis.set(xscale="log", xlabel="network calls a draw", ylabel="energy score, held out")
    steps = next(iter(calibrations.values()))["steps"].to_numpy()
    axis.set_xticks(steps, [f"{step:g}" for step in steps])
    axis.minorticks_off()
    axis.legend()
    return figure


@styled
def sbc_ranks(
    calibrations: Mapping[str, xr.Dataset],
    colours: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> Figure:
    """Show histograms of the truth's rank among draws; flat within its band is honest.

    Args:
        calibrations: ``calibration.nc`` by estimator.
        colours: By estimator.
        labels: By parameter.
    """
    shades, grouped = colours or palette(calibrations), _by_quantity(calibrations)
    figure, axes = panels(len(grouped), columns=4, width=2.5, height=2.2)
    for (what, ranks), axis in zip(grouped.items(), axes, strict=True):
        top = 1.5
        for who, each in ranks.items():
            found = uniform.rank_histogram(each, int(calibrations[who].attrs["draws"]))
            low, counts, high = np.array([found.low, found.counts, found.high]) / found.expected
            axis.stairs(
                high, found.edges, baseline=low, fill=True, color=shades[who], alpha=BAND, lw=0
            )
            axis.stairs(counts, found.edges, baseline=None, color=shades[who], lw=1.5)
            top = max(top, *counts, *high)
        axis.axhline(1, color=INK, lw=0.6)
        axis.set(xlim=(0, 1), ylim=(0, 1.1 * top), title=(labels or {}).get(what, what))
    _label_outer(axes, "rank of the truth", "relative frequency")
    key(figure, {who: line_of(shades[who]) for who in calibrations})
    return figure


@styled
def sbc_ecdf(
    calibrations: Mapping[str, xr.Dataset],
    colours: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> Figure:
    """Show ECDF of ranks minus uniform; a curve that leaves its band has p < 0.05.

    Args:
        calibrations: ``calibration.nc`` by estimator.
        colours: By estimator.
        labels: By parameter.
    """
    shades, grouped = colours or palette(calibrations), _by_quantity(calibrations)
    figure, axes = panels(len(grouped), columns=4, width=2.5, height=2.2)
    for (what, ranks), axis in zip(grouped.items(), axes, strict=True):
        reach = 0.05
        for line, (who, each) in enumerate(ranks.items()):
            found = uniform.ecdf_difference(each, int(calibrations[who].attrs["draws"]))
            axis.fill_between(found.at, found.low, found.high, color=shades[who], alpha=BAND, lw=0)
            axis.plot(found.at, found.difference, color=shades[who], lw=1.6)
            reach = max(reach, *np.abs([*found.difference, *found.high]))
            axis.text(
                0.98, 0.98 - 0.12 * line, f"p = {found.p_value:.2g}", transform=axis.transAxes,
                ha="right", va="top", fontsize=8.5, color=shades[who],
            )  # fmt: skip
        axis.axhline(0, color=INK, lw=0.6)
        reach *= 1.3 + 0.1 * len(ranks)
        axis.set(xlim=(0, 1), ylim=(-reach, reach), title=(labels or {}).get(what, what))
    _label_outer(axes, "rank of the truth", "ECDF − uniform")
    key(figure, {who: line_of(shades[who]) for who in calibrations})
    return figure


@styled
def probability_plot(
    calibrations: Mapping[str, xr.Dataset], labels: Mapping[str, str] | None = None
) -> Figure:
    """Show P-P plots: how often the truth lies below each credible level, with KS p-values.

    Bands hold 68.3, 95.4 and 99.7 % of what chance gives at each level.

    Args:
        calibrations: ``calibration.nc`` by estimator.
        labels: By parameter.
    """
    columns = 3
    figure, axes = panels(len(calibrations), columns, width=3.4, height=3.4, sharey=True)
    levels = np.linspace(0, 1, 101)
    for (who, data), axis in zip(calibrations.items(), axes, strict=True):
        draws, n = int(data.attrs["draws"]), data.sizes["simulation"]
        for sigma in (1, 2, 3):
            low, high = binom.interval(2 * norm.cdf(sigma) - 1, n, levels)
            axis.fill_between(levels, low / n, high / n, color=FAINT, alpha=0.16, lw=0)
        for place, name in enumerate(data["parameter"].to_numpy()):
            ranks = np.sort(data["ranks"].sel(parameter=name).to_numpy())
            text = f"{(labels or {}).get(str(name), name)}: {uniform.ks_p_value(ranks, draws):.2g}"
            at = (ranks + 0.5) / (draws + 1)
            colour = SERIES[place % len(SERIES)]
            axis.step(at, np.arange(1, n + 1) / n, color=colour, lw=1.3, label=text)
        axis.plot([0, 1], [0, 1], color=INK, lw=0.6)
        axis.set(title=who, xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axis.legend(title="KS p", loc="lower right", title_fontsize=8.5, fontsize=8.5)
    _label_outer(axes, "credible level", "fraction of truths below", columns)
    return figure


@styled
def coverage(
    calibrations: Mapping[str, xr.Dataset], labels: Mapping[str, str] | None = None
) -> Figure:
    """Show how often central credible intervals hold the truth, in probability and in sigma.

    The band holds 95 % of what chance gives at each level. Below the line: too narrow.

    Args:
        calibrations: ``calibration.nc`` by estimator.
        labels: By parameter.
    """
    count = len(calibrations)
    figure = Figure(figsize=(0.5 + 2.8 * count, 5.6), layout="constrained")
    axes = figure.subplots(2, count, squeeze=False)
    in_sigma = 2 * norm.cdf(np.linspace(0.1, 3.0, 59)) - 1
    for (name, data), (linear, sigma) in zip(calibrations.items(), axes.T, strict=True):
        _coverage_curves(linear, data, calibration.LEVELS, lambda level: level, labels or {})
        _coverage_curves(sigma, data, in_sigma, _sigma, labels or {})
        linear.set(title=name, xlabel="credible level", xlim=(0, 1), ylim=(0, 1))
        sigma.set(xlabel="credible level [σ]", xlim=(0, 3), ylim=(0, 4))
    handles, names = axes[0, 0].get_legend_handles_labels()
    key(figure, dict(zip(names, handles, strict=True)))
    axes[0, 0].set_ylabel("fraction that hold the truth")
    axes[1, 0].set_ylabel("fraction that hold the truth [σ]")
    return figure


def _sigma(level: Array) -> Array:
    """Return how many sigma of a normal a central interval of this probability reaches."""
    with np.errstate(divide="ignore"):
        return np.asarray(norm.ppf((1 + level) / 2))


def _coverage_curves(
    axis: Axes,
    data: xr.Dataset,
    levels: Array,
    scale: Callable[[Array], Array],
    labels: Mapping[str, str],
) -> None:
    draws = int(data.attrs["draws"])
    for place, name in enumerate(data["parameter"].to_numpy()):
        found = calibration.coverage(data["ranks"].sel(parameter=name).to_numpy(), draws, levels)
        label = labels.get(str(name), str(name))
        dashes, colour = DASHES[place // len(SERIES) % len(DASHES)], SERIES[place % len(SERIES)]
        axis.plot(scale(levels), scale(found.observed), dashes, color=colour, lw=1.4, label=label)
    low, high = scale(found.low), np.minimum(scale(found.high), 10)
    axis.fill_between(scale(levels), low, high, color=FAINT, alpha=0.3, lw=0, zorder=0)
    axis.plot([0, 10], [0, 10], color=INK, lw=0.6)


def _by_quantity(calibrations: Mapping[str, xr.Dataset]) -> dict[str, dict[str, Array]]:
    """Return ranks by quantity, then by estimator."""
    grouped: dict[str, dict[str, Array]] = {}
    for who, data in calibrations.items():
        for what, ranks in calibration.all_ranks(data).items():
            grouped.setdefault(what, {})[who] = ranks
    return grouped


def _label_outer(axes: list[Axes], x: str, y: str, columns: int = 4) -> None:
    for place, axis in enumerate(axes):
        if place % columns == 0:
            axis.set_ylabel(y)
        if place >= len(axes) - columns:
            axis.set_xlabel(x)
