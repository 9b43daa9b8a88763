"""Figure of methods that choose how many network calls a draw takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..subjects import TrainedEstimator, calibrations
from .style import Look, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def step_sweep(asked: Sequence[TrainedEstimator], look: Look) -> Figure | None:
    """Show the energy score of draws made in few and in many steps; the least is the best.

    Args:
        asked: Estimators; those with an ``energy_score`` are shown.
        look: Their colours.
    """
    scored = {who: data for who, data in calibrations(asked).items() if "energy_score" in data}
    if not scored:
        return None
    figure, (axis,) = panels(1, columns=1, width=4.2, height=2.7)
    for name, data in scored.items():
        score = data["energy_score"]
        mean, error = (score.sel(statistic=what) for what in ("mean", "error"))
        axis.errorbar(
            score["steps"], mean, 2 * error, color=look.colours[name], marker="o", ms=4, label=name
        )
    axis.set(xscale="log", xlabel="network calls a draw", ylabel="energy score, held out")
    steps = next(iter(scored.values()))["steps"].to_numpy()
    axis.set_xticks(steps, [f"{step:g}" for step in steps])
    axis.minorticks_off()
    axis.legend()
    return figure
