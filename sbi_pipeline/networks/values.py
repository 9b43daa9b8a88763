"""Which values the columns of data take: real ones, multiples of a step, few, or some in heaps.

The type of an array does not say it: counts come as floats, and in units of 1e-30. What is found in
training rows is a `Values` for each column. Its points have a probability of their own: all values,
where a column takes few; those that stand out among their neighbours (a limit that data are
censored at, a zero that many rows have) where it takes others, too.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from ..types import Array

logger = logging.getLogger(__name__)

FEW = 8  # values of a column that have a probability of their own, at most
AT_ONCE = 64  # columns
LOOKED_AT = 20_000  # rows that show whether a column has any value often
OFF = 0.02  # of a step: how far its multiples may lie from where they should
WITHOUT_POINTS: Mapping[str, Any] = {
    "points": (),
    "slack": (),
    "rest": True,
    "low": None,
    "high": None,
}
SHOWN = 10  # columns that are named
OFTEN = 10  # rows of a value that stands out, at least
REPEATED = 1.1  # rows for each value where values are multiples of a step by more than chance


@dataclass(frozen=True)
class Values:
    """What one column holds.

    Attributes:
        points: Values that have a probability of their own, ascending.
        slack: How far from each of them a number may lie and still be it.
        rest: Whether the column takes other values, too.
        step: These are ``origin`` and whole multiples of it more; 0 where they are real.
        origin: See ``step``.
        low: The point that real numbers begin at, such as a limit they are censored at, if any.
        high: The one that they end at.
    """

    points: tuple[float, ...] = ()
    slack: tuple[float, ...] = ()
    rest: bool = True
    step: float = 0.0
    origin: float = 0.0
    low: float | None = None
    high: float | None = None

    @property
    def are_real(self) -> bool:
        """Whether no value is more than a real number."""
        return not (self.points or self.step)

    @property
    def levels(self) -> int:
        """How many values there are, any other counted as one."""
        return len(self.points) + self.rest

    @property
    def numbers(self) -> str:
        """What a step makes of them, in words."""
        if (self.step, self.origin) == (1.0, 0.0):
            return "whole numbers"
        return f"multiples of {self.step:g}" + (f" and {self.origin:g}" if self.origin else "")

    @property
    def described(self) -> str:
        """What the column holds, in words."""
        if self.rest:
            return self.numbers if self.step else "real numbers"
        return "no value but " + ", ".join(f"{point:g}" for point in self.points)

    def allow(self, column: Tensor) -> Tensor:
        """Return which numbers of a column, ``(n,)``, are such as it holds."""
        known = self.are_points(column)
        if not self.rest:
            return known
        steps = (column.double() - self.origin) / (self.step or 1.0)
        return known | (abs(steps - steps.round()) <= 5 * OFF) | (self.step == 0)

    def are_points(self, column: Tensor) -> Tensor:
        """Return which numbers of a column, ``(n,)``, are its points."""
        numbers = column.double()[:, None]
        away = (numbers - numbers.new_tensor(self.points)).abs()
        return (away <= numbers.new_tensor(self.slack)).any(1)


def find_values(x: Tensor) -> list[Values]:
    """Return what each column of ``(n, columns)`` holds."""
    rows = x.detach().cpu().numpy()
    eps = float(np.finfo(rows.dtype).eps) if rows.dtype.kind == "f" else 0.0
    found = []
    for first in range(0, rows.shape[1], AT_ONCE):
        columns = np.ascontiguousarray(rows[:, first : first + AT_ONCE].T)
        some = np.sort(columns[:, :: max(1, len(rows) // LOOKED_AT)], axis=1)
        thrice = (some[:, 2:] == some[:, :-2]).any(1)  # twice happens to real numbers, too
        found += [
            values_of(there(column).astype(float), eps)
            if often or are_whole(there(few), eps)
            else Values()
            for column, few, often in zip(columns, some, thrice, strict=True)
        ]
    return found


def there(column: Array) -> Array:
    """Return the numbers of a column that are not missing."""
    return column[~np.isnan(column)]


def are_whole(values: Array, eps: float) -> bool:
    """Say whether all are whole numbers, and could be others at this precision."""
    if not len(values):
        return False
    return bool((values == np.rint(values)).all()) and bool(np.abs(values).max() * eps < 0.5)


def values_of(column: Array, eps: float = 0.0) -> Values:
    """Return what one column holds.

    Args:
        column: Its values, ``(n,)``, in double precision.
        eps: Relative precision they were stored with; 0 for whole numbers.
    """
    values, counts = np.unique(column, return_counts=True)
    if len(values) == 1:
        return Values()
    lattice = step_of(values, counts, eps)
    if lattice is not None:
        step = lattice[0]
        levels = round((values[-1] - values[0]) / step) + 1
        if levels <= FEW:
            whole = values[0] + step * np.arange(levels)
            slack = (5 * OFF * step,) * levels
            return Values(tuple(whole.tolist()), slack, False, *lattice)
    if len(values) <= FEW and counts.min() >= max(5, 1e-3 * len(column)):
        return Values(tuple(values.tolist()), slacks(values, column), rest=False)
    heaps = standing_out(counts)
    rest, of_rest = values[~heaps], counts[~heaps]
    step, origin = step_of(rest, of_rest, eps) or (0.0, 0.0)
    points = values[heaps]
    low, high = limits(points, rest) if len(points) and not step else (None, None)
    slack = slacks(points, column)
    return Values(tuple(points.tolist()), slack, True, step, origin, low, high)


def limits(points: Array, rest: Array) -> tuple[float | None, float | None]:
    """Return the point next below all other values, and the one next above them, if there are."""
    low, high = points[points < rest[0]], points[points > rest[-1]]
    return (float(low[-1]) if len(low) else None), (float(high[0]) if len(high) else None)


def slacks(points: Array, column: Array) -> tuple[float, ...]:
    """Return by how much numbers that are these points may differ from them: by rounding."""
    return tuple(np.minimum(4e-7 * np.abs(points), 1e-6 * column.std()).tolist())


def standing_out(counts: Array) -> Array:
    """Return which values occur far more often than their neighbours, ``(values,)`` of bool.

    Args:
        counts: How often each value occurs, in the order of the values.
    """
    padded = np.pad(counts.astype(float), 2, constant_values=np.nan)
    around = np.stack([padded[:-4], padded[1:-3], padded[3:-1], padded[4:]])
    near = np.nanmean(around, 0)
    found = counts >= np.maximum(OFTEN, 3 * near + 5 * np.sqrt(near))
    if found.sum() >= FEW:  # of many, those with most rows
        found &= counts >= np.sort(counts[found])[-(FEW - 1)]
    return found if found.sum() < min(FEW, len(counts) - 1) else np.zeros_like(found)


def step_of(values: Array, counts: Array, eps: float) -> tuple[float, float] | None:
    """Return the step that values are multiples of, and the origin they are counted from, or None.

    Args:
        values: Different values, ascending.
        counts: How often each occurs.
        eps: Relative precision they were stored with.
    """
    if len(values) < 2 or not (counts.sum() > REPEATED * len(values) or are_whole(values, eps)):
        return None
    gaps, span = np.diff(values), values[-1] - values[0]
    step = float(gaps.min())
    while span / step < 2**40:
        times = np.rint(gaps / step)
        step = float(span / times.sum())  # rounding errors average out
        allowed = min(5 * OFF, OFF + 2 * eps * float(np.abs(values).max()) / step)
        if np.abs((values[1:] - values[0]) / step - times.cumsum()).max() <= allowed:
            unsure = 4 * eps * float(np.abs(values).max()) / span  # of the step, relative
            return step, origin_of(float(values[0]), step, unsure)
        left = np.abs(gaps - times * step)  # Euclid's algorithm, on numbers with errors
        left = left[left > allowed * step / len(gaps)]
        if not len(left) or left.min() >= step:
            return None
        step = float(left.min())
    return None


def origin_of(value: float, step: float, unsure: float) -> float:
    """Return where counting begins, below a step: at 0 where a value is a multiple of it.

    A value too far from 0 for the precision of the step is where it begins.
    """
    if unsure * abs(value) > OFF * step:
        return value
    origin = math.remainder(value, step)
    if abs(origin) <= 5 * OFF * step:
        return 0.0
    return origin % step


def choose_values(
    x: Tensor,
    *,
    columns: Sequence[int],
    discrete: Mapping[str, Any] | str | None = "auto",
    atoms: Sequence[int] | str | None = "auto",
    dequantise: bool | str = "auto",
    **others: Any,
) -> dict[str, Any]:
    """Choose how columns are learnt by a look at training data, ``(n, elements)``.

    Args:
        x: The data.
        columns: Those that are used.
        discrete: Option of `nle.NLE`, or ``"auto"``.
        atoms: The same.
        dequantise: The same.
        **others: Options of which nothing is asked.

    Returns:
        These options as they were chosen, and ``values``, what columns hold that are not just real.

    Raises:
        ValueError: A column of ``atoms`` has none.
    """
    few = list(discrete["columns"]) if isinstance(discrete, Mapping) else []
    used = sorted({*columns, *few})
    found = dict(zip(used, find_values(x[:, used]), strict=True))
    if isinstance(discrete, Mapping):
        found |= {i: with_levels(found[i], x[:, i], discrete["levels"]) for i in few}
    elif discrete == "auto":
        few = [i for i in columns if not found[i].rest]
        levels = max((found[i].levels for i in few), default=0)
        discrete = {"columns": few, "levels": levels} if few else None
    flowing = [i for i in columns if i not in few]
    if not isinstance(atoms, Sequence) or isinstance(atoms, str):
        heaped = [i for i in flowing if found[i].points and found[i].rest] if atoms else []
    else:
        heaped = [i for i in atoms if i in flowing]
        check_atoms(heaped, found)
    for i in flowing:
        points = {} if i in heaped else WITHOUT_POINTS
        step = {} if dequantise and found[i].step else {"step": float(dequantise is True)}
        found[i] = replace(found[i], **points, **step)
    tell(found, x)
    return {
        "discrete": discrete,
        "atoms": heaped or None,
        "dequantise": any(found[i].step for i in flowing),
        "values": {i: asdict(each) for i, each in found.items() if not each.are_real},
    }


def with_levels(found: Values, column: Tensor, levels: int) -> Values:
    """Return what a column takes that has so many values at most, by what a user says of it."""
    if not found.rest and found.levels <= levels:
        return found
    step = found.step or 1.0
    least = float(column[~column.isnan()].amin())
    points = tuple(least + step * level for level in range(levels))
    return Values(points, (5 * OFF * step,) * levels, rest=False, step=step)


def check_atoms(columns: Sequence[int], found: Mapping[int, Values]) -> None:
    """Refuse columns that are said to have values of a probability of their own, and have none."""
    for i in columns:
        if not (found[i].points and found[i].rest):
            raise ValueError(
                f"atoms has {i}; no value of column {i} stands out among others in the training "
                "rows: remove it"
            )


def tell(found: Mapping[int, Values], x: Tensor) -> None:
    """Log what columns hold that are not just real; x are the rows, ``(n, elements)``."""
    kinds: dict[str, list[int]] = {}
    for i, each in found.items():
        if not each.rest:
            kinds.setdefault("few values", []).append(i)
        elif each.step:
            kinds.setdefault(each.numbers, []).append(i)
    for kind, columns in kinds.items():
        logger.info("x holds %s in column %s", kind, listed(columns))
    for i in [i for i, each in found.items() if each.points and each.rest][:SHOWN]:
        for point, slack in zip(found[i].points, found[i].slack, strict=True):
            share = Values((point,), (slack,)).are_points(x[:, i]).double().mean()
            logger.info(
                "%.2g %% of column %d of x are %g exactly: learnt as a probability of its own",
                *(100 * share, i, point),
            )


def listed(columns: Sequence[int]) -> str:
    """Return numbers of columns for a line, the first few of many."""
    more = f" and {len(columns) - SHOWN} more" if len(columns) > SHOWN else ""
    return ", ".join(map(str, columns[:SHOWN])) + more
