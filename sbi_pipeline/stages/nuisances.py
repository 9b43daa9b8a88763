"""What is known of the nuisances, for predictions: `learn_nuisances`."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from .. import nuisances as learnt
from .. import priors as priors_module
from ..diagnostics.nuisances import fault_of
from ..diagnostics.ranks import rank_nuisances
from ..storage import reading
from ..storage.missing_elements import MissingElements
from ..storage.noise import Noise
from .estimators import departure_of_rows
from .files import Keys, read_manifest, write_dataset

logger = logging.getLogger(__name__)


def learn_nuisances(
    *,
    simulations: Path,
    nuisances: Path,
    nuisance_ranks: Path,
    inferred_parameters: Sequence[str],
    parameters: Sequence[str],
    priors: Mapping[str, Any] | str,
    key: str,
    known_parameters: Sequence[str] = (),
    inputs: Keys | None = None,
    network: Mapping[str, Any] | None = None,
    noise: Noise | None = None,
    missing: MissingElements | None = None,
    seed: int = 1,
    threads: int = 1,
) -> None:
    """Learn the nuisances given theta and x, and rank those of held-out simulations among draws.

    Where they cannot be learnt, or their ranks fail, bands of predictions have those of the prior:
    no study fails for that.

    Reads: ``simulations``, a manifest. Writes: ``nuisances``, and ``nuisance_ranks``.
    """
    torch.set_num_threads(threads)
    listed, begun = read_manifest(simulations, inputs), time.monotonic()
    prior = priors_module.build(priors, parameters)
    reader = reading.open_campaign(simulations, prior.names, noise, missing=missing)
    made, ranks, problem = None, xr.Dataset(), ""
    try:
        departure = departure_of_rows(simulations, listed, prior)
        if departure is not None and departure.is_certain:
            raise learnt.NotLearnt(f"the rows do not follow the prior ({departure})")
        given = (*inferred_parameters, *known_parameters)
        made, test = learnt.learn(reader, prior, given, network or {}, seed=seed, threads=threads)
        ranks = rank_nuisances(made, test.theta, test.x, seed=listed["split"]["seed"])
        problem = fault_of(ranks)
    except learnt.NotLearnt as error:
        problem = str(error)
    if problem:
        logger.warning("bands of predictions will have nuisances of the prior: %s", problem)
    learnt.save_nuisances(nuisances, None if problem else made, {"key": key, "problem": problem})
    seconds = time.monotonic() - begun
    write_dataset(nuisance_ranks, ranks.assign_attrs(key=key, problem=problem, seconds=seconds))
