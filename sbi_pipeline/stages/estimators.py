"""Estimators: `train` and `calibrate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from .. import estimators as estimators_module
from .. import priors as priors_module
from ..diagnostics.ranks import SCORED, SIMULATIONS, rank
from ..storage import reading
from ..trained import load
from ..training import failures, sources
from ..training.fit import fit_source
from ..training.search import Settings, Trained, forget, search
from ..training.watching import watching
from .files import expect, noise_at_load, read_manifest, write_dataset

OWN_OPTIONS: dict[str, Any] = {
    "memory": sources.MEMORY,
    "failures": "auto",
    "grid": {},
    "tensorboard": False,
}
"""What of a configuration's ``training`` is not for `fit_source`, and its defaults."""


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
    noise: Mapping[str, Any] | None = None,
    events: bool = False,
    threads: int = 1,
) -> None:
    """Fit one estimator to one campaign; nuisance parameters are dropped, which marginalises them.

    Of ``training``, ``memory`` goes to `sources.prepare`, ``failures`` to `failures.is_wanted`,
    ``grid`` to `search.search`, ``tensorboard`` to `watching.watching`, and all else to
    `fit.fit_source`.

    Reads: ``simulations``, a manifest. Writes: ``estimator`` and ``history``; a checkpoint beside
    them while it runs, from which a killed training goes on.
    """
    torch.set_num_threads(threads)
    read_manifest(simulations, simulations_key)
    options = {**OWN_OPTIONS, **(training or {})}
    memory, about_failures, grid, watched = (options.pop(name) for name in OWN_OPTIONS)
    prior = priors_module.build(priors, parameters).keep(tuple(inferred_parameters))
    reader = reading.open_campaign(simulations, inferred_parameters, noise_at_load(noise))
    rows = sources.prepare(reader, prior.to_normal, memory=memory, seed=seed)

    def fit(settings: Settings, checkpoint: Path) -> Trained:
        made = estimators_module.build(
            method,
            *rows.sample,
            seed=seed,
            rows=rows.source.rows,
            complete=not rows.failed,
            **{**(network or {}), **settings["network"]},
        )
        folder = estimator.with_name("tensorboard") / checkpoint.stem
        with watching(folder if watched else None) as watch:
            record = fit_source(
                made,
                rows.source,
                rows.held_out,
                seed=seed,
                threads=threads,
                checkpoint=checkpoint,
                watch=watch,
                **{**options, **settings["training"]},
            )
        return made, record

    checkpoint = estimator.with_name(f"train-{key}.checkpoint")
    made, record, searched = (
        search(grid, fit, checkpoint)
        if grid
        else (*fit({"network": {}, "training": {}}, checkpoint), [])
    )
    target = made.traits.target
    modelled = failures.is_wanted(about_failures, rows.failed / rows.simulated, target)
    if modelled:
        validity = failures.learn(reader, prior.to_normal, seed=seed, threads=threads)
        estimators_module.add_validity(made, validity)
    header = {
        "key": key,
        "parameters": list(parameters),
        "inferred_parameters": list(inferred_parameters),
        "priors": priors,
        "events": events,
        "training_rows": rows.source.rows,
        "search": searched,
        "failures": {
            "simulated": rows.simulated,
            "failed": rows.failed,
            "modelled": modelled,
            "target": target,
        },
    }
    estimators_module.save(estimator, made, header)
    record.to_csv(history, index=False)
    forget(grid, checkpoint)


def calibrate(
    *,
    simulations: Path,
    estimator: Path,
    calibration: Path,
    key: str,
    simulations_key: str | None = None,
    estimator_key: str | None = None,
    calibration_options: Mapping[str, Any] | None = None,
    noise: Mapping[str, Any] | None = None,
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
    options = dict(calibration_options or {})
    options["simulations"] = (
        options.get("simulations") or SIMULATIONS[trained.estimator.traits.target]
    )
    wanted = max(options["simulations"], SCORED if trained.events else 0)
    reader = reading.open_campaign(simulations, trained.names, noise_at_load(noise))
    test = reader.collect({"test": wanted})["test"]
    data = rank(trained, test.theta, test.x, seed=listed["split"]["seed"], **options)
    write_dataset(calibration, data.assign_attrs(key=key, method=trained.header["method"]))
