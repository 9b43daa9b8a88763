"""Checks where posteriors are: `posterior_sbc`."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from ..campaigns.given_rows import AllFailed, Engine
from ..campaigns.settings import Effort, Limits
from ..diagnostics.posterior_ranks import rank_at_posterior, why_not_ranked
from ..model import Model
from ..predictions import FreshPairs, pairs_of
from ..storage.missing_elements import MissingElements
from ..trained import Posterior, load
from .files import Keys, check_key, conditions_named, one_by_one, read_dataset, write_dataset
from .simulations import effort_of

logger = logging.getLogger(__name__)

FEWEST = 20
"""Simulations of which ranks say something."""


@dataclass(frozen=True)
class ToRank:
    """A posterior whose estimator is checked where it is.

    Attributes:
        posterior: The posterior.
        predictive: Its predictions.
        observation: Its observation.
        ranks: Ranks, written.
        key: Of what is written.
        inputs: Keys of what is read.
    """

    posterior: Path
    predictive: Path
    observation: Path
    ranks: Path
    key: str
    inputs: Keys | None = None


def posterior_sbc(
    *,
    each: Sequence[ToRank],
    estimator: Path,
    model: Model,
    ledgers: Path,
    wanted: int,
    draws: int = 200,
    sampler: Mapping[str, Any] | None = None,
    missing: MissingElements | None = None,
    seed: int = 1,
    limits: Limits | None = None,
    effort: Effort | None = None,
    block_size: int | None = None,
    threads: int = 1,
) -> Iterator[ToRank]:
    """Rank draws of posteriors among draws given what was simulated with them as well.

    The simulations are those of the predictions, if their nuisances are of the prior; what is
    missing of those ``wanted`` is simulated. Dear simulations grow in a folder of ``ledgers``, from
    which a killed run goes on.

    Reads: ``estimator``, ``posterior``, ``predictive``, ``observation``. Writes: ``ranks``.
    """
    torch.set_num_threads(threads)
    trained, inputs = load(estimator), each[0].inputs
    check_key(trained.header["key"], inputs, "estimator", estimator)
    options = {"draws": draws, "sampler": sampler or {}}
    guard, spent = limits or Limits(), effort_of(effort, threads)
    with Engine(model, "posterior SBC/simulate", guard, spent, block_size) as engine:
        fresh = FreshPairs(engine, model.build_prior(), seed, ledgers)

        def work(one: ToRank) -> None:
            made = _ranked(one, trained, fresh, wanted, missing, options, seed)
            if "problem" in made.attrs:
                logger.info("%s: %s", one.posterior.parent.name, made.attrs["problem"])
            write_dataset(one.ranks, made.assign_attrs(key=one.key))
            fresh.forget(_ledger(one))

        yield from one_by_one(each, work, lambda one: one.posterior.parent.name)


def _ledger(one: ToRank) -> str:
    return "-".join(["posterior_sbc", *one.posterior.parts[-4:-1], one.key])


def _ranked(
    one: ToRank,
    trained: Posterior,
    fresh: FreshPairs,
    wanted: int,
    missing: MissingElements | None,
    options: Mapping[str, Any],
    seed: int,
) -> xr.Dataset:
    """Return the ranks at one posterior, or in an attribute why there are none."""
    with xr.open_datatree(one.posterior, engine="h5netcdf") as tree:
        check_key(tree.attrs["key"], one.inputs, "posterior", one.posterior)
        draws, facts = tree["posterior"].to_dataset().load(), dict(tree["sample_stats"].attrs)
    predictive = read_dataset(one.predictive, one.inputs, "predictive")
    observed = read_dataset(one.observation, one.inputs, "observation")
    problem = why_not_ranked(trained, bool(observed.attrs.get("joined", 0)))
    if not facts["converged"]:
        problem = problem or "its own chains have not converged"
    if problem:
        return xr.Dataset(attrs={"problem": problem})
    x_o, under = observed["x"].to_numpy(), conditions_named(observed)
    pairs = pairs_of(predictive, trained.names, wanted)
    reused = len(pairs.theta)
    if reused < wanted:
        try:
            more = fresh.simulate(draws, trained.names, wanted - reused, _ledger(one), under)
        except AllFailed as error:
            return xr.Dataset(attrs={"problem": str(error)})
        pairs = pairs.and_more(more)
    if len(pairs.theta) < FEWEST:
        return xr.Dataset(attrs={"problem": f"only {len(pairs.theta)} simulations worked"})
    x = pairs.x
    if missing is not None and not missing.rows:  # gaps have nothing to do with theta or noise
        x = np.where(np.isnan(x_o), np.nan, x)
    known = trained.conditions.of(under, (len(x),))
    shown = trained.conditions.beside(x, known)
    shown_o = trained.conditions.beside(x_o, known[0])
    ranked = rank_at_posterior(trained, pairs.theta, shown, shown_o, seed=seed, **options)
    return ranked.assign_attrs(reused=reused)
