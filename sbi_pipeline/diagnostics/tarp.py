"""TARP: do regions of the joint posterior hold the truth as often as they claim?

References:
    Lemos, Coogan, Hezaveh, Perreault-Levasseur, Sampling-based accuracy testing of posterior
        estimators for general inference, 2023, https://arxiv.org/abs/2302.03026
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy import stats

from ..subjects import TrainedEstimator
from ..types import Array
from .check import Check, WarnFail, significant
from .diagnostic import Diagnostic
from .remedies import Shape, remedy_of
from .uniform import checked


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


def measure_tarp(asked: TrainedEstimator) -> xr.Dataset | None:
    """Return the calibration dataset, if it is of a joint posterior and not of margins alone."""
    data = asked.ranked
    return data if data is not None and "joint_ranks" in data else None


def judge_tarp(
    data: xr.Dataset,
    subject: str,
    *,
    p: WarnFail = (0.005, 0.001),
    difference: WarnFail = (0.01, 0.03),
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
    error, scatter = tarp_error(ranks, int(data.attrs["draws"]))
    p_value = float(2 * stats.norm.sf(abs(error) / scatter))
    judged = significant(p_value, abs(error), p, difference, "tarp")
    method = str(data.attrs.get("method", ""))
    shape: Shape = "too wide" if error > 0 else "too narrow"
    return judged.check(
        name="TARP",
        subject=subject,
        quantity=f"TARP: signed area between expected and nominal coverage of the joint posterior "
        f"(p = {p_value:.2g})",
        value=error,
        chance=f"0 ± {scatter:.2g}",
        good="Regions of the joint posterior hold the truth as often as they claim.",
        bad=f"The joint posterior is {shape}; {remedy_of(shape, method)}.",
    )


TARP = Diagnostic(
    of=TrainedEstimator,
    measure=measure_tarp,
    judge=judge_tarp,
    checks=("TARP",),
    value="signed area; above 0 too wide",
    chance="normal, exact variance",
)
