"""Does the posterior run into the edge of the prior?"""

from __future__ import annotations

import pandas as pd

from ..sampled_posteriors import SampledPosterior
from .check import Check, Judged
from .diagnostic import Diagnostic


def judge_prior_edge(summary: pd.DataFrame, subject: str, *, warn: float = 0.05) -> Check:
    """Judge whether the posterior runs into the edge of the prior.

    Args:
        summary: As made by `convergence.summary`.
        subject: Estimator and observation.
        warn: Fraction of draws outside the central 99 % of the prior.
    """
    own = _with_edges(summary)
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


def measure_prior_edge(posterior: SampledPosterior) -> pd.DataFrame | None:
    """Return the summary of a posterior; None where no parameter has an edge."""
    return None if _with_edges(posterior.summary).empty else posterior.summary


def _with_edges(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of parameters that are neither derived nor periodic."""
    return summary[(summary["derived"].fillna("") == "") & summary["at_edge"].notna()]


PRIOR_EDGE = Diagnostic(
    of=SampledPosterior,
    measure=measure_prior_edge,
    judge=judge_prior_edge,
    checks=("prior edge",),
    value="mass outside the central 99 % of the prior",
    chance="0.01",
)
