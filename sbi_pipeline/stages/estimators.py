"""Estimators: `train`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from .. import estimators as estimators_module
from .. import priors as priors_module
from ..sidecars import write_text
from ..storage import reading
from ..storage.noise import Noise
from ..training.learning import learn_estimator
from ..training.search import forget
from .files import Keys, read_manifest


def train(
    *,
    simulations: Path,
    estimator: Path,
    header: Path,
    history: Path,
    method: str,
    inferred_parameters: Sequence[str],
    parameters: Sequence[str],
    priors: Mapping[str, Any] | str,
    seed: int,
    key: str,
    inputs: Keys | None = None,
    network: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    noise: Noise | None = None,
    events: bool = False,
    threads: int = 1,
) -> None:
    """Fit one estimator to one campaign; nuisance parameters are dropped, which marginalises them.

    Reads: ``simulations``, a manifest. Writes: ``estimator``; what it says of itself, as JSON, in
    ``header``; ``history``; a checkpoint beside them while it runs, from which a killed training
    goes on.
    """
    torch.set_num_threads(threads)
    read_manifest(simulations, inputs)
    prior = priors_module.build(priors, parameters).keep(tuple(inferred_parameters))
    reader = reading.open_campaign(simulations, inferred_parameters, noise)
    checkpoint = estimator.with_name(f"train-{key}.checkpoint")
    options = training or {}
    learnt = learn_estimator(
        reader,
        prior,
        method,
        network or {},
        seed=seed,
        checkpoint=checkpoint,
        boards=estimator.with_name("tensorboard"),
        threads=threads,
        **options,
    )
    told = {
        "key": key,
        "parameters": list(parameters),
        "inferred_parameters": list(inferred_parameters),
        "priors": priors,
        "events": events,
        "training_rows": learnt.rows,
        "search": learnt.searched,
        "failures": learnt.failures,
    }
    estimators_module.save_estimator(estimator, learnt.estimator, told)
    whole = {**told, **learnt.estimator.spec}
    write_text(header, json.dumps(whole, indent=1) + "\n")
    learnt.history.to_csv(history, index=False)
    forget(options.get("grid") or {}, checkpoint)
    checkpoint.unlink(missing_ok=True)
