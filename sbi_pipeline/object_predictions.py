"""What is predicted for the objects of a catalogue, and whether they look like it.

As `predictions` does for one observation: an object is compared with data of one draw of its
posterior, which gives exact p-values; bands, of many draws, are for those objects alone that are
shown.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from . import streams
from .campaigns.given_rows import (
    AUTOMATIC,
    AllFailed,
    Engine,
    Replicates,
    affordable_each,
)
from .diagnostics.predictive import typicality
from .fingerprint import of_array
from .nuisances import NuisancePosterior
from .observations import LEVELS
from .sampled_posteriors import FEWEST_PREDICTIONS
from .types import Array, Prior

UNAFFORDABLE = (
    "no data were predicted for so many objects, which would take too long; with predictive_draws: "
    f"{AUTOMATIC[-1]} they are all the same"
)
ELEMENTS = 20_000_000
"""Numbers of predicted data that are held at once."""


@dataclass(frozen=True)
class Compared:
    """How m objects look among what is predicted for them.

    Attributes:
        p_value: Of each, ``(m,)``; NaN where too few predictions worked.
        predictions: How many of each worked, ``(m,)``.
        problem: Why there are none, if there are none.
    """

    p_value: Array
    predictions: Array
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
        nuisances: What those of bands are drawn from; None for their prior.
    """

    engine: Engine
    prior: Prior
    wanted: int | Literal["auto"]
    objects: int
    seed: int
    ledgers: Path
    nuisances: NuisancePosterior | None = None

    def compare(
        self,
        draws: Mapping[str, Array],
        x: Array,
        first: int,
        known: Mapping[str, Array] | None = None,
    ) -> Compared:
        """Compare objects with data of one draw of each.

        Args:
            draws: By inferred parameter, ``(m, draws)``.
            x: Their data, ``(m, *x_shape)``.
            first: Number of the first object in the catalogue, for random numbers.
            known: Known conditions of the objects by name, ``(m,)``.
        """
        theta = self._one_of_each(draws, first) | dict(known or {})
        try:
            n = self._number(theta)
        except AllFailed as error:
            return _nothing(len(x), str(error))
        if n == 0:
            return _nothing(len(x), "" if self.wanted == 0 else UNAFFORDABLE)
        parts = [
            self._part(
                {name: each[rows] for name, each in theta.items()}, x[rows], first + rows.start, n
            )
            for rows in _slices(len(x), max(1, ELEMENTS // (n * max(1, x[0].size))))
        ]
        return Compared(
            np.concatenate([each.p_value for each in parts]),
            np.concatenate([each.predictions for each in parts]),
            next((each.problem for each in parts if each.problem), ""),
        )

    def bands(
        self,
        draws: Mapping[str, Array],
        x: Array,
        which: int,
        n: int,
        known: Mapping[str, float] | None = None,
    ) -> Array:
        """Return `LEVELS`, quantiles of what is predicted for an object, ``(levels, *x_shape)``.

        Args:
            draws: By inferred parameter, ``(draws,)``.
            x: Its data, ``x_shape``.
            which: Its number in the catalogue, for random numbers.
            n: Predictions.
            known: Known conditions of the object by name.
        """
        total = len(next(iter(draws.values())))
        some = np.resize(streams.some(total, min(n, total)), n)
        theta = {name: each[some] for name, each in draws.items()}
        theta |= {name: np.full(n, value) for name, value in (known or {}).items()}
        start = (self.objects + which) * n  # after those of `compare`
        if self.nuisances is None:
            rows = self.prior.complete(theta, self._uniforms(start, n))
        else:
            rows = self.nuisances.complete(theta, x, streams.integer(self.seed, "bands", which))
        try:
            predicted = self._simulated(rows, start).x
        except AllFailed:
            return np.full((len(LEVELS), *x.shape), np.nan, np.float32)
        return np.nanquantile(predicted, LEVELS, axis=0).astype(np.float32)

    def forget(self) -> None:
        """Delete ledgers whose predictions are kept."""
        for ledger in self.ledgers.parent.glob(f"{self.ledgers.name}-*"):
            shutil.rmtree(ledger, ignore_errors=True)

    def _one_of_each(self, draws: Mapping[str, Array], first: int) -> dict[str, Array]:
        """Return one draw of each object by parameter, ``(m,)``."""
        objects, total = next(iter(draws.values())).shape
        u = streams.uniforms(self.seed, "predictive/draw", first, objects, 1)[:, 0]
        one = (u * total).astype(int)[:, None]
        return {name: np.take_along_axis(each, one, axis=1)[:, 0] for name, each in draws.items()}

    def _number(self, theta: Mapping[str, Array]) -> int:
        """Return how many data sets are predicted for each object."""
        if self.wanted != "auto":
            return self.wanted
        rows = self.prior.complete(theta, self._uniforms(0, len(next(iter(theta.values())))))
        seconds = self.engine.row_seconds(rows) / self.engine.effort.workers
        return affordable_each(self.objects, seconds)

    def _part(self, theta: Mapping[str, Array], x: Array, first: int, n: int) -> Compared:
        """Compare some objects with ``n`` predictions each, one of each after the other."""
        known = {name: np.tile(each, n) for name, each in theta.items()}
        rows = self.prior.complete(known, self._uniforms(first * n, len(x) * n))
        try:
            made = self._simulated(rows, first * n)
        except AllFailed as error:
            return _nothing(len(x), str(error))
        predicted, worked = made.or_nan().reshape(n, *x.shape), made.worked.reshape(n, len(x))
        p_value = [_p_value(predicted[worked[:, which], which], x_o) for which, x_o in enumerate(x)]
        return Compared(np.array(p_value), worked.sum(axis=0))

    def _uniforms(self, start: int, rows: int) -> Array:
        return streams.uniforms(self.seed, "predictive/prior", start, rows, len(self.prior.names))

    def _simulated(self, rows: Array, start: int) -> Replicates:
        ledger = self.ledgers.with_name(f"{self.ledgers.name}-{start}-{of_array(rows)}")
        return self.engine.replicate(rows, seed=self.seed, start=start, ledger=ledger)


def _slices(total: int, at_once: int) -> Iterator[slice]:
    for start in range(0, total, at_once):
        yield slice(start, min(start + at_once, total))


def _nothing(objects: int, problem: str) -> Compared:
    return Compared(np.full(objects, np.nan), np.zeros(objects), problem)


def _p_value(predicted: Array, x_o: Array) -> float:
    """Return the p-value of an object among its predictions; NaN where too few worked."""
    return typicality(predicted, x_o).p_value if len(predicted) >= FEWEST_PREDICTIONS else np.nan
