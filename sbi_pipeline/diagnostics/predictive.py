"""Could the model, as inferred, have made the observation?

References:
    Gelman, Meng, Stern, Posterior predictive assessment of model fitness via realized
        discrepancies, 1996, https://www3.stat.sinica.edu.tw/statistica/j6n4/j6n41/j6n41.htm
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..plots.style import INK, Look, axis_label, canvas, key, line_of, panels, patch
from ..sampled_posteriors import FEWEST_PREDICTIONS, SampledPosterior
from ..types import Array
from .check import Check, WarnFail
from .descriptors import kind_of, unlike_by_descriptors
from .diagnostic import Diagnostic, Drawing
from .typicality import (
    Typicality,
    features_of,
    judge_typicality,
    largest_residual,
    mahalanobis,
    pool_data,
    rank_among,
    share_missing,
    summaries,
    two_sided,
    upper,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHORT = 8
BY_RANK = 0.002
"""P-value that ranks tell, at least, where a pass is to mean something."""


def typicality(x: Array, x_o: Array, worked: Array | None = None) -> Typicality:
    """Ask whether ``x_o`` looks like one more data set of one draw of the posterior.

    Statistics: distance from the bulk (Mahalanobis in normal scores, which needs no units and no
    finite moments), of elements and of `descriptors`, the largest residual of an element in
    interquartile ranges, and `summaries` of what is no set.

    Args:
        x: Data sets of one draw, ``(draws, *x_shape)``.
        x_o: The observation, ``x_shape``.
        worked: Of events, how many worked of those tried: of the observation, then of each data
            set, ``(1 + draws,)``; None where that is not compared.
    """
    pooled = pool_data(x, x_o)
    ordered = {} if kind_of(x_o.shape) == "set" else summaries(pooled)
    surprises = {
        "distance": upper(mahalanobis(features_of(pooled))),
        **unlike_by_descriptors(x, x_o, residual=True),
        "largest residual": upper(largest_residual(pooled)),
        **{name: two_sided(values) for name, values in ordered.items()},
    }
    if np.isnan(x).any():  # the simulator says what is missing
        surprises["missing elements"] = two_sided(share_missing(np.concatenate([x_o[None], x])))
    if worked is not None:
        surprises["events that worked"] = two_sided(worked)
    return rank_among(pooled, surprises)


def measure_predictive(asked: SampledPosterior) -> Typicality | None:
    """Put the observation among what one draw predicts; None where too little was simulated.

    The notes of the posterior say so (`sampled_posteriors.SampledPosterior.notes`).
    """
    sizes = {} if asked.predictive is None else asked.predictive.sizes
    if asked.predictive is None or _fewest(sizes) < FEWEST_PREDICTIONS:
        return None
    x, x_o = (asked.predictive[name].to_numpy() for name in ("replicates", "x_o"))
    worked = None
    if "worked" in asked.predictive:
        own = asked.predictive.attrs["worked_o"]
        worked = np.append(own, asked.predictive["worked"].to_numpy())
    return typicality(x, x_o, worked)


def _fewest(sizes: Mapping[Hashable, int]) -> int:
    """Return how many predictions there are of many draws, or of one: those of which are fewer."""
    return min(sizes.get(name, 0) for name in ("draw", "replicate"))


def judge_predictive(found: Typicality, subject: str, *, p: WarnFail = (0.005, 0.002)) -> Check:
    """Judge whether the inferred model could have made the observation.

    Args:
        found: As made by `typicality`.
        subject: Estimator and observation.
        p: P-value: warn below, fail below.
    """
    return judge_typicality(
        found,
        subject,
        name="predictive",
        p=p,
        needed=math.ceil(1 / max(p[1], BY_RANK)),  # smaller ones are by the tail
        good="Data simulated from the posterior look like the observation.",
        bad="Data simulated from the posterior do not look like the observation ({}): the model "
        "lacks something, or the posterior is wrong, or so much wider than it need be that its "
        "draws are far from the truth (see information).",
    )


def draw_predictive(asked: Sequence[SampledPosterior], look: Look) -> Figure:
    """Show the observation over what each posterior predicts: 50 % and 90 % of simulated data.

    Series get bands, short vectors intervals, images the mean prediction and the residual. Where
    ``x_o`` has a coordinate it becomes the horizontal axis; attributes ``label`` and ``unit`` name
    the axes.
    """
    known = {each.name: each.predictive for each in asked if each.predictive is not None}
    if next(iter(known.values()))["x_o"].ndim == 2:
        return _draw_images(known)
    figure, axes = panels(len(known), columns=3, width=4.0, height=3.0, sharex=True, sharey=True)
    for (name, data), axis in zip(known.items(), axes, strict=True):
        x_o = data["x_o"]
        (dim,) = x_o.dims if x_o.ndim == 1 else ("element",)
        observed = x_o.to_numpy().ravel()
        at = x_o[dim].to_numpy() if dim in x_o.coords else np.arange(1, observed.size + 1)
        simulated = data["x"].to_numpy().reshape(-1, observed.size)
        draw = _draw_intervals if observed.size < SHORT else _draw_bands
        for part in np.split(np.arange(observed.size), int(data.attrs.get("parts", 1))):
            draw(axis, at[part], simulated[:, part], look.colours[name])
        axis.plot(at, observed, "o", color=INK, ms=4, mec="white", mew=0.5)
        labels = x_o[dim].attrs if dim in x_o.coords else {}
        axis.set(title=name, xlabel=axis_label(labels, "element of the data"))
    axes[0].set_ylabel(axis_label(x_o.attrs, "data"))
    key(
        figure,
        {
            "observed": line_of(INK, lw=0, marker="o", ms=4),
            "50 % of predictions": patch("#777777"),
            "90 %": patch("#BBBBBB"),
        },
    )
    return figure


def _draw_bands(axis: Axes, at: Array, simulated: Array, colour: str) -> None:
    for prob, alpha in ((0.9, 0.22), (0.5, 0.4)):
        low, high = np.nanquantile(simulated, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
        axis.fill_between(at, low, high, color=colour, alpha=alpha, lw=0)
    axis.plot(at, np.nanmedian(simulated, axis=0), color=colour, lw=1.3)


def _draw_intervals(axis: Axes, at: Array, simulated: Array, colour: str) -> None:
    for prob, width in ((0.9, 1.5), (0.5, 5.0)):
        low, high = np.nanquantile(simulated, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
        axis.vlines(at, low, high, color=colour, lw=width, alpha=0.6)
    axis.set_xticks(at)
    axis.margins(x=0.3 / len(at))


def _draw_images(predictives: Mapping[str, xr.Dataset]) -> Figure:
    """Show observation, mean prediction and residual in predictive sds, one row an estimator."""
    figure = canvas(9.0, 2.9 * len(predictives))
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


def caption(asked: Sequence[SampledPosterior]) -> str:
    """Say what the bands are, and where nuisances were drawn from."""
    of_prior = [
        each.name
        for each in asked
        if each.predictive is not None and each.predictive.attrs.get("nuisances") == "prior"
    ]
    text = "Data simulated for draws of the posterior, against the observation."
    if not of_prior:
        return f"{text} Nuisances, if there are any, are drawn given these and the observation."
    return (
        f"{text} Nuisances, if there are any, are drawn from their prior ({', '.join(of_prior)}): "
        "the bands are wider than, and may be offset from, those of a fit to all parameters."
    )


PREDICTIVE = Diagnostic(
    of=SampledPosterior,
    measure=measure_predictive,
    judge=judge_predictive,
    checks=("predictive",),
    value="p-value of the observation among predictions",
    chance="uniform",
    figures=(
        Drawing(
            stem="predictive-{observation}",
            draw=draw_predictive,
            alt="Posterior predictive for {observation}",
            title="Predictive fit.",
            text=caption,
            section="observation",
        ),
    ),
)
