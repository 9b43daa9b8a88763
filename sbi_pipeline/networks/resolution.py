"""What the precision of stored numbers leaves of data.

Single precision holds numbers from 1.2e-38 to 3.4e38 in size, seven digits of each. Data in units
in which they are smaller, or that vary by less than these digits about a large value, are lost when
they are stored, and a network would learn that they say nothing.
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

STEPS = 8
"""Of the last digit, which the values of a column must span for it to say something."""
AT_ONCE = 4_000_000
PRECISION = {torch.float16: "half", torch.bfloat16: "half", torch.float32: "single"}


def check_resolution(x: Tensor) -> None:
    """Refuse data of which their precision leaves nothing; warn where it leaves nothing of some.

    Args:
        x: Data, ``(n, *x_shape)``, all finite.

    Raises:
        ValueError: No column is resolved, and one or more should be.
    """
    if not x.is_floating_point():
        return
    low, high = extremes(x)
    largest = torch.maximum(low.abs(), high.abs())
    last_digit = torch.nextafter(largest, torch.full_like(largest, torch.inf)) - largest
    span = (high.double() - low.double()) / last_digit.double()
    lost = (span > 0) & (span < STEPS)
    single = PRECISION.get(x.dtype, "double")
    if bool((span < STEPS).all()):
        tiny = float(largest.max()) < torch.finfo(x.dtype).tiny
        found = (
            f"x is {float(low.min()):.4g} to {float(high.max()):.4g} in all {len(x)} training rows"
            if tiny or lost.any()
            else f"x has the same value in all {len(x)} training rows"
        )
        why = (
            f"data underflow {single} precision, whose smallest number of full precision is "
            f"{torch.finfo(x.dtype).tiny:.2g}"
            if tiny
            else f"what data vary by is below the last digit of {single} precision"
        )
        remedy = "return double precision or other units" if single != "double" else "other units"
        raise ValueError(f"{found}: {why}, or nothing varies; let the simulator {remedy}")
    if lost.any():
        logger.warning(
            "%d of %d columns of x vary by less than %d steps of the last digit of %s precision, "
            "first column %d: return double precision, or subtract what is constant",
            int(lost.sum()),
            lost.numel(),
            STEPS,
            single,
            int(lost.nonzero()[0]),
        )


def extremes(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the largest value of each column, ``(columns,)`` both."""
    flat = x.flatten(1)
    parts = [part.aminmax(dim=0) for part in flat.split(max(1, AT_ONCE // max(1, len(x))), dim=1)]
    return torch.cat([part.min for part in parts]), torch.cat([part.max for part in parts])
