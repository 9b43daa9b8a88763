"""What failed simulations do to the prior.

Failed rows are left out of training, so the prior in force is the prior of the rows that ran. If
failing does not depend on the parameters, that is the same prior, only with fewer rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from ..types import Array


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
