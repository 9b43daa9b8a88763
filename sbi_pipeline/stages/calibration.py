"""Calibration: `calibrate` asks a trained estimator about simulations whose truth is known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ..diagnostics.held_against import held_against, rows_to_learn_from
from ..diagnostics.ranks import default_simulations, rank
from ..storage import reading
from ..storage.missing_elements import MissingElements
from ..storage.noise import Noise
from ..trained import load
from .files import Keys, check_key, read_manifest, read_proposal, write_dataset


def calibrate(
    *,
    simulations: Path,
    estimator: Path,
    proposals: Sequence[Path] = (),
    calibration: Path,
    key: str,
    inputs: Keys | None = None,
    calibration_options: Mapping[str, Any] | None = None,
    noise: Noise | None = None,
    missing: MissingElements | None = None,
    threads: int = 1,
) -> None:
    """Ask the estimator about held-out simulations whose truth is known.

    Reads: ``simulations``, ``estimator``, and in ``proposals`` an estimator that MCMC proposes
    from, if any. Writes: ``calibration``: ranks of the truth among draws, means, sds, held-out log
    densities, and what a regression says of the same truths.
    """
    torch.set_num_threads(threads)
    listed = read_manifest(simulations, inputs)
    trained = load(estimator)
    check_key(trained.header["key"], inputs, "estimator", estimator)
    options = dict(calibration_options or {})
    options["simulations"] = options.get("simulations") or default_simulations(
        trained.estimator.traits
    )
    conditions = trained.conditions
    reader = reading.open_campaign(simulations, trained.names, noise, conditions.names, missing)
    fit = rows_to_learn_from(trained, math.prod(reader.x_shape))
    views = reader.collect({"test": options["simulations"], "train": fit})
    test = views["test"]
    settings = {"seed": listed["split"]["seed"], "proposal": read_proposal(proposals, inputs)}
    shown = conditions.beside(test.x, test.known)
    data = rank(trained, test.theta, shown, **settings, **options)
    ranked = test.head(data.sizes["simulation"])
    beside = held_against(trained, views["train"], ranked, seed=settings["seed"])
    told = {**beside.attrs, "key": key, "method": trained.header["method"]}
    write_dataset(calibration, data.assign(beside.data_vars).assign_attrs(told))
