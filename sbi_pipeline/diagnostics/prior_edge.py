"""Does the posterior run into the edge of the prior?"""

from __future__ import annotations

import pandas as pd

from ..subjects import SampledPosterior
from .check import Check, Judged
from .diagnostic import Diagnostic


def judge_prior_edge(summary: pd.DataFrame, subject: str, *, warn: float = 0.05) -> Check:
    """Judge whether the posterior runs into the edge of the prior.

    Args:
        summary: As made by `convergence.summary`.
        subject: Estimator and observation.
        warn: Fraction of draws outside the central 99 % of the prior.
    """
    own = summary[summary["derived"].fillna("") == ""]
    row = own.loc[own["at_edge"].idxmax()]
    value = float(row["at_edge"])
    judged = Judged("warn" if value > warn else "pass", f"warn above {warn:g}")
    return judged.check(
        name="prior edge",
        subject=subject,
        quantity=f"posterior mass outside the central 99 % of the prior ({row['parameter']})",
        value=value,
        chance="0.01 for a posterior equal to the prior",
        good="The prior leaves the posterior room.",
        bad=f"The posterior of {row['parameter']} leans on the edge of its prior, which shapes it "
        "there; widen the prior if it is not meant as a limit.",
    )


PRIOR_EDGE = Diagnostic(
    of=SampledPosterior,
    measure=lambda posterior: posterior.summary,
    judge=judge_prior_edge,
    checks=("prior edge",),
    value="mass outside the central 99 % of the prior",
    chance="0.01",
)
