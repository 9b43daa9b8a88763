"""Parameters and data: `preflight`, `sample_prior`, `simulate`, `manifest`, `observe`."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .. import observations, streams
from ..campaigns.given_rows import HALVES, Engine, affordable, affordable_each
from ..campaigns.preflight import forecast_campaign, in_words, rows_to_forecast
from ..campaigns.settings import Effort, Limits
from ..campaigns.shard import simulate_shard
from ..campaigns.sources import TableSource, source_of
from ..conditions import conditions_in
from ..model import Model
from ..observation_files import Wanted, read_observation
from ..priors.boxes import BoxedPrior, Faces
from ..priors.departure import WOULD_LEARN, Departure, departure_from, rows_to_compare
from ..sidecars import write_text
from ..simulators.absent import ABSENT
from ..storage.manifest import join_receipts, join_stocks, receipt_names, rows_within
from ..storage.missing_elements import MissingElements
from ..storage.parameters import Parameters, refuse_twice
from ..storage.prior import read_prior, write_prior
from ..storage.weights import Weighing
from ..types import Array, Prior, declared_columns
from .files import Keys, check_key, one_by_one, write_arrays

logger = logging.getLogger(__name__)

FEWEST_TRUTHS = 20  # below which calibration says nothing
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


def check_network_suits(
    x_shape: tuple[int, ...], estimator: str, method: str, options: Mapping[str, Any]
) -> None:
    """Refuse a network that does not suit data of a shape.

    Args:
        x_shape: Of one data set.
        estimator: Its name, for the message.
        method: Its method.
        options: Of the network.

    Raises:
        ValueError: It does not.
    """
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
    source: Mapping[str, Any] | None = None,
    within: Faces | None = None,
    reused: Sequence[Mapping[str, Any]] = (),
    box: Faces | None = None,
    model: Model | None = None,
    density: Mapping[str, Any] | None = None,
    inputs: Keys | None = None,
) -> None:
    """List the simulations of a campaign and how they are split.

    Those of other campaigns, ``reused``, have each their own ``store``, ``rows``, ``seed`` and
    ``block_size``, and ``source`` if that is not the prior. With ``box``, only the rows within that
    box of the prior of ``model`` count, and of some only those ``within`` another one as well. Of
    existing simulations the rows within the prior count, weighed by their ``density``.

    Reads: receipts. Writes: ``simulations``, as JSON.
    """
    own: dict[str, Any] = {"store": store, "rows": rows}
    own |= {key: each for key, each in {"source": source, "within": within}.items() if each}
    found = []
    for name, stock in zip(receipt_names(len(reused)), [own, *reused], strict=True):
        folder = Path(stock["store"]).name
        listed = [each for each in receipts if not reused or each.parent.name == folder]
        told = {"store": stock["store"], "split": {"seed": seed, **split}}
        joined = join_receipts(listed, rows=stock["rows"], key=key, **told)
        check_key(joined["simulation_key"], inputs, name, listed[0])
        if box is not None and model is not None:
            prior = model.build_prior().keep(tuple(joined["parameters"]))
            every = [box] if stock.get("within") is None else [box, stock["within"]]
            boxes = [BoxedPrior.of(prior, faces) for faces in every]
            joined = rows_within(joined, listed, partial(_contained, boxes))
        if density is not None:
            joined = weighed(joined, listed, density)
        found.append({**joined, **stock})
    made = join_stocks(found[0], found[1:]) | ({} if box is None else {"box": dict(box)})
    write_text(simulations, json.dumps(made, indent=1) + "\n")
    if failures := made["failures"]:
        logger.warning("failed simulations: %s", failures)


def weighed(
    joined: Mapping[str, Any], receipts: Sequence[Path], density: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the record of existing simulations with what is to be known of their weights.

    Raises:
        ValueError: Rows lie where nothing was to be drawn, most lie outside the prior, or some are
            there twice.
    """
    weighing = Weighing.of(density, joined["parameters"])
    every = Parameters.read(receipts, joined["rows"])
    refuse_twice(every)
    told = weighing.look(every.theta)
    logger.info(
        "%d rows, %d outside the prior, effectively %.0f; %s",
        *(joined["rows"], told["outside"], told["effective"]),
        Departure(**told["departure"]),
    )
    made = {**joined, "weights": {**density, **told}}
    weighing = Weighing.of(made["weights"], joined["parameters"])
    refuse_few_held_out(weighing, joined["rows"] - told["outside"], joined["split"]["test"])
    if not told["outside"]:
        return made
    return {**rows_within(made, receipts, weighing.inside), "weights": made["weights"]}


def refuse_few_held_out(weighing: Weighing, rows: int, fraction: float) -> None:
    """Refuse weights that leave too few rows to calibrate with.

    Raises:
        ValueError: They do.
    """
    held_out = weighing.share(fraction) * rows
    if held_out < FEWEST_TRUTHS:
        raise ValueError(
            f"about {held_out:.0f} of {rows} rows can be held out such that they follow the "
            f"priors; at least {FEWEST_TRUTHS} are wanted: raise split.test, or add simulations "
            "where the priors are"
        )


