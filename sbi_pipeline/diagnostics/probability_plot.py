"""P-P plots: how often does the truth lie below each credible level?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from ..plots.style import FAINT, INK, SERIES, Look, label_outer, panels
from ..subjects import TrainedEstimator, calibrations
from .calibration import Uniformity, fault, measure_uniformity
from .check import Check, WarnFail, worst_of
from .diagnostic import Diagnostic, Drawing
from .uniform import ks_p_value
from .visible import by_kolmogorov_smirnov

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_LISTED = 8
"""Parameters with a colour and a p-value, those with the smallest; curves of others are grey."""


def judge_probability_plot(
    found: Uniformity,
    subject: str,
    *,
    p: WarnFail = (0.005, 0.001),
    difference: WarnFail = (0.02, 0.1),
) -> Check:
    """Judge the P-P plot by Kolmogorov and Smirnov's test, over all parameters.

    Args:
        found: Tests of the ranks.
        subject: The estimator.
        p: P-value, corrected for the number of parameters: warn below, fail below.
        difference: Largest distance between the ECDF of ranks and uniform: smaller than the first
            never matters, larger than the second is needed to fail.
    """
    table = found.marginal
    p_values = np.minimum(1.0, table["ks_p"].to_numpy() * len(table))
    distances = table["max_difference"].to_numpy()
    place, judged = worst_of(p_values, distances, p, difference, "probability_plot")
    row, n = table.iloc[place], int(table["simulations"].iloc[place])
    return judged.check(
        name="P-P",
        subject=subject,
        quantity=f"smallest KS p-value, times {len(table)} parameters ({row['parameter']}, {n} "
        "simulations)",
        value=float(p_values[place]),
        chance="uniform between 0 and 1, or above",
        good="The P-P curves stay at the diagonal.",
        bad=fault(row, found),
        sees=by_kolmogorov_smirnov(n, p[0] / len(table), difference[0]).words,
    )


def draw_probability_plot(asked: Sequence[TrainedEstimator], look: Look) -> Figure:
    """Show P-P plots: how often the truth lies below each credible level, with KS p-values.

    Bands hold 68.3, 95.4 and 99.7 % of what chance gives at each level. Of many parameters those
    with the smallest p-values are named.
    """
    columns = 3
    known = calibrations(asked)
    figure, axes = panels(len(known), columns, width=3.4, height=3.4, sharey=True)
    levels = np.linspace(0, 1, 101)
    for (who, data), axis in zip(known.items(), axes, strict=True):
        draws, n = int(data.attrs["draws"]), data.sizes["simulation"]
        for sigma in (1, 2, 3):
            low, high = stats.binom.interval(2 * stats.norm.cdf(sigma) - 1, n, levels)
            axis.fill_between(levels, low / n, high / n, color=FAINT, alpha=0.16, lw=0)
        names = data["parameter"].to_numpy()
        every = [np.sort(data["ranks"].sel(parameter=name).to_numpy()) for name in names]
        p_values = np.array([ks_p_value(ranks, draws) for ranks in every])
        listed = sorted(np.argsort(p_values, kind="stable")[:MOST_LISTED])
        for place, (name, ranks) in enumerate(zip(names, every, strict=True)):
            at, told = (ranks + 0.5) / (draws + 1), place in listed
            text = f"{look.label(str(name))}: {p_values[place]:.2g}" if told else None
            colour = SERIES[listed.index(place) % len(SERIES)] if told else FAINT
            drawn = axis.step(at, np.arange(1, n + 1) / n, color=colour, lw=1.3, label=text)
            drawn[0].set_zorder(2.1 if told else 2)
        axis.plot([0, 1], [0, 1], color=INK, lw=0.6)
        axis.set(title=who, xlim=(0, 1), ylim=(0, 1), aspect="equal")
        title = "KS p" if len(names) <= MOST_LISTED else "smallest KS p"
        axis.legend(title=title, loc="lower right", title_fontsize=8.5, fontsize=8.5)
    label_outer(axes, "credible level", "fraction of truths below")
    return figure


PROBABILITY_PLOT = Diagnostic(
    of=TrainedEstimator,
    measure=measure_uniformity,
    judge=judge_probability_plot,
    checks=("P-P",),
    value="KS p-value over parameters",
    chance="uniform",
    figures=(
        Drawing(
            stem="pp",
            draw=draw_probability_plot,
            alt="P-P plots",
            title="P-P plots.",
            text="How often the truth lies below each credible level, with p-values of Kolmogorov "
            "and Smirnov, the smallest ones. Grey: 1, 2 and 3 σ of what chance gives.",
            section="calibration",
        ),
    ),
)
