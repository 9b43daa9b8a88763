"""What a posterior predicts: data simulated for its draws, nuisances drawn from their prior."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from . import observations, streams
from .campaigns.given_rows import AUTOMATIC, Engine, Replicates, affordable
from .fingerprint import of_array
from .types import Array, Prior

FEWEST_SETS, MOST_EVENTS = 100, 50_000
"""Of predictions of several events: sets at least, and events in all about."""


@dataclass(frozen=True)
class Predictor:
    """What simulates the predictions of posteriors.

    Attributes:
        engine: Of the simulator.
        prior: Of all its parameters.
        wanted: Predictions, or "auto" for as many as are affordable.
        seed: Of the nuisances.
        ledgers: Where dear simulations grow, for a killed run to go on with.
    """

    engine: Engine
    prior: Prior
    wanted: int | Literal["auto"]
    seed: int
    ledgers: Path

    def simulate(self, draws: xr.Dataset, name: str, events: int | None = None) -> Replicates:
        """Simulate what one posterior predicts.

        Args:
            draws: Group ``posterior`` of its file.
            name: Of its ledger.
            events: In a set, where data are sets of independent events.

        Raises:
            ValueError: All simulations failed.
        """
        choices = AUTOMATIC if self.wanted == "auto" else (self.wanted,)
        sets = [n if events is None else sets_of_events(n, events) for n in choices]
        rows = [completed(draws, self.prior, n, self.seed, events or 1) for n in sets]
        ledgers = [self.ledgers / f"{name}-{of_array(each)}" for each in rows]
        begun = [number for number, ledger in enumerate(ledgers) if ledger.exists()]
        if begun or len(choices) == 1:
            chosen = begun[0] if begun else 0
        else:
            seconds = self.engine.row_seconds(rows[0]) / self.engine.effort.workers
            chosen = choices.index(affordable(seconds * (events or 1)))
        return self.engine.replicate(rows[chosen], seed=self.seed, ledger=ledgers[chosen])

    def forget(self, name: str) -> None:
        """Delete the ledgers of a posterior whose predictions are written."""
        for ledger in self.ledgers.glob(f"{name}-*"):
            shutil.rmtree(ledger, ignore_errors=True)


def completed(draws: xr.Dataset, prior: Prior, n: int, seed: int, events: int = 1) -> Array:
    """Return ``n`` posterior draws with the nuisances drawn from their prior, ``(n, dim)``.

    With ``events``, each draw comes so many times, each time with other nuisances.

    Args:
        draws: Group ``posterior`` of a posterior file.
        prior: Of all parameters of the simulator.
        n: Draws wanted.
        seed: Of the nuisances.
        events: In a set.
    """
    theta = {name: draws[name].to_numpy().ravel() for name in prior.names if name in draws}
    total = len(next(iter(theta.values())))
    pick = np.repeat(np.resize(streams.some(total, min(n, total)), n), events)
    u = streams.uniforms(seed, "predictive/prior", 0, len(pick), len(prior.names))
    return prior.complete({name: values[pick] for name, values in theta.items()}, u)


def sets_of_events(n: int, events: int) -> int:
    """Return how many sets of so many events are simulated where ``n`` are asked for."""
    return min(n, max(FEWEST_SETS, MOST_EVENTS // events))


def predicted(made: Replicates, x_o: xr.DataArray) -> xr.Dataset:
    """Return ``x``, (draw, *x_shape), of predictions that worked, and the observation, ``x_o``."""
    return _labelled(made.x, x_o, made)


def predicted_events(made: Replicates, x_o: xr.DataArray) -> xr.Dataset:
    """Return predictions of several events: the quantiles of their columns, (draw, quantile, ...).

    Events whose simulation failed are left out of their set, which are in order as in `completed`.
    """
    x = made.or_nan().reshape(-1, *x_o.shape)
    x = x[np.isfinite(x).reshape(len(x), -1).any(axis=1)]  # an empty set has no quantiles
    x = observations.event_quantiles(x, axis=1)
    dims = ("quantile", *x_o.dims[1:])
    seen = xr.DataArray(observations.event_quantiles(x_o.to_numpy(), axis=0), dims=dims)
    return _labelled(x, seen, made)


def _labelled(x: Array, x_o: xr.DataArray, made: Replicates) -> xr.Dataset:
    data: dict[str, Any] = {"x": (("draw", *x_o.dims), x), "x_o": x_o}
    failed = {"simulated": len(made.worked), "failed": int((~made.worked).sum())}
    return xr.Dataset(data, attrs={**failed, "failures": json.dumps(dict(made.failures))})
