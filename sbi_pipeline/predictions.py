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
        joined: int = 1,
        known: Mapping[str, Array] | None = None,
    ) -> Replicates:
        """Simulate what one posterior predicts: one half for its draws, the other for one of them.

        Args:
            draws: Group ``posterior`` of its file.
            x_o: Its observation.
            name: Of its ledger.
            joined: How many observations it joins.
            known: Known conditions of the observation, a number each, or one for each that is
                joined.

        Raises:
            ValueError: All simulations failed.
        """
        rows = [self.completed(draws, x_o, n, joined, known) for n in self.choices]
        return self.affordable(rows, name, joined)[1]

    @property
    def choices(self) -> tuple[int, ...]:
        """How many predictions there may be, the most first."""
        return AUTOMATIC if self.wanted == "auto" else (self.wanted,)

    def affordable(self, rows: Sequence[Array], name: str, each: int = 1) -> tuple[int, Replicates]:
        """Simulate the most of several choices that can be afforded, and say which that is.

        Args:
            rows: Parameters of each of `choices`, ``(rows, dim)``.
            name: Of the ledger.
            each: Rows of one prediction.

        Raises:
            ValueError: All simulations failed.
        """
        ledgers = [self.ledgers / f"{name}-{of_array(one)}" for one in rows]
        begun = [number for number, ledger in enumerate(ledgers) if ledger.exists()]
        if begun or len(rows) == 1:
            chosen = begun[0] if begun else 0
        else:
            seconds = self.engine.row_seconds(rows[0]) / self.engine.effort.workers
            chosen = self.choices.index(affordable(seconds * each))
        made = self.engine.replicate(rows[chosen], seed=self.seed, ledger=ledgers[chosen])
        return chosen, made

    def completed(
        self,
        draws: xr.Dataset,
        x_o: Array,
        n: int,
        joined: int = 1,
        known: Mapping[str, Array] | None = None,
    ) -> Array:
        """Return ``n`` draws with nuisances, then one draw so many times, ``(2 n, dim)``.

        With observations that are joined, each comes so many times. The nuisances of the one draw
        are of their prior.

        Args:
            draws: Group ``posterior`` of a posterior file.
            x_o: Its observation.
            n: Draws wanted.
            joined: Observations that are joined.
            known: Known conditions, a number each, or one for each that is joined.
        """
        some, one = self.picked(draws, n)
        pick = np.repeat(np.append(some, np.full(n, one)), joined)
        rows = self.with_nuisances(draws, pick, joined, known or {})
        if self.nuisances is not None:
            given = dict(zip(self.prior.names, rows[:n].T, strict=True))
            picked = {name: given[name] for name in [*self._names(draws), *(known or {})]}
            rows[:n] = self.nuisances.complete(picked, x_o, self.seed)
        return rows

    def picked(self, draws: xr.Dataset, n: int) -> tuple[Array, int]:
        """Return which draws are predicted from, ``(n,)``, and the one that is many times."""
        total = draws[self._names(draws)[0]].size
        some = np.resize(streams.some(total, min(n, total)), n)
        return some, int(streams.generator(self.seed, "predictive/draw").integers(total))

    def with_nuisances(
        self, draws: xr.Dataset, pick: Array, each: int, known: Mapping[str, Array]
    ) -> Array:
        """Return draws as rows of all parameters, nuisances of their prior, ``(rows, dim)``.

        Args:
            draws: Group ``posterior`` of a posterior file.
            pick: Which draw each row is of, ``(rows,)``.
            each: Rows after which known conditions come again.
            known: Known conditions, a number each, or one for each of these.
        """
        u = streams.uniforms(self.seed, "predictive/prior", 0, len(pick), len(self.prior.names))
        given = {name: draws[name].to_numpy().ravel()[pick] for name in self._names(draws)}
        for name, value in known.items():
            given[name] = np.resize(np.broadcast_to(value, each), len(pick))
        return self.prior.complete(given, u)

    def _names(self, draws: xr.Dataset) -> list[str]:
        """Return the parameters that were inferred."""
        return [name for name in self.prior.names if name in draws]

    def forget(self, name: str) -> None:
        """Delete the ledgers of a posterior whose predictions are written."""
        for ledger in self.ledgers.glob(f"{name}-*"):
            shutil.rmtree(ledger, ignore_errors=True)


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
    found = labelled_predictions(made.x[:of_many], made.x[of_many:], x_o, made)
    drawn = made.parameters[:half][made.worked[:half]]
    return found.assign(parameters=(("draw", "parameter"), drawn)).assign_coords(
        parameter=list(names)
    )


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
    made_of = labelled_predictions(of_many, of_one, observations.with_texts(seen, texts), made)
    return made_of.assign_attrs(parts=x_o.shape[0])


def labelled_predictions(
    of_many: Array, of_one: Array, x_o: xr.DataArray, made: Replicates
) -> xr.Dataset:
    """Return predictions of many draws and of one, the observation, and what failed."""
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
