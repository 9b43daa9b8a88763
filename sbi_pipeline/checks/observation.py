"""Checks of one observation: do the estimators agree on it, could the model have made it?"""

from __future__ import annotations

import math

import pandas as pd

from ..diagnostics.predictive import DataPath, Typicality
from .check import Check, Judged, Limits, above, below


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
    judged = above(value if value > chance else 0.0, jsd, "agreement")
    return judged.check(
        name="agreement",
        subject=subject,
        quantity=f"largest Jensen-Shannon divergence of marginals ({row['parameter']}, mnat)",
        value=value,
        chance=f"below {chance:.2g} in 95 % of cases",
        good="Two methods that err differently agree.",
        bad=f"They differ in {row['parameter']}: means by {row['shift']:+.2f} sd, widths by a "
        f"factor {row['width']:.2f}. Believe the better calibrated one, or train both on more.",
    )


def joint_agreement(
    accuracy: float, draws: int, subject: str, *, c2st: Limits = (0.6, 0.7)
) -> Check:
    """Judge whether a classifier can tell two estimators' joint posteriors apart.

    Args:
        accuracy: As made by ``diagnostics.comparison.c2st``.
        draws: Draws of each it was given.
        subject: The two estimators and the observation.
        c2st: Accuracy, between 0.5 and 1: warn above, fail above. 0.6 is a shift of 0.5 sd.
    """
    # Every draw is classified once, by a fold that has not seen it: the scatter is that of a coin.
    chance = 0.5 + 1.645 * 0.5 / math.sqrt(2 * draws)
    judged = above(accuracy if accuracy > chance else 0.5, c2st, "joint_agreement")
    return judged.check(
        name="joint agreement",
        subject=subject,
        quantity=f"C2ST: accuracy of a classifier of {draws} draws of each",
        value=accuracy,
        chance=f"below {chance:.2g} in 95 % of cases",
        good="Nor can their joint posteriors be told apart.",
        bad="Their joint posteriors differ, perhaps only in correlations: believe the better "
        "calibrated one, or train both on more.",
    )


def data_path(found: DataPath, subject: str, *, outside: Limits = (0.02, 0.2)) -> Check:
    """Judge whether the observation came the way of the simulations: shape, order, units.

    Args:
        found: As made by ``diagnostics.predictive.data_path``.
        subject: The observation.
        outside: Fraction of its elements that no simulation reaches: warn above, fail above.
    """
    judged = above(found.outside, outside, "data_path")
    judged = Judged(
        "fail" if found.problems else judged.status,
        f"{judged.threshold}, fail on another shape or order of parameters",
    )
    hint = ""
    if abs(found.decades) > 1:
        hint = f" It is {10**found.decades:.2g} times as large as they are: compare the units."
    return judged.check(
        name="data path",
        subject=subject,
        quantity="fraction of elements beyond the range of all simulations",
        value=found.outside,
        chance=f"below {found.by_chance:.2g} on average",
        good="Shape, order of parameters and range are those of the simulations.",
        bad=" ".join(found.problems)
        or f"Simulations never look like parts of the observation.{hint} Read it by the code "
        "that made the simulations.",
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
    judged, needed = below(found.p_value, p, name), math.ceil(1 / p[0])
    if found.draws < needed:
        # No p-value could fall below the threshold: a pass would mean nothing.
        judged = judged._replace(status="warn")
        bad = f"{found.draws} simulated data sets are too few to tell; ask for {needed} or more."
    worst = min(found.p_values, key=lambda statistic: found.p_values[statistic])
    return judged.check(
        name=name,
        subject=subject,
        quantity=f"p-value of the observation among {found.draws} simulated data sets",
        value=found.p_value,
        chance="uniform between 0 and 1",
        good=good,
        bad=bad.format(worst),
    )
