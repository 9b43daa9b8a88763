"""Had the validation loss settled when training ended, and only then?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..plots.style import FAINT, INK, Look, panels
from ..subjects import TrainedEstimator
from ..types import Array
from .check import Check, Status, shown_limit
from .diagnostic import Diagnostic, Drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AT_END = 0.9
"""Share of the epochs after which a loss that still falls had not settled."""
FEWER = 0.7
"""Share of the usual epochs, below which a training is short."""
FELL = 0.1
"""Nats that the second half of a short one taught, if it had more to learn."""
ENDED = 0.05
"""Share of the largest learning rate, below which the rate had fallen to the end."""


@dataclass(frozen=True)
class Ending:
    """How a training ended.

    Attributes:
        fall: Fall of the best validation loss over the last tenth of the epochs.
        late: The same over the second half, in units of the loss.
        finite: Whether that loss ever was.
        early: Whether training was short by its number of epochs, and still taught something.
        epochs: How many there were.
        usual: How many are usual; None where that is not known.
    """

    fall: float
    late: float
    finite: bool
    early: bool
    epochs: int
    usual: int | None


def ending(history: pd.DataFrame, usual: int | None = None) -> Ending:
    """Return how a training ended.

    Where the learning rate falls to zero at the last epoch, however early that is, every loss
    settles there. So a training that was given fewer epochs than are usual for so many rows, and
    took them all, had more to learn if its second half still taught it something. That half begins
    one epoch late, since what is validated are weights averaged over about an epoch. One that
    stopped because the loss rose again had all the epochs it needed, whose learning rate is still
    high.

    Args:
        history: Columns ``epoch``, ``train_loss``, ``validation_loss``, ``learning_rate``.
        usual: Epochs where no number is given.
    """
    loss = history["validation_loss"].to_numpy(dtype=float)
    rate = history["learning_rate"].to_numpy(dtype=float)
    best = np.fmin.accumulate(loss)
    finite = bool(np.isfinite(best[-1]))
    late = float(best[loss.size // 2] - best[-1])
    few = usual is not None and loss.size < FEWER * usual
    early = finite and few and bool(rate[-1] <= ENDED * rate.max()) and late > FELL
    return Ending(_last_fall(best), late, finite, early, loss.size, usual)


def _last_fall(best: Array) -> float:
    """Return by how much the best loss fell over the last tenth of the epochs, one at least."""
    before = min(math.ceil(AT_END * best.size) - 1, best.size - 2)
    return float(best[before] - best[-1]) if best.size > 1 else 0.0


def measure_training(asked: TrainedEstimator) -> Ending | None:
    """Return how an estimator's training ended; None of what was not trained."""
    return None if asked.history is None else ending(asked.history, asked.usual_epochs)


def judge_training(found: Ending, subject: str, *, warn: float = 0.05) -> Check:
    """Judge whether the validation loss had settled, and not only because training was short.

    ``value`` is how much the best validation loss fell in the last tenth of the epochs, in units of
    the loss: nats for densities and ratios.

    Args:
        found: As made by `ending`.
        subject: The estimator.
        warn: Fall to warn above, in units of the loss.
    """
    status: Status = "pass"
    advice = "The validation loss had settled."
    if not found.finite:
        status = "fail"
        advice = "The loss was never finite; lower the learning rate and look at the data's range."
    elif found.fall > warn:
        status = "warn"
        advice = "The loss was still falling when training ended; allow more epochs (max_epochs)."
    elif found.early:
        status = "warn"
        advice = (
            f"Training ended after {found.epochs} epochs, of {found.usual} that are usual for so "
            f"many rows, the second half of which still taught {found.late:.2g} nats: the loss "
            "settled because the learning rate fell to zero. Allow more epochs (max_epochs)."
        )
    return Check(
        name="training",
        subject=subject,
        status=status,
        quantity="fall of the validation loss over the last tenth of training",
        value=found.fall if found.finite else math.nan,
        threshold=f"warn above {shown_limit(warn)}, or where fewer epochs than usual taught to the "
        "last",
        chance="about 0 once settled",
        advice=advice,
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
    measure=measure_training,
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
