"""What is predicted for the objects of a catalogue, and whether they look like it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from . import streams
from .campaigns.given_rows import AUTOMATIC, AllFailed, Engine, affordable_each
from .diagnostics.predictive import typicality
from .fingerprint import of_array
from .observations import LEVELS
from .subjects import FEWEST_PREDICTIONS
from .types import Array, Prior

UNAFFORDABLE = (
    "no data were predicted for so many objects, which would take too long; with predictive_draws: "
    f"{AUTOMATIC[-1]} they are all the same"
)
ELEMENTS = 20_000_000
"""Numbers of predicted data that are held at once."""
FIELDS = ("p_value", "predictions", "levels")


@dataclass(frozen=True)
class Predicted:
    """What is predicted for m objects.

    Attributes:
        p_value: Of each among its predictions, ``(m,)``; NaN where too few worked.
        predictions: How many of each worked, ``(m,)``.
        levels: Quantiles of the predictions, ``(m, levels, *x_shape)``.
        problem: Why there are none, if there are none.
    """

    p_value: Array
    predictions: Array
    levels: Array
    problem: str = ""


@dataclass(frozen=True)
class ObjectPredictor:
    """What simulates the predictions for the objects of a catalogue.

    Attributes:
        engine: Of the simulator.
        prior: Of all its parameters.
        wanted: Predictions of each object, or "auto" for as many as are affordable.
        objects: Of the whole catalogue, for what is affordable.
        seed: Of the nuisances and the simulations.
        ledgers: Where dear simulations grow, for a killed run to go on with; begins their names.
    """

    engine: Engine
    prior: Prior
    wanted: int | Literal["auto"]
    objects: int
    seed: int
    ledgers: Path

    def predict(self, draws: Mapping[str, Array], x: Array, first: int) -> Predicted:
        """Compare objects with what is predicted for them.

        Args:
            draws: By inferred parameter, ``(m, draws)``.
            x: Their data, ``(m, *x_shape)``.
            first: Number of the first object in the catalogue, for random numbers.
        """
        try:
            n = self._number(draws)
        except AllFailed as error:
            return _none(x, str(error))
        if n == 0:
            return _none(x, "" if self.wanted == 0 else UNAFFORDABLE)
        parts = [
            self._part(
                {name: each[rows] for name, each in draws.items()}, x[rows], first + rows.start, n
            )
            for rows in _rows(len(x), max(1, ELEMENTS // (n * max(1, x[0].size))))
        ]
        p_value, predictions, levels = (
            np.concatenate([getattr(each, key) for each in parts]) for key in FIELDS
        )
        problem = next((each.problem for each in parts if each.problem), "")
        return Predicted(p_value, predictions, levels, problem)

    def forget(self) -> None:
        """Delete ledgers whose predictions are kept."""
        for ledger in self.ledgers.parent.glob(f"{self.ledgers.name}-*"):
            shutil.rmtree(ledger, ignore_errors=True)

    def _number(self, draws: Mapping[str, Array]) -> int:
        """Return how many data sets are predicted for each object."""
        if self.wanted != "auto":
            return self.wanted
        rows = self._rows({name: each[:, :1] for name, each in draws.items()}, 0, 1)
        seconds = self.engine.row_seconds(rows) / self.engine.effort.workers
        return affordable_each(self.objects, seconds)

    def _rows(self, draws: Mapping[str, Array], first: int, n: int) -> Array:
        """Return parameters of ``n`` predictions of m objects, one of each after the other."""
        objects, total = next(iter(draws.values())).shape
        pick = np.resize(streams.some(total, min(n, total)), n)
        u = streams.uniforms(
            self.seed, "predictive/prior", first * n, objects * n, len(self.prior.names)
        )
        known = {name: each[:, pick].T.ravel() for name, each in draws.items()}
        return self.prior.complete(known, u)

    def _part(self, draws: Mapping[str, Array], x: Array, first: int, n: int) -> Predicted:
        rows = self._rows(draws, first, n)
        ledger = self.ledgers.with_name(f"{self.ledgers.name}-{first}-{of_array(rows)}")
        try:
            made = self.engine.replicate(rows, seed=self.seed, start=first * n, ledger=ledger)
        except AllFailed as error:
            return _none(x, str(error))
        predicted = made.or_nan().reshape(n, *x.shape)
        worked = made.worked.reshape(n, len(x))
        found = [_compared(predicted[worked[:, which], which], x[which]) for which in range(len(x))]
        p_value, levels = zip(*found, strict=True)
        return Predicted(np.array(p_value), worked.sum(axis=0), np.stack(levels))


def _rows(total: int, at_once: int) -> Iterator[slice]:
    for start in range(0, total, at_once):
        yield slice(start, min(start + at_once, total))


def _none(x: Array, problem: str = "") -> Predicted:
    m, nothing = len(x), np.nan
    levels = np.full((m, len(LEVELS), *x.shape[1:]), nothing, np.float32)
    return Predicted(np.full(m, nothing), np.zeros(m), levels, problem)


def _compared(predicted: Array, x_o: Array) -> tuple[float, Array]:
    """Return the p-value of an object among its predictions, and their quantiles."""
    if len(predicted) < FEWEST_PREDICTIONS:
        return np.nan, np.full((len(LEVELS), *x_o.shape), np.nan, np.float32)
    levels = np.quantile(predicted, LEVELS, axis=0).astype(np.float32)
    return typicality(predicted, x_o).p_value, levels
