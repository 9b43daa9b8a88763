"""Is what was learnt of the nuisances honest? Their ranks on held-out simulations (SBC).

Predictions draw nuisances given theta and the observation. The true ones of held-out simulations
rank uniformly among draws given their own theta and data, if these are right; see `ranks`.
"""

from __future__ import annotations

import dataclasses

import xarray as xr

from ..subjects import Nuisances
from .calibration import judge_calibration, tested
from .check import Check, Status, WarnFail
from .diagnostic import Diagnostic


def measure_nuisances(asked: Nuisances) -> xr.Dataset | None:
    """Return the ranks; None where nothing could be learnt, which notes of posteriors say."""
    return asked.ranks if "ranks" in asked.ranks else None


def judge_nuisances(
    found: xr.Dataset,
    subject: str,
    *,
    p: WarnFail = (0.005, 0.001),
    difference: WarnFail = (0.02, 0.1),
) -> Check:
    """Judge whether nuisances rank uniformly among draws given theta and data.

    It never fails: where they do not, predictions draw them from their prior, which is honest.

    Args:
        found: As made by `ranks.rank_nuisances`.
        subject: What was asked.
        p: P-value, corrected for the number of quantities: warn below, fail below.
        difference: Largest distance between the ECDF of ranks and uniform: smaller than the first
            never matters, larger than the second is needed to fail.
    """
    check = judge_calibration(tested(found), subject, p=p, difference=difference)
    advice = check.advice
    if check.status == "pass":
        advice = "Draws of the nuisances, given theta and data, mean what they say."
    elif found.attrs.get("problem"):
        advice += " Bands of predictions have nuisances of the prior instead."
    status: Status = "pass" if check.status == "pass" else "warn"
    threshold = check.threshold.replace("fail at", "not used at")
    return dataclasses.replace(
        check, name="nuisances", status=status, threshold=threshold, advice=advice
    )


def fault_of(ranks: xr.Dataset) -> str:
    """Say in words why nuisances are not to be drawn from what was learnt; empty if they are."""
    check = judge_calibration(tested(ranks), "nuisances")
    return check.advice if check.status == "fail" else ""


NUISANCES = Diagnostic(
    of=Nuisances,
    measure=measure_nuisances,
    judge=judge_nuisances,
    checks=("nuisances",),
    value="SBC of the nuisances of predictions: distance of the ECDF of ranks from uniform",
    chance="simultaneous band",
)
