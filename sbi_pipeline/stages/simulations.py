"""Parameters and data: `preflight`, `sample_prior`, `simulate`."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import streams
from ..campaigns.given_rows import HALVES, affordable, affordable_each
from ..campaigns.preflight import forecast_campaign, in_words, rows_to_forecast
from ..campaigns.settings import Effort, Limits
from ..campaigns.shard import simulate_shard
from ..campaigns.sources import TableSource, source_of
from ..model import Model
from ..priors.departure import WOULD_LEARN, departure_from, rows_to_compare
from ..sidecars import write_text
from ..storage.prior import read_prior, write_prior
from ..types import Prior

logger = logging.getLogger(__name__)

LARGE = 20_000  # simulations of a campaign, above which it is forecast before it is begun


def preflight(*, campaigns: Sequence[Mapping[str, Any]]) -> None:
    """Simulate a handful of rows, twice, and forecast what each campaign costs.

    Of each of ``campaigns`` it takes ``name``, ``model``, ``seed``, ``rows``, ``folder``,
    ``bucket``, ``block_size``, ``workers``, ``limits`` and ``max_failed_fraction``; ``source`` if
    it is not the prior; ``posteriors``, of which data are predicted, ``predictive_draws`` of each,
    and ``observed``, calls for observations; ``catalogued``, the objects of each estimator and
    catalogue; and ``in_rounds``, simulations of all rounds that begin with these, 0 if there are
    none. Writes nothing; the forecasts are logged.

    Raises:
        ValueError: A simulator breaks its contract, too many of its rows fail, or a campaign does
            not fit on the disk.
    """
    for each in campaigns:
        model = Model(**each["model"])
        limits = Limits(**each["limits"])
        first = rows_to_forecast(model, each["block_size"], limits)
        forecast = forecast_campaign(
            model,
            parameters=source_of(each.get("source")).draw(
                model.build_prior(), seed=each["seed"], start=0, rows=first
            ),
            seed=each["seed"],
            rows=each["rows"],
            folder=None if each["bucket"] else Path(each["folder"]),
            block_size=each["block_size"],
            workers=each["workers"],
            limits=limits,
            max_failed_fraction=each["max_failed_fraction"],
        )
        logger.info("%s\n%s", each["name"], forecast)
        if several := each["in_rounds"]:
            seconds = several * forecast.row_seconds / each["workers"]
            logger.info("all rounds: at most %s simulations, %s", several, in_words(seconds))
        asked, seconds = each["predictive_draws"], forecast.row_seconds / each["workers"]
        draws = HALVES * (affordable(seconds) if asked == "auto" else asked)
        logger.info(
            "predictions: %s posteriors of %s data sets each, %s; observations: %s calls, %s",
            each["posteriors"],
            draws,
            in_words(each["posteriors"] * draws * seconds),
            each["observed"],
            in_words(each["observed"] * forecast.row_seconds),
        )
        for objects in each["catalogued"]:
            of_each = affordable_each(objects, seconds) if asked == "auto" else asked
            logger.info(
                "catalogue: %s objects, %s predictions of each, %s",
                objects,
                of_each,
                in_words(objects * of_each * seconds),
            )


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
    source: Mapping[str, Any] | None = None,
    campaign_rows: int = 0,
    learners: Sequence[str] = (),
    first: Sequence[Path] = (),
) -> None:
    """Take the parameters of one shard from their source, in whole blocks.

    Growing a shard changes no row. All parameters are drawn, also those that ``keep`` does not
    store with the data. A table is looked at as a whole with its first shard, ``first``, for which
    the others wait; ``learners`` are estimators that learn the prior of the rows, of which the
    campaign has ``campaign_rows``.

    Writes: ``prior``, a Zarr store.

    Raises:
        ValueError: A value of a table makes no sense, or the table does not suit a learner.
    """
    drawn_from, joint = source_of(source), model.build_prior()
    if isinstance(drawn_from, TableSource) and start == 0:
        check_table(drawn_from, joint, campaign_rows or rows, learners)
    whole = min(-(-rows // block_size) * block_size, shard_size)
    drawn = drawn_from.draw(joint, seed=seed, start=start, rows=whole)
    write_prior(prior, drawn, model.parameters, key=key, start=start)


def check_table(source: TableSource, prior: Prior, rows: int, learners: Sequence[str]) -> None:
    """Refuse values that make no sense, and rows that do not suit the estimators.

    Args:
        source: The table.
        prior: Of all parameters.
        rows: Of the table that the campaign uses, the first ones.
        learners: Names of the estimators that learn the prior of its rows.

    Raises:
        ValueError: A value is no number or outside the prior, or the rows do not follow the prior
            and there is a learner; without one that is a warning.
    """
    some = source.check(prior, rows, rows_to_compare(prior))
    others = ", ".join(name for name in prior.names if name not in some)
    logger.info("%s gives %s; the prior gives %s", source.table, ", ".join(some), others or "none")
    u = streams.uniforms(0, "departure", 0, len(next(iter(some.values()))), len(prior.names))
    parameters = prior.complete(some, u)
    log_prob = prior.log_prob(parameters)
    if (np.isneginf(log_prob) | np.isnan(log_prob)).any():
        raise ValueError(f"table {source.table}: some rows lie outside the prior; widen it")
    found = departure_from(prior, parameters)
    if not found.is_certain:
        return
    text = f"table {source.table} does not follow the prior ({found})"
    if learners:
        raise ValueError(f"{text}, and {', '.join(learners)} {WOULD_LEARN}")
    logger.warning("%s: estimators of likelihoods and ratios are right all the same", text)


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
    limits, effort = limits or Limits(), effort_of(effort, threads)
    forecast = receipt.with_name("preflight.json")
    begun = forecast.exists() or any(receipt.parent.glob("shard-*.zarr"))
    if campaign_rows > LARGE and not begun:
        looked_at, _, _ = read_prior(prior, slice(0, rows_to_forecast(model, block_size, limits)))
        made = forecast_campaign(
            model,
            parameters=looked_at,
            seed=seed,
            rows=campaign_rows,
            folder=None if effort.bucket else receipt.parent,
            block_size=block_size,
            workers=effort.workers,
            limits=limits,
            max_failed_fraction=effort.max_failed_fraction,
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


def effort_of(effort: Effort | None, threads: int) -> Effort:
    """Return what a job may spend: Snakemake may have given fewer threads than were asked for."""
    effort = effort or Effort()
    if effort.cluster != "local":
        return effort
    return replace(effort, workers=threads, minimum=None)
