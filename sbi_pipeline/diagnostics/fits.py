"""One trained estimator in numbers, to compare it with others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from .coverage import coverage_error
from .information import information


def measures(history: pd.DataFrame, calibration: xr.Dataset) -> dict[str, float]:
    """Return what a fit is compared by.

    Args:
        history: ``history.csv`` of the training.
        calibration: ``calibration.nc``.

    Returns:
        ``nats`` and ``log_q``, held out, with ``nats_error``; ``coverage_error`` with what chance
        gives on average; ``sd_ratio``, posterior over prior sd, geometric mean over parameters;
        ``epochs``, ``training_seconds`` and ``calibration_seconds``. ``nats`` and ``sd_ratio`` are
        against the whole prior, also of simulations within a box of it.
    """
    learned = information(calibration)
    error, by_chance = coverage_error(calibration)
    ratios = np.array(list(learned.sd_ratio.values()))
    if "truth_sd" in calibration:
        ratios = ratios * calibration["truth_sd"].to_numpy()
    return {
        "nats": learned.nats - calibration.attrs.get("log_volume", 0.0),
        "nats_error": learned.standard_error,
        "log_q": learned.log_q,
        "coverage_error": error,
        "coverage_error_by_chance": by_chance,
        "sd_ratio": float(np.exp(np.mean(np.log(ratios)))),
        "epochs": float(history["epoch"].iloc[-1]),
        "training_seconds": float(history["seconds"].iloc[-1]),
        "calibration_seconds": float(calibration.attrs["seconds"]),
    }
