"""Do two posteriors agree, parameter by parameter? By their Jensen-Shannon divergence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import rel_entr

from ..priors.circles import circular_mean, unrolled
from ..sampled_posteriors import PosteriorPair
from ..types import Array
from .check import Check, WarnFail, above
from .diagnostic import Diagnostic


@dataclass(frozen=True)
class Agreement:
    """How far apart two posteriors are.

    Attributes:
        table: As made by `compare_marginals`.
    """

    table: pd.DataFrame


def jsd_mnat(a: Array, b: Array, bins: int = 30) -> float:
    """Return the Jensen-Shannon divergence of two samples of one parameter, in 1e-3 nats.

    On bins of equal pooled count. A feeling for it: a shift of the mean by 0.25 sd gives about
    8 mnat, a width off by 20 % about 8, a shift of 1 sd about 110; ln 2 = 693 is the most.

    Args:
        a: Draws, ``(n,)``.
        b: Draws, ``(m,)``.
        bins: How many bins.
    """
    edges = np.unique(np.quantile(np.concatenate([a, b]), np.linspace(0, 1, bins + 1)))
    if edges.size < 2:
        return 0.0
    p = np.histogram(a, edges)[0] / len(a)
    q = np.histogram(b, edges)[0] / len(b)
    middle = (p + q) / 2
    return float(500 * (rel_entr(p, middle).sum() + rel_entr(q, middle).sum()))


def jsd_by_chance(n: float, m: float, bins: int = 30, prob: float = 0.95) -> float:
    """Return what `jsd_mnat` stays below with probability ``prob`` for two samples of one law.

    To leading order JSD = chi2(bins - 1) (1/n + 1/m) / 8.

    Args:
        n: Effective sample size of one.
        m: Effective sample size of the other.
        bins: As for `jsd_mnat`.
        prob: Probability.
    """
    return float(1000 * stats.chi2.ppf(prob, bins - 1) * (1 / n + 1 / m) / 8)


def compare_marginals(
    a: Mapping[str, Array],
    b: Mapping[str, Array],
    effective: tuple[Mapping[str, float], Mapping[str, float]] | None = None,
) -> pd.DataFrame:
    """Compare two posteriors parameter by parameter.

    Args:
        a: Draws by parameter, each ``(n,)``.
        b: Draws by parameter, each ``(m,)``: the reference for widths.
        effective: Effective sample sizes by parameter, of ``a`` and of ``b``; all draws count as
            independent without it.

    Returns:
        One row a shared parameter: ``shift`` of the mean in sds of ``b``, ``width`` (sd of ``a``
        over sd of ``b``), ``jsd_mnat``, and ``by_chance``, its 95 % level for equal posteriors.
    """
    rows = []
    for name in (name for name in a if name in b):
        one, other = np.ravel(a[name]), np.ravel(b[name])
        n, m = (e[name] for e in effective) if effective else (one.size, other.size)
        rows.append(
            {
                "parameter": name,
                "shift": float((one.mean() - other.mean()) / other.std(ddof=1)),
                "width": float(one.std(ddof=1) / other.std(ddof=1)),
                "jsd_mnat": jsd_mnat(one, other),
                "by_chance": jsd_by_chance(n, m),
            }
        )
    return pd.DataFrame(rows, columns=["parameter", "shift", "width", "jsd_mnat", "by_chance"])


def measure_agreement(asked: PosteriorPair) -> Agreement:
    """Compare the marginals of a pair."""
    one, other = asked.one, asked.other
    effective = one.effective, other.effective
    columns, reference = dict(one.columns), dict(other.columns)
    for name, period in other.periods.items():
        if name in columns:
            middle = float(circular_mean(reference[name], period))
            for each in (columns, reference):
                each[name] = unrolled(each[name], period, middle)
    return Agreement(compare_marginals(columns, reference, effective=effective))


def judge_agreement(found: Agreement, subject: str, *, jsd: WarnFail = (10.0, 50.0)) -> Check:
    """Judge whether two estimators give the same marginals.

    Args:
        found: As made by `compare_marginals`.
        subject: The two estimators and the observation.
        jsd: Jensen-Shannon divergence in mnat, beyond what chance gives: warn above, fail above. 10
            is a shift of 0.28 sd or a width off by 20 %, 50 a shift of 0.65 sd.
    """
    row = found.table.loc[found.table["jsd_mnat"].idxmax()]
    value, chance = float(row["jsd_mnat"]), float(row["by_chance"])
    judged = above(value if value > chance else 0.0, jsd, "agreement")
    return judged.check(
        name="agreement",
        subject=subject,
        quantity=f"largest Jensen-Shannon divergence of marginals ({row['parameter']}, mnat)",
        value=value,
        chance=f"below {chance:.2g} in 95 % of cases",
        good="Two methods that err differently agree.",
        bad=f"They differ in {row['parameter']}: means by {row['shift']:+.2f} sd, widths by a "
        f"factor {row['width']:.2f}. Believe the better calibrated one, or train both on more.",
    )


AGREEMENT = Diagnostic(
    of=PosteriorPair,
    measure=measure_agreement,
    judge=judge_agreement,
    checks=("agreement",),
    value="JSD of marginals (mnat)",
    chance="chi-squared",
)
