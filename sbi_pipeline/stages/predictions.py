"""What a posterior says and predicts: `diagnose`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from .. import observations, predictions
from ..diagnostics.convergence import summary
from ..model import Model
from .files import Keys, check_key, read_dataset, write_dataset


def diagnose(
    *,
    posterior: Path,
    observation: Path,
    diagnostics: Path,
    predictive: Path,
    model: Model,
    key: str,
    inputs: Keys | None = None,
    predictive_draws: int = 1000,
    data: Mapping[str, Any] | None = None,
    several: bool = False,
    seed: int = 1,
) -> None:
    """Summarise a posterior and simulate what it predicts; nuisances come from their prior.

    Of ``several`` events what is predicted are the quantiles of their columns.

    Reads: ``posterior``, ``observation``. Writes: ``diagnostics``, ``predictive``.
    """
    with xr.open_datatree(posterior, engine="h5netcdf") as tree:
        check_key(tree.attrs["key"], inputs, "posterior", posterior)
        tree.load()
    observed = read_dataset(observation, inputs, "observation")
    truth = {}
    if "truth" in observed:
        known = observed["truth"].to_numpy().tolist()
        truth = dict(zip(model.parameters, known, strict=True))
    summary(tree, truth).to_csv(diagnostics, index=False)
    predict = predictions.predicted_events if several else predictions.predicted
    x_o = observed["x"] if several else observations.with_texts(observed["x"], data or {})
    draws = tree["posterior"].to_dataset()
    made, prior = model.build_simulator(), model.build_prior()
    predicted = predict(made, prior, draws, x_o, predictive_draws, seed)
    write_dataset(predictive, predicted.assign_attrs(key=key))
