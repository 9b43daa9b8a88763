"""Are the draws enough, and do they come from one distribution?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..plots.style import SERIES, TRUTH, Look, axis_label, canvas, edges, key, line_of
from ..sampled_posteriors import SampledPosterior, ensemble_labels
from .check import Check, WarnFail, above, below
from .diagnostic import Diagnostic, Drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_WALKERS = 12


@dataclass(frozen=True)
class Sampling:
    """What is known of the draws of one posterior.

    Attributes:
        summary: As made by `convergence.summary`.
        independent: Whether they are no chain; only their number is asked for then.
        steps: Steps run, burn-in included, for the chain's length in autocorrelation times.
        stopped: Why the sampler stopped.
        effective: How many draws those are worth that were resampled by weight.
    """

    summary: pd.DataFrame
    independent: bool
    steps: int | None = None
    stopped: str = "converged"
    effective: float = math.inf


def measure_sampling(asked: SampledPosterior) -> Sampling:
    """Gather what the summary and the sampler say of the draws."""
    return Sampling(
        summary=asked.summary,
        independent=asked.independent,
        steps=asked.facts.get("steps"),
        stopped=str(asked.facts.get("stopped", "converged")),
        effective=float(asked.facts.get("effective", math.inf)),
    )


def judge_sampling(
    found: Sampling,
    subject: str,
    *,
    r_hat: WarnFail = (1.01, 1.05),
    ess: WarnFail = (400.0, 100.0),
    autocorrelation_times: WarnFail = (50.0, 20.0),
) -> list[Check]:
    """Judge whether the draws are enough and come from one distribution.

    Args:
        found: What is known of them.
        subject: Estimator and observation.
        r_hat: Warn above, fail above.
        ess: Effective sample size: warn below, fail below.
        autocorrelation_times: Chain length over autocorrelation time: warn below, fail below.
    """
    checks = [_effective(found, subject, ess)]
    if not found.independent:
        checks.append(_agreeing(found.summary, subject, r_hat))
        if found.steps is not None:
            checks.append(_length(found, subject, found.steps, autocorrelation_times))
    return checks


def _effective(found: Sampling, subject: str, ess: WarnFail) -> Check:
    sizes = found.summary[["ess_bulk", "ess_tail", "ess_least"]].to_numpy(dtype=float)
    size = min(float(sizes.min()), found.effective)
    judged = below(size, ess, "ess")
    return judged.check(
        name="effective draws",
        subject=subject,
        quantity="smallest effective sample size: bulk, tail, mean, and quantiles at 5, 25, 50, 75 "
        "and 95 %",
        value=size,
        chance=f"an error of the mean of {1 / math.sqrt(max(size, 1)):.2g} posterior sd",
        good="Enough draws for means and 90 % intervals, of the places that were visited.",
        bad="Too few effective draws for stable intervals; ask for more draws or steps.",
    )


def _agreeing(summary: pd.DataFrame, subject: str, r_hat: WarnFail) -> Check:
    worst = _worst(summary["r_hat"])
    judged = above(worst, r_hat, "r_hat")
    return judged.check(
        name="convergence",
        subject=subject,
        quantity="largest R-hat across independent ensembles",
        value=worst,
        chance="1.00",
        good="Independent ensembles agree.",
        bad="Independent ensembles disagree: run longer, and look at the traces for walkers stuck "
        "in one mode.",
    )


def _length(found: Sampling, subject: str, steps: int, times: WarnFail) -> Check:
    length = steps / _worst(found.summary["autocorrelation_time"].dropna())
    judged = below(length, times, "autocorrelation_times")
    return judged.check(
        name="chain length",
        subject=subject,
        quantity="steps run in autocorrelation times",
        value=length,
        chance="no limit; below 50 the autocorrelation time itself is a guess",
        good="The chain is long enough to trust its own error estimates.",
        bad=f"The chain is too short to know its own errors (it stopped at {found.stopped}); allow "
        "more steps or time.",
    )


def _worst(values: pd.Series) -> float:
    """Return the largest value; NaN if any is, since what could not be measured is not good."""
    return float(np.max(values.to_numpy(dtype=float))) if len(values) else math.nan


def draw_traces(asked: Sequence[SampledPosterior], look: Look) -> Figure | None:
    """Show kept steps of walkers, one colour an ensemble, and each ensemble's marginal."""
    (posterior,) = asked
    if posterior.independent:
        return None
    tree, known = posterior.tree, posterior.truth
    labels = ensemble_labels(tree)
    variables = [*tree["posterior"].data_vars.values(), tree["sample_stats/lp"]]
    thin, start = (int(posterior.facts.get(*each)) for each in (("thin", 1), ("burn_in", 0)))
    figure = canvas(8.2, 0.4 + 1.3 * len(variables))
    axes = figure.subplots(len(variables), 2, sharey="row", width_ratios=(5, 1))
    # Densities of different parameters have no common scale.
    for line in axes[:-1, 0]:
        line.sharex(axes[-1, 0])
        line.tick_params(labelbottom=False)
    for (line, side), variable in zip(axes, variables, strict=True):
        values = variable.transpose("chain", "draw").to_numpy()
        steps = start + thin * np.arange(values.shape[1])
        for colour, label in zip(SERIES * 9, np.unique(labels), strict=False):
            walkers = values[labels == label]
            for walker in walkers[:MAX_WALKERS]:
                line.plot(steps, walker, color=colour, lw=0.35, alpha=0.55, rasterized=True)
            side.hist(
                walkers.ravel(), edges(walkers, 40), density=True, histtype="step",
                orientation="horizontal", color=colour, lw=1.2,
            )  # fmt: skip
        name = str(variable.name)
        if name in known:
            for axis in (line, side):
                axis.axhline(known[name], color=TRUTH, ls="--", lw=1)
        is_lp = name == "lp"
        line.set_ylabel("log density" if is_lp else axis_label(variable.attrs, name))
        line.margins(x=0)
        side.set_xticks([])
    axes[-1, 0].set_xlabel("step")
    shown = zip(SERIES, np.unique(labels), strict=False)
    key(figure, {f"ensemble {label}": line_of(colour) for colour, label in shown})
    return figure


SAMPLING = Diagnostic(
    of=SampledPosterior,
    measure=measure_sampling,
    judge=judge_sampling,
    checks=("effective draws", "convergence", "chain length"),
    value="ESS, R-hat across ensembles, autocorrelation times",
    chance="ESS: all draws; R-hat: 1",
    figures=(
        Drawing(
            stem="trace-{observation}-{estimator}",
            draw=draw_traces,
            alt="Traces of walkers",
            title="Traces, {observation}, {estimator}.",
            text="Kept steps of some walkers of each independent ensemble, and each ensemble’s "
            "marginal.",
            section="sampling",
        ),
    ),
)
