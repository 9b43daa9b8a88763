"""Errors that add up over events: what a fault of a per-event likelihood does to a product.

For the true likelihood of an event the score s has mean zero at every theta, and a covariance V
equal to its mean curvature J. What is learnt may fail in both, where the posterior of N events is:

    a mean b shifts the posterior by N b in units where its sds are 1, which costs
    N^2 b^T b / 2 nats, the divergence from the right one of the same width;

    a V that is not J gives it the information N J + P, with P of the prior, in place of
    N J V^-1 J + P: its width is not what the scatter of the scores says, by the square root of
    that ratio.

The second is an error of the width where b is the same for all z. Where b varies, the scatter of
scores says N (J + b') V^-1 (J + b') + P, with b' = db/dz, so a posterior that has 0.8 times the
width by J V^-1 J may be too wide. Simulated events tell b' / J to the root of N over their number
only, 0.16 of 500 events, so the check does not say narrow or wide.

An error nobody would see in one event grows with their number. Events are simulated for draws of
the posterior, see `scores`: errors elsewhere do not count, and those whose sign changes over the
prior do not cancel.

References:
    White, Maximum likelihood estimation of misspecified models, Econometrica 50, 1982,
        https://doi.org/10.2307/1912526 (the information matrix test)
    Godambe, An optimum property of regular maximum likelihood estimation, Annals of Mathematical
        Statistics 31, 1960, https://doi.org/10.1214/aoms/1177705693 (J V^-1 J)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg, stats

from ..sampled_posteriors import ManyEvents
from ..types import Array
from .check import Check, WarnFail, significant
from .diagnostic import Diagnostic

NEARLY_ALWAYS = float(stats.norm.ppf(0.95))
"""Standard errors beyond a threshold at which it is passed in 95 % of cases."""
FEWEST = 500
"""Scores of which anything is said."""


@dataclass(frozen=True)
class Scored:
    """Scores of simulated events, by directions along which the posterior has sd 1.

    Attributes:
        score: ``(n, dim)``.
        curvature: Minus the second derivatives, ``(n, dim, dim)``.
        prior: Information of the prior along these directions, ``(dim, dim)``.
    """

    score: Array
    curvature: Array
    prior: Array


@dataclass(frozen=True)
class Accumulated:
    """What the errors of many events come to.

    Attributes:
        nats: Divergence caused by the mean score, less what chance gives on average.
        by_chance: What ``nats`` stays below in 95 % of cases for an honest likelihood.
        p_shift: P-value of a mean score as far from zero.
        width: Widths of the posterior over those by the scatter of scores, the one farthest from 1.
        width_error: Standard error of that.
        p_width: P-value of a covariance of the scores as far from their curvature.
        events: How many events are multiplied.
        simulations: How many simulated ones are behind it.
    """

    nats: float
    by_chance: float
    p_shift: float
    width: float
    width_error: float
    p_width: float
    events: int
    simulations: int


def accumulated(scored: Scored, events: int) -> Accumulated:
    """Say what errors of single events do to a product over many.

    Args:
        scored: Scores of simulated events.
        events: How many are multiplied.
    """
    score, n = scored.score.astype(float), len(scored.score)
    dim = score.shape[1]
    mean, variance = score.mean(axis=0), np.cov(score, rowvar=False).reshape(dim, dim)
    chance = events**2 * variance / n  # covariance of the shift by chance
    shift = events * mean
    statistic = shift @ np.linalg.pinv(chance) @ shift
    quantile = float(stats.chi2.ppf(0.95, dim))
    width, width_error = worst_width(scored, variance, events)
    return Accumulated(
        nats=float(shift @ shift - np.trace(chance)) / 2,
        by_chance=float(np.trace(chance)) / 2 * (quantile / dim - 1),
        p_shift=float(stats.chi2.sf(statistic, dim)),
        width=width,
        width_error=width_error,
        p_width=information_test(scored),
        events=events,
        simulations=n,
    )


def worst_width(scored: Scored, variance: Array, events: int) -> tuple[float, float]:
    """Return the sd of the posterior over that by the scatter of scores, and its standard error.

    Of all directions it is the one where this is farthest from 1.

    NaN where the log likelihood is not curved as one is that has a maximum.

    Args:
        scored: Scores of simulated events.
        variance: Of the scores, ``(dim, dim)``.
        events: How many are multiplied.
    """
    curvature = scored.curvature.astype(float).mean(axis=0)
    claimed = events * curvature + scored.prior
    honest = events * curvature @ np.linalg.pinv(variance) @ curvature + scored.prior
    if linalg.eigvalsh(claimed)[0] <= 0:
        return float("nan"), float("nan")
    squares, along = linalg.eigh(honest, claimed)
    ratios = np.sqrt(np.maximum(squares, 1e-12))
    worst = int(np.argmax(np.abs(np.log(ratios))))
    axis = along[:, worst]  # along which the claimed information is 1
    each = (scored.score @ axis) ** 2 - np.einsum("i,nij,j->n", axis, scored.curvature, axis)
    return float(ratios[worst]), float(events * each.std() / np.sqrt(len(each)) / 2)


def information_test(scored: Scored) -> float:
    """Return the p-value of White's test: do scores scatter as their curvature says?"""
    score = scored.score.astype(float)
    differences = score[:, :, None] * score[:, None] - scored.curvature
    places = np.triu_indices(score.shape[1])
    each = differences[:, places[0], places[1]]
    mean, size = each.mean(axis=0), each.shape[1]
    covariance = np.cov(each, rowvar=False).reshape(size, size) / len(each)
    return float(stats.chi2.sf(mean @ np.linalg.pinv(covariance) @ mean, size))


