"""Errors that add up over events: what a fault of a per-event likelihood does to a product.

For the true likelihood of an event the score s = d log p(x | z) / dz is zero on average over the
events of any z, and its variance is the Fisher information I of one event. An estimator whose
score has mean b shifts the posterior of N events by N b / (N I), which is sqrt(N) b / sqrt(I)
posterior sds, and costs

    N b^T I^-1 b / 2    nats,

the divergence of the posterior from the right one of the same width: an error nobody would see in
one event grows with their number. Held-out simulations give b and I, near the posterior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..sampled_posteriors import ManyEvents
from ..types import Array
from .check import Check, WarnFail, above
from .diagnostic import Diagnostic


@dataclass(frozen=True)
class Accumulated:
    """What the errors of many events come to.

    Attributes:
        nats: Divergence caused by the mean score, less what chance gives on average.
        by_chance: What ``nats`` stays below in 95 % of cases for an honest likelihood.
        events: How many events.
        simulations: Effective number of held-out simulations behind it.
    """

    nats: float
    by_chance: float
    events: int
    simulations: float


def nearby(theta: Array, centre: Array, fraction: float = 0.5) -> Array:
    """Return weights, ``(n,)``, that fall with the distance of theta from a point.

    Args:
        theta: Parameters of simulations, ``(n, dim)``.
        centre: The point, ``(dim,)``.
        fraction: Of the simulations within one width of the kernel.
    """
    squared = (((theta - centre) / theta.std(axis=0)) ** 2).sum(axis=1)
    return np.asarray(np.exp(-squared / np.quantile(squared, fraction)))


def accumulated(score: Array, weights: Array, events: int) -> Accumulated:
    """Say what the mean score of held-out events does to a product over many.

    Args:
        score: From `scores.scores`, ``(n, dim)``.
        weights: From `nearby`, ``(n,)``.
        events: How many are multiplied.
    """
    weights = weights / weights.sum()
    simulations = float(1 / np.sum(weights**2))
    information = np.einsum("n,ni,nj->ij", weights, score, score)
    mean, dim = weights @ score, score.shape[1]
    nats = events / 2 * float(mean @ np.linalg.pinv(information) @ mean)
    chance = events / (2 * simulations)  # times a chi-squared variable of dim degrees
    return Accumulated(
        nats=nats - chance * dim,
        by_chance=chance * float(stats.chi2.ppf(0.95, dim) - dim),
        events=events,
        simulations=simulations,
    )


def measure_accumulation(asked: ManyEvents) -> Accumulated | None:
    """Weight the scores of held-out events to the posterior; None where none were kept."""
    data, posterior = asked.estimator.calibration, asked.posterior
    if data is None or "event_score" not in data:
        return None
    means = posterior.summary.set_index("parameter")["mean"]
    centre = means.loc[data["parameter"].to_numpy()].to_numpy()
    weights = nearby(data["event_theta"].to_numpy(), centre)
    return accumulated(data["event_score"].to_numpy(), weights, len(posterior.x_o))


def judge_accumulation(found: Accumulated, subject: str, *, nats: WarnFail = (0.5, 2.0)) -> Check:
    """Judge whether small errors of a per-event likelihood add up over the events.

    Args:
        found: As made by `accumulated`.
        subject: Estimator and observation.
        nats: Divergence of the posterior, beyond what chance gives: warn above, fail above. Half a
            nat is a shift by one posterior sd.
    """
    certain = found.nats > found.by_chance
    judged = above(found.nats if certain else 0.0, nats, "accumulation")
    bad = "Errors of single events add up: the posterior of all is shifted; train on more."
    if not certain and found.by_chance > nats[0]:
        judged = judged._replace(status="warn")
        bad = (
            f"{found.simulations:.0f} held-out simulations are too few to tell whether errors add "
            f"up over {found.events} events; hold out more (split.test)."
        )
    return judged.check(
        name="accumulation",
        subject=subject,
        quantity=f"divergence of the posterior of {found.events} events by the mean score (nats)",
        value=found.nats,
        chance=f"below {found.by_chance:.2g} in 95 % of cases",
        good="Errors of single events do not add up to much.",
        bad=bad,
    )


ACCUMULATION = Diagnostic(
    of=ManyEvents,
    measure=measure_accumulation,
    judge=judge_accumulation,
    checks=("accumulation",),
    value="divergence by the mean score of events (nats)",
    chance="chi-squared",
)
