"""Figures of comparisons of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..types import Array
from .style import (
    FAINT,
    INK,
    SERIES,
    axis_label,
    canvas,
    edges,
    key,
    line_of,
    panels,
    patch,
    styled,
)

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

EVIDENCE, CLASSIFIER = SERIES[0], SERIES[1]
BINS, MOST_SHOWN = 40, 9
"""Of a marginal posterior, and parameters whose marginals are shown."""
LEAST_SPAN = 3.0
"""Nats below no preference that are always shown."""


@styled
def draw_odds(
    labels: Sequence[str],
    best: str,
    by_evidence: tuple[Array, Array] | None,
    by_classifier: tuple[Array, Array],
    most: float,
) -> Figure:
    """Show log Bayes factors of the other models over the best one by both ways.

    Args:
        labels: Of the models.
        best: The best one.
        by_evidence: Values and standard errors, ``(models,)`` each, NaN for none; None for none.
        by_classifier: Likewise.
        most: What rows can tell, in nats: beyond, values of the classifier are limits.
    """
    others = [place for place, label in enumerate(labels) if label != best]
    figure = canvas(6.4, 1.0 + 0.6 * len(others))
    axis = figure.subplots()
    ways = {
        "evidence": (by_evidence, EVIDENCE, -0.13),
        "classifier": (by_classifier, CLASSIFIER, 0.13),
    }
    shown = {name: each for name, each in ways.items() if each[0] is not None}
    for values, colour, offset in shown.values():
        assert values is not None
        where = np.arange(len(others)) + offset
        value, error = (each[others] for each in values)
        axis.errorbar(value, where, xerr=2 * error, fmt="o", ms=4.5, color=colour, capsize=2)
    axis.axvline(0, color=INK, lw=0.8)
    low, high = axis.get_xlim()
    low, high = min(low, -LEAST_SPAN), max(high, LEAST_SPAN / 6)
    for limit in (-most, most):
        if low < limit < high:
            axis.axvline(limit, color=FAINT, lw=1.0, ls=":")
    axis.set(
        xlim=(low, high),
        ylim=(len(others) - 0.5, -0.5),
        xlabel=f"log Bayes factor over {best} (nats)",
    )
    axis.set_yticks(range(len(others)), [labels[place] for place in others])
    key(figure, {name: line_of(each[1], marker="o", lw=0) for name, each in shown.items()})
    return figure


@styled
def draw_reliability(
    labels: Sequence[str], curves: Sequence[tuple[Array, Array, Array, Array]]
) -> Figure:
    """Show how often models made rows that they were given some probability for.

    Args:
        labels: Of the models.
        curves: Of each, what was said, how often it happened, and both ends of what chance gives
            95 % of right probabilities, ``(bins,)`` each.
    """
    figure, axes = panels(len(labels), columns=3, width=2.9, height=2.8, sharex=True, sharey=True)
    for axis, label, (said, happened, low, high) in zip(axes, labels, curves, strict=True):
        axis.plot([0, 1], [0, 1], color=FAINT, lw=0.8)
        axis.vlines(said, low, high, color=FAINT, lw=5, alpha=0.5)
        axis.plot(said, happened, "o", ms=4, color=CLASSIFIER)
        axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), title=label, aspect="equal")
    axes[0].set_ylabel("how often it was")
    figure.supxlabel("probability that was said", fontsize=10)
    return figure


@styled
def draw_fractions(labels: Sequence[str], draws: Array) -> Figure:
    """Show the posterior of population fractions, ``(draws, models)``."""
    figure = canvas(6.0, 2.8)
    axis = figure.subplots()
    colours = SERIES * (1 + len(labels) // len(SERIES))
    for values, colour in zip(draws.T, colours, strict=False):
        bins = edges(values, BINS)
        height = np.histogram(values, bins)[0]
        axis.stairs(height / height.max(), bins, color=colour, lw=1.6)
    axis.set(xlabel="fraction of the catalogue", ylabel="density over its peak", xlim=(0, 1))
    key(figure, {label: line_of(c) for label, c in zip(labels, colours, strict=False)})
    return figure


@styled
def draw_averaged(averaged: xr.DataTree, labels: Sequence[str]) -> Figure:
    """Show marginal posteriors of shared parameters: averaged, and what each model adds.

    Args:
        averaged: As made by `comparison.averaging`.
        labels: Of the models.
    """
    group = averaged["posterior"].to_dataset()
    model = averaged["sample_stats"]["model"].to_numpy().ravel()
    names = [str(name) for name in group.data_vars][:MOST_SHOWN]
    figure, axes = panels(len(names), columns=3, width=2.9, height=2.3)
    colours = SERIES[2:] * len(labels)
    for axis, name in zip(axes, names, strict=True):
        values = group[name].to_numpy().ravel()
        bins = edges(values, BINS)
        width = (bins[1] - bins[0]) * len(values)
        parts = [np.histogram(values[model == k], bins)[0] / width for k in range(len(labels))]
        for part, colour in zip(parts, colours, strict=False):
            axis.stairs(part, bins, fill=True, color=colour, alpha=0.35)
        axis.stairs(np.sum(parts, axis=0), bins, color=INK, lw=1.2)
        axis.set(xlabel=axis_label(group[name].attrs, name), yticks=[])
    entries = {label: patch(colour) for label, colour in zip(labels, colours, strict=False)}
    key(figure, {"averaged": line_of(INK), **entries})
    return figure
