"""What an estimator says of data, in a few numbers: where its posterior lies and how wide it is.

Data of which it says the same are like each other to it, however many elements they have. The
numbers are functions of the pool of draws, so that those of a truth and of draws of its posterior
are alike whichever of the pool is the truth.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from ..priors.circles import circular_sd, periodic_columns
from ..priors.discrete import combinations
from ..types import Array, Prior

NARROWEST = 1e-12


def statements(z: Array, prior: Prior) -> Array:
    """Return means and widths of draws in the prior's normal space, ``(m, statements)``.

    Widths are natural logarithms of sds, so that twice as wide is as far as 0.7 prior sds. Of a
    circle the mean is a point within the unit circle, and of a discrete parameter the width is the
    sd, which may be none.

    Args:
        z: Draws in normal space, ``(m, draws, theta_dim)``.
        prior: Of theta.
    """
    periodic, values = periodic_columns(prior), combinations(prior)
    discrete = () if values is None else values.columns
    said: list[Array] = []
    for column in range(z.shape[2]):
        own = z[..., column]
        if column in periodic:
            turn = special.ndtr(own)
            points = np.exp(2j * np.pi * turn).mean(axis=1)
            width = circular_sd(turn, (0.0, 1.0), axis=1)
            said += [points.real, points.imag, np.log(np.maximum(width, NARROWEST))]
        elif column in discrete:
            said += [own.mean(axis=1), own.std(axis=1)]
        else:
            said += [own.mean(axis=1), np.log(np.maximum(own.std(axis=1), NARROWEST))]
    return np.stack(said, axis=1)
