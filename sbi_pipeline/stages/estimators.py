"""Estimators: `train` and `calibrate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from .. import dataset
from .. import estimators as estimators_module
from .. import priors as priors_module
from .. import training as training_module
from ..diagnostics.ranks import rank
from ..trained import load
from .files import expect, read_manifest, write_dataset


def train(
    *,
    simulations: Path,
    estimator: Path,
    history: Path,
    method: str,
    inferred_parameters: Sequence[str],
    parameters: Sequence[str],
    priors: Mapping[str, Any] | str,
    seed: int,
    key: str,
    simulations_key: str | None = None,
    network: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    threads: int = 1,
) -> None:
    """Fit one estimator to one campaign; nuisance parameters are dropped, which marginalises them.

    Reads: ``simulations``, a manifest. Writes: ``estimator`` and ``history``; a checkpoint beside
    them while it runs, from which a killed training goes on.
    """
    torch.set_num_threads(threads)
    listed = read_manifest(simulations, simulations_key)
    view = dataset.load(simulations, inferred_parameters)
    masks = dataset.split(view.row, **listed["split"])
    prior = priors_module.build(priors, parameters).keep(tuple(inferred_parameters))
    z = torch.as_tensor(prior.to_normal(view.theta), dtype=torch.float32)
    x = torch.as_tensor(view.x)
    rows = torch.as_tensor(masks["train"])
    made = estimators_module.build(method, z[rows], x[rows], seed=seed, **(network or {}))
    record = training_module.fit(
        made,
        z,
        x,
        train=masks["train"],
        validation=masks["validation"],
        seed=seed,
        threads=threads,
        checkpoint=estimator.with_name(f"train-{key}.checkpoint"),
        **(training or {}),
    )
    header = {
        "key": key,
        "parameters": list(parameters),
        "inferred_parameters": list(inferred_parameters),
        "priors": priors,
        "training_rows": int(masks["train"].sum()),
    }
    estimators_module.save(estimator, made, header)
    record.to_csv(history, index=False)


def calibrate(
    *,
    simulations: Path,
    estimator: Path,
    calibration: Path,
    key: str,
    simulations_key: str | None = None,
    estimator_key: str | None = None,
    calibration_options: Mapping[str, Any] | None = None,
    threads: int = 1,
) -> None:
    """Ask the estimator about held-out simulations whose truth is known.

    Reads: ``simulations``, ``estimator``. Writes: ``calibration``: ranks of the truth among
    draws, means, sds, held-out log densities.
    """
    torch.set_num_threads(threads)
    listed = read_manifest(simulations, simulations_key)
    trained = load(estimator)
    expect(trained.header["key"], estimator_key, estimator)
    view = dataset.load(simulations, trained.names)
    test = dataset.split(view.row, **listed["split"])["test"]
    data = rank(
        trained,
        view.theta[test],
        view.x[test],
        seed=listed["split"]["seed"],
        **(calibration_options or {}),
    )
    write_dataset(calibration, data.assign_attrs(key=key, method=trained.header["method"]))
