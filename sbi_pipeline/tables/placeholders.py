"""Numbers that stand for missing ones in files of text, such as -999."""

from __future__ import annotations

import numpy as np

from ..types import Array

PLACEHOLDERS = (
    *(-99.0, -999.0, -9999.0, -99999.0, -999.25, -32768.0),
    *(9999.0, 99999.0, 1e20, 1e30, 9.96921e36, 9.969209968386869e36),
)
"""The last are those that netCDF fills with."""
FAR = 5.0
"""Widths of all other values beyond which such a number is taken for one."""


def placeholder_in(x: Array) -> float | None:
    """Return the first number that seems to stand for missing ones; None where none does.

    Args:
        x: Values that belong together, of any shape; some may be NaN.
    """
    for value in PLACEHOLDERS:
        rest = x[(x != value) & ~np.isnan(x)]
        if not 1 < rest.size < np.sum(~np.isnan(x)):
            continue
        low, high = rest.min(), rest.max()
        if not low - FAR * (high - low) <= value <= high + FAR * (high - low):
            return value
    return None
