"""What a posterior predicts: data simulated for its draws, nuisances drawn from their prior."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from . import observations, streams
from .types import Array, Prior, Simulator

FEWEST_SETS, MOST_EVENTS = 100, 50_000
"""Of predictions of several events: sets at least, and events in all about."""


def predicted(
    simulator: Simulator, prior: Prior, draws: xr.Dataset, x_o: xr.DataArray, n: int, seed: int
) -> xr.Dataset:
    """Return ``x``, (draw, *x_shape), of at most n predictions, and the observation, ``x_o``.

    Args:
        simulator: The simulator.
        prior: Of all its parameters.
        draws: Group ``posterior`` of a posterior file.
        x_o: The observation.
        n: Predictions wanted.
        seed: Of nuisances and simulations.
    """
    rows = completed(draws, prior, n, seed)
    x = observations.simulate_replicates(simulator, rows, streams.generator(seed, STREAM))
    return _labelled(x, x_o)


def predicted_events(
    simulator: Simulator, prior: Prior, draws: xr.Dataset, x_o: xr.DataArray, n: int, seed: int
) -> xr.Dataset:
    """Return predictions of several events: the quantiles of their columns, (draw, quantile, ...).

    Events whose simulation fails are left out of their set. Args are those of `predicted`.
    """
    events = len(x_o)
    sets = min(n, max(FEWEST_SETS, MOST_EVENTS // events))
    rows = completed(draws, prior, sets, seed, events)
    x = observations.simulate_or_nan(simulator, rows, streams.generator(seed, STREAM))
    x = x.reshape(sets, events, *x_o.shape[1:])
    x = x[np.isfinite(x).reshape(sets, -1).any(axis=1)]  # an empty set has no quantiles
    x = observations.event_quantiles(x, axis=1)
    dims = ("quantile", *x_o.dims[1:])
    seen = xr.DataArray(observations.event_quantiles(x_o.to_numpy(), axis=0), dims=dims)
    return _labelled(x, seen)


STREAM = "predictive/simulate"


def completed(draws: xr.Dataset, prior: Prior, n: int, seed: int, events: int = 1) -> Array:
    """Return ``n`` posterior draws with the nuisances drawn from their prior, ``(n, dim)``.

    With ``events``, each draw comes so many times, each time with other nuisances.
    """
    theta = {name: draws[name].to_numpy().ravel() for name in prior.names if name in draws}
    total = len(next(iter(theta.values())))
    pick = np.repeat(np.resize(streams.some(total, min(n, total)), n), events)
    u = streams.uniforms(seed, "predictive/prior", 0, len(pick), len(prior.names))
    return prior.complete({name: values[pick] for name, values in theta.items()}, u)


def _labelled(x: Array, x_o: xr.DataArray) -> xr.Dataset:
    data: dict[str, Any] = {"x": (("draw", *x_o.dims), x), "x_o": x_o}
    return xr.Dataset(data)
