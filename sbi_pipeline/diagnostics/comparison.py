"""How far apart two sets of posterior draws are: C2ST and marginal Jensen-Shannon divergence.

References:
    Lopez-Paz, Oquab, Revisiting classifier two-sample tests, 2017,
        https://arxiv.org/abs/1610.06545
    Lueckmann, Boelts, Greenberg, Gonçalves, Macke, Benchmarking simulation-based inference, 2021,
        https://arxiv.org/abs/2101.04653
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import rel_entr

from ..types import Array


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


def c2st(a: Array, b: Array, n: int = 2000, seed: int = 0) -> float:
    """Return the cross-validated accuracy of a classifier that tells ``a`` from ``b``.

    0.5: cannot be told apart, 1: disjoint. As in the sbibm benchmark: z-scored by the reference
    ``b``, two hidden layers of 10 dim ReLU units, Adam, five shuffled folds.

    Args:
        a: Draws, ``(n_a, dim)``.
        b: Reference draws, ``(n_b, dim)``.
        n: At most so many draws of each are used; differences below 0.02 are noise at 2 000.
        seed: Seed of the choice of draws, the folds and the classifier.

    Raises:
        ValueError: The draws differ in dimension.
    """
    # Takes half a second, which pages that compare nothing do without.
    from sklearn.model_selection import KFold, cross_val_score  # noqa: PLC0415
    from sklearn.neural_network import MLPClassifier  # noqa: PLC0415

    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"c2st got draws of shape {a.shape} and {b.shape}; wanted (n, dim) twice")
    rng = np.random.default_rng(seed)
    size = min(n, len(a), len(b))
    one, other = (rng.permutation(draws)[:size] for draws in (a, b))
    mean, sd = b.mean(axis=0), b.std(axis=0)
    features = (np.concatenate([one, other]) - mean) / np.where(sd > 0, sd, 1.0)
    labels = np.repeat([0, 1], size)
    units = 10 * a.shape[1]
    classifier = MLPClassifier((units, units), max_iter=10_000, random_state=seed)
    folds = KFold(5, shuffle=True, random_state=seed)
    return float(cross_val_score(classifier, features, labels, cv=folds).mean())
