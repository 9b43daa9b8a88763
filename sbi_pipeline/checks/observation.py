"""Checks of one observation: do the estimators agree on it, could the model have made it?"""

from __future__ import annotations

import math

import pandas as pd

from ..diagnostics.predictive import Typicality
from .check import Check, Limits, Status, above, below, choose


def agreement(comparison: pd.DataFrame, subject: str, *, jsd: Limits = (10.0, 50.0)) -> Check:
    """Judge whether two estimators give the same marginals.

    Args:
        comparison: As made by ``diagnostics.comparison.compare_marginals``.
        subject: The two estimators and the observation.
        jsd: Jensen-Shannon divergence in mnat, beyond what chance gives: warn above, fail above. 10
            is a shift of 0.28 sd or a width off by 20 %, 50 a shift of 0.65 sd.
    """
    row = comparison.loc[comparison["jsd_mnat"].idxmax()]
    value, chance = float(row["jsd_mnat"]), float(row["by_chance"])
    status, threshold = above(value if value > chance else 0.0, jsd, "agreement")
    return Check(
        name="agreement",
        subject=subject,
        status=status,
        quantity=f"largest Jensen-Shannon divergence of marginals ({row['parameter']}, mnat)",
        value=value,
        threshold=threshold,
        chance=f"below {chance:.2g} in 95 % of cases",
        advice=choose(
            status,
            "Two methods that err differently agree.",
            f"They differ in {row['parameter']}: means by {row['shift']:+.2f} sd, widths by a "
            f"factor {row['width']:.2f}. Believe the better calibrated one, or train both on more.",
        ),
    )


def prior_edge(summary: pd.DataFrame, subject: str, *, warn: float = 0.05) -> Check:
    """Judge whether the posterior runs into the edge of the prior.

    Args:
        summary: As made by ``diagnostics.convergence.summary``.
        subject: Estimator and observation.
        warn: Fraction of draws outside the central 99 % of the prior.
    """
    own = summary[summary["derived"].fillna("") == ""]
    row = own.loc[own["at_edge"].idxmax()]
    value = float(row["at_edge"])
    status: Status = "warn" if value > warn else "pass"
    return Check(
        name="prior edge",
        subject=subject,
        status=status,
        quantity=f"posterior mass outside the central 99 % of the prior ({row['parameter']})",
        value=value,
        threshold=f"warn above {warn:g}",
        chance="0.01 for a posterior equal to the prior",
        advice=choose(
            status,
            "The prior leaves the posterior room.",
            f"The posterior of {row['parameter']} leans on the edge of its prior, which shapes it "
            "there; widen the prior if it is not meant as a limit.",
        ),
    )


def predictive(found: Typicality, subject: str, *, p: Limits = (0.005, 0.002)) -> Check:
    """Judge whether the inferred model could have made the observation.

    Args:
        found: As made by ``diagnostics.predictive.typicality``.
        subject: Estimator and observation.
        p: P-value: warn below, fail below.
    """
    return _typical(
        found,
        subject,
        "predictive",
        p,
        "Data simulated from the posterior look like the observation.",
        "Data simulated from the posterior do not look like the observation ({}): the model lacks "
        "something, or the posterior is wrong.",
    )


def in_distribution(found: Typicality, subject: str, *, p: Limits = (0.005, 0.002)) -> Check:
    """Judge whether the observation lies where the network was trained.

    Args:
        found: As made by ``diagnostics.predictive.in_distribution``.
        subject: The observation.
        p: P-value: warn below, fail below.
    """
    return _typical(
        found,
        subject,
        "in distribution",
        p,
        "The observation looks like the training simulations.",
        "The observation is unlike the training simulations ({}): networks extrapolate blindly. "
        "Check units and data path, widen the prior, or mend the simulator.",
    )


def _typical(found: Typicality, subject: str, name: str, p: Limits, good: str, bad: str) -> Check:
    (status, threshold), needed = below(found.p_value, p, name), math.ceil(1 / p[0])
    if found.draws < needed:
        # No p-value could fall below the threshold: a pass would mean nothing.
        status = "warn"
        bad = f"{found.draws} simulated data sets are too few to tell; ask for {needed} or more."
    worst = min(found.p_values, key=lambda statistic: found.p_values[statistic])
    return Check(
        name=name,
        subject=subject,
        status=status,
        quantity=f"p-value of the observation among {found.draws} simulated data sets",
        value=found.p_value,
        threshold=threshold,
        chance="uniform between 0 and 1",
        advice=choose(status, good, bad.format(worst)),
    )
