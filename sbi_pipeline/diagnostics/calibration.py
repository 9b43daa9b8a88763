"""Is the estimator honest on data it has not seen?

Everything here reads the calibration dataset: for held-out simulations, the rank of the truth among
the posterior draws. If the estimator is honest, each rank is uniform on 0..L; that alone is not
enough, since a posterior equal to the prior passes, so `information` belongs beside it.

References:
    Talts, Betancourt, Simpson, Vehtari, Gelman, Validating Bayesian inference algorithms with
        simulation-based calibration, 2018, https://arxiv.org/abs/1804.06788
    Lemos, Coogan, Hezaveh, Perreault-Levasseur, Sampling-based accuracy testing of posterior
        estimators for general inference, 2023, https://arxiv.org/abs/2302.03026
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from ..types import Array
from .uniform import checked, chi2_p_value, ecdf_difference, ks_p_value

LEVELS = np.linspace(0.02, 0.98, 49)


@dataclass(frozen=True)
class Coverage:
    """How often central credible intervals contain the truth.

    Attributes:
        levels: Credible levels, ``(levels,)``.
        observed: Fractions of simulations whose interval holds the truth, ``(levels,)``.
        low: Lower end of the binomial band around ``levels``, ``(levels,)``.
        high: Upper end, ``(levels,)``.
    """

    levels: Array
    observed: Array
    low: Array
    high: Array


def coverage(ranks: Array, draws: int, levels: Array = LEVELS, prob: float = 0.95) -> Coverage:
    """Return the coverage of central credible intervals of one parameter.

    A rank stands for the slot of width 1 / (draws + 1) it was found in; a slot cut by the end of an
    interval counts by the part inside. Honest ranks cover exactly ``levels`` on average.
    """
    ranks = checked(ranks, draws)
    slot = np.array(levels)[:, None] / 2
    left, right = ranks / (draws + 1), (ranks + 1) / (draws + 1)
    inside = np.minimum(right, 0.5 + slot) - np.maximum(left, 0.5 - slot)
    observed = (np.clip(inside, 0, None) * (draws + 1)).mean(axis=1)
    low, high = stats.binom.interval(prob, ranks.size, levels)
    return Coverage(np.array(levels), observed, low / ranks.size, high / ranks.size)


def coverage_error(calibration: xr.Dataset) -> tuple[float, float]:
    """Return the mean distance of coverage from its level, and what chance gives on average.

    Over `LEVELS` and parameters.
    """
    draws, ranks = int(calibration.attrs["draws"]), calibration["ranks"]
    rows = ranks.transpose("parameter", "simulation").to_numpy()
    observed = np.array([coverage(row, draws).observed for row in rows])
    scatter = np.sqrt(LEVELS * (1 - LEVELS) / rows.shape[1])
    return float(np.abs(observed - LEVELS).mean()), float(np.sqrt(2 / np.pi) * scatter.mean())


def uniformity(calibration: xr.Dataset) -> pd.DataFrame:
    """Test the ranks of every parameter.

    Returns:
        One row a parameter (joint quantities such as TARP last): ``chi2_p``, ``ks_p``, ``ecdf_p``;
        ``max_difference`` is the largest distance between ECDF and uniform, ``coverage_68`` and
        ``coverage_95`` the coverage of central 68.3 % and 95.45 % intervals, ``bias`` the mean
        rank fraction minus one half (above 0: the posterior lies too low).
    """
    draws = int(calibration.attrs["draws"])
    rows = []
    for name, ranks in all_ranks(calibration).items():
        ecdf = ecdf_difference(ranks, draws)
        one, two = coverage(ranks, draws, np.array([0.6827, 0.9545])).observed
        rows.append(
            {
                "parameter": name,
                "simulations": ranks.size,
                "chi2_p": chi2_p_value(ranks, draws),
                "ks_p": ks_p_value(ranks, draws),
                "ecdf_p": ecdf.p_value,
                "max_difference": float(np.abs(ecdf.difference).max()),
                "coverage_68": float(one),
                "coverage_95": float(two),
                "bias": float(((ranks + 0.5) / (draws + 1)).mean() - 0.5),
            }
        )
    return pd.DataFrame(rows)


def all_ranks(calibration: xr.Dataset) -> dict[str, Array]:
    """Return ranks by parameter, then by joint quantity (``joint_ranks``) where there are any."""
    found = {
        str(name): calibration["ranks"].sel(parameter=name).to_numpy()
        for name in calibration["parameter"].to_numpy()
    }
    if "joint_ranks" in calibration:
        for name in calibration["quantity"].to_numpy():
            found[str(name)] = calibration["joint_ranks"].sel(quantity=name).to_numpy()
    return found


def tarp_error(ranks: Array, draws: int) -> tuple[float, float]:
    """Return the signed area between expected and nominal coverage, and its scatter by chance.

    The area above credibility one half, between -1/8 and 1/8: positive for a posterior that is too
    wide, negative for one that is too narrow or in the wrong place. Below one half the curve
    mirrors it, so that the area of the whole would be near zero for either.

    Args:
        ranks: From `ranks.tarp_ranks`, ``(n,)``.
        draws: Draws L of each posterior.
    """
    credibility = (checked(ranks, draws) + 0.5) / (draws + 1)
    # The integral over a > 1/2 of [c < a] - a; for uniform c its mean is 0, its variance 5 / 192.
    area = 1 - np.maximum(credibility, 0.5) - 3 / 8
    return float(area.mean()), float(np.sqrt(5 / 192 / area.size))
