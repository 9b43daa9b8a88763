"""What an estimator is held against beside the truth: a regression, and its own training rows.

An estimator is calibrated however little it knows. What it might know is measured here: by a
regression that is fitted to rows it learnt from (`networks.yardstick`), and by how much more
probable it calls these than held-out ones. `yardsticks` reads what is written.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ..estimators import Estimator
from ..networks.packing import unpacked
from ..networks.yardstick import FEWEST, Yardstick
from ..storage.reading import View
from ..trained import Posterior
from ..training.sources import arrays_of_view, sample_of
from ..types import Array

ROWS = 20_000
"""That a regression is fitted to, at most."""
ELEMENTS = 20_000_000
"""Of their data, at most."""
AT_ONCE = 500


def rows_to_learn_from(posterior: Posterior, elements: int) -> int:
    """Return how many training rows a regression is fitted to."""
    return min(posterior.header["training_rows"], ROWS, max(FEWEST, ELEMENTS // elements))


def held_against(posterior: Posterior, fit: View, test: View, *, seed: int) -> xr.Dataset:
    """Return what a regression says of held-out simulations, and how training rows compare.

    Args:
        posterior: A trained estimator with its prior.
        fit: Rows that it learnt from.
        test: Held-out ones.
        seed: Of the choice among rows that are weighted.

    Returns:
        ``normal_truth``, the truths in normal space, ``regressed`` and ``regressed_square``, what
        the regression predicts of these and of their squares (simulation, parameter),
        ``regression_gain`` (simulation), its log density over that of the prior in nats; none of
        them where there are too few rows. Attributes ``over_fit`` and ``over_fit_error``: by how
        many nats training rows are more probable than held-out ones, and its standard error; NaN
        without a density.
    """
    conditions, prior = posterior.conditions, posterior.prior
    weighted = fit.weight is not None
    learnt = arrays_of_view(fit, prior.to_normal, weighted, conditions)
    z, x = sample_of(tuple(map(torch.from_numpy, learnt)), seed)
    asked = arrays_of_view(test, prior.to_normal, False, conditions)
    z_test, x_test = map(torch.from_numpy, asked)
    some = slice(len(z_test))
    gap, error = over_fit(posterior.estimator, (z[some], x[some]), (z_test, x_test))
    told = {"over_fit": gap, "over_fit_error": error}
    if len(z) < FEWEST:
        return xr.Dataset(attrs=told)
    known = len(conditions.names)
    parts = (_apart(rows, known, fit.x.shape[1:]) for rows in (x, x_test))
    (known_fit, data), (known_test, data_test) = parts
    found = Yardstick(z, data, known_fit)(z_test, data_test, known_test)
    by_parameter = ("simulation", "parameter")
    made = {
        "normal_truth": (by_parameter, z_test.numpy()),
        "regressed": (by_parameter, found.mean.numpy()),
        "regressed_square": (by_parameter, found.square.numpy()),
        "regression_gain": ("simulation", found.gain.numpy()),
    }
    return xr.Dataset(made, attrs=told)


def _apart(shown: Tensor, known: int, x_shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    return shown.flatten(1)[:, :known].float(), unpacked(shown, known, x_shape)[1]


def over_fit(
    estimator: Estimator, learnt: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor]
) -> tuple[float, float]:
    """Return by how many nats training rows are more probable, and its standard error.

    That of a likelihood is of all that data hold, their noise too, and says little of its
    posterior: NaN, as without a density.
    """
    if not estimator.traits.density or estimator.traits.target == "likelihood":
        return math.nan, math.nan
    inside, outside = (log_prob_of_pairs(estimator, *rows) for rows in (learnt, held_out))
    if not (np.isfinite(inside).all() and np.isfinite(outside).all()):
        return math.nan, math.nan
    error = math.sqrt(inside.var() / len(inside) + outside.var() / len(outside))
    return float(inside.mean() - outside.mean()), error


@torch.no_grad()
def log_prob_of_pairs(estimator: Estimator, z: Tensor, x: Tensor) -> Array:
    """Return the log of what is estimated, ``(n,)``, for rows z and their data."""
    parts = zip(z.split(AT_ONCE), x.split(AT_ONCE), strict=True)
    return torch.cat([estimator.log_prob(*each) for each in parts]).double().numpy()
