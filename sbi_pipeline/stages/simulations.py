"""Parameters and data: `preflight`, `sample_prior`, `simulate`, `manifest`, `observe`."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .. import observations, registry
from .. import priors as priors_module
from ..campaigns.preflight import forecast_campaign
from ..campaigns.settings import Effort, Limits
from ..campaigns.shard import draw_parameters, simulate_shard
from ..model import Model
from ..storage.manifest import join_receipts
from ..storage.prior import write_prior
from .files import expect, write, write_dataset

logger = logging.getLogger(__name__)

LARGE = 20_000  # simulations of a campaign, above which it is forecast before it is begun


def preflight(*, specs: Sequence[Path], rows: str, workers: str) -> None:
    """Simulate a handful of rows, twice, and forecast what each campaign costs.

    Reads: ``specs``, each ``spec.json`` of simulations; ``rows`` and ``workers`` are JSON by name
    of their folder. Writes nothing; the forecasts are logged.

    Raises:
        ValueError: A simulator breaks its contract, or a campaign does not fit on the disk.
    """
    wanted, processes = json.loads(rows), json.loads(workers)
    for path in specs:
        spec, name = json.loads(path.read_text()), path.parent.name
        forecast = forecast_campaign(
            Model(spec["simulator"], spec["options"], spec["parameters"], spec["priors"]),
            seed=spec["seed"],
            rows=wanted[name],
            folder=path.parent,
            block_size=spec["block_size"],
            workers=processes[name],
        )
        logger.info("%s\n%s", name, forecast)


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
    drawn = draw_parameters(
        priors_module.build(priors, parameters), seed=seed, start=start, rows=whole
    )
    write_prior(prior, drawn, parameters, key=key, start=start)


def simulate(
    *,
    prior: Path,
    receipt: Path,
    simulator: str,
    options: Mapping[str, Any],
    seed: int,
    rows: int,
    block_size: int,
    key: str,
    keep: Sequence[str] | None = None,
    max_failed_fraction: float = 0.5,
    threads: int = 1,
    dask_cluster: str = "local",
    workers: int = 1,
    minimum: int = 0,
    chunk_size: int = 0,
    limits: str = "{}",
    bucket: str = "",
    campaign_rows: int = 0,
    priors: Mapping[str, Any] | str = "",
    parameters: Sequence[str] = (),
) -> None:
    """Simulate the rows of one shard that are not there yet, after a forecast if they are many.

    Reads: ``prior``, made by `sample_prior`. Writes: the store ``shard-{shard}.zarr`` beside
    ``receipt``, and last the receipt; ``preflight.json`` of a large campaign.
    """
    model = Model(simulator, options, tuple(parameters), priors)
    guard = Limits(**json.loads(limits))
    forecast = receipt.with_name("preflight.json")
    begun = forecast.exists() or any(receipt.parent.glob("shard-*.zarr"))
    if campaign_rows > LARGE and not begun:
        made = forecast_campaign(
            model,
            seed=seed,
            rows=campaign_rows,
            folder=None if bucket else receipt.parent,
            block_size=block_size,
            workers=threads,
            limits=guard,
        )
        logger.info("%s", made)
        write(forecast, json.dumps(asdict(made), indent=1) + "\n")
    simulate_shard(
        prior=prior,
        store=receipt.with_suffix(".zarr"),
        receipt=receipt,
        model=model,
        seed=seed,
        rows=rows,
        block_size=block_size,
        key=key,
        keep=keep,
        limits=guard,
        effort=Effort(
            workers=threads if dask_cluster == "local" else workers,
            minimum=minimum or None,
            cluster=dask_cluster,
            chunk_size=chunk_size or None,
            max_failed_fraction=max_failed_fraction,
            bucket=bucket or None,
        ),
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
    made = join_receipts(receipts, rows=rows, key=key, store=store, split={"seed": seed, **split})
    expect(made["simulation_key"], simulation_key, receipts[0])
    write(simulations, json.dumps(made, indent=1) + "\n")
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
    inferred_parameters: Sequence[str] = (),
    several: bool = False,
    events: int | None = None,
) -> None:
    """Read an observation, or simulate one with a known truth; ``truth`` of a file may be partial.

    The simulator is called once in any case: whether its data have the observation's shape is
    better known before a campaign than after. With ``several``, one simulation is one event, and
    an observation has several, ``events`` of them if it is simulated.

    Writes: ``observation``, a netCDF file.

    Raises:
        ValueError: Shapes differ, or the simulator fails.
    """
    made = registry.load(simulator, registry.SIMULATORS)(**options)
    prior = priors_module.build(priors, parameters)
    known = truth or {}
    x, values = observations.simulate_observation(made, prior, known, seed)
    if file is None and several:
        x, values = observations.simulate_events(
            made, prior, known, inferred_parameters, events or 1, seed
        )
    if file is None:
        data = observations.label_observation(x, values, tuple(parameters), "simulated")
    else:
        x_o = observations.read_observation(file)
        if several and x_o.size % x.size == 0 and x_o.shape[1:] in (x.shape, ()):
            x_o = x_o.reshape(-1, *x.shape)
        if x_o.shape[several:] != x.shape:
            raise ValueError(
                f"observation {file} has shape {x_o.shape}; the simulator's data have {x.shape}"
                + (", after an axis of events" if several else "")
            )
        told = np.array([known.get(name, np.nan) for name in parameters]) if known else None
        data = observations.label_observation(x_o, told, tuple(parameters), f"file {file}")
    write_dataset(observation, data.assign_attrs(key=key))
