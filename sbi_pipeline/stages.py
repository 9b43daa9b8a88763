"""The file interface: one function a rule, files in and files out.

Each works as well from Python, with paths. A stage's keyword arguments are what the rule of the
same name passes: inputs and outputs as paths, the rest from ``*.spec.json``. ``key`` is written
into what a stage makes; ``*_key`` is what its inputs must carry.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from . import campaign, estimators, observations, registry, samplers, store, streams
from . import posterior as posteriors
from . import priors as priors_module
from . import training as training_module
from .diagnostics.convergence import summary
from .diagnostics.ranks import rank

logger = logging.getLogger(__name__)

PRIOR_DRAWS = 4000


def sample_prior(
    *,
    prior: Path,
    priors: Mapping[str, Any] | str,
    parameters: Sequence[str],
    seed: int,
    start: int,
    rows: int,
    block_size: int,
    shard_size: int,
    key: str,
) -> None:
    """Draw the parameters of one shard, in whole blocks, so that growing it changes no row.

    Writes: ``prior``, a Zarr store.
    """
    whole = min(-(-rows // block_size) * block_size, shard_size)
    drawn = campaign.draw(
        priors_module.build(priors, parameters), seed=seed, start=start, rows=whole
    )
    store.write_prior(prior, drawn, parameters, key=key, start=start)


def simulate(
    *,
    prior: Path,
    receipt: Path,
    simulator: str,
    options: Mapping[str, Any],
    seed: int,
    shard: int,
    rows: int,
    block_size: int,
    key: str,
    keep: Sequence[str] | None = None,
    max_failed_fraction: float = 0.5,
    threads: int = 1,
    cluster: str = "local",
    chunk_size: int = 0,
) -> None:
    """Simulate the rows of one shard that are not there yet.

    Reads: ``prior``, made by `sample_prior`. Writes: the store ``shard-{shard}.zarr`` beside
    ``receipt``, and last the receipt.
    """
    campaign.simulate(
        prior=prior,
        store=receipt.with_suffix(".zarr"),
        receipt=receipt,
        simulator=simulator,
        options=options,
        seed=seed,
        shard=shard,
        rows=rows,
        block_size=block_size,
        key=key,
        keep=keep,
        max_failed_fraction=max_failed_fraction,
        workers=threads,
        cluster=cluster,
        chunk_size=chunk_size or None,
    )


def manifest(
    *,
    receipts: Sequence[Path],
    simulations: Path,
    simulation_key: str,
    store: str,
    rows: int,
    split: Mapping[str, float],
    seed: int,
    key: str,
) -> None:
    """List the simulations of a campaign and how they are split.

    Reads: receipts. Writes: ``simulations``, as JSON.
    """
    made = campaign.manifest(
        receipts,
        rows=rows,
        key=simulation_key,
        store=store,
        split={"seed": seed, **split},
    )
    _write(simulations, json.dumps({**made, "key": key}, indent=1) + "\n")
    if failures := made["failures"]:
        logger.warning("failed simulations: %s", failures)


def observe(
    *,
    observation: Path,
    simulator: str,
    options: Mapping[str, Any],
    parameters: Sequence[str],
    priors: Mapping[str, Any] | str,
    key: str,
    truth: Mapping[str, float] | None = None,
    file: str | None = None,
    seed: int = 0,
) -> None:
    """Read an observation, or simulate one with a known truth.

    The simulator is called once in any case: whether its data have the observation's shape is
    better known before a campaign than after.

    Writes: ``observation``, a netCDF file.

    Raises:
        ValueError: Shapes differ, or the simulator fails.
    """
    made = registry.load(simulator, registry.SIMULATORS)(**options)
    prior = priors_module.build(priors, parameters)
    x, values = observations.simulate(made, prior, truth or {}, seed)
    if file is None:
        data = observations.labelled(x, values, tuple(parameters), "simulated")
    else:
        x_o = observations.read(file)
        if x_o.shape != x.shape:
            raise ValueError(
                f"observation {file} has shape {x_o.shape}; the simulator's data have {x.shape}"
            )
        data = observations.labelled(x_o, None, tuple(parameters), f"file {file}")
    _write_dataset(observation, data.assign_attrs(key=key))


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
    listed = _manifest(simulations, simulations_key)
    view = campaign.load(simulations, inferred_parameters)
    masks = campaign.split(view.row, **listed["split"])
    prior = priors_module.build(priors, parameters).keep(tuple(inferred_parameters))
    z = torch.as_tensor(prior.to_normal(view.theta), dtype=torch.float32)
    x = torch.as_tensor(view.x)
    rows = torch.as_tensor(masks["train"])
    made = estimators.build(method, z[rows], x[rows], seed=seed, **(network or {}))
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
    estimators.save(estimator, made, header)
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
    listed = _manifest(simulations, simulations_key)
    trained = posteriors.load(estimator)
    _expect(trained.header["key"], estimator_key, estimator)
    view = campaign.load(simulations, trained.names)
    test = campaign.split(view.row, **listed["split"])["test"]
    data = rank(
        trained,
        view.theta[test],
        view.x[test],
        seed=listed["split"]["seed"],
        **(calibration_options or {}),
    )
    _write_dataset(calibration, data.assign_attrs(key=key, method=trained.header["method"]))


def sample(
    *,
    estimator: Path,
    observation: Path,
    posterior: Path,
    key: str,
    estimator_key: str | None = None,
    observation_key: str | None = None,
    sampler: Mapping[str, Any] | None = None,
    derived: Mapping[str, str] | None = None,
    texts: Mapping[str, Mapping[str, str]] | None = None,
    names: Mapping[str, str] | None = None,
    seed: int = 1,
    threads: int = 1,
) -> None:
    """Draw from the posterior of one observation.

    Reads: ``estimator``, ``observation``. Writes: ``posterior``, an ArviZ file.
    """
    torch.set_num_threads(threads)
    trained = posteriors.load(estimator)
    _expect(trained.header["key"], estimator_key, estimator)
    observed = _dataset(observation, observation_key)
    x_o = observed["x"].to_numpy()
    options = {"draws": 10_000, **(sampler or {})}
    drawn = samplers.draw(trained.estimator, x_o[None], options.pop("draws"), seed=seed, **options)
    if not drawn.converged.all():
        logger.warning("MCMC stopped without having converged: %s", drawn.facts)
    u = streams.uniforms(seed, "prior draws", 0, PRIOR_DRAWS, len(trained.names))
    tree = samplers.labelled(
        drawn,
        0,
        trained.prior,
        x_o=x_o,
        prior_draws=trained.prior.from_uniform(u),
        derived=derived or {},
        texts=texts or {},
        attrs={"key": key, "method": trained.header["method"], **(names or {})},
    )
    _write_dataset(posterior, tree)


def diagnose(
    *,
    posterior: Path,
    observation: Path,
    diagnostics: Path,
    predictive: Path,
    simulator: str,
    options: Mapping[str, Any],
    parameters: Sequence[str],
    priors: Mapping[str, Any] | str,
    key: str,
    posterior_key: str | None = None,
    predictive_draws: int = 1000,
    seed: int = 1,
) -> None:
    """Summarise a posterior and simulate what it predicts; nuisances come from their prior.

    Reads: ``posterior``, ``observation``. Writes: ``diagnostics``, ``predictive``.
    """
    tree = xr.open_datatree(posterior, engine="h5netcdf").load()
    _expect(tree.attrs["key"], posterior_key, posterior)
    observed = _dataset(observation)
    truth = {}
    if "truth" in observed:
        truth = dict(zip(parameters, observed["truth"].to_numpy().tolist(), strict=True))
    table = summary(tree, truth)
    table.to_csv(diagnostics, index=False)
    theta = {n: v.to_numpy().ravel() for n, v in tree["posterior"].data_vars.items()}
    pick = np.linspace(0, len(next(iter(theta.values()))) - 1, predictive_draws).astype(int)
    known = {name: theta[name][pick] for name in parameters if name in theta}
    u = streams.uniforms(seed, "predictive/prior", 0, predictive_draws, len(parameters))
    rows = priors_module.build(priors, parameters).complete(known, u)
    made = registry.load(simulator, registry.SIMULATORS)(**options)
    x = observations.call(made, rows, streams.generator(seed, "predictive/simulate"))
    dims = observed["x"].dims
    data = xr.Dataset({"x": (("draw", *dims), x), "x_o": observed["x"]}, attrs={"key": key})
    _write_dataset(predictive, data)


def _manifest(path: Path, key: str | None) -> dict[str, Any]:
    """Read a manifest and check its key."""
    listed: dict[str, Any] = json.loads(path.read_text())
    _expect(listed["key"], key, path)
    return listed


def _dataset(path: Path, key: str | None = None) -> xr.Dataset:
    """Read a data set and check its key."""
    with xr.open_dataset(path, engine="h5netcdf") as data:
        _expect(data.attrs["key"], key, path)
        return data.load()


def _expect(found: str, wanted: str | None, path: Path) -> None:
    """Refuse an input that something else than the configured stage has made.

    Raises:
        ValueError: The keys differ.
    """
    if wanted is not None and found != wanted:
        raise ValueError(
            f"{path} has key {found}; the configuration wants {wanted}: it was made with another "
            "configuration or code, so delete it and run snakemake again"
        )


def _write_dataset(path: Path, data: xr.Dataset | xr.DataTree) -> None:
    """Write netCDF to a sibling, then rename: a file that is there is whole."""
    partial = path.with_name(f"{path.name}.partial")
    data.to_netcdf(partial, engine="h5netcdf")
    partial.replace(path)


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)
