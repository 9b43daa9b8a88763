"""How many objects of a catalogue have MCMC that did not converge, or lean on the prior's edge?

Posteriors of objects drawn from the prior average to the prior, so what lies outside its central
99 % is 0.01 of the draws of all objects, for each parameter; the largest of an
object's d parameters is at most 0.01 d on average.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..populations import EDGE, Population, counted
from ..types import Array
from .check import Check, Judged, WarnFail, above, shown_limit
from .diagnostic import Diagnostic

SURE = 0.005
"""Mass at the edge is no surprise where chance gives it with this probability."""


@dataclass(frozen=True)
class SampledObjects:
    """What is known of the draws of all objects.

    Attributes:
        converged: Whether MCMC of each object converged, ``(n,)``; empty without MCMC.
        at_edge: Fraction of draws outside the central 99 % of the prior, the largest over
            parameters, ``(n,)``.
        parameters: Number of parameters.
    """

    converged: Array
    at_edge: Array
    parameters: int

    @property
    def edge_by_chance(self) -> float:
        """The most that the mean of ``at_edge`` is by chance."""
        return min(1.0, 0.01 * self.parameters)

    @property
    def edge_p(self) -> float:
        """The most that the probability is of as much at the edge, by chance."""
        n, total = self.at_edge.size, float(self.at_edge.sum())
        return float(stats.binom.sf(np.ceil(total) - 1, n, self.edge_by_chance))


def measure_sampled_objects(asked: Population) -> SampledObjects:
    """Gather what the table says of draws."""
    columns = asked.column("converged"), asked.column("at_edge")
    return SampledObjects(*columns, len(asked.inferred))


def judge_sampled_objects(
    found: SampledObjects,
    subject: str,
    *,
    unconverged: WarnFail = (0.01, 0.1),
    edge: float = 0.05,
) -> list[Check]:
    """Judge how many chains did not converge, and how much of posteriors is at the prior's edge.

    Args:
        found: What is known of the draws.
        subject: Estimator and catalogue.
        unconverged: Fraction of objects whose MCMC did not converge: warn above, fail above.
        edge: Mass outside the central 99 % of the prior, the mean over objects, above the most that
            chance gives: warn above.
    """
    converged = [_converged(found.converged, subject, unconverged)] if found.converged.size else []
    return [*converged, _edge(found, subject, edge)]


def _converged(converged: Array, subject: str, limits: WarnFail) -> Check:
    missed = int(np.sum(converged == 0))
    fraction = missed / converged.size
    return above(fraction, limits, "unconverged").check(
        name="objects converged",
        subject=subject,
        quantity="fraction of objects whose MCMC did not converge",
        value=fraction,
        chance="0",
        good="MCMC of the objects converged.",
        bad=f"MCMC of {counted(missed)} of {counted(converged.size)} objects did not converge: "
        "allow more steps, or leave out objects that are flagged so.",
    )


def _edge(found: SampledObjects, subject: str, edge: float) -> Check:
    mean, chance = float(found.at_edge.mean()), found.edge_by_chance
    judged = Judged(
        "warn" if mean > chance + edge and found.edge_p < SURE else "pass",
        f"warn above {shown_limit(chance + edge)} if chance gives as much in less than "
        f"{100 * SURE:g} %",
    )
    leaning = int(np.sum(found.at_edge > EDGE))
    return judged.check(
        name="objects at prior edge",
        subject=subject,
        quantity="posterior mass outside the central 99 % of the prior, mean over objects",
        value=mean,
        chance=f"at most {chance:.2g} for objects drawn from the prior",
        good="The prior leaves the objects room.",
        bad=f"{counted(leaning)} of {counted(found.at_edge.size)} posteriors have more than half "
        "of their mass at the edge of the prior, which shapes them there; widen the prior if it is "
        "not meant as a limit.",
    )


OBJECTS_SAMPLED = Diagnostic(
    of=Population,
    measure=measure_sampled_objects,
    judge=judge_sampled_objects,
    checks=("objects converged", "objects at prior edge"),
    value="fraction of MCMC not converged; mass at the edge of the prior, mean over objects",
    chance="0; 0.01 a parameter",
)
