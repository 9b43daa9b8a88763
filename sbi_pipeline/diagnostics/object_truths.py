"""Do the posteriors of a catalogue hold the truths, where these are known?

For an exact posterior, and objects spread as the prior says, the rank of the truth among draws is
uniform, central intervals hold the truth as often as they claim, and the pull, posterior mean minus
truth in posterior sds, has mean 0 and variance 1, whatever the shape of the posterior.

Objects of another population than the prior's break this without any fault of the estimator: each
posterior leans towards the prior, by the more the less the data say. So where the truths are not
spread like the prior, these checks warn at most, and say so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from ..plots.style import FAINT, Look, key, label_outer, line_of, note, panels
from ..populations import Population, counted
from ..types import Array
from .calibration import Uniformity, draw_differences, fault, rank_tests
from .check import Check, Judged, WarnFail, worst_of
from .coverage import Interval, intervals, worst_interval
from .diagnostic import Diagnostic, Drawing
from .remedies import INFLEXIBLE
from .uniform import ecdf_difference
from .visible import by_ecdf

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEWEST_TRUTHS = 10
"""Of fewer objects nothing is said."""
FAR, SURE = 0.1, 4.0
"""Truths differ from the prior where their mean or width is off by this many prior sds, and by this
many standard errors."""
PULL_RANGE = 4.5


@dataclass(frozen=True)
class Truths:
    """How the truths lie in the posteriors of a population.

    Attributes:
        uniformity: Tests of their ranks.
        intervals: Central intervals.
        pulls: A row a parameter: ``objects``, ``mean``, ``error`` and ``p`` of the mean pull.
        unlike_prior: Parameters whose truths are not spread like the prior.
    """

    uniformity: Uniformity
    intervals: Sequence[Interval]
    pulls: pd.DataFrame
    unlike_prior: Sequence[str]

    @property
    def caveat(self) -> str:
        """What else a bad check may come from, in words."""
        if not self.unlike_prior:
            return ""
        named = ", ".join(self.unlike_prior)
        return (
            f" The truths of {named} are not spread like the prior, which shifts pulls and ranks "
            "of exact posteriors, too."
        )


def measure_truths(asked: Population) -> Truths | None:
    """Test ranks, intervals and pulls of a population; None where hardly a truth is known."""
    ranks = {name: asked.ranks(name) for name in asked.known}
    ranks = {name: each for name, each in ranks.items() if each.size >= FEWEST_TRUTHS}
    if not ranks:
        return None
    rows = [{"parameter": name} | rank_tests(each, asked.draws) for name, each in ranks.items()]
    return Truths(
        uniformity=Uniformity(pd.DataFrame(rows), tuple(ranks), asked.draws),
        intervals=intervals(ranks, asked.draws),
        pulls=pd.DataFrame([{"parameter": name} | mean_pull(asked.pulls(name)) for name in ranks]),
        unlike_prior=[name for name in ranks if not like_prior(asked, name)],
    )


def mean_pull(pulls: Array) -> dict[str, float]:
    """Return number, mean, standard error by chance and p-value of pulls, ``(n,)``."""
    n, mean = pulls.size, float(pulls.mean())
    error = 1 / math.sqrt(n)
    return {"objects": n, "mean": mean, "error": error, "p": 2 * stats.norm.sf(abs(mean) / error)}


def like_prior(asked: Population, name: str) -> bool:
    """Say whether true values have mean and width of the prior, as far as that can be told."""
    prior = asked.parameters[name]
    u = (asked.column(f"{name}_truth") - prior.prior_mean) / prior.prior_sd
    if not np.isfinite(u).all():
        return True
    mean, width = float(u.mean()), math.sqrt(float(np.mean(u**2)))
    errors = 1 / math.sqrt(u.size), float((u**2).std()) / 2 / math.sqrt(u.size)
    offs = zip((abs(mean), abs(width - 1)), errors, strict=True)
    return not any(off > max(FAR, SURE * error) for off, error in offs)


def judge_truths(
    found: Truths,
    subject: str,
    *,
    p: WarnFail = (0.005, 0.001),
    difference: WarnFail = (0.02, 0.1),
    pull: WarnFail = (0.05, 0.25),
) -> list[Check]:
    """Judge ranks of truths, coverage of intervals and the mean pull, over all parameters.

    Args:
        found: As measured.
        subject: Estimator and catalogue.
        p: P-value, corrected for the number of parameters and intervals: warn below, fail below.
        difference: Distance between the ECDF of ranks and uniform, or of a coverage from its level:
            smaller than the first never matters, larger than the second is needed to fail.
        pull: Mean pull, likewise; a mean pull of 0.25 moves the ECDF of ranks by 0.1.
    """
    return [
        _ranked(found, subject, p, difference),
        _covered(found, subject, p, difference),
        _pulled(found, subject, p, pull),
    ]


def _ranked(found: Truths, subject: str, p: WarnFail, difference: WarnFail) -> Check:
    table = found.uniformity.table
    p_values = np.minimum(1.0, table["ecdf_p"].to_numpy() * len(table))
    distances = table["max_difference"].to_numpy()
    place, judged = worst_of(p_values, distances, p, difference, "ranks of truths")
    row, n = table.iloc[place], int(table["simulations"].iloc[place])
    return _unless_unlike(judged, found).check(
        name="ranks of truths",
        subject=subject,
        quantity=f"largest ECDF distance from uniform ranks ({row['parameter']}, p = "
        f"{p_values[place]:.2g} over {len(table)} parameters)",
        value=float(distances[place]),
        chance=f"below {1.36 / math.sqrt(n):.2g} in 95 % of cases with {counted(n)} objects",
        good="Truths lie in their posteriors like one more draw.",
        bad=fault(row, found.uniformity) + found.caveat,
        sees=by_ecdf(n, found.uniformity.draws, p[0] / len(table), difference[0]).words,
    )


def _covered(found: Truths, subject: str, p: WarnFail, difference: WarnFail) -> Check:
    worst, judged = worst_interval(found.intervals, p, difference)
    return _unless_unlike(judged, found).check(
        name="coverage of truths",
        subject=subject,
        quantity=worst.quantity,
        value=worst.observed,
        chance=worst.by_chance,
        good="Intervals hold the truths as often as they claim.",
        bad=worst.said("objects") + found.caveat,
        sees=worst.seen(p, difference).words,
    )


def _pulled(found: Truths, subject: str, p: WarnFail, pull: WarnFail) -> Check:
    p_values = np.minimum(1.0, found.pulls["p"].to_numpy() * len(found.pulls))
    place, judged = worst_of(p_values, found.pulls["mean"].to_numpy(), p, pull, "mean pull")
    row, mean = found.pulls.iloc[place], float(found.pulls["mean"].iloc[place])
    return _unless_unlike(judged, found).check(
        name="mean pull",
        subject=subject,
        quantity="mean of (posterior mean − truth) / sd, objects with a flagged p-value left out "
        f"({row['parameter']}, p = {p_values[place]:.2g} over {len(found.pulls)} parameters)",
        value=mean,
        chance=f"0 ± {row['error']:.2g}",
        good="Posterior means are neither too high nor too low on average.",
        bad=f"Posterior means of {row['parameter']} are too {'high' if mean > 0 else 'low'} by "
        f"{abs(mean):.2f} sd on average, which no number of objects averages out; "
        f"{INFLEXIBLE}.{found.caveat}",
    )


def _unless_unlike(judged: Judged, found: Truths) -> Judged:
    """Warn instead of failing where the truths are not those that the prior expects."""
    if judged.status == "fail" and found.unlike_prior:
        return judged._replace(status="warn")
    return judged


def draw_pulls(asked: Sequence[Population], look: Look) -> Figure:
    """Show histograms of pulls over the standard normal."""
    grouped = dict(_by_parameter(asked))
    figure, axes = panels(len(grouped), columns=3, width=2.9, height=2.4)
    at = np.linspace(-PULL_RANGE, PULL_RANGE, 200)
    for (name, populations), axis in zip(grouped.items(), axes, strict=True):
        axis.fill_between(at, stats.norm.pdf(at), color=FAINT, alpha=0.3, lw=0)
        for line, each in enumerate(populations):
            pulls, colour = each.pulls(name), look.colours[each.name]
            bins = int(np.clip(math.sqrt(pulls.size), 8, 45))
            inside = np.clip(pulls, -PULL_RANGE, PULL_RANGE)
            axis.hist(
                inside, bins, range=(-PULL_RANGE, PULL_RANGE), density=True, histtype="step",
                color=colour, lw=1.5,
            )  # fmt: skip
            text = f"{pulls.mean().round(2) + 0:+.2f} ± {pulls.std():.2f}".replace("-", "−")
            note(axis, line, text, colour)
        axis.set(xlim=(-PULL_RANGE, PULL_RANGE), title=look.label(name))
        axis.set_ylim(0, (1.12 + 0.1 * len(populations)) * axis.dataLim.y1)
    label_outer(axes, "pull", "probability density")
    key(figure, {each.name: line_of(look.colours[each.name]) for each in asked})
    return figure


def draw_ranks_of_truths(asked: Sequence[Population], look: Look) -> Figure:
    """Show P-P plots minus the diagonal; a curve that leaves its band has p < 0.05."""
    grouped = dict(_by_parameter(asked))
    figure, axes = panels(len(grouped), columns=3, width=2.9, height=2.4)
    for (name, populations), axis in zip(grouped.items(), axes, strict=True):
        found = [
            (look.colours[each.name], ecdf_difference(each.ranks(name), each.draws))
            for each in populations
        ]
        draw_differences(axis, found)
        axis.set_title(look.label(name))
    label_outer(axes, "credible level", "truths below − level")
    key(figure, {each.name: line_of(look.colours[each.name]) for each in asked})
    return figure


def _by_parameter(asked: Sequence[Population]) -> Iterator[tuple[str, list[Population]]]:
    """Yield parameters with the populations that know truths of them."""
    names: Mapping[str, None] = dict.fromkeys(name for each in asked for name in each.known)
    for name in names:
        yield name, [each for each in asked if name in each.known]


OBJECTS_TRUTHS = Diagnostic(
    of=Population,
    measure=measure_truths,
    judge=judge_truths,
    checks=("ranks of truths", "coverage of truths", "mean pull"),
    value="ranks of known truths, coverage of central 68.3 and 95.4 % intervals, mean pull",
    chance="simultaneous band; binomial; normal",
    figures=(
        Drawing(
            stem="pulls-{catalogue}",
            draw=draw_pulls,
            alt="Pulls of the objects of {catalogue}",
            title="Pulls.",
            text="(Posterior mean − truth) / sd over the standard normal, with mean ± sd. Objects "
            "whose p-value is flagged are left out; the ends hold what lies beyond. Of objects "
            "drawn from the prior an exact posterior has mean 0 and sd 1; the shape is that of a "
            "normal where the posteriors are normal.",
            section="catalogue",
        ),
        Drawing(
            stem="ranks-{catalogue}",
            draw=draw_ranks_of_truths,
            alt="P-P plots of the objects of {catalogue}, minus the diagonal",
            title="P-P plots, minus the diagonal.",
            text="How much more often than it should the truth lies below each credible level. An "
            "exact posterior stays inside its whole band in 95 % of cases; p by estimator.",
            section="catalogue",
        ),
    ),
)
