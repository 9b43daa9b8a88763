"""What a posterior predicts of events: sets that are selected as those of the observation were.

Where the number tried is known, a set is of so many, and how many worked is compared, too. Where it
is not, a set has as many events that worked as the observation: of the one draw, the first that
worked for the first event, for the second, and so on, so that sets differ by chance alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from . import observations, streams
from .campaigns.given_rows import Replicates
from .predictions import Predictor, labelled_predictions
from .sampled_posteriors import FEW_PREDICTIONS
from .types import Array

FEWEST_SETS, MOST_EVENTS = 100, 50_000
"""Sets of many draws at least, and events in all about."""
SPARE = 1.25
"""Events are tried so many times as often as they are needed on average."""


@dataclass(frozen=True)
class Selected:
    """How the events of an observation were selected.

    Attributes:
        worked: How many it has.
        tried: How many were tried; None where nobody knows.
        chance: Of an event to work, at least, for nearly all draws of the posterior.
    """

    worked: int
    tried: int | None = None
    chance: float = 1.0

    @property
    def spare(self) -> float:
        """Events that are tried for each that is to work, and some more."""
        return SPARE / self.chance if self.chance < 1 else 1.0

    @property
    def per_draw(self) -> int:
        """Events that are tried for a set of one of many draws."""
        return self.tried or self.worked * math.ceil(self.spare)

    @property
    def per_round(self) -> int:
        """Events that are tried together for the one draw."""
        return self.tried or self.worked

    def rounds(self, sets: int) -> int:
        """Return how many times these are tried for so many sets."""
        return sets if self.tried else math.ceil(sets * self.spare)


@dataclass(frozen=True)
class TriedEvents:
    """Events that were simulated for a posterior.

    Attributes:
        many: Sets of many draws, whose events come first, ``(many, per_draw)``.
        made: What came of them, and then of those of one draw, ``(rounds, per_round)``.
    """

    many: int
    made: Replicates


def sets_of_draws(n: int, events: int) -> int:
    """Return how many draws have a set of so many events where ``n`` are asked for."""
    return min(n, max(FEWEST_SETS, MOST_EVENTS // events))


def sets_of_one(n: int, events: int) -> int:
    """Return how many sets of so many events one draw has: enough for a p-value that fails."""
    return min(n, max(FEW_PREDICTIONS, MOST_EVENTS // events))


def try_events(
    predictor: Predictor,
    draws: xr.Dataset,
    name: str,
    selected: Selected,
    known: Mapping[str, Array],
) -> TriedEvents:
    """Simulate sets of events: one for each of many draws, and many for one of them.

    Args:
        predictor: Simulates.
        draws: Group ``posterior`` of a posterior file.
        name: Of the ledger.
        selected: How events are selected.
        known: Known conditions, a number each, or one for each event.

    Raises:
        ValueError: All simulations failed.
    """
    size = selected.per_round
    sets = [(sets_of_draws(n, size), sets_of_one(n, size)) for n in predictor.choices]
    rows = [tried_rows(predictor, draws, *each, selected, known) for each in sets]
    chosen, made = predictor.affordable(rows, name, size)
    return TriedEvents(sets[chosen][0], made)


def tried_rows(
    predictor: Predictor,
    draws: xr.Dataset,
    many: int,
    one: int,
    selected: Selected,
    known: Mapping[str, Array],
) -> Array:
    """Return the parameters of all events that are tried, ``(events, dim)``.

    Args:
        predictor: Completes them.
        draws: Group ``posterior`` of a posterior file.
        many: Sets of many draws, which come first, ``(many, per_draw)``.
        one: Sets wanted of one draw, whose events follow, ``(rounds, per_round)``.
        selected: How events are selected.
        known: Known conditions, a number each, or one for each event.
    """
    some, repeated = predictor.picked(draws, many)
    first = np.repeat(some, selected.per_draw)
    rest = np.full(selected.rounds(one) * selected.per_round, repeated)
    return predictor.with_nuisances(draws, np.append(first, rest), selected.worked, known)


def predicted_events(tried: TriedEvents, x_o: xr.DataArray, selected: Selected) -> xr.Dataset:
    """Return predictions of several events: the quantiles of their columns, (draw, quantile, ...).

    Where it is known how many were tried, also how many worked: ``worked``, (replicate), and of the
    observation ``worked_o``.

    Args:
        tried: From `try_events`.
        x_o: The events of the observation.
        selected: How events are selected.
    """
    many, made = tried.many, tried.made
    x, size = made.or_nan(), many * selected.per_draw
    of_many, of_one = x[:size].reshape(many, -1, *x.shape[1:]), x[size:]
    worked = made.worked[size:].reshape(-1, selected.per_round)
    of_one = of_one.reshape(*worked.shape, *x.shape[1:])
    if selected.tried is None:
        of_many = first_that_worked(of_many, made.worked[:size].reshape(many, -1), selected.worked)
        fewest = int(worked.sum(axis=0).min())
        of_one = first_that_worked(of_one.swapaxes(0, 1), worked.T, fewest).swapaxes(0, 1)
    dims = ("quantile", *x_o.dims[1:])
    seen = xr.DataArray(observations.event_quantiles(x_o.to_numpy(), axis=0), dims=dims)
    some = [np.isfinite(each).any(axis=(*range(1, each.ndim),)) for each in (of_many, of_one)]
    kept = (each[there] for each, there in zip((of_many, of_one), some, strict=True))
    many_levels, one_levels = (observations.event_quantiles(each, axis=1) for each in kept)
    found = labelled_predictions(many_levels, one_levels, seen, made)
    if selected.tried is not None:
        found["worked"] = ("replicate", worked.sum(axis=1)[some[1]])
        found.attrs["worked_o"] = selected.worked
    return found


def first_that_worked(x: Array, worked: Array, n: int) -> Array:
    """Return the first n of each row that worked, ``(m, n, *x_shape)``; NaN where there are fewer.

    Args:
        x: Events, ``(m, k, *x_shape)``, NaN where they failed.
        worked: Which worked, ``(m, k)``.
        n: How many.
    """
    order = np.argsort(~worked, axis=1, kind="stable")[:, :n]
    return np.asarray(x[np.arange(len(x))[:, None], order])


def events_to_score(tried: TriedEvents, selected: Selected, n: int, seed: int) -> Array:
    """Return which events of many draws are scored, in order: n of them, or all there are.

    Args:
        tried: From `try_events`.
        selected: How events are selected: where failed ones are not counted, none is taken.
        n: How many are wanted.
        seed: Of the choice.
    """
    worked = tried.made.worked[: tried.many * selected.per_draw]
    pool = np.arange(len(worked)) if selected.tried else np.flatnonzero(worked)
    rng = streams.generator(seed, "predictive/score")
    return np.sort(rng.permutation(pool)[:n])
