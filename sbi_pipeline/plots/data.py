"""Figures of data: posterior predictive against the observation, failed simulations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..types import Array
from .style import INK, SERIES, axis_label, key, line_of, palette, panels, styled

SHORT = 8


@styled
def predictive_fit(
    predictives: Mapping[str, xr.Dataset], colours: Mapping[str, str] | None = None
) -> Figure:
    """Show the observation over what each posterior predicts: 50 % and 90 % of simulated data.

    Series get bands, short vectors intervals, images the mean prediction and the residual.

    Args:
        predictives: ``predictive.nc`` by estimator. Where ``x_o`` has a coordinate it becomes the
            horizontal axis; attributes ``label`` and ``unit`` name the axes.
        colours: By estimator.
    """
    shades = colours or palette(predictives)
    if next(iter(predictives.values()))["x_o"].ndim == 2:
        return _images(predictives)
    figure, axes = panels(
        len(predictives), columns=3, width=4.0, height=3.0, sharex=True, sharey=True
    )
    for (name, data), axis in zip(predictives.items(), axes, strict=True):
        x_o = data["x_o"]
        (dim,) = x_o.dims if x_o.ndim == 1 else ("element",)
        observed = x_o.to_numpy().ravel()
        at = x_o[dim].to_numpy() if dim in x_o.coords else np.arange(1, observed.size + 1)
        simulated = data["x"].to_numpy().reshape(-1, observed.size)
        (_intervals if observed.size < SHORT else _bands)(axis, at, simulated, shades[name])
        axis.plot(at, observed, "o", color=INK, ms=4, mec="white", mew=0.5)
        labels = x_o[dim].attrs if dim in x_o.coords else {}
        axis.set(title=name, xlabel=axis_label(labels, "element of the data"))
    axes[0].set_ylabel(axis_label(x_o.attrs, "data"))
    key(
        figure,
        {
            "observed": line_of(INK, lw=0, marker="o", ms=4),
            "50 % of predictions": Patch(color="#777777"),
            "90 %": Patch(color="#BBBBBB"),
        },
    )
    return figure


@styled
def failures(
    theta: Mapping[str, Array], reasons: Array, labels: Mapping[str, str] | None = None
) -> Figure:
    """Show the fraction of failed simulations over each parameter, by reason.

    A flat line means that failures cost rows and no more; a slope means that they cut the prior.

    Args:
        theta: Values of each parameter, failed rows included, each ``(n,)``.
        reasons: Why a row failed, empty text where it did not, ``(n,)``.
        labels: By parameter.
    """
    reasons = np.asarray(reasons, dtype=str)
    kinds = [kind for kind in np.unique(reasons) if kind]
    figure, axes = panels(len(theta), columns=4, width=2.7, height=2.3, sharey=True)
    for (name, values), axis in zip(theta.items(), axes, strict=True):
        edges = np.unique(np.quantile(values, np.linspace(0, 1, 16)))
        total = np.histogram(values, edges)[0]
        for colour, kind in zip(SERIES * 9, kinds, strict=False):
            fraction = np.histogram(values[reasons == kind], edges)[0] / np.maximum(total, 1)
            axis.stairs(fraction, edges, baseline=None, color=colour, lw=1.5)
            error = np.sqrt(fraction * (1 - fraction) / np.maximum(total, 1))
            middle = (edges[1:] + edges[:-1]) / 2
            axis.errorbar(middle, fraction, error, fmt="none", ecolor=colour, lw=0.8)
        axis.set_xlabel((labels or {}).get(name, name))
        axis.set_ylim(bottom=0)
    axes[0].set_ylabel("fraction failed")
    if kinds:
        shown = zip(SERIES, kinds, strict=False)
        key(figure, {kind: line_of(colour) for colour, kind in shown})
    return figure


def _bands(axis: Axes, at: Array, simulated: Array, colour: str) -> None:
    for prob, alpha in ((0.9, 0.22), (0.5, 0.4)):
        low, high = np.quantile(simulated, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
        axis.fill_between(at, low, high, color=colour, alpha=alpha, lw=0)
    axis.plot(at, np.median(simulated, axis=0), color=colour, lw=1.3)


def _intervals(axis: Axes, at: Array, simulated: Array, colour: str) -> None:
    for prob, width in ((0.9, 1.5), (0.5, 5.0)):
        low, high = np.quantile(simulated, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
        axis.vlines(at, low, high, color=colour, lw=width, alpha=0.6)
    axis.set_xticks(at)
    axis.margins(x=0.3 / len(at))


def _images(predictives: Mapping[str, xr.Dataset]) -> Figure:
    """Show observation, mean prediction and residual in predictive sds, one row an estimator."""
    figure = Figure(figsize=(9.0, 2.9 * len(predictives)), layout="constrained")
    rows = figure.subplots(len(predictives), 3, squeeze=False, sharex=True, sharey=True)
    for (name, data), axes in zip(predictives.items(), rows, strict=True):
        x_o, mean, sd = data["x_o"], data["x"].mean("draw"), data["x"].std("draw")
        top = float(max(x_o.max(), mean.max()))
        shared: dict[str, Any] = {"vmin": float(min(x_o.min(), mean.min())), "vmax": top}
        pull = (x_o - mean) / sd.where(sd > 0)
        for axis, image, title, options in (
            (axes[0], x_o, "observed", {**shared, "cmap": "cividis"}),
            (axes[1], mean, f"mean prediction of {name}", {**shared, "cmap": "cividis"}),
            (axes[2], pull, "residual [sd]", {"vmin": -4, "vmax": 4, "cmap": "RdBu_r"}),
        ):
            drawn = axis.imshow(image, origin="lower", interpolation="nearest", **options)
            axis.set_title(title)
            if image is not x_o:
                figure.colorbar(drawn, ax=axis, shrink=0.85)
    return figure
