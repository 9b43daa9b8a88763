"""Parameters and data: `preflight`, `sample_prior`, `simulate`, `manifest`, `observe`."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import observations
from ..campaigns.preflight import forecast_campaign
from ..campaigns.settings import Effort, Limits
from ..campaigns.shard import draw_parameters, simulate_shard
from ..model import Model
from ..storage.manifest import join_receipts
from ..storage.prior import write_prior
from .files import Keys, check_key, write_arrays, write_text

logger = logging.getLogger(__name__)

LARGE = 20_000  # simulations of a campaign, above which it is forecast before it is begun


def preflight(*, campaigns: Sequence[Mapping[str, Any]]) -> None:
    """Simulate a handful of rows, twice, and forecast what each campaign costs.

    Of each of ``campaigns`` it takes ``name``, ``model``, ``seed``, ``rows``, ``folder``,
    ``bucket``, ``block_size``, ``workers`` and ``limits``. Writes nothing; the forecasts are
    logged.

    Raises:
        ValueError: A simulator breaks its contract, or a campaign does not fit on the disk.
    """
    for each in campaigns:
        model = Model(**each["model"])
        forecast = forecast_campaign(
            model,
            seed=each["seed"],
            rows=each["rows"],
            folder=None if each["bucket"] else Path(each["folder"]),
            block_size=each["block_size"],
            workers=each["workers"],
            limits=Limits(**each["limits"]),
        )
        logger.info("%s\n%s", each["name"], forecast)


def sample_prior(
    *,
    prior: Path,
    model: Model,
    seed: int,
    start: int,
    rows: int,
    block_size: int,
    shard_size: int,
    key: str,
    keep: Sequence[str] | None = None,
) -> None:
    """Draw the parameters of one shard, in whole blocks, so that growing it changes no row.

    All are drawn, also those that ``keep`` does not store with the data.

    Writes: ``prior``, a Zarr store.
    """
    whole = min(-(-rows // block_size) * block_size, shard_size)
    drawn = draw_parameters(model.build_prior(), seed=seed, start=start, rows=whole)
    write_prior(prior, drawn, model.parameters, key=key, start=start)


def simulate(
    *,
    prior: Path,
    receipt: Path,
    model: Model,
    seed: int,
    start: int,
    rows: int,
    block_size: int,
    shard_size: int,
    key: str,
    keep: Sequence[str] | None = None,
    limits: Limits | None = None,
    effort: Effort | None = None,
    campaign_rows: int = 0,
    threads: int = 1,
) -> None:
    """Simulate the rows of one shard that are not there yet, after a forecast if they are many.

    Reads: ``prior``, made by `sample_prior`. Writes: the store ``shard-{shard}.zarr`` beside
    ``receipt``, and last the receipt; ``preflight.json`` of a large campaign.
    """
    limits, effort = limits or Limits(), effort or Effort()
    if effort.cluster == "local":  # Snakemake may have given fewer threads than were asked for
        effort = replace(effort, workers=threads, minimum=None)
    forecast = receipt.with_name("preflight.json")
    begun = forecast.exists() or any(receipt.parent.glob("shard-*.zarr"))
    if campaign_rows > LARGE and not begun:
        made = forecast_campaign(
            model,
            seed=seed,
            rows=campaign_rows,
            folder=None if effort.bucket else receipt.parent,
            block_size=block_size,
            workers=effort.workers,
            limits=limits,
        )
        logger.info("%s", made)
        write_text(forecast, json.dumps(asdict(made), indent=1) + "\n")
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
        limits=limits,
        effort=effort,
    )


def _check_network(
    x_shape: tuple[int, ...], estimator: str, method: str, options: Mapping[str, Any]
) -> None:
    from ..estimators import estimator_class  # noqa: PLC0415 - torch takes seconds

    try:
        estimator_class(method).check(x_shape, **options)
    except ValueError as error:
        raise ValueError(f"the network of {estimator!r} does not suit the data: {error}") from error


def manifest(
    *,
    receipts: Sequence[Path],
    simulations: Path,
    store: str,
    rows: int,
    split: Mapping[str, float],
    seed: int,
    key: str,
    inputs: Keys | None = None,
) -> None:
    """List the simulations of a campaign and how they are split.

    Reads: receipts. Writes: ``simulations``, as JSON.
    """
    made = join_receipts(receipts, rows=rows, key=key, store=store, split={"seed": seed, **split})
    check_key(made["simulation_key"], inputs, "receipts", receipts[0])
    write_text(simulations, json.dumps(made, indent=1) + "\n")
    if failures := made["failures"]:
        logger.warning("failed simulations: %s", failures)


def observe(
    *,
    observation: Path,
    model: Model,
    key: str,
    truth: Mapping[str, float] | None = None,
    file: str | None = None,
    seed: int = 0,
    inferred_parameters: Sequence[str] = (),
    several: bool = False,
    events: int | None = None,
    networks: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Read an observation, or simulate one with a known truth; ``truth`` of a file may be partial.

    The simulator is called once in any case: whether its data have the observation's shape is
    better known before a campaign than after. With ``several``, one simulation is one event, and
    an observation has several, ``events`` of them if it is simulated. For the same reason
    ``networks`` are held against the data, each ``estimator``, ``method`` and ``options``.

    Writes: ``observation``, a netCDF file.

    Raises:
        ValueError: Shapes differ, a network does not suit the data, or the simulator fails.
    """
    made, prior, names = model.build_simulator(), model.build_prior(), tuple(model.parameters)
    known = truth or {}
    x, values = observations.simulate_observation(made, prior, known, seed)
    for each in networks:
        _check_network(x.shape, **each)
    if file is None and several:
        x, values = observations.simulate_events(
            made, prior, known, inferred_parameters, events or 1, seed
        )
    if file is None:
        source, data = "simulated", observations.label_observation(x, values, names)
    else:
        x_o = observations.read_observation(file)
        x_o = observations.check_shape(file, x_o, x.shape, several)
        told = np.array([known.get(name, np.nan) for name in names]) if known else None
        source, data = f"file {file}", observations.label_observation(x_o, told, names)
    write_arrays(observation, data, {"source": source, "key": key})
