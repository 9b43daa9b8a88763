"""Checks of one estimator on held-out simulations: is it honest?"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from ..diagnostics import calibration as calibrated
from ..diagnostics.local import Local
from .check import Check, Limits, significant


def calibration(
    data: xr.Dataset,
    subject: str,
    *,
    p: Limits = (0.005, 0.001),
    difference: Limits = (0.02, 0.1),
) -> Check:
    """Judge whether the truth ranks uniformly among draws (SBC), over all quantities.

    Args:
        data: The calibration dataset.
        subject: The estimator.
        p: P-value, corrected for the number of quantities: warn below, fail below.
        difference: Largest distance between the ECDF of ranks and uniform: smaller than the first
            never matters, larger than the second is needed to fail.
    """
    table = calibrated.uniformity(data)
    row = table.loc[table["ecdf_p"].idxmin()]
    marginal = table[table["parameter"].isin(data["parameter"].to_numpy())]
    if marginal["ecdf_p"].min() * len(table) < p[1]:  # a parameter says more than a joint quantity
        row = marginal.loc[marginal["ecdf_p"].idxmin()]
    p_value = min(1.0, float(row["ecdf_p"]) * len(table))
    distance, n = float(row["max_difference"]), int(row["simulations"])
    judged = significant(p_value, distance, p, difference, "calibration")
    return judged.check(
        name="calibration",
        subject=subject,
        quantity=f"SBC: largest ECDF distance from uniform ranks ({row['parameter']}, "
        f"p = {p_value:.2g} over {len(table)} quantities)",
        value=distance,
        chance=f"below {1.36 / math.sqrt(n):.2g} in 95 % of cases with {n} simulations",
        good="Credible intervals mean what they say, on average over the prior.",
        bad=_fault(row, data),
    )


def local_calibration(
    found: Local,
    subject: str,
    *,
    p: Limits = (0.005, 0.001),
    difference: Limits = (0.1, 0.3),
) -> Check:
    """Judge whether the posterior is honest for data like the observation (a local C2ST).

    Args:
        found: As made by ``diagnostics.local.local_test``.
        subject: Estimator and observation.
        p: P-value: warn below, fail below.
        difference: Largest difference of truths from draws, in posterior sds for means: smaller
            than the first never matters, larger than the second is needed to fail.
    """
    size = abs(found.differences[found.worst])
    judged = significant(found.p_value, size, p, difference, "local_calibration")
    return judged.check(
        name="local calibration",
        subject=subject,
        quantity="local C2ST: largest difference of truths from draws, near the observation "
        f"({found.worst}, p = {found.p_value:.2g}, {found.simulations:.0f} simulations)",
        value=found.differences[found.worst],
        chance=f"0 ± {1 / math.sqrt(found.simulations):.2g} for a mean",
        good="The posterior is honest for data like the observation.",
        bad=f"For data like the observation {found.worst} is off; train on more simulations, or "
        "reweight with a likelihood.",
    )


def probability_plot(
    data: xr.Dataset,
    subject: str,
    *,
    p: Limits = (0.005, 0.001),
    difference: Limits = (0.02, 0.1),
) -> Check:
    """Judge the P-P plot by Kolmogorov and Smirnov's test, over all parameters.

    Args:
        data: The calibration dataset.
        subject: The estimator.
        p: P-value, corrected for the number of parameters: warn below, fail below.
        difference: As for `calibration`.
    """
    table = calibrated.uniformity(data)
    table = table[table["parameter"].isin(data["parameter"].to_numpy())]
    row = table.loc[table["ks_p"].idxmin()]
    p_value, n = min(1.0, float(row["ks_p"]) * len(table)), int(row["simulations"])
    distance = float(row["max_difference"])
    judged = significant(p_value, distance, p, difference, "probability_plot")
    return judged.check(
        name="P-P",
        subject=subject,
        quantity=f"smallest KS p-value, times {len(table)} parameters ({row['parameter']}, {n} "
        "simulations)",
        value=p_value,
        chance="uniform between 0 and 1, or above",
        good="The P-P curves stay at the diagonal.",
        bad=_fault(row, data),
    )


def tarp(
    data: xr.Dataset,
    subject: str,
    *,
    p: Limits = (0.005, 0.001),
    difference: Limits = (0.01, 0.03),
) -> Check:
    """Judge the coverage of the joint posterior by TARP, with the sign of its error.

    Args:
        data: The calibration dataset, with TARP among its joint ranks.
        subject: The estimator.
        p: P-value: warn below, fail below.
        difference: Size of the signed error: smaller than the first never matters, larger than the
            second is needed to fail. Of two parameters a posterior too narrow by 20 % has -0.027,
            one half as wide as it should be -0.07; a shift is hardly seen.
    """
    ranks = data["joint_ranks"].sel(quantity="TARP").to_numpy()
    error, scatter = calibrated.tarp_error(ranks, int(data.attrs["draws"]))
    p_value = float(2 * stats.norm.sf(abs(error) / scatter))
    judged = significant(p_value, abs(error), p, difference, "tarp")
    return judged.check(
        name="TARP",
        subject=subject,
        quantity=f"TARP: signed area between expected and nominal coverage of the joint posterior "
        f"(p = {p_value:.2g})",
        value=error,
        chance=f"0 ± {scatter:.2g}",
        good="Regions of the joint posterior hold the truth as often as they claim.",
        bad=f"The joint posterior is too {'wide' if error > 0 else 'narrow'}; train "
        "on more simulations, or a larger network.",
    )


def coverage(
    data: xr.Dataset,
    subject: str,
    *,
    p: Limits = (0.005, 0.001),
    difference: Limits = (0.02, 0.1),
) -> Check:
    """Judge how often central 68.27 % and 95.45 % intervals hold the truth, over all parameters.

    Args:
        data: The calibration dataset.
        subject: The estimator.
        p: Binomial p-value, corrected for all intervals looked at: warn below, fail below.
        difference: Distance from the nominal coverage: smaller than the first never matters, larger
            than the second is needed to fail.
    """
    levels, draws = np.array([0.6827, 0.9545]), int(data.attrs["draws"])
    names = [str(name) for name in data["parameter"].to_numpy()]
    ranks = data["ranks"].transpose("parameter", "simulation").to_numpy()
    observed = np.array([calibrated.coverage(row, draws, levels).observed for row in ranks])
    error = np.sqrt(levels * (1 - levels) / ranks.shape[1])
    p_values = np.minimum(1.0, 2 * stats.norm.sf(np.abs(observed - levels) / error) * observed.size)
    at, which = np.unravel_index(int(np.argmin(p_values)), p_values.shape)
    p_value, off = float(p_values[at, which]), float(observed[at, which] - levels[which])
    judged = significant(p_value, abs(off), p, difference, "coverage")
    level = f"{100 * levels[which]:.1f} %"
    return judged.check(
        name="coverage",
        subject=subject,
        quantity=f"coverage of the central {level} interval ({names[at]}, p = {p_value:.2g} over "
        f"{observed.size} intervals)",
        value=float(observed[at, which]),
        chance=f"{levels[which]:.3g} ± {error[which]:.2g}",
        good="Intervals hold the truth as often as they claim.",
        bad=f"{level} intervals of {names[at]} hold the truth in {100 * observed[at, which]:.0f} % "
        f"of held-out simulations: error bars are too {'wide' if off > 0 else 'narrow'}.",
    )


def _fault(row: pd.Series, data: xr.Dataset) -> str:
    """Say in words what ranks that are not uniform mean, and what to do."""
    if row["parameter"] not in data["parameter"].to_numpy():
        fault = f"The joint posterior is not honest (ranks of {row['parameter']})"
    else:
        fault = f"The posterior of {row['parameter']} is {_shape(row)}"
    return f"{fault}; train on more simulations, or a larger network."


def _shape(row: pd.Series) -> str:
    if abs(row["bias"]) > 0.03:
        return "too low" if row["bias"] > 0 else "too high"
    if row["coverage_68"] < 0.6827 - 0.03:
        return "too narrow"
    return "too wide" if row["coverage_68"] > 0.6827 + 0.03 else "of the wrong shape"