def measure_accumulation(asked: ManyEvents) -> Accumulated | None:
    """Take the scores of the events that were predicted; none where nothing could be predicted."""
    told, data = asked.posterior.tree.attrs, asked.posterior.predictive
    events = int(told.get("tried", len(asked.posterior.x_o)))
    if data is None or "event_score" not in data or data.sizes["event"] < FEWEST:
        found = 0 if data is None else data.sizes.get("event", 0)
        nothing = float("nan")
        return Accumulated(nothing, nothing, 1.0, nothing, nothing, 1.0, events, found)
    scored = Scored(*(data[f"event_{name}"].to_numpy() for name in ("score", "curvature", "prior")))
    return accumulated(scored, events)


def judge_accumulation(
    found: Accumulated,
    subject: str,
    *,
    p: WarnFail = (0.005, 0.001),
    nats: WarnFail = (0.5, 2.0),
    width: WarnFail = (0.1, 0.25),
) -> Sequence[Check]:
    """Judge whether small errors of a per-event likelihood add up over the events.

    Args:
        found: As made by `accumulated`.
        subject: Estimator and observation.
        p: P-value of a shift or of a wrong width: warn below, fail below.
        nats: Divergence of the posterior, beyond what chance gives: warn above, fail above. Half a
            nat is a shift by one posterior sd.
        width: Fraction by which the sd of the posterior is not that by the scatter of scores: warn
            above, fail above.
    """
    if found.simulations < FEWEST:
        return [_unseen(found, subject)]
    return [_judge_shift(found, subject, p, nats), _judge_width(found, subject, p, width)]


def _unseen(found: Accumulated, subject: str) -> Check:
    """Say that nothing could be asked."""
    return Check(
        name="accumulation",
        subject=subject,
        status="warn",
        quantity=f"events simulated where the posterior of {found.events} events is",
        value=float(found.simulations),
        threshold=f"warn below {FEWEST}",
        chance="",
        advice=(
            f"Whether errors of single events add up over {found.events} was not asked: that needs "
            "events simulated where the posterior is (a simulator, and predictive_draws above 0)."
        ),
    )


def _judge_shift(found: Accumulated, subject: str, p: WarnFail, nats: WarnFail) -> Check:
    judged = significant(found.p_shift, found.nats, p, nats, "accumulation")
    sds = np.sqrt(2 * max(found.nats, 0.0))
    bad = (
        f"Errors of single events add up: the posterior of all is shifted by about {sds:.2g} sd; "
        "train on more."
    )
    if judged.status == "pass" and found.by_chance > nats[0]:
        judged = judged._replace(status="warn")
        bad = (
            f"{found.simulations} simulated events are too few to tell whether errors add up over "
            f"{found.events}; raise predictive_draws."
        )
    return judged.check(
        name="accumulation",
        subject=subject,
        quantity=f"divergence of the posterior of {found.events} events by the mean score (nats)",
        value=found.nats,
        chance=f"below {found.by_chance:.2g} in 95 % of cases",
        good="Errors of single events do not add up to much where the posterior is.",
        bad=bad,
        sees=_visible(found, p, nats),
    )


def _visible(found: Accumulated, p: WarnFail, nats: WarnFail) -> str:
    """Say which shift is found nearly always, in one direction."""
    chance = float(np.sqrt(found.events / found.simulations))
    least = max(np.sqrt(2 * nats[0]), float(stats.norm.isf(p[0] / 2)) * chance)
    sds = least + NEARLY_ALWAYS * chance
    return f"A shift by {sds:.2g} sd would have been found in 95 % of cases."


def _visible_width(found: Accumulated, p: WarnFail, width: WarnFail) -> str:
    """Say which error of the width is found nearly always."""
    least = max(width[0], float(stats.norm.isf(p[0] / 2)) * found.width_error)
    off = least + NEARLY_ALWAYS * found.width_error
    return (
        f"A width that differs by {100 * off:.0f} % from what the scatter of scores says would "
        "have been found in 95 % of cases."
    )


def _judge_width(found: Accumulated, subject: str, p: WarnFail, width: WarnFail) -> Check:
    off = max(found.width, 1 / found.width) - 1
    judged = significant(found.p_width, off, p, width, "width of events")
    bad = (
        "The width of the posterior is not what the scatter of the scores of events says: its sd "
        f"is {found.width:.2g} of that; train on more, or a larger network."
    )
    unsure = NEARLY_ALWAYS * found.width_error
    if judged.status == "pass" and unsure > width[1]:
        judged = judged._replace(status="warn")
        bad = (
            f"{found.simulations} simulated events are too few to tell whether the width of the "
            "posterior is what their scores say, since some of them count for most; train on more, "
            "or raise predictive_draws."
        )
    if np.isnan(off):
        judged = judged._replace(status="fail")
        bad = "The likelihood of events has no maximum where their posterior is; train on more."
    return judged.check(
        name="width of events",
        subject=subject,
        quantity=f"sd of the posterior of {found.events} events over that by the scatter of scores",
        value=found.width,
        chance=f"1; p = {found.p_width:.2g}",
        good="The width of the posterior is what the scatter of the scores of events says.",
        bad=bad,
        sees=_visible_width(found, p, width),
    )


ACCUMULATION = Diagnostic(
    of=ManyEvents,
    measure=measure_accumulation,
    judge=judge_accumulation,
    checks=("accumulation", "width of events"),
    value="divergence by the mean score of events (nats); sd over that by the scatter of scores",
    chance="chi-squared; 1",
)
