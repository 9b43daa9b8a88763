"""Is the estimator honest on data it has not seen? Simulation-based calibration (SBC).

For held-out simulations, the rank of the truth among the posterior draws is uniform on 0..L if the
estimator is honest; that alone is not enough, since a posterior equal to the prior passes, so
`information` belongs beside it.

References:
    Talts, Betancourt, Simpson, Vehtari, Gelman, Validating Bayesian inference algorithms with
        simulation-based calibration, 2018, https://arxiv.org/abs/1804.06788
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from ..plots.style import INK, Look, key, label_outer, line_of, note, panels
from ..subjects import TrainedEstimator, calibrations
from ..types import Array
from .check import Check, Judged, WarnFail, worst_of
from .coverage import ONE_AND_TWO_SIGMA, coverage
from .diagnostic import Diagnostic, Drawing
from .remedies import Shape, remedy_of
from .uniform import Ecdf, chi2_p_value, ecdf_difference, ks_p_value, rank_histogram
from .visible import by_ecdf

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BAND = 0.14
NOTED = 3
"""Estimators whose p-values stand in a panel each; of more the smallest does."""


MOST_DRAWN = 12
"""Quantities of a figure; of more those with the smallest p-values are drawn."""
Ranked = Mapping[str, tuple[Array, int]]
"""Ranks of one quantity, and of how many draws, by estimator."""


@dataclass(frozen=True)
class Uniformity:
    """Tests of the ranks of one estimator.

    Attributes:
        table: As made by `uniformity`.
        parameters: Names of the rows that are parameters; the others are joint quantities.
        draws: Of each posterior.
        rough: Simulations whose ranks are of chains that had not converged.
        method: What was asked.
    """

    table: pd.DataFrame
    parameters: tuple[str, ...]
    draws: int
    rough: int = 0
    method: str = ""

    @property
    def marginal(self) -> pd.DataFrame:
        """The rows of parameters."""
        return self.table[self.table["parameter"].isin(self.parameters)]


def uniformity(calibration: xr.Dataset) -> pd.DataFrame:
    """Test the ranks of every parameter.

    Returns:
        One row a parameter (joint quantities such as TARP last), with what `rank_tests` returns.
    """
    draws = int(calibration.attrs["draws"])
    found = all_ranks(calibration).items()
    return pd.DataFrame([{"parameter": name} | rank_tests(ranks, draws) for name, ranks in found])


def rank_tests(ranks: Array, draws: int) -> dict[str, float]:
    """Test the ranks of one quantity.

    Returns:
        ``chi2_p``, ``ks_p``, ``ecdf_p``; ``max_difference`` is the largest distance between ECDF
        and uniform, ``coverage_68`` and ``coverage_95`` the coverage of central 68.3 % and 95.45 %
        intervals, ``bias`` the mean rank fraction minus one half (above 0: the posterior lies too
        low).
    """
    ecdf = ecdf_difference(ranks, draws)
    one, two = coverage(ranks, draws, np.array(ONE_AND_TWO_SIGMA)).observed
    return {
        "simulations": ranks.size,
        "chi2_p": chi2_p_value(ranks, draws),
        "ks_p": ks_p_value(ranks, draws),
        "ecdf_p": ecdf.p_value,
        "max_difference": float(np.abs(ecdf.difference).max()),
        "coverage_68": float(one),
        "coverage_95": float(two),
        "bias": float(((ranks + 0.5) / (draws + 1)).mean() - 0.5),
    }


def all_ranks(calibration: xr.Dataset) -> dict[str, Array]:
    """Return ranks by parameter, then by joint quantity (``joint_ranks``) where there are any."""
    found = {
        str(name): calibration["ranks"].sel(parameter=name).to_numpy()
        for name in calibration["parameter"].to_numpy()
    }
    if "joint_ranks" in calibration:
        for name in calibration["quantity"].to_numpy():
            found[str(name)] = calibration["joint_ranks"].sel(quantity=name).to_numpy()
    return found


def measure_uniformity(asked: TrainedEstimator) -> Uniformity | None:
    """Test the ranks of an estimator; None where it has none that can be judged."""
    return None if asked.ranked is None else tested(asked.ranked)


def tested(data: xr.Dataset) -> Uniformity:
    """Test the ranks of a dataset, of which those of chains that did not converge are counted."""
    rough = int((data["converged"] == 0).sum()) if "converged" in data else 0
    names = tuple(map(str, data["parameter"].to_numpy()))
    told = int(data.attrs["draws"]), rough, str(data.attrs.get("method", ""))
    return Uniformity(uniformity(data), names, *told)


def judge_calibration(
    found: Uniformity,
    subject: str,
    *,
    p: WarnFail = (0.005, 0.001),
    difference: WarnFail = (0.02, 0.1),
) -> Check:
    """Judge whether the truth ranks uniformly among draws (SBC), over all quantities.

    Args:
        found: Tests of the ranks.
        subject: The estimator.
        p: P-value, corrected for the number of quantities: warn below, fail below.
        difference: Largest distance between the ECDF of ranks and uniform: smaller than the first
            never matters, larger than the second is needed to fail.
    """
    row, p_value, judged = worst_quantity(found, p, difference, "calibration")
    n = int(row["simulations"])
    rough = f"; MCMC of {found.rough} of {n} has not converged" if found.rough else ""
    return judged.check(
        name="calibration",
        subject=subject,
        quantity=f"SBC: largest ECDF distance from uniform ranks ({row['parameter']}, "
        f"p = {p_value:.2g} over {len(found.table)} quantities{rough})",
        value=float(row["max_difference"]),
        chance=f"below {1.36 / math.sqrt(n):.2g} in 95 % of cases with {n} simulations",
        good="Credible intervals mean what they say, on average over the prior.",
        bad=fault(row, found),
        sees=by_ecdf(n, found.draws, p[0] / len(found.table), difference[0]).words,
    )


def worst_quantity(
    found: Uniformity, p: WarnFail, difference: WarnFail, name: str
) -> tuple[pd.Series, float, Judged]:
    """Return the tests of the worst quantity, its p-value among all, and how it was judged.

    Args:
        found: Tests of the ranks.
        p: As for `judge_calibration`; a parameter is named below the second.
        difference: As for `judge_calibration`.
        name: Of the diagnostic.
    """
    table, marginal = found.table, found.marginal
    # A parameter says more than a joint quantity.
    looked = marginal if marginal["ecdf_p"].min() * len(table) < p[1] else table
    p_values = np.minimum(1.0, looked["ecdf_p"].to_numpy() * len(table))
    place, judged = worst_of(p_values, looked["max_difference"].to_numpy(), p, difference, name)
    return looked.iloc[place], float(p_values[place]), judged


def fault(row: pd.Series, found: Uniformity) -> str:
    """Say in words what ranks that are not uniform mean, and what to do."""
    joint = row["parameter"] not in found.parameters
    shape: Shape = "of the wrong shape" if joint else _shape(row)
    return f"The {told_by_ranks(row, found)}; {remedy_of(shape, found.method)}."


def told_by_ranks(row: pd.Series, found: Uniformity) -> str:
    """Say in words what ranks that are not uniform mean."""
    if row["parameter"] not in found.parameters:
        return f"joint posterior is not honest (ranks of {row['parameter']})"
    return f"posterior of {row['parameter']} is {_shape(row)}"


def _shape(row: pd.Series) -> Shape:
    if abs(row["bias"]) > 0.03:
        return "too low" if row["bias"] > 0 else "too high"
    if row["coverage_68"] < 0.6827 - 0.03:
        return "too narrow"
    return "too wide" if row["coverage_68"] > 0.6827 + 0.03 else "of the wrong shape"


def draw_ecdf(asked: Sequence[TrainedEstimator], look: Look) -> Figure:
    """Show ECDF of ranks minus uniform; a curve that leaves its band has p < 0.05."""
    return draw_ecdfs(calibrations(asked), look)


def draw_ecdfs(ranked: Mapping[str, xr.Dataset], look: Look) -> Figure:
    """Show ECDFs of ranks minus uniform, by who is asked."""
    grouped = foremost_quantities(ranked)
    figure, axes = panels(len(grouped), columns=4, width=2.5, height=2.2)
    for (what, ranks), axis in zip(grouped.items(), axes, strict=True):
        found = [(look.colours[who], ecdf_difference(*each)) for who, each in ranks.items()]
        draw_differences(axis, found, least=0.05)
        axis.set_title(look.label(what))
    label_outer(axes, "rank of the truth", "ECDF − uniform")
    key(figure, {who: line_of(look.colours[who]) for who in ranked})
    return figure


def draw_differences(axis: Axes, found: Sequence[tuple[str, Ecdf]], least: float = 0.0) -> None:
    """Draw ECDFs minus uniform in their bands, each in its colour, with their p-values.

    The axis reaches ``least`` at least, so that what does not matter looks small.
    """
    for line, (colour, each) in enumerate(found):
        axis.fill_between(each.at, each.low, each.high, color=colour, alpha=BAND, lw=0)
        axis.plot(each.at, each.difference, color=colour, lw=1.6)
        if len(found) <= NOTED:
            note(axis, line, f"p = {each.p_value:.2g}", colour)
    if len(found) > NOTED:
        note(axis, 0, f"smallest p = {min(each.p_value for _, each in found):.2g}", INK)
    axis.axhline(0, color=INK, lw=0.6)
    farthest = max(np.abs([*each.difference, *each.high]).max() for _, each in found)
    reach = (1.25 + 0.15 * min(len(found), NOTED)) * max(least, farthest)
    axis.set(xlim=(0, 1), ylim=(-reach, reach))


def draw_ranks(asked: Sequence[TrainedEstimator], look: Look) -> Figure:
    """Show histograms of the truth's rank among draws; flat within its band is honest."""
    grouped = foremost_quantities(calibrations(asked))
    figure, axes = panels(len(grouped), columns=4, width=2.5, height=2.2)
    for (what, ranks), axis in zip(grouped.items(), axes, strict=True):
        top = 1.5
        for who, (each, draws) in ranks.items():
            found, colour = rank_histogram(each, draws), look.colours[who]
            low, counts, high = np.array([found.low, found.counts, found.high]) / found.expected
            axis.stairs(high, found.edges, baseline=low, fill=True, color=colour, alpha=BAND, lw=0)
            axis.stairs(counts, found.edges, baseline=None, color=colour, lw=1.5)
            top = max(top, *counts, *high)
        axis.axhline(1, color=INK, lw=0.6)
        axis.set(xlim=(0, 1), ylim=(0, 1.1 * top), title=look.label(what))
    label_outer(axes, "rank of the truth", "relative frequency")
    key(figure, {each.name: line_of(look.colours[each.name]) for each in asked})
    return figure


