"""Why an estimator knows less than the data say, and what helps, by how it learnt."""

from __future__ import annotations

from ..subjects import TrainedEstimator
from .remedies import OF_REFINED, REWEIGHTED
from .training import ending

OVER_FIT = 0.1
"""Nats a parameter by which training rows are more probable, where more rows help."""


def remedy(asked: TrainedEstimator) -> str:
    """Return the remedies in a sentence, the one that is most likely to help first."""
    if asked.history is None:
        told = OF_REFINED.get(asked.method, REWEIGHTED)
        return f"{told[0].upper()}{told[1:]}."
    found = []
    if asked.unseen:
        found.append(f"let it see all of x ({asked.unseen})")
    if is_over_fitted(asked):
        found.append("ask for more simulations, which it learnt by heart")
    elif ending(asked.history, asked.usual_epochs).early:
        found.append("allow more epochs (max_epochs)")
    if not found:
        found.append("try another embedding or method, a larger network or more simulations")
    text = ", then ".join(found)
    return f"{text[0].upper()}{text[1:]}."


def is_over_fitted(asked: TrainedEstimator) -> bool:
    """Say whether training rows are more probable than held-out ones, beyond chance."""
    data = asked.calibration
    if data is None or not data.attrs.get("over_fit_error", 0) > 0:
        return False
    gap, error = data.attrs["over_fit"], data.attrs["over_fit_error"]
    return bool(gap > max(3 * error, OVER_FIT * data.sizes["parameter"]))
