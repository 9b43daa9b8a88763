"""Figures: functions from labelled data to matplotlib Figures, ready for a paper.

Colours are those of Okabe and Ito, told apart by colour-blind readers; every estimator keeps its
own through all figures (`palette`). No figure touches pyplot's global state.
"""

from .data import failures, predictive_fit
from .estimators import coverage, loss_curves, probability_plot, sbc_ecdf, sbc_ranks, step_sweep
from .posterior import corner_overlay, prior_to_posterior, trace
from .style import DOTS_PER_INCH, palette, png, save
from .sweeps import sweep_curves

__all__ = [
    "DOTS_PER_INCH",
    "corner_overlay",
    "coverage",
    "failures",
    "loss_curves",
    "palette",
    "png",
    "predictive_fit",
    "prior_to_posterior",
    "probability_plot",
    "save",
    "sbc_ecdf",
    "sbc_ranks",
    "step_sweep",
    "sweep_curves",
    "trace",
]
