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
    name, tiny = PRECISION.get(x.dtype, "double"), torch.finfo(x.dtype).tiny
    least, most = float(low.min()) + 0.0, float(high.max()) + 0.0
    found = f"x lies between {least:.9g} and {most:.9g} in all {len(x)} training rows"
    remedy = "other units" if name == "double" else "double precision, or other units"
    if float(largest.max()) < tiny:
        raise ValueError(
            f"{found}: data underflow {name} precision, which holds {tiny:.2g} and more; let the "
            f"simulator return {remedy}, or see why it returns zeros"
        )
    if bool((span < STEPS).all()):
        raise ValueError(
            f"{found}, no column by {STEPS} steps of the last digit of {name} precision: what the "
            f"parameters change is lost, or nothing; let the simulator return {remedy}, or "
            "subtract what is constant"
        )
    lost = (span > 0) & (span < STEPS)
    if lost.any():
        logger.warning(
            "%d of %d columns of x vary by less than %d steps of the last digit of %s precision, "
            "first column %d: return double precision, or subtract what is constant",
            int(lost.sum()),
            lost.numel(),
            STEPS,
            name,
            int(lost.nonzero()[0]),
        )


def extremes(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the largest value of each column, ``(columns,)`` both."""
    flat = x.flatten(1)
    parts = [part.aminmax(dim=0) for part in flat.split(max(1, AT_ONCE // max(1, len(x))), dim=1)]
    return torch.cat([part.min for part in parts]), torch.cat([part.max for part in parts])
