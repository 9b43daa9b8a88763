"""Does the posterior run into the edge of the prior, and more than posteriors do at times?

Of true values that the prior makes some lie next to its edges, so that their posteriors lean on
them. Held-out simulations tell how many do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from ..sampled_posteriors import SampledPosterior
from ..types import Array
from .check import Check, Judged, WarnFail, shown_limit, significant
from .diagnostic import Diagnostic


@dataclass(frozen=True)
class Leaning:
    """How a posterior leans on the edges of its prior.

    Attributes:
        parameter: That leans the most.
        mass: Fraction of its draws outside the central 99 % of its prior.
        held_out: The largest such fraction of every held-out posterior, ``(n,)``; None where these
            are not known.
    """

    parameter: str
    mass: float
    held_out: Array | None

    @property
    def p_value(self) -> float:
        """How often a posterior leans as much; 0 where that is not known."""
        if self.held_out is None:
            return 0.0
        return float((1 + (self.held_out >= self.mass).sum()) / (1 + self.held_out.size))

    @property
    def least_p(self) -> float:
        """The p-value of one that leans more than all."""
        return 0.0 if self.held_out is None else 1 / (1 + self.held_out.size)


def measure_prior_edge(posterior: SampledPosterior) -> Leaning | None:
    """Return how a posterior leans; None where no parameter has an edge."""
    own = _with_edges(posterior.summary)
    if own.empty:
        return None
    row = own.loc[own["at_edge"].idxmax()]
    return Leaning(str(row["parameter"]), float(row["at_edge"]), posterior.held_out_edges)


def judge_prior_edge(
    found: Leaning, subject: str, *, p: WarnFail = (0.01, 0.0), mass: float = 0.05
) -> Check:
    """Judge whether the posterior runs into the edge of the prior.

    Args:
        found: As measured.
        subject: Estimator and observation.
        p: How often held-out posteriors lean as much: warn below. It never fails.
        mass: Fraction of draws outside the central 99 % of the prior that warns.
    """
    judged: Judged = significant(found.p_value, found.mass, p, (mass, math.inf), "prior_edge")
    good = "The prior leaves the posterior room."
    if found.mass > mass:
        good = (
            f"{found.parameter} leans on the edge of its prior, as {100 * found.p_value:.2g} % of "
            "held-out posteriors do."
        )
    known = "" if found.held_out is None else f", p = {found.p_value:.2g}"
    return Judged(
        judged.status, f"warn above {shown_limit(mass)} at p < {shown_limit(p[0])}"
    ).check(
        name="prior edge",
        subject=subject,
        quantity=f"posterior mass outside the central 99 % of the prior ({found.parameter}{known})",
        value=found.mass,
        chance="0.01 for a posterior equal to the prior",
        good=good,
        bad=f"The posterior of {found.parameter} leans on the edge of its prior, which shapes it "
        "there; widen the prior if it is not meant as a limit.",
    )


def _with_edges(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of parameters that are neither derived nor periodic."""
    given = summary["derived"].isna() | (summary["derived"] == "")
    return summary[given & summary["at_edge"].notna()]


PRIOR_EDGE = Diagnostic(
    of=SampledPosterior,
    measure=measure_prior_edge,
    judge=judge_prior_edge,
    checks=("prior edge",),
    value="mass outside the central 99 % of the prior",
    chance="that of held-out posteriors",
)
