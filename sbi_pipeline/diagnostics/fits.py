"""One trained estimator in numbers, to compare it with others: held out, or at an observation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from scipy import special

from ..priors.circles import circular_mean, circular_sd, periods_of, turned
from ..priors.reach import reachable
from ..types import Array, Prior
from .coverage import coverage_error
from .information import information

SD_RATIO = "sd_ratio_"
"""Before the name of a parameter: the sd of its posterior over that of its prior."""


def held_out_measures(calibration: xr.Dataset) -> dict[str, float]:
    """Return what a fit is compared by on held-out simulations.

    Args:
        calibration: ``calibration.nc``.

    Returns:
        ``nats`` and ``log_q``, with ``nats_error``; ``coverage_error`` with what chance gives on
        average; ``sd_ratio``, posterior over prior sd, geometric mean over parameters;
        ``calibration_seconds``.
    """
    learned = information(calibration)
    error, by_chance = coverage_error(calibration)
    ratios = np.array(list(learned.sd_ratio.values()))
    return {
        "nats": learned.nats,
        "nats_error": learned.standard_error,
        "log_q": learned.log_q,
        "coverage_error": error,
        "coverage_error_by_chance": by_chance,
        "sd_ratio": float(np.exp(np.mean(np.log(ratios)))),
        "calibration_seconds": float(calibration.attrs["seconds"]),
    }


def posterior_measures(theta: Array, drawn: Array, prior: Prior) -> dict[str, float]:
    """Return what the posteriors of one observation are compared by, against the whole prior.

    Args:
        theta: Draws of the posterior, ``(n, dim)``.
        drawn: Draws of the prior, ``(k, dim)``.
        prior: The prior.

    Returns:
        ``least_nats``, the information that mean and covariance in the prior's normal space tell:
        a posterior that is not normal there has more; ``sd_ratio_NAME`` of each parameter,
        posterior over prior sd.
    """
    z = reachable(prior.to_normal(theta))
    ratios = theta.std(axis=0, ddof=1) / drawn.std(axis=0, ddof=1)
    for name, period in periods_of(prior).items():
        column = prior.names.index(name)
        ratios[column] = circular_sd(theta[:, column], period) / drawn[:, column].std(ddof=1)
        centre = circular_mean(special.ndtr(z[:, column]), (0.0, 1.0))
        z[:, column] = turned(z[:, column], centre)
    mean, covariance = z.mean(axis=0), np.atleast_2d(np.cov(z.T))
    squares = mean @ mean + np.trace(covariance) - len(mean)
    return {
        "least_nats": float(squares - np.linalg.slogdet(covariance)[1]) / 2,
        **{f"{SD_RATIO}{name}": ratio for name, ratio in zip(prior.names, ratios, strict=True)},
    }


def training_measures(history: pd.DataFrame) -> dict[str, float]:
    """Return ``epochs`` and ``training_seconds`` of a training, from its ``history.csv``."""
    return {
        "epochs": float(history["epoch"].iloc[-1]),
        "training_seconds": float(history["seconds"].iloc[-1]),
    }
