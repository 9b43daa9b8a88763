"""How far normal space is used."""

import numpy as np

from ..types import Array

REACH = 8.0
"""Standard deviations within which normal space is used: double precision has 1 - u up to there."""


def reachable(z: Array) -> Array:
    """Return points of normal space, those that are out of reach of double precision moved in."""
    return np.clip(z, -REACH, REACH)
