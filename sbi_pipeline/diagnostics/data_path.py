"""Did the observation come the way of the simulations: shape, order, units?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..sampled_posteriors import ObservedData
from ..types import Array
from .check import Check, Judged, WarnFail, above
from .diagnostic import Diagnostic


@dataclass(frozen=True)
class DataPath:
    """Whether an observation came the way of the simulations.

    Attributes:
        problems: What cannot be, in sentences.
        outside: Fraction of elements of the observation beyond the range of all simulations.
        by_chance: What ``outside`` is on average for one more simulation, at most.
        decades: Median of log10 of the ratio of its elements to typical simulated ones.
    """

    problems: tuple[str, ...]
    outside: float
    by_chance: float
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
        return DataPath(tuple(problems), float("nan"), 0.0, 0.0)
    there = np.isfinite(x_o) & ~np.isnan(x).all(axis=0)
    x, x_o = x[:, there], x_o[there]
    outside = (x_o < np.nanmin(x, axis=0)) | (x_o > np.nanmax(x, axis=0))
    size, typical = np.abs(x_o), np.nanmedian(np.abs(x), axis=0)
    both = (size > 0) & (typical > 0)
    decades = float(np.median(np.log10(size[both] / typical[both]))) if both.any() else 0.0
    return DataPath(tuple(problems), float(outside.mean()), 2 / (len(x) + 1), decades)


def measure_data_path(asked: ObservedData) -> DataPath | None:
    """Compare the observation with simulations; None for many events, which no simulation is."""
    x_o = asked.x_o
    if x_o is None or x_o.ndim >= asked.simulated.ndim:
        return None
    learnt = {who: posterior.inferred for who, posterior in asked.posteriors.items()}
    return data_path(asked.simulated, x_o, learnt, asked.inferred)


def judge_data_path(found: DataPath, subject: str, *, outside: WarnFail = (0.02, 0.2)) -> Check:
    """Judge whether the observation came the way of the simulations: shape, order, units.

    Args:
        found: As made by `data_path`.
        subject: The observation.
        outside: Fraction of its elements that no simulation reaches: warn above, fail above.
    """
    judged = above(found.outside, outside, "data_path")
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
        quantity="fraction of elements beyond the range of all simulations",
        value=found.outside,
        chance=f"below {found.by_chance:.2g} on average",
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
    chance="2 / (n + 1)",
)
