"""Checks of one estimator on held-out simulations: honest, informative, in the right order."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from ..diagnostics import calibration as calibrated
from .check import Check, Status, choose, ordered, significant


def calibration(
    data: xr.Dataset,
    subject: str,
    *,
    p: tuple[float, float] = (0.005, 0.001),
    difference: tuple[float, float] = (0.02, 0.1),
) -> Check:
    """Judge whether the truth ranks uniformly among draws (SBC), over all parameters.

    Args:
        data: The calibration dataset.
        subject: The estimator.
        p: P-value, corrected for the number of parameters: warn below, fail below.
        difference: Largest distance between the ECDF of ranks and uniform: smaller than the first
            never matters, larger than the second is needed to fail.
    """
    ordered(*p[::-1], "calibration p")
    ordered(*difference, "calibration difference")
    table = calibrated.uniformity(data)
    corrected = np.minimum(1.0, table["ecdf_p"].to_numpy() * len(table))
    worst = int(np.argmin(corrected))
    row, p_value = table.iloc[worst], float(corrected[worst])
    status = significant(p_value, float(row["max_difference"]), p, difference)
    n = int(row["simulations"])
    return Check(
        name="calibration",
        subject=subject,
        status=status,
        quantity=f"SBC: largest ECDF distance from uniform ranks ({row['parameter']}, "
        f"p = {p_value:.2g} over {len(table)} quantities)",
        value=float(row["max_difference"]),
        threshold=f"warn at p < {p[0]:g} and above {difference[0]:g}, "
        f"fail at p < {p[1]:g} and above {difference[1]:g}",
        chance=f"below {1.36 / math.sqrt(n):.2g} in 95 % of cases with {n} simulations",
        advice=choose(
            status,
            "Credible intervals mean what they say, on average over the prior.",
            f"{_fault(row, data)}; train on more simulations, or a larger network.",
        ),
    )


def local_calibration(
    data: xr.Dataset,
    subject: str,
    *,
    p: tuple[float, float] = (0.005, 0.001),
    difference: tuple[float, float] = (0.02, 0.1),
) -> Check:
    """Judge calibration on the held-out simulations most like the observation.

    Args:
        data: The calibration dataset, only those simulations (``diagnostics.predictive.nearest``).
        subject: Estimator and observation.
        p: As for `calibration`.
        difference: As for `calibration`.
    """
    check = calibration(data, subject, p=p, difference=difference)
    advice = "The posterior is honest for data like the observation."
    if check.status != "pass":
        advice = f"For data like the observation: {check.advice[0].lower()}{check.advice[1:]}"
    return replace(check, name="local calibration", advice=advice)


def coverage(
    data: xr.Dataset,
    subject: str,
    *,
    p: tuple[float, float] = (0.005, 0.001),
    difference: tuple[float, float] = (0.02, 0.1),
) -> Check:
    """Judge how often central 68.27 % and 95.45 % intervals hold the truth, over all parameters.

    Args:
        data: The calibration dataset.
        subject: The estimator.
        p: Binomial p-value, corrected for all intervals looked at: warn below, fail below.
        difference: Distance from the nominal coverage: smaller than the first never matters, larger
            than the second is needed to fail.
    """
    ordered(*p[::-1], "coverage p")
    ordered(*difference, "coverage difference")
    levels, draws = np.array([0.6827, 0.9545]), int(data.attrs["draws"])
    names = [str(name) for name in data["parameter"].to_numpy()]
    ranks = data["ranks"].transpose("parameter", "simulation").to_numpy()
    observed = np.array([calibrated.coverage(row, draws, levels).observed for row in ranks])
    n = ranks.shape[1]
    error = np.sqrt(levels * (1 - levels) / n)
    p_values = np.minimum(1.0, 2 * stats.norm.sf(np.abs(observed - levels) / error) * observed.size)
    at, level = np.unravel_index(int(np.argmin(p_values)), p_values.shape)
    off = float(observed[at, level] - levels[level])
    status = significant(float(p_values[at, level]), abs(off), p, difference)
    found = f"{100 * levels[level]:.1f} % intervals of {names[at]} hold the truth in "
    return Check(
        name="coverage",
        subject=subject,
        status=status,
        quantity=f"coverage of the central {100 * levels[level]:.1f} % interval ({names[at]}, "
        f"p = {p_values[at, level]:.2g} over {observed.size} intervals)",
        value=float(observed[at, level]),
        threshold=f"warn at p < {p[0]:g} and {difference[0]:g} off, "
        f"fail at p < {p[1]:g} and {difference[1]:g} off",
        chance=f"{levels[level]:.3g} ± {error[level]:.2g}",
        advice=choose(
            status,
            "Intervals hold the truth as often as they claim.",
            f"{found}{100 * observed[at, level]:.0f} % of held-out simulations: error bars are too "
            f"{'wide' if off > 0 else 'narrow'}.",
        ),
    )


def information(
    found: calibrated.Information,
    subject: str,
    *,
    nats: float = 0.05,
    sd_ratio: float = 0.9,
    correlation: float = 0.15,
) -> Check:
    """Judge whether the posterior learned anything; one that equals the prior is calibrated too.

    Args:
        found: As made by ``diagnostics.calibration.information``.
        subject: The estimator.
        nats: Fail below this gain over the prior, or within three standard errors of zero.
        sd_ratio: Warn where a parameter's posterior sd stays above this fraction of the prior's.
        correlation: Without a density, fail where no parameter's posterior mean follows its truth
            more than this.
    """
    idle = [name for name, ratio in found.sd_ratio.items() if not ratio < sd_ratio]
    best = max(found.correlation.values())
    if math.isnan(found.nats):
        quantity, value = "largest correlation of posterior mean with truth", best
        learned, limit = best > correlation, f"fail below {correlation:g}"
    else:
        quantity = (
            f"held-out information gained over the prior, ± {found.standard_error:.2g} (nats)"
        )
        value, limit = found.nats, f"fail below {nats:g} or within 3 standard errors of 0"
        learned = found.nats > max(nats, 3 * found.standard_error)
    status: Status = "fail" if not learned else "warn" if idle else "pass"
    advice = {
        "pass": "The data narrow every parameter.",
        "warn": f"The posterior of {', '.join(idle)} is about as wide as the prior: the data "
        "may say little, or the network missed it.",
        "fail": "The posterior is no better than the prior: the network learned nothing, or the "
        "data hold nothing.",
    }
    return Check(
        name="information",
        subject=subject,
        status=status,
        quantity=quantity,
        value=value,
        threshold=f"{limit}; warn where sd / prior sd is above {sd_ratio:g}",
        chance="0 for a posterior equal to the prior",
        advice=advice[status],
    )


def parameter_order(data: xr.Dataset, subject: str) -> Check:
    """Fail if posterior means of two parameters follow each other's truths: a swapped order."""
    pairs = calibrated.swapped(data)
    named = ", ".join(f"{one} and {other}" for one, other in pairs)
    return Check(
        name="parameter order",
        subject=subject,
        status="fail" if pairs else "pass",
        quantity="pairs of parameters that follow each other's truth",
        value=float(len(pairs)),
        threshold="fail above 0",
        chance="0",
        advice=f"{named} look swapped: compare the order of columns in simulator and prior."
        if pairs
        else "Each parameter follows its own truth.",
    )


def _fault(row: pd.Series, data: xr.Dataset) -> str:
    """Say in words what ranks that are not uniform mean."""
    if row["parameter"] not in data["parameter"].to_numpy():
        return f"The joint posterior is not honest (ranks of {row['parameter']})"
    return f"The posterior of {row['parameter']} is {_shape(row)}"


def _shape(row: pd.Series) -> str:
    if abs(row["bias"]) > 0.03:
        return "too low" if row["bias"] > 0 else "too high"
    if row["coverage_68"] < 0.6827 - 0.03:
        return "too narrow"
    return "too wide" if row["coverage_68"] > 0.6827 + 0.03 else "of the wrong shape"
