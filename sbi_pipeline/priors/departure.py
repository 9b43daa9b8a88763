"""Do rows follow a prior? An estimator of a posterior learns the prior of its rows as part of it.

Rows are compared in normal space, where the prior is N(0, I) whatever its form: each parameter with
draws of the prior (Kolmogorov and Smirnov), and each pair of parameters by its correlation, since
posterior draws of an earlier study may have the right margins and still lie on a line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from ..types import Array, Prior

UNLIKELY = 1e-6
"""P-value, over all parameters and pairs, below which rows do not follow a prior."""
WOULD_LEARN = (
    "would learn the posterior under another prior, that of the rows; take nle or nre, or write "
    "the prior that the rows were drawn from"
)
"""What is wrong with such rows where a posterior is learnt, and what to do."""
ROWS = 100_000
"""Rows that are compared, and draws they are compared with, at most."""
NUMBERS = 10_000_000
"""Numbers of each, at most."""


@dataclass(frozen=True)
class Departure:
    """What differs most between rows and a prior.

    Attributes:
        where: A parameter, or two.
        measure: What ``size`` is.
        size: A distance between cumulative distributions, or a correlation, in normal space.
        p: P-value over all parameters and pairs.
        rows: How many were compared.
    """

    where: str
    measure: str
    size: float
    p: float
    rows: int

    @property
    def is_certain(self) -> bool:
        """Whether chance is no explanation."""
        return self.p < UNLIKELY

    def __str__(self) -> str:
        return f"{self.measure} of {self.where} {self.size:.2g}, p = {self.p:.2g}"


def rows_to_compare(prior: Prior) -> int:
    """Return how many rows are worth comparing with a prior."""
    return min(ROWS, NUMBERS // len(prior.names))


def departure_from(prior: Prior, parameters: Array) -> Departure:
    """Return what differs most between rows, ``(n, dim)``, and a prior."""
    u = np.random.default_rng(0).random((rows_to_compare(prior), len(prior.names)))
    z = np.asarray(prior.to_normal(parameters))
    drawn = np.asarray(prior.to_normal(prior.from_uniform(u)))
    tests = [*_margins(prior.names, z, drawn), *_pairs(prior.names, z)]
    worst = min(tests, key=lambda test: (test.p, -abs(test.size)))
    return Departure(**{**asdict(worst), "p": min(1.0, worst.p * len(tests))})


def _margins(names: tuple[str, ...], z: Array, drawn: Array) -> Iterator[Departure]:
    from scipy import stats  # noqa: PLC0415 - 0.6 s, which campaigns from the prior save

    for name, own, theirs in zip(names, z.T, drawn.T, strict=True):
        test = stats.ks_2samp(own, theirs, method="asymp")
        distance, p = float(test.statistic), float(test.pvalue)
        yield Departure(name, "Kolmogorov-Smirnov distance", distance, p, len(z))


def _pairs(names: tuple[str, ...], z: Array) -> Iterator[Departure]:
    """Yield correlations; of n independent rows they scatter by 1 / sqrt(n)."""
    from scipy import special  # noqa: PLC0415 - as above

    inside = z[np.isfinite(z).all(axis=1)]
    if len(names) < 2 or len(inside) < 3 or not inside.std(axis=0).all():
        return
    correlations = np.corrcoef(inside.T)
    for i, j in zip(*np.triu_indices(len(names), 1), strict=True):
        size = float(correlations[i, j])
        p = 2 * float(special.ndtr(-abs(size) * np.sqrt(len(inside))))
        yield Departure(f"{names[i]} and {names[j]}", "correlation", size, p, len(z))
