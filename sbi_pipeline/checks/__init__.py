"""From numbers to checks: each says pass, warn or fail, and what to do.

A check fails on what is both beyond chance and large enough to matter, and warns on what is either
suspicious or small: with enough simulations every estimator differs from the truth, and with few
a bad one hides. P-values are corrected for the number of parameters looked at. Thresholds are
keyword arguments, (warn, fail) where there are two; the defaults stand in the signatures. With
them a perfect campaign of two estimators and two observations passes everything in 19 of 20 cases.
"""

from .calibration import calibration, coverage, local_calibration, probability_plot, tarp
from .check import Check, Status
from .events import accumulation
from .information import information, parameter_order
from .observation import (
    agreement,
    data_path,
    in_distribution,
    joint_agreement,
    predictive,
    prior_edge,
)
from .refinement import refinement
from .sampling import failures, lost_prior, modelled_failures, sampling, training
from .thresholds import check_thresholds

__all__ = [
    "Check",
    "Status",
    "accumulation",
    "agreement",
    "calibration",
    "check_thresholds",
    "coverage",
    "data_path",
    "failures",
    "in_distribution",
    "information",
    "joint_agreement",
    "local_calibration",
    "lost_prior",
    "modelled_failures",
    "parameter_order",
    "predictive",
    "prior_edge",
    "probability_plot",
    "refinement",
    "sampling",
    "tarp",
    "training",
]
