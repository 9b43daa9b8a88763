"""Did the observation come the way of the simulations: shape, order, units?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..sampled_posteriors import ObservedData
from ..types import Array
from .check import Check, Judged, WarnFail, significant
from .diagnostic import Diagnostic


@dataclass(frozen=True)
class DataPath:
    """Whether an observation came the way of the simulations.

    Attributes:
        problems: What cannot be, in sentences.
        outside: Fraction of elements of the observation beyond the range of all simulations.
        p_value: How often one of the simulations is beyond all others in as many elements.
        least_p: What that is at least.
        decades: Median of log10 of the ratio of its elements to typical simulated ones.
    """

    problems: tuple[str, ...]
    outside: float
    p_value: float
    least_p: float
    decades: float


def data_path(
    x: Array, x_o: Array, learnt: Mapping[str, Sequence[str]], parameters: Sequence[str]
) -> DataPath:
    """Compare an observation with simulations element by element, and orders of parameters.

    Args:
        x: Simulations, ``(n, *x_shape)``.
        x_o: The observation, ``x_shape``.
        learnt: Parameters in the order each estimator has learnt them, by estimator.
        parameters: Parameters in the order of the configuration.
    """
    problems = [
        f"{who} learnt {', '.join(names)}, wanted {', '.join(parameters)}."
        for who, names in learnt.items()
        if list(names) != list(parameters)
    ]
    if x.shape[1:] != x_o.shape:
        problems.append(f"The observation has shape {x_o.shape}, simulations have {x.shape[1:]}.")
        return DataPath(tuple(problems), math.nan, 0.0, 0.0, 0.0)
    there = np.isfinite(x_o) & ~np.isnan(x).all(axis=0)
    x, x_o = x[:, there], x_o[there]
    beyond = elements_beyond(np.concatenate([x_o[None], x]))
    size, typical = np.abs(x_o), np.nanmedian(np.abs(x), axis=0)
    both = (size > 0) & (typical > 0)
    decades = float(np.median(np.log10(size[both] / typical[both]))) if both.any() else 0.0
    return DataPath(
        tuple(problems),
        outside=float(beyond[0] / max(1, x_o.size)),
        p_value=float(np.mean(beyond >= beyond[0])),
        least_p=1 / (len(x) + 1),
        decades=decades,
    )


def elements_beyond(data: Array) -> Array:
    """Return in how many elements each data set lies beyond all others, ``(n, m) -> (n,)``."""
    counts = np.zeros(len(data), dtype=int)
    for values in (np.where(np.isnan(data), np.inf, data), np.where(np.isnan(data), np.inf, -data)):
        first, second = np.partition(values, 1, axis=0)[:2]
        counts += np.bincount(values.argmin(axis=0)[first < second], minlength=len(data))
    return counts


def measure_data_path(asked: ObservedData) -> DataPath | None:
    """Compare the observation with simulations; None for many events, which no simulation is."""
    x_o = asked.x_o
    if x_o is None or x_o.ndim >= asked.simulated.ndim:
        return None
    learnt = {who: posterior.inferred for who, posterior in asked.posteriors.items()}
    return data_path(asked.simulated, x_o, learnt, asked.inferred)


def judge_data_path(
    found: DataPath,
    subject: str,
    *,
    p: WarnFail = (0.005, 0.002),
    outside: WarnFail = (0.02, 0.2),
) -> Check:
    """Judge whether the observation came the way of the simulations: shape, order, units.

    Args:
        found: As made by `data_path`.
        subject: The observation.
        p: How often simulations are beyond all others in as many elements: warn below, fail below.
        outside: Fraction of its elements that no simulation reaches: smaller than the first never
            matters, larger than the second is needed to fail.
    """
    judged = significant(found.p_value, found.outside, p, outside, "data_path")
    judged = Judged(
        "fail" if found.problems else judged.status,
        f"{judged.threshold}, fail on another shape or order of parameters",
    )
    hint = ""
    if abs(found.decades) > 1:
        hint = f" It is {10**found.decades:.2g} times as large as they are: compare the units."
    return judged.check(
        name="data path",
        subject=subject,
        quantity="fraction of elements beyond the range of all simulations (p = "
        f"{found.p_value:.2g})",
        value=found.outside,
        chance=f"{2 * found.least_p:.2g} on average",
        good="Shape, order of parameters and range are those of the simulations.",
        bad=" ".join(found.problems)
        or f"Simulations never look like parts of the observation.{hint} Read it by the code "
        "that made the simulations.",
    )


DATA_PATH = Diagnostic(
    of=ObservedData,
    measure=measure_data_path,
    judge=judge_data_path,
    checks=("data path",),
    value="elements beyond all simulations; shape, order, units",
    chance="exact ranks",
)