def foremost_quantities(ranked: Mapping[str, xr.Dataset]) -> Mapping[str, Ranked]:
    """Return ranks by quantity, of many only those that are least uniform, in their order."""
    grouped = _by_quantity(ranked)
    if len(grouped) <= MOST_DRAWN:
        return grouped
    chosen = sorted(grouped, key=lambda what: _smallest_p(grouped[what]))[:MOST_DRAWN]
    return {what: of for what, of in grouped.items() if what in chosen}


def _smallest_p(ranks: Ranked) -> float:
    return min(ecdf_difference(*each).p_value for each in ranks.values())


def which_are_drawn(asked: Sequence[TrainedEstimator]) -> str:
    """Say which quantities a figure shows, where not all."""
    count = len(_by_quantity(calibrations(asked)))
    if count <= MOST_DRAWN:
        return ""
    return f" Of {count} quantities the {MOST_DRAWN} with the smallest p are shown."


def _by_quantity(ranked: Mapping[str, xr.Dataset]) -> Mapping[str, Ranked]:
    """Return ranks and draws of each posterior by quantity, then by estimator."""
    grouped: dict[str, dict[str, tuple[Array, int]]] = {}
    for who, data in ranked.items():
        for what, ranks in all_ranks(data).items():
            grouped.setdefault(what, {})[who] = ranks, int(data.attrs["draws"])
    return grouped


CALIBRATION = Diagnostic(
    of=TrainedEstimator,
    measure=measure_uniformity,
    judge=judge_calibration,
    checks=("calibration",),
    value="SBC: distance of the ECDF of ranks from uniform",
    chance="simultaneous band",
    figures=(
        Drawing(
            stem="sbc-ecdf",
            draw=draw_ecdf,
            alt="ECDF of ranks minus uniform",
            title="Simulation-based calibration.",
            text=lambda asked: (
                "ECDF of the truth’s rank among draws, minus uniform. An honest "
                "estimator stays inside its whole band in 95 % of cases; p by estimator."
                + which_are_drawn(asked)
            ),
            section="calibration",
        ),
        Drawing(
            stem="sbc-ranks",
            draw=draw_ranks,
            alt="Histograms of ranks",
            title="Rank histograms.",
            text=lambda asked: (
                "∪: too narrow, ∩: too wide, a slope: shifted." + which_are_drawn(asked)
            ),
            section="calibration",
        ),
    ),
)
