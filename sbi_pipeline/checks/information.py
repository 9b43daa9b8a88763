"""Checks of what an estimator learned: anything at all, and of the right parameter?"""

from __future__ import annotations

import math

import xarray as xr

from ..diagnostics.information import Information, swapped
from .check import Check, Status


def information(
    found: Information,
    subject: str,
    *,
    nats: float = 0.05,
    sd_ratio: float = 0.9,
    correlation: float = 0.15,
) -> Check:
    """Judge whether the posterior learned anything; one that equals the prior is calibrated too.

    Args:
        found: As made by ``diagnostics.information.information``.
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
    pairs = swapped(data)
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
