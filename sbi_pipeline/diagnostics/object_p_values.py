"""How many objects of a catalogue are unlike simulations, or unlike their own predictions?

Of 1 000 good objects ten have p ≤ 0.01. How many more are too many says the binomial law; where all
objects are ranked among the same simulations it is the beta-binomial one, since a threshold that
these happen to put too low is too low for every object.

What matters is the excess over chance, the fraction of objects that the simulator does not
describe. Up to 0.02 it is a matter for those objects, which are flagged; from 0.1 on the catalogue
is not what the networks were trained for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from ..plots.style import FAINT, INK, Look, key, line_of, panels
from ..populations import ObservedCatalogue, Population, counted
from ..types import Array
from .check import Check, WarnFail, significant
from .diagnostic import Diagnostic, Drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COARSE = 0.05
"""P-values up to this are counted where too few were simulated for one that is flagged."""
BINS = 20


@dataclass(frozen=True)
class RareObjects:
    """How many objects have a p-value that few should have.

    Attributes:
        level: P-values up to this are counted.
        objects: Objects with a p-value.
        count: Those counted.
        expected: What chance gives on average.
        most: What chance stays at or below in 95 % of cases.
        p_value: Probability that chance gives so many.
    """

    level: float
    objects: int
    count: int
    expected: float
    most: int
    p_value: float

    @property
    def fraction(self) -> float:
        """The fraction counted."""
        return self.count / self.objects

    @property
    def by_chance(self) -> str:
        """What chance gives, in words."""
        return (
            f"{counted(self.expected)} of {counted(self.objects)}; at most {counted(self.most)} "
            "in 95 % of cases"
        )


def count_rare(p_values: Array, level: float, reference: int | None = None) -> RareObjects:
    """Count small p-values, and say what chance gives.

    Args:
        p_values: Of objects, ``(n,)``.
        level: What is small.
        reference: Number of simulations that all objects are ranked among, which are the same for
            all of them; None where each has simulations of its own.
    """
    n, count = p_values.size, int(np.sum(p_values <= level * (1 + 1e-6)))
    law = _law(n, level, reference)
    chances = law.pmf(np.arange(n + 1))
    return RareObjects(
        level=level,
        objects=n,
        count=count,
        expected=float(law.mean()),
        most=int(np.searchsorted(chances.cumsum(), 0.95)),
        p_value=float(min(1.0, chances[count:].sum())),
    )


def _law(n: int, fraction: float, reference: int | None) -> Any:
    """Return the law of the number of objects with p-values in a range of this probability."""
    if reference is None:
        return stats.binom(n, fraction)
    ranks = int(fraction * (reference + 1) + 1e-9)
    return stats.betabinom(n, ranks, reference + 1 - ranks)


def measure_in_distribution_of_objects(asked: ObservedCatalogue) -> RareObjects | None:
    """Count objects unlike simulations: the same for every estimator, since none takes part."""
    for each in asked.populations.values():
        p_values = each.column("in_distribution_p")
        if p_values.size:
            fine = each.least_p is None or each.least_p <= each.level
            return count_rare(p_values, each.level if fine else COARSE, each.reference)
    return None


def measure_predicted_objects(asked: Population) -> RareObjects | None:
    """Count objects unlike their own predictions, of which there must be enough to tell."""
    if not asked.column("predictive_p").size:
        return None
    p_values, predictions = (
        asked.table[name].to_numpy(dtype=float) for name in ("predictive_p", "predictions")
    )
    has = np.isfinite(p_values)
    level = asked.level if _reaches(np.median(predictions[has]), asked.level) else COARSE
    told = has & _reaches(predictions, level)
    return count_rare(p_values[told], level) if told.any() else None


def _reaches(simulated: Any, level: float) -> Any:
    """Say whether a p-value among so many simulations can be as small as this."""
    return (simulated + 1) * level >= 1 - 1e-9


def judge_in_distribution_of_objects(
    found: RareObjects,
    subject: str,
    *,
    p: WarnFail = (0.005, 0.001),
    excess: WarnFail = (0.02, 0.1),
) -> Check:
    """Judge how many objects lie outside of what the simulator makes.

    Args:
        found: What was counted.
        subject: The catalogue.
        p: Probability that chance gives so many: warn below, fail below.
        excess: Fraction of objects above that expected: smaller than the first never matters,
            larger than the second is needed to fail.
    """
    return _judge(
        found,
        subject,
        (p, excess),
        name="objects in distribution",
        among="simulations",
        good="Hardly more objects than chance gives are unlike the training simulations.",
        bad="{} of {} objects are unlike the training simulations: networks extrapolate blindly "
        "there. Look at the worst ones, then mend the simulator or leave such objects out.",
    )


def judge_predicted_objects(
    found: RareObjects,
    subject: str,
    *,
    p: WarnFail = (0.005, 0.001),
    excess: WarnFail = (0.02, 0.1),
) -> Check:
    """Judge how many objects the model, as inferred, could not have made.

    Args:
        found: What was counted.
        subject: Estimator and catalogue.
        p: Probability that chance gives so many: warn below, fail below.
        excess: Fraction of objects above that expected: smaller than the first never matters,
            larger than the second is needed to fail.
    """
    return _judge(
        found,
        subject,
        (p, excess),
        name="objects predicted",
        among="their predictions",
        good="Hardly more objects than chance gives differ from data simulated from their "
        "posteriors.",
        bad="{} of {} objects do not look like data simulated from their posteriors: the model "
        "lacks something, or the posteriors are wrong.",
    )


def _judge(
    found: RareObjects,
    subject: str,
    limits: tuple[WarnFail, WarnFail],
    *,
    name: str,
    among: str,
    good: str,
    bad: str,
) -> Check:
    judged = significant(found.p_value, found.fraction - found.level, *limits, name)
    return judged.check(
        name=name,
        subject=subject,
        quantity=f"fraction of objects with p ≤ {found.level:g} among {among} (by chance with "
        f"p = {found.p_value:.2g})",
        value=found.fraction,
        chance=found.by_chance,
        good=good,
        bad=bad.format(counted(found.count), counted(found.objects)),
    )


def draw_p_values(asked: Sequence[ObservedCatalogue], look: Look) -> Figure:
    """Show p-values of objects, which are uniform by chance."""
    (catalogue,) = asked
    populations = catalogue.populations.values()
    first = next(each for each in populations if each.column("in_distribution_p").size)
    among = {first.name: first.column("in_distribution_p")}
    own = {each.name: each.column("predictive_p") for each in populations}
    own = {name: values for name, values in own.items() if values.size}
    kinds = [("among simulations", among), ("among their own predictions", own)]
    shown = [each for each in kinds if each[1]]
    figure, axes = panels(len(shown), columns=2, width=4.2, height=2.9)
    for (title, values), axis in zip(shown, axes, strict=True):
        colours = {name: INK if values is among else look.colours[name] for name in values}
        _draw_histograms(axis, values, colours, first.reference if values is among else None)
        axis.set(title=title, xlabel="p-value", xlim=(0, 1))
    axes[0].set_ylabel("relative frequency")
    if own:
        key(figure, {name: line_of(look.colours[name]) for name in own})
    return figure


def _draw_histograms(
    axis: Axes, values: dict[str, Array], colours: dict[str, str], reference: int | None
) -> None:
    """Draw one histogram each, and the band that holds all bins in 95 % of cases."""
    n = max(each.size for each in values.values())
    bins = int(np.clip(n // 10, 5, BINS))
    edges = np.linspace(0, 1, bins + 1)
    low, high = _law(n, 1 / bins, reference).interval(1 - 0.05 / bins)
    axis.axhspan(low * bins / n, high * bins / n, color=FAINT, alpha=0.3, lw=0)
    axis.axhline(1, color=INK, lw=0.6)
    top = high * bins / n
    for name, each in values.items():
        counts, _ = np.histogram(each, edges)
        heights = counts * bins / each.size
        axis.stairs(heights, edges, baseline=None, color=colours[name], lw=1.6)
        top = max(top, *heights)
    axis.set_ylim(0, 1.12 * top)


OBJECTS_IN_DISTRIBUTION = Diagnostic(
    of=ObservedCatalogue,
    measure=measure_in_distribution_of_objects,
    judge=judge_in_distribution_of_objects,
    checks=("objects in distribution",),
    value="fraction of objects with a p-value among simulations as small as is flagged",
    chance="that p-value; beta-binomial",
    figures=(
        Drawing(
            stem="p-values-{catalogue}",
            draw=draw_p_values,
            alt="P-values of the objects of {catalogue}",
            title="P-values of objects.",
            text="Uniform by chance; the band holds all bins in 95 % of cases. An excess at the "
            "left are objects that the simulator does not describe. Predictions are those of one "
            "draw of each posterior.",
            section="catalogue",
        ),
    ),
)
OBJECTS_PREDICTED = Diagnostic(
    of=Population,
    measure=measure_predicted_objects,
    judge=judge_predicted_objects,
    checks=("objects predicted",),
    value="fraction of objects with a p-value among predictions as small as is flagged",
    chance="that p-value or less; binomial",
)
