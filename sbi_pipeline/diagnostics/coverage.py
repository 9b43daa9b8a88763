"""Do central credible intervals hold the truth as often as they claim?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from scipy import stats

from ..plots.style import FAINT, INK, SERIES, Look, canvas, key, line_of
from ..subjects import TrainedEstimator, calibrations
from ..types import Array
from .check import Check, Judged, WarnFail, worst_of
from .diagnostic import Diagnostic, Drawing
from .remedies import Shape, remedy_of
from .uniform import checked
from .visible import VisibleWidths, by_coverage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVELS = np.linspace(0.02, 0.98, 49)
MOST_LISTED = 8
"""Parameters with a colour and a name: of more, those whose intervals are least like chance."""
ONE_AND_TWO_SIGMA = (0.6827, 0.9545)


@dataclass(frozen=True)
class Coverage:
    """How often central credible intervals contain the truth.

    Attributes:
        levels: Credible levels, ``(levels,)``.
        observed: Fractions of simulations whose interval holds the truth, ``(levels,)``.
        low: Lower end of the binomial band around ``levels``, ``(levels,)``.
        high: Upper end, ``(levels,)``.
    """

    levels: Array
    observed: Array
    low: Array
    high: Array


def coverage(ranks: Array, draws: int, levels: Array = LEVELS, prob: float = 0.95) -> Coverage:
    """Return the coverage of central credible intervals of one parameter.

    A rank stands for the slot of width 1 / (draws + 1) it was found in; a slot cut by the end of an
    interval counts by the part inside. Honest ranks cover exactly ``levels`` on average.
    """
    ranks = checked(ranks, draws)
    slot = np.array(levels)[:, None] / 2
    left, right = ranks / (draws + 1), (ranks + 1) / (draws + 1)
    inside = np.minimum(right, 0.5 + slot) - np.maximum(left, 0.5 - slot)
    observed = (np.clip(inside, 0, None) * (draws + 1)).mean(axis=1)
    low, high = stats.binom.interval(prob, ranks.size, levels)
    return Coverage(np.array(levels), observed, low / ranks.size, high / ranks.size)


def coverage_error(calibration: xr.Dataset) -> tuple[float, float]:
    """Return the mean distance of coverage from its level, and what chance gives on average.

    Over `LEVELS` and parameters.
    """
    draws, ranks = int(calibration.attrs["draws"]), calibration["ranks"]
    rows = ranks.transpose("parameter", "simulation").to_numpy()
    observed = np.array([coverage(row, draws).observed for row in rows])
    scatter = np.sqrt(LEVELS * (1 - LEVELS) / rows.shape[1])
    return float(np.abs(observed - LEVELS).mean()), float(np.sqrt(2 / np.pi) * scatter.mean())


@dataclass(frozen=True)
class Interval:
    """How often one central interval of one parameter holds the truth.

    Attributes:
        parameter: Of which parameter.
        level: Its probability.
        observed: How often it holds the truth.
        error: Binomial scatter of that.
        p_value: Binomial, corrected for all intervals looked at.
        among: How many these are.
        simulations: Over how many simulations.
    """

    parameter: str
    level: float
    observed: float
    error: float
    p_value: float
    among: int
    simulations: int

    @property
    def off(self) -> float:
        """How much more often it holds the truth than it claims."""
        return self.observed - self.level

    @property
    def shape(self) -> Shape:
        """What is wrong with it, if anything is."""
        return "too wide" if self.off > 0 else "too narrow"

    @property
    def quantity(self) -> str:
        """What ``observed`` is, in words."""
        return (
            f"coverage of the central {100 * self.level:.1f} % interval ({self.parameter}, "
            f"p = {self.p_value:.2g} over {self.among} intervals)"
        )

    @property
    def by_chance(self) -> str:
        """What chance gives, in words."""
        return f"{self.level:.3g} ± {self.error:.2g}"

    def seen(self, p: WarnFail, difference: WarnFail) -> VisibleWidths:
        """Return which widths of one parameter are found by these thresholds."""
        return by_coverage(self.simulations, ONE_AND_TWO_SIGMA, p[0] / self.among, difference[0])

    def said(self, of: str, method: str = "") -> str:
        """Say what is wrong with it, where it is, and what helps.

        Args:
            of: What was asked, such as objects.
            method: That of the posterior.
        """
        return (
            f"{100 * self.level:.1f} % intervals of {self.parameter} hold the truth in "
            f"{100 * self.observed:.0f} % of {of}: error bars are {self.shape}; "
            f"{remedy_of(self.shape, method)}."
        )


def intervals(ranks: Mapping[str, Array], draws: int) -> list[Interval]:
    """Return the central 68.27 % and 95.45 % intervals of all parameters.

    Args:
        ranks: By parameter, each ``(n,)``.
        draws: Among how many draws.
    """
    levels, found = np.array(ONE_AND_TWO_SIGMA), []
    among = levels.size * len(ranks)
    for name, each in ranks.items():
        errors = np.sqrt(levels * (1 - levels) / each.size)
        observed = coverage(each, draws, levels).observed
        p_values = np.minimum(1.0, 2 * stats.norm.sf(np.abs(observed - levels) / errors) * among)
        for level, held, error, p_value in zip(levels, observed, errors, p_values, strict=True):
            values = float(level), float(held), float(error), float(p_value)
            found.append(Interval(name, *values, among, each.size))
    return found


def worst_interval(
    found: Sequence[Interval], p: WarnFail, difference: WarnFail
) -> tuple[Interval, Judged]:
    """Return the worst interval, and how it was judged.

    Args:
        found: Intervals.
        p: P-value: warn below, fail below.
        difference: Distance from the nominal coverage: warn above, fail above.
    """
    values = [each.p_value for each in found], [each.off for each in found]
    place, judged = worst_of(*values, p, difference, "coverage")
    return found[place], judged


def judge_coverage(
    data: xr.Dataset,
    subject: str,
    *,
    p: WarnFail = (0.005, 0.001),
    difference: WarnFail = (0.02, 0.1),
) -> Check:
    """Judge how often central 68.27 % and 95.45 % intervals hold the truth, over all parameters.

    Args:
        data: The calibration dataset.
        subject: The estimator.
        p: Binomial p-value, corrected for all intervals looked at: warn below, fail below.
        difference: Distance from the nominal coverage: smaller than the first never matters, larger
            than the second is needed to fail.
    """
    names = [str(name) for name in data["parameter"].to_numpy()]
    ranks = data["ranks"].transpose("parameter", "simulation").to_numpy()
    found = intervals(dict(zip(names, ranks, strict=True)), int(data.attrs["draws"]))
    worst, judged = worst_interval(found, p, difference)
    return judged.check(
        name="coverage",
        subject=subject,
        quantity=worst.quantity,
        value=worst.observed,
        chance=worst.by_chance,
        good="Intervals hold the truth as often as they claim.",
        bad=worst.said("held-out simulations", str(data.attrs.get("method", ""))),
        sees=worst.seen(p, difference).words,
    )


def draw_coverage(asked: Sequence[TrainedEstimator], look: Look) -> Figure:
    """Show how often central credible intervals hold the truth, in probability and in sigma.

    The band holds 95 % of what chance gives at each level. Below the line: too narrow.
    """
    known = calibrations(asked)
    listed = _listed(list(known.values()))
    figure = canvas(0.5 + 2.8 * len(known), 5.6)
    axes = figure.subplots(2, len(known), squeeze=False)
    in_sigma = 2 * stats.norm.cdf(np.linspace(0.1, 3.0, 59)) - 1
    for (name, data), (linear, sigma) in zip(known.items(), axes.T, strict=True):
        _draw_curves(linear, data, LEVELS, lambda level: level, listed)
        _draw_curves(sigma, data, in_sigma, _sigma, listed)
        linear.set(title=name, xlabel="credible level", xlim=(0, 1), ylim=(0, 1))
        sigma.set(xlabel="credible level [σ]", xlim=(0, 3), ylim=(0, 4))
    key(figure, {look.label(name): line_of(colour) for name, colour in listed.items()}, 4)
    axes[0, 0].set_ylabel("fraction that hold the truth")
    axes[1, 0].set_ylabel("fraction that hold the truth [σ]")
    return figure


def _listed_text(asked: Sequence[TrainedEstimator]) -> str:
    """Say which of many parameters have names."""
    most = max(data.sizes["parameter"] for data in calibrations(asked).values())
    return f" Of {most} parameters the {MOST_LISTED} farthest off are named." * (most > MOST_LISTED)


def _listed(calibrated: Sequence[xr.Dataset]) -> dict[str, str]:
    """Return colours of the parameters that are named, in the order of the configuration."""
    worst: dict[str, float] = {}
    for data in calibrated:
        columns = data["ranks"].transpose("parameter", "simulation").to_numpy()
        ranks = dict(zip(map(str, data["parameter"].to_numpy()), columns, strict=True))
        for each in intervals(ranks, int(data.attrs["draws"])):
            off = abs(each.off) / each.error
            worst[each.parameter] = max(worst.get(each.parameter, 0.0), off)
    farthest = set(sorted(worst, key=worst.__getitem__, reverse=True)[:MOST_LISTED])
    return dict(zip([name for name in worst if name in farthest], SERIES, strict=False))


def _sigma(level: Array) -> Array:
    """Return how many sigma of a normal a central interval of this probability reaches."""
    with np.errstate(divide="ignore"):
        return np.asarray(stats.norm.ppf((1 + level) / 2))


def _draw_curves(
    axis: Axes,
    data: xr.Dataset,
    levels: Array,
    scale: Callable[[Array], Array],
    listed: Mapping[str, str],
) -> None:
    draws = int(data.attrs["draws"])
    for name in data["parameter"].to_numpy().tolist():
        found = coverage(data["ranks"].sel(parameter=name).to_numpy(), draws, levels)
        width, order = (1.4, 2.1) if name in listed else (0.7, 2)
        colour = listed.get(name, FAINT)
        axis.plot(scale(levels), scale(found.observed), color=colour, lw=width, zorder=order)
    low, high = scale(found.low), np.minimum(scale(found.high), 10)
    axis.fill_between(scale(levels), low, high, color=FAINT, alpha=0.3, lw=0, zorder=0)
    axis.plot([0, 10], [0, 10], color=INK, lw=0.6)


COVERAGE = Diagnostic(
    of=TrainedEstimator,
    measure=lambda estimator: estimator.ranked,
    judge=judge_coverage,
    checks=("coverage",),
    value="coverage of central 68.3 and 95.4 % intervals",
    chance="binomial",
    figures=(
        Drawing(
            stem="coverage",
            draw=draw_coverage,
            alt="Coverage of credible intervals",
            title="Coverage.",
            text=lambda asked: (
                "How often central credible intervals hold the truth. The band holds 95 % of what "
                "chance gives; below the line intervals are too narrow." + _listed_text(asked)
            ),
            section="calibration",
        ),
    ),
)
