"""What is said of the objects of a catalogue: columns of a table, for many objects at once."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .expressions import Expression
from .populations import EDGE, FLAGS, KNOWN_VALUE, OF_DRAWS, P_VALUES
from .priors.circles import Period, circular_mean, circular_sd, rolled, unrolled
from .sampled_posteriors import QUANTILES
from .types import Array

if TYPE_CHECKING:
    import pandas as pd

OF_CHAINS = ("r_hat", "ess", "converged")
OF_OBJECT = (*P_VALUES, "predictions", "at_edge", *OF_CHAINS)
"""Columns of an object, beside those of its parameters."""
OF_PARAMETER = (*OF_DRAWS, "rank")
"""Columns of each parameter: rank is the fraction of draws below the truth."""

FLAGGED = 0.005
"""P-value of an object that is flagged: of a thousand good ones, five."""
SHOWN = 8
"""Flagged objects whose predictions are kept, at most."""


def columns_of(parameters: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of a table, in order."""
    own = (f"{name}_{column}" for name in parameters for column in OF_PARAMETER)
    return (*own, *OF_OBJECT)


def with_derived(theta: Mapping[str, Array], derived: Mapping[str, str]) -> dict[str, Array]:
    """Return parameters and those that are expressions in them, by name.

    Args:
        theta: Parameters, of any one shape.
        derived: Expressions by name.
    """
    return {**theta, **{name: Expression(text)(theta) for name, text in derived.items()}}


def of_parameters(
    draws: Mapping[str, Array],
    truths: Mapping[str, Array],
    rng: np.random.Generator,
    periods: Mapping[str, Period] | None = None,
) -> dict[str, Array]:
    """Return mean, sd, quantiles and rank of the truth for each parameter.

    Of a periodic one the circular mean and sd; quantiles and rank are those of the circle cut
    opposite to the mean.

    Args:
        draws: By parameter, ``(m, draws)``.
        truths: Known ones by parameter, ``(m,)``, NaN where an object's is not known.
        rng: Breaks ties of a truth with draws, those of a discrete parameter.
        periods: Ends of the periodic parameters by name.
    """
    found: dict[str, Array] = {}
    for name, values in draws.items():
        truth = truths.get(name, np.full(len(values), np.nan))
        period = (periods or {}).get(name)
        if period is None:
            own = _moments(values, truth, rng)
        else:
            middle = circular_mean(values, period, axis=1)
            line = unrolled(values, period, middle[:, None]), unrolled(truth, period, middle)
            _, _, *levels, rank = _moments(*line, rng)
            sd = circular_sd(values, period, axis=1)
            own = [middle, sd, *(rolled(each, period) for each in levels), rank]
        found |= dict(zip((f"{name}_{each}" for each in OF_PARAMETER), own, strict=True))
    return found


def _moments(values: Array, truth: Array, rng: np.random.Generator) -> list[Array]:
    """Return mean, sd, quantiles and rank of the truth, each ``(m,)``, of draws on a line."""
    from .diagnostics.ranks import ranks_of  # noqa: PLC0415 - torch, which a table does without

    levels = np.quantile(values, list(QUANTILES.values()), axis=1)
    below = ranks_of(values, truth[:, None], rng) / values.shape[1]
    rank = np.where(np.isnan(truth), np.nan, below)
    spread = np.ptp(values, axis=1) > 0  # rounding makes an sd of draws that are all the same
    sd = np.where(spread, values.std(axis=1, ddof=1), 0.0)
    return [values.mean(axis=1), sd, *levels, rank]


def with_derived_truths(
    truths: Mapping[str, Array], derived: Mapping[str, str]
) -> dict[str, Array]:
    """Return known truths with those of derived parameters that follow from them."""
    follow = {
        name: text for name, text in derived.items() if set(Expression(text).names) <= set(truths)
    }
    return with_derived(truths, follow)


def worst(columns: Mapping[str, Array], most: int = SHOWN) -> Array:
    """Return the objects with p-values that are flagged, the smallest first, at most so many."""
    found = np.fmin(*(np.asarray(columns[each], dtype=float) for each in P_VALUES))
    order = np.argsort(np.where(np.isnan(found), np.inf, found), kind="stable")[:most]
    return order[found[order] <= FLAGGED]


def rows(
    names: Sequence[str],
    summary: Mapping[str, Array],
    truths: Mapping[str, Array],
    known: Mapping[str, Array] | None = None,
) -> pd.DataFrame:
    """Return the table of a catalogue, a row an object; columns without any value are left out.

    Args:
        names: Of the objects.
        summary: By column, as in `columns_of`.
        truths: Known ones by parameter.
        known: Known conditions by name.
    """
    import pandas as pd  # noqa: PLC0415 - a fifth of a second, and draws need no table

    columns: dict[str, Array | Sequence[str]] = {"object": names}
    columns |= {f"{name}{KNOWN_VALUE}": values for name, values in (known or {}).items()}
    for name, values in summary.items():
        parameter = name.removesuffix("_rank")
        if name.endswith("_rank") and parameter in truths:
            columns[f"{parameter}_truth"] = truths[parameter]
        columns[name] = values
    table = pd.DataFrame(columns).dropna(axis="columns", how="all")
    return table.assign(flags=_flags(summary))


def _flags(summary: Mapping[str, Array]) -> list[str]:
    """Return what is remarkable of each object, in words."""
    said = {flag: summary[FLAGS[flag]] <= FLAGGED for flag in FLAGS if FLAGS[flag] in P_VALUES}
    said |= {"edge": summary["at_edge"] > EDGE, "not converged": summary["converged"] == 0}
    objects = zip(*said.values(), strict=True)
    return ["; ".join(itertools.compress(said, which)) for which in objects]