def _contained(boxes: Sequence[BoxedPrior], parameters: Array) -> Array:
    """Return which parameters lie in all of some boxes, ``(n,)``."""
    return np.all([each.contains(parameters) for each in boxes], axis=0)


def one_data_set(
    engine: Engine,
    prior: Prior,
    known: Mapping[str, float],
    seed: int,
    x_shape: Sequence[int] | None,
    missing: MissingElements | None,
) -> tuple[Array, Array]:
    """Return one data set and all its parameters, see `observations.simulate_observation`.

    Of existing simulations, with data of ``x_shape``, it is one of zeros where there is no
    simulator.

    Raises:
        ValueError: The simulator fails, or has data of another shape.
    """
    if x_shape is not None and engine.model.simulator == ABSENT:
        return np.zeros(tuple(x_shape)), np.full(len(prior.names), np.nan)
    x, row = observations.simulate_observation(engine, prior, known, seed, missing)
    if x_shape is not None and x.shape != tuple(x_shape):
        raise ValueError(
            f"{engine.model.simulator} gives data of shape {x.shape}, the existing simulations "
            f"have {tuple(x_shape)}; wanted the simulator that made them, or none"
        )
    return x, row


@dataclass(frozen=True)
class ToObserve:
    """An observation that is read or simulated.

    Attributes:
        observation: Where it is written.
        key: Its key.
        truth: Known parameters; those of a file may be partial.
        known: Known conditions: numbers, or lists of one for each event.
        file: Where it is read from; None if it is simulated.
        columns: Columns of the file that are data; empty for those of the simulator's, or all.
        seed: Of the parameters that are not given, and of the simulation.
        events: How many it has, if it is a set of them and is simulated.
        parts: Observations that are joined in it, by name, each ``truth``, ``file``, ``seed`` and
            ``events``; None where it is one itself.
    """

    observation: Path
    key: str
    truth: Mapping[str, float] | None = None
    known: Mapping[str, Any] | None = None
    file: str | None = None
    columns: Sequence[str] = ()
    seed: int = 0
    events: int | None = None
    parts: Mapping[str, Mapping[str, Any]] | None = None


def observe(
    *,
    each: Sequence[ToObserve],
    model: Model,
    inferred_parameters: Sequence[str] = (),
    known_parameters: Sequence[str] = (),
    several: bool = False,
    networks: Sequence[Mapping[str, Any]] = (),
    limits: Limits | None = None,
    missing: MissingElements | None = None,
    x_shape: Sequence[int] | None = None,
) -> Iterator[ToObserve]:
    """Read observations, or simulate them with a known truth.

    The simulator is called once in any case: whether its data have the observations' shape is
    better known before a campaign than after. With ``several``, one simulation is one event, and
    an observation has several. For the same reason ``networks`` are held against the data, each
    ``estimator``, ``method`` and ``options``. Existing simulations have data of ``x_shape``, and
    need no simulator. With each observation go the values of ``known_parameters``: those of what
    is simulated are given, or drawn from their prior.

    Writes: ``observation`` of each, a netCDF file.

    Raises:
        ValueError: Shapes differ, a network does not suit the data, or the simulator fails.
    """
    prior, names = model.build_prior(), tuple(model.parameters)
    conditions, guard = conditions_in(prior, known_parameters), limits or Limits()
    declared = declared_columns(model.build_simulator())
    with (
        Engine(model, "observe/simulate", guard) as engine,
        Engine(model, "observe/events/simulate", guard) as single,
    ):

        def observed(one: ToObserve) -> tuple[Array, Array | None, Array]:
            given = {**(one.truth or {}), **(one.known or {})}
            first = {name: np.ravel(value)[0] for name, value in given.items()}
            x, row = one_data_set(engine, prior, first, one.seed, x_shape, missing)
            truth: Array | None = row
            known = row[[names.index(name) for name in conditions.names]]
            for network in networks:
                check_network_suits(x.shape, **network)
            if one.file is not None:
                wanted = Wanted(tuple(one.columns), declared, missing is not None)
                x_o = read_observation(one.file, wanted)
                x = observations.check_shape(one.file, x_o, x.shape, several)
                truth = observations.truth_of(given, names) if one.truth else None
                known = conditions.of(one.known, x.shape[:several])
            elif several:
                x, truth, known = observations.simulate_events(
                    single,
                    prior,
                    given,
                    row,
                    inferred_parameters,
                    one.events or 1,
                    one.seed,
                    conditions.names,
                    missing,
                )
            return x, truth, known

        def work(one: ToObserve) -> None:
            told = {"source": "simulated" if one.file is None else f"file {one.file}"}
            if one.parts is None:
                x, truth, known = observed(one)
            else:
                parts = [observed(replace(one, **each, parts=None)) for each in one.parts.values()]
                x, truth, known = observations.join_observations(
                    parts, several, set(inferred_parameters), names
                )
                told["source"] = f"{' and '.join(one.parts)}, joined as of one source"
                told |= {} if several else {"joined": str(len(parts))}
            data = observations.label_observation(x, truth, names, known, conditions.names)
            write_arrays(one.observation, data, {**told, "key": one.key})

        yield from one_by_one(each, work, lambda one: one.observation.stem)
