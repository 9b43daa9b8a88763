"""Do two estimators say the same of the objects of a catalogue?

Only moments of each object are compared. For normal posteriors the limits are those of `agreement`:
shifts with a scatter of 0.25 and 0.65 sd, or widths off by 20 and 50 %, make a Jensen-Shannon
divergence of about 10 and 50 mnat.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from ..populations import Population, PopulationPair
from .check import Check, WarnFail, above
from .diagnostic import Diagnostic


@dataclass(frozen=True)
class PopulationAgreement:
    """How far apart two estimators are over a catalogue.

    Attributes:
        table: A row a parameter: ``median`` and ``q95`` of the distance of means in sds of the
            other, ``shift`` the median with its sign, ``width`` the median ratio of sds.
        objects: How many both have.
        by_chance: What ``q95`` is for equal posteriors, of draws alone.
    """

    table: pd.DataFrame
    objects: int
    by_chance: float


def measure_population_agreement(asked: PopulationPair) -> PopulationAgreement | None:
    """Compare means and widths object by object; None where no object is in both."""
    one, other = (each.table.set_index("object") for each in (asked.one, asked.other))
    shared = one.index.intersection(other.index)
    one, other = one.loc[shared], other.loc[shared]
    names = [
        name
        for name in asked.one.inferred
        if name in asked.other.inferred and _widths(name, one, other).any()
    ]
    if not names:
        return None
    scatter = math.hypot(*(1 / math.sqrt(_effective(each)) for each in (asked.one, asked.other)))
    return PopulationAgreement(
        table=pd.DataFrame([_row(name, one, other) for name in names]),
        objects=len(shared),
        by_chance=float(stats.norm.ppf(0.975)) * scatter,
    )


def _row(name: str, one: pd.DataFrame, other: pd.DataFrame) -> dict[str, float | str]:
    has = _widths(name, one, other)
    one, other = one[has], other[has]
    shifts = (one[f"{name}_mean"] - other[f"{name}_mean"]) / other[f"{name}_sd"]
    median, q95 = np.nanquantile(shifts.abs(), [0.5, 0.95])
    return {
        "parameter": name,
        "shift": float(shifts.median()),
        "median": float(median),
        "q95": float(q95),
        "width": float((one[f"{name}_sd"] / other[f"{name}_sd"]).median()),
    }


def _widths(name: str, one: pd.DataFrame, other: pd.DataFrame) -> pd.Series:
    """Return which objects have a width by both: that of a discrete parameter may be 0."""
    return (one[f"{name}_sd"] > 0) & (other[f"{name}_sd"] > 0)


def _effective(population: Population) -> float:
    """Return the effective number of draws of a usual object."""
    ess = population.column("ess")
    return float(np.median(ess)) if ess.size else population.draws


def judge_population_agreement(
    found: PopulationAgreement,
    subject: str,
    *,
    shift: WarnFail = (0.5, 1.25),
    width: WarnFail = (1.2, 1.5),
) -> list[Check]:
    """Judge whether two estimators give the same means and widths over a catalogue.

    Args:
        found: As measured.
        subject: The two estimators and the catalogue.
        shift: Distance of means in sds, beyond what draws give, that 95 % of objects stay below:
            warn above, fail above.
        width: Median ratio of sds, or its inverse: warn above, fail above.
    """
    return [_shifted(found, subject, shift), _widened(found, subject, width)]


def _shifted(found: PopulationAgreement, subject: str, limits: WarnFail) -> Check:
    row = found.table.loc[found.table["q95"].idxmax()]
    value = float(row["q95"])
    beyond = math.sqrt(max(0.0, value**2 - found.by_chance**2))
    return above(beyond, limits, "shift").check(
        name="shifts of objects",
        subject=subject,
        quantity=f"distance of means that 95 % of objects stay below ({row['parameter']}, sd; "
        f"median {row['median']:.2g})",
        value=value,
        chance=f"{found.by_chance:.2g} from draws alone",
        good="Two methods that err differently put the objects in the same place.",
        bad=f"They put objects in different places: {row['parameter']} by more than "
        f"{value:.2g} sd for one object in 20, by {row['shift']:+.2f} sd for the usual one. "
        "Believe the better calibrated one, or train both on more.",
    )


def _widened(found: PopulationAgreement, subject: str, limits: WarnFail) -> Check:
    logs = found.table["width"].map(math.log)
    row = found.table.loc[logs.abs().idxmax()]
    ratio = float(row["width"])
    return above(max(ratio, 1 / ratio), limits, "width").check(
        name="widths of objects",
        subject=subject,
        quantity=f"median ratio of sds ({row['parameter']})",
        value=ratio,
        chance="1",
        good="Two methods that err differently give the same error bars.",
        bad=f"Their error bars of {row['parameter']} differ by a factor {ratio:.2f}. Believe the "
        "better calibrated one, or train both on more.",
    )


OBJECTS_AGREEMENT = Diagnostic(
    of=PopulationPair,
    measure=measure_population_agreement,
    judge=judge_population_agreement,
    checks=("shifts of objects", "widths of objects"),
    value="shift of means (sd) that 95 % of objects stay below; median ratio of sds",
    chance="from draws alone; 1",
)
