"""What failed simulations do to the prior.

Failed rows are left out of training, so the prior in force is the prior of the rows that ran. If
failing does not depend on the parameters, that is the same prior, only with fewer rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from ..plots.style import SERIES, Look, key, line_of, panels
from ..subjects import NOT_SELECTED, SimulatedRows
from ..types import Array
from .check import Check, WarnFail, worst_of
from .diagnostic import Diagnostic, Drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def prior_shift(theta: Mapping[str, Array], failed: Array) -> pd.DataFrame:
    """Compare the parameters of rows that ran with those of all rows.

    Args:
        theta: Values of each parameter, all rows, each ``(n,)``.
        failed: Which rows failed, ``(n,)``.

    Returns:
        One row a parameter: ``shift``, the largest distance between the two cumulative
        distributions, between 0 and 1, and ``p``, of a Kolmogorov-Smirnov test that failing does
        not depend on it.

    Raises:
        ValueError: No row failed, or all did.
    """
    failed = np.asarray(failed, dtype=bool)
    if failed.all() or not failed.any():
        raise ValueError(f"{failed.sum()} of {failed.size} rows failed; wanted some of each kind")
    rows = []
    for name, values in theta.items():
        test = stats.ks_2samp(values[failed], values[~failed])
        # all = (1 - f) ran + f failed, so all - ran = f (failed - ran).
        shift = float(failed.mean() * test.statistic)
        rows.append({"parameter": name, "shift": shift, "p": float(test.pvalue)})
    return pd.DataFrame(rows)


def measure_lost_prior(asked: SimulatedRows) -> pd.DataFrame | None:
    """Compare the parameters of rows that ran with those of all; None where all ran.

    Events that are not selected are among both: their part of the likelihood is known.
    """
    if asked.failed_theta is None or not any(asked.unmeant.values()):
        return None
    theta, reasons = asked.failed_theta
    meant = ("", NOT_SELECTED) if asked.selection else ("",)
    return prior_shift(theta, ~np.isin(reasons, meant))


def judge_lost_prior(
    shifts: pd.DataFrame,
    subject: str,
    *,
    p: WarnFail = (0.005, 0.001),
    shift: WarnFail = (0.005, 0.05),
) -> Check:
    """Judge whether failing depends on the parameters, which cuts the prior.

    Args:
        shifts: As made by `prior_shift`.
        subject: The simulations.
        p: P-value, corrected for the number of parameters: warn below, fail below.
        shift: Of the prior's cumulative distribution: smaller than the first never matters, larger
            than the second is needed to fail.
    """
    p_values = np.minimum(1.0, shifts["p"].to_numpy() * len(shifts))
    place, judged = worst_of(p_values, shifts["shift"].to_numpy(), p, shift, "lost_prior")
    row, p_value = shifts.iloc[place], float(p_values[place])
    return judged.check(
        name="lost prior",
        subject=subject,
        quantity=f"shift of the prior by failed rows ({row['parameter']}, p = {p_value:.2g} over "
        f"{len(shifts)} parameters)",
        value=float(row["shift"]),
        chance="0, within the p-value",
        good="Failures do not move the prior.",
        bad=f"Simulations fail for some values of {row['parameter']}, which removes them from the "
        "prior in force; mend the simulator there or narrow the prior.",
    )


def draw_failures(asked: Sequence[SimulatedRows], look: Look) -> Figure | None:
    """Show the fraction of failed simulations over each parameter, by reason."""
    (simulations,) = asked
    if simulations.failed_theta is None:
        return None
    theta, reasons = simulations.failed_theta
    kinds = [kind for kind in np.unique(reasons) if kind]
    figure, axes = panels(len(theta), columns=4, width=2.7, height=2.3, sharey=True)
    for (name, values), axis in zip(theta.items(), axes, strict=True):
        edges = np.unique(np.quantile(values, np.linspace(0, 1, 16)))
        total = np.histogram(values, edges)[0]
        for colour, kind in zip(SERIES * 9, kinds, strict=False):
            fraction = np.histogram(values[reasons == kind], edges)[0] / np.maximum(total, 1)
            axis.stairs(fraction, edges, baseline=None, color=colour, lw=1.5)
            error = np.sqrt(fraction * (1 - fraction) / np.maximum(total, 1))
            middle = (edges[1:] + edges[:-1]) / 2
            axis.errorbar(middle, fraction, error, fmt="none", ecolor=colour, lw=0.8)
        axis.set_xlabel(look.label(name))
        axis.set_ylim(bottom=0)
    axes[0].set_ylabel("fraction failed")
    if kinds:
        shown = zip(SERIES, kinds, strict=False)
        key(figure, {kind: line_of(colour) for colour, kind in shown})
    return figure


LOST_PRIOR = Diagnostic(
    of=SimulatedRows,
    measure=measure_lost_prior,
    judge=judge_lost_prior,
    checks=("lost prior",),
    value="shift of the prior by failed rows",
    chance="0",
    figures=(
        Drawing(
            stem="failures",
            draw=draw_failures,
            alt="Fraction of failed simulations over the parameters",
            title="Where simulations fail.",
            text="A slope means that failing cuts those parameters out of the prior.",
            section="simulations",
        ),
    ),
)
