"""Had the validation loss settled when training ended?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..plots.style import FAINT, INK, Look, panels
from ..subjects import TrainedEstimator
from .check import Check, Status
from .diagnostic import Diagnostic, Drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def judge_training(history: pd.DataFrame, subject: str, *, warn: float = 0.05) -> Check:
    """Judge whether the validation loss had settled.

    ``value`` is how much the best validation loss fell in the last tenth of the epochs, in units of
    the loss: nats for densities and ratios.

    Args:
        history: Columns ``epoch``, ``train_loss``, ``validation_loss``.
        subject: The estimator.
        warn: Fall to warn above, in units of the loss.
    """
    loss = history["validation_loss"].to_numpy(dtype=float)
    best = np.fmin.accumulate(loss)
    before = min(math.ceil(0.9 * loss.size) - 1, loss.size - 2)  # at least one epoch ago
    fall = float(best[before] - best[-1]) if loss.size > 1 else 0.0
    finite = bool(np.isfinite(best[-1]))
    status: Status = "fail" if not finite else "warn" if fall > warn else "pass"
    advice = {
        "pass": "The validation loss had settled.",
        "warn": "The loss was still falling when training ended; allow more epochs.",
        "fail": "The loss was never finite; lower the learning rate and look at the data's range.",
    }
    return Check(
        name="training",
        subject=subject,
        status=status,
        quantity="fall of the validation loss over the last tenth of training",
        value=fall if finite else math.nan,
        threshold=f"warn above {warn:g}",
        chance="about 0 once settled",
        advice=advice[status],
    )


def draw_losses(asked: Sequence[TrainedEstimator], look: Look) -> Figure:
    """Show training and validation loss of each estimator; the best epoch is the one kept."""
    figure, axes = panels(len(asked), columns=3, width=3.6, height=2.7)
    for each, axis in zip(asked, axes, strict=True):
        assert each.history is not None  # others are not asked
        history, colour = each.history, look.colours[each.name]
        epochs, validation = history["epoch"], history["validation_loss"]
        axis.plot(epochs, history["train_loss"], color=colour, lw=1, alpha=0.6, label="train")
        axis.plot(epochs, validation, color=colour, lw=1.8, label="validation")
        if validation.notna().any():
            best = validation.idxmin()
            axis.axvline(epochs[best], color=FAINT, lw=0.9, ls=":")
            kept = f"kept: epoch {epochs[best]:g}"
            axis.plot(epochs[best], validation[best], "o", color=INK, ms=4.5, label=kept)
        # The fall of the first epochs would flatten all that follows.
        settled = history[["train_loss", "validation_loss"]].iloc[len(history) // 20 :]
        low, high = np.nanmin(settled), np.nanquantile(settled, 0.98)
        if np.isfinite([low, high]).all() and high > low:
            axis.set_ylim(low - 0.08 * (high - low), high + 0.25 * (high - low))
        axis.set(title=each.name, xlabel="epoch", ylabel="loss")
        axis.legend(loc="upper right", frameon=True, framealpha=0.9, edgecolor="none")
    return figure


TRAINING = Diagnostic(
    of=TrainedEstimator,
    measure=lambda estimator: estimator.history,
    judge=judge_training,
    checks=("training",),
    value="fall of the validation loss at the end",
    chance="about 0",
    figures=(
        Drawing(
            stem="loss",
            draw=draw_losses,
            alt="Training and validation loss",
            title="Loss",
            text="on training and validation simulations; the weights of the marked epoch are "
            "kept.",
            section="training",
        ),
    ),
)
