"""Do rows of files follow the prior, or what they were said to be drawn from?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..subjects import TrainedEstimator
from .check import Check, Judged, shown_limit
from .diagnostic import Diagnostic


def judge_rows(departure: Mapping[str, Any], subject: str, *, warn: float = 0.001) -> Check:
    """Judge whether rows of files follow the prior, or what they were said to be drawn from.

    Estimators of posteriors are refused before they are trained on rows that certainly do not, at
    a p-value of a millionth; a likelihood or a ratio is right all the same, and only the truths
    that it is asked about are others.

    Args:
        departure: As `priors.departure` tells it.
        subject: The estimator.
        warn: P-value, corrected for the number of parameters and pairs of them.
    """
    judged = Judged(
        "warn" if departure["p"] < warn else "pass", f"warn where p < {shown_limit(warn)}"
    )
    return judged.check(
        name="prior of the rows",
        subject=subject,
        quantity=f"{departure['measure']} of {departure['where']}, rows beside the prior "
        f"(p = {departure['p']:.2g} over all)",
        value=abs(departure["size"]),
        chance="0, within the p-value",
        good="The rows follow the prior.",
        bad="Simulations come from files whose parameters do not follow the prior, or not what "
        "'drawn_from' says. npe, fmpe and cmpe learn the posterior under the rows' own "
        "distribution, and no weights mend what is not known. A likelihood or ratio is right "
        "where there are rows, but calibration, coverage and TARP ask about truths of the table, "
        "and a good posterior need not pass them; judge by predictions and by other estimators.",
    )


ROWS = Diagnostic(
    of=TrainedEstimator,
    measure=lambda estimator: estimator.departure,
    judge=judge_rows,
    checks=("prior of the rows",),
    value="distance or correlation of the rows of a table, beside the prior",
    chance="0",
)
