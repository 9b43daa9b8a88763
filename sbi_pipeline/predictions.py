"""What a posterior predicts: data simulated for its draws, and for one of them many times.

The first are its posterior predictive, for the eye: their nuisances are drawn given the observation
where that was learnt. With the second the observation is compared: given one draw of the inferred
parameters it is one more data set of that draw, nuisances from their prior, if the posterior is
right. Ranks among these are exact p-values, whatever was learnt of the nuisances. Ranks among the
first would be conservative, since the posterior has seen the observation already.

References:
    Besag, Clifford, Generalized Monte Carlo significance tests, Biometrika 76, 1989,
        https://doi.org/10.1093/biomet/76.4.633 (data sets made in parallel from one state)
    Johnson, Bayesian model assessment using pivotal quantities, Bayesian Analysis 2, 2007,
        https://doi.org/10.1214/07-BA229 (one draw of the posterior)
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from . import observations, streams
from .campaigns.given_rows import AUTOMATIC, Engine, Replicates, affordable
from .fingerprint import of_array
from .nuisances import NuisancePosterior
from .types import Array, Prior

FEWEST_SETS, MOST_EVENTS = 100, 50_000
"""Of predictions of several events: sets at least, and events in all about."""


@dataclass(frozen=True)
class Predictor:
    """What simulates the predictions of posteriors.

    Attributes:
        engine: Of the simulator.
        prior: Of all its parameters.
        wanted: Draws, or "auto" for as many as are affordable.
        seed: Of the nuisances.
        ledgers: Where dear simulations grow, for a killed run to go on with.
        nuisances: What those of the many draws are drawn from, given the inferred parameters and
            the observation; None for their prior.
    """

    engine: Engine
    prior: Prior
    wanted: int | Literal["auto"]
    seed: int
    ledgers: Path
    nuisances: NuisancePosterior | None = None

    def simulate(
        self,
        draws: xr.Dataset,
        x_o: Array,
        name: str,
        events: int | None = None,
        known: Mapping[str, Array] | None = None,
    ) -> Replicates:
        """Simulate what one posterior predicts: one half for its draws, the other for one of them.

        Args:
            draws: Group ``posterior`` of its file.
            x_o: Its observation.
            name: Of its ledger.
            events: In a set, where data are sets of independent events.
            known: Known conditions of the observation, a number each, or one for each event.

        Raises:
            ValueError: All simulations failed.
        """
        choices = AUTOMATIC if self.wanted == "auto" else (self.wanted,)
        sets = [n if events is None else sets_of_events(n, events) for n in choices]
        rows = [self.completed(draws, x_o, n, events or 1, known or {}) for n in sets]
        ledgers = [self.ledgers / f"{name}-{of_array(each)}" for each in rows]
        begun = [number for number, ledger in enumerate(ledgers) if ledger.exists()]
        if begun or len(choices) == 1:
            chosen = begun[0] if begun else 0
        else:
            seconds = self.engine.row_seconds(rows[0]) / self.engine.effort.workers
            chosen = choices.index(affordable(seconds * (events or 1)))
        return self.engine.replicate(rows[chosen], seed=self.seed, ledger=ledgers[chosen])

    def completed(
        self,
        draws: xr.Dataset,
        x_o: Array,
        n: int,
        events: int = 1,
        known: Mapping[str, Array] | None = None,
    ) -> Array:
        """Return ``n`` draws with nuisances, then one draw so many times, ``(2 n, dim)``.

        With ``events``, each comes so many times. The nuisances of the one draw are of their prior.

        Args:
            draws: Group ``posterior`` of a posterior file.
            x_o: Its observation.
            n: Draws wanted.
            events: In a set.
            known: Known conditions, a number each, or one for each event of a set.
        """
        names = [name for name in self.prior.names if name in draws]
        theta = {name: draws[name].to_numpy().ravel() for name in names}
        total = len(theta[names[0]])
        some = np.resize(streams.some(total, min(n, total)), n)
        one = int(streams.generator(self.seed, "predictive/draw").integers(total))
        pick = np.repeat(np.append(some, np.full(n, one)), events)
        u = streams.uniforms(self.seed, "predictive/prior", 0, len(pick), len(self.prior.names))
        given = {name: values[pick] for name, values in theta.items()}
        for name, value in (known or {}).items():
            given[name] = np.tile(np.broadcast_to(value, events), len(pick) // events)
        rows = self.prior.complete(given, u)
        if self.nuisances is not None:
            picked = {name: values[:n] for name, values in given.items()}
            rows[:n] = self.nuisances.complete(picked, x_o, self.seed)
        return rows

    def forget(self, name: str) -> None:
        """Delete the ledgers of a posterior whose predictions are written."""
        for ledger in self.ledgers.glob(f"{name}-*"):
            shutil.rmtree(ledger, ignore_errors=True)


def sets_of_events(n: int, events: int) -> int:
    """Return how many sets of so many events are simulated where ``n`` are asked for."""
    return min(n, max(FEWEST_SETS, MOST_EVENTS // events))


def predicted(made: Replicates, x_o: xr.DataArray, names: Sequence[str]) -> xr.Dataset:
    """Return predictions that worked, and the observation, ``x_o``.

    They are ``x``, (draw, *x_shape), of many draws, with their ``parameters``, (draw, parameter),
    and ``replicates``, (replicate, *x_shape), of one.

    Args:
        made: What was simulated, in the order of `Predictor.completed`.
        x_o: The observation.
        names: Of the parameters.
    """
    half = len(made.worked) // 2
    of_many = int(made.worked[:half].sum())
    found = _labelled(made.x[:of_many], made.x[of_many:], x_o, made)
    drawn = made.parameters[:half][made.worked[:half]]
    return found.assign(parameters=(("draw", "parameter"), drawn)).assign_coords(
        parameter=list(names)
    )


def predicted_events(made: Replicates, x_o: xr.DataArray) -> xr.Dataset:
    """Return predictions of several events: the quantiles of their columns, (draw, quantile, ...).

    Events whose simulation failed are left out of their set, which are in order as in
    `Predictor.completed`.
    """
    sets = np.split(made.or_nan().reshape(-1, *x_o.shape), 2)
    there = (x[np.isfinite(x).reshape(len(x), -1).any(axis=1)] for x in sets)  # others have none
    of_many, of_one = (observations.event_quantiles(x, axis=1) for x in there)
    dims = ("quantile", *x_o.dims[1:])
    seen = xr.DataArray(observations.event_quantiles(x_o.to_numpy(), axis=0), dims=dims)
    return _labelled(of_many, of_one, seen, made)


def predicted_jointly(made: Replicates, x_o: xr.DataArray, names: Mapping[str, Any]) -> xr.Dataset:
    """Return predictions of observations that are joined, one after the other along the first axis.

    Args:
        made: Data sets in the order of `Predictor.completed`, one for each observation.
        x_o: The observations, (observation, *x_shape).
        names: Texts of figures; positions along an axis say nothing of several observations.
    """
    texts = {key: each for key, each in names.items() if key != "axis"}

    def behind(x: Array) -> Array:
        return x.reshape(*x.shape[: -x_o.ndim], -1, *x.shape[len(x.shape) - x_o.ndim + 2 :])

    sets = np.split(made.or_nan().reshape(-1, *x_o.shape), 2)
    whole = (x[np.isfinite(x).reshape(len(x), -1).all(axis=1)] for x in sets)
    of_many, of_one = map(behind, whole)
    seen = xr.DataArray(behind(x_o.to_numpy()), dims=x_o.dims[1:])
    made_of = _labelled(of_many, of_one, observations.with_texts(seen, texts), made)
    return made_of.assign_attrs(parts=x_o.shape[0])


def _labelled(of_many: Array, of_one: Array, x_o: xr.DataArray, made: Replicates) -> xr.Dataset:
    data: dict[str, Any] = {
        "x": (("draw", *x_o.dims), of_many),
        "replicates": (("replicate", *x_o.dims), of_one),
        "x_o": x_o,
    }
    failed = {"simulated": len(made.worked), "failed": int((~made.worked).sum())}
    return xr.Dataset(data, attrs={**failed, "failures": json.dumps(dict(made.failures))})


@dataclass(frozen=True)
class Pairs:
    """Draws of a posterior and what was simulated with them, nuisances from their prior.

    Attributes:
        theta: ``(n, theta_dim)``.
        x: ``(n, *x_shape)``.
    """

    theta: Array
    x: Array

    def and_more(self, more: Pairs) -> Pairs:
        """Return these and others."""
        if not len(self.theta):
            return more
        return Pairs(np.concatenate([self.theta, more.theta]), np.concatenate([self.x, more.x]))


def pairs_of(predictive: xr.Dataset, names: Sequence[str], wanted: int) -> Pairs:
    """Return the pairs that predictions of many draws are, as many as are wanted at most.

    There are none where nuisances were drawn given the observation, which tell of theta.

    Args:
        predictive: From `predicted`.
        names: Of the inferred parameters.
        wanted: Pairs.
    """
    if "parameters" not in predictive or predictive.attrs["nuisances"] != "prior":
        return Pairs(np.empty((0, len(names))), np.empty(0))
    theta = predictive["parameters"].sel(parameter=list(names)).to_numpy()
    some = streams.some(len(theta), min(wanted, len(theta)))
    return Pairs(theta[some], predictive["x"].to_numpy()[some])


@dataclass(frozen=True)
class FreshPairs:
    """What simulates pairs.

    Attributes:
        engine: Of the simulator.
        prior: Of all its parameters.
        seed: Of draws, nuisances and noise.
        ledgers: Where dear simulations grow, for a killed run to go on with.
    """

    engine: Engine
    prior: Prior
    seed: int
    ledgers: Path

    def simulate(
        self,
        draws: xr.Dataset,
        names: Sequence[str],
        n: int,
        ledger: str,
        known: Mapping[str, Array],
    ) -> Pairs:
        """Simulate with ``n`` draws of a posterior; pairs whose simulation fails are left out.

        Args:
            draws: Group ``posterior`` of its file.
            names: Of the inferred parameters.
            n: How many.
            ledger: Its name.
            known: Known conditions of the observation, a number each.

        Raises:
            AllFailed: All simulations failed.
        """
        theta = np.stack([draws[name].to_numpy().ravel() for name in names], axis=1)
        rng = streams.generator(self.seed, "posterior SBC/draws")
        picked = theta[rng.choice(len(theta), n, replace=n > len(theta))]
        given = dict(zip(names, picked.T, strict=True))
        given |= {name: np.broadcast_to(value, n) for name, value in known.items()}
        u = streams.uniforms(self.seed, "posterior SBC/prior", 0, n, len(self.prior.names))
        rows = self.prior.complete(given, u)
        made = self.engine.replicate(rows, seed=self.seed, ledger=self.ledgers / ledger)
        return Pairs(picked[made.worked], made.x)

    def forget(self, ledger: str) -> None:
        """Delete a ledger whose ranks are written."""
        shutil.rmtree(self.ledgers / ledger, ignore_errors=True)
