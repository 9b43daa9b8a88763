"""Catalogues: `collect` reads a table of objects, `infer` draws for them, `tabulate` lists them."""

from __future__ import annotations

import functools
import json
import logging
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
import xarray as xr
from tqdm import tqdm

from .. import catalogues, observations, samplers, streams, summaries
from ..campaigns.given_rows import Engine
from ..campaigns.settings import Effort, Limits
from ..diagnostics.in_distribution import Reference
from ..estimators import Estimator
from ..fingerprint import digest, of_array, of_file
from ..model import Model
from ..sidecars import write_text
from ..storage import collected, reading
from ..storage import draws as storage
from ..storage.lease import Lease
from ..storage.noise import Noise
from ..trained import Posterior, load
from ..types import Array, Prior
from .files import Keys, check_key, read_manifest, write_dataset
from .posteriors import PRIOR_DRAWS, proposal_of
from .simulations import check_network_suits, effort_of

logger = logging.getLogger(__name__)

AT_ONCE = 1_000
"""Objects that are read at once."""
REFERENCE_ROWS = 6_000
"""Simulations that objects are compared with."""
SHOWN = 8
"""Objects whose predictions are shown."""
FLAGGED = 0.005
"""P-value of an object that is pointed out: of a thousand good ones, five."""
DRAWS = "draws.zarr"


def collect(
    *,
    catalogue: Path,
    layout: catalogues.Layout,
    model: Model,
    key: str,
    networks: Sequence[Mapping[str, Any]] = (),
    limits: Limits | None = None,
) -> None:
    """Read a table of objects and hold it against one simulation and the prior.

    ``networks`` are held against the data as by `observe`.

    Writes: ``catalogue``, a netCDF file: data, names, and known truths of the objects.
    """
    prior = model.build_prior()
    with Engine(model, "observe/simulate", limits or Limits()) as engine:
        x, _ = observations.simulate_observation(engine, prior, {}, seed=0)
    for network in networks:
        check_network_suits(x.shape, **network)
    table = catalogues.open_catalogue(layout)
    catalogues.check_objects(table)
    catalogues.check_against_prior(table, prior)
    starts = range(0, len(table), AT_ONCE)
    data = (table.data(first, min(first + AT_ONCE, len(table))) for first in starts)
    fitted = (observations.fit_shape(layout.table, each, x.shape) for each in data)
    attrs = {"source": f"table {layout.table}", "key": key}
    collected.write(catalogue, table.names, table.truths, x.shape, fitted, attrs)


def infer(
    *,
    catalogue: Path,
    simulations: Path,
    estimator: Path,
    receipt: Path,
    model: Model,
    recipe: str,
    first: int,
    last: int,
    objects: int,
    draws: int,
    block: int,
    ledgers: Path,
    proposals: Sequence[Path] = (),
    sampler: Mapping[str, Any] | None = None,
    derived: Mapping[str, str] | None = None,
    predictive_draws: int | Literal["auto"] = "auto",
    noise: Noise | None = None,
    seed: int = 1,
    inputs: Keys | None = None,
    limits: Limits | None = None,
    effort: Effort | None = None,
    block_size: int | None = None,
    threads: int = 1,
) -> None:
    """Draw from the posteriors of the objects of one part, and compare them with simulations.

    Objects are drawn for in blocks, each committed to the store ``draws.zarr`` beside ``receipt``
    when it is whole; a killed run, or one with a longer table, makes those that are not there.

    Reads: ``catalogue``, ``simulations``, ``estimator``, and in ``proposals`` an estimator that
    MCMC proposes from, if any. Writes: blocks of the store, and last ``receipt``.
    """
    began = time.monotonic()
    torch.set_num_threads(threads)
    trained = load(estimator)
    read_manifest(simulations, inputs)
    check_key(trained.header["key"], inputs, "estimator", estimator)
    made_with = digest([recipe, *(of_file(each) for each in (estimator, *proposals))])
    reader = reading.open_campaign(simulations, trained.names, noise)
    parameters = (*trained.names, *(derived or {}))
    guard, spent = limits or Limits(), effort_of(effort, threads)
    with (
        collected.opened(catalogue) as known,
        Engine(model, "predictive/simulate", guard, spent, block_size) as engine,
    ):
        check_key(known.key, inputs, "catalogue", catalogue)
        form = storage.Form(
            recipe=made_with,
            parameters=parameters,
            columns=summaries.columns_of(parameters),
            draws=draws,
            block=block,
            shown=SHOWN,
            levels=observations.LEVELS,
            x_shape=known.x_shape,
        )
        name = "-".join(["predictive", *receipt.parts[-4:-1]])
        inference = _Inference(
            trained=trained,
            proposal=proposal_of(proposals, inputs),
            options={key: each for key, each in (sampler or {}).items() if key != "proposal"},
            draws=draws,
            derived=derived or {},
            reference=_reference(reader.collect({"train": REFERENCE_ROWS})["train"].x),
            predictor=summaries.ObjectPredictor(
                engine, model.build_prior(), predictive_draws, objects, seed, ledgers / name
            ),
            seed=seed,
        )
        store = storage.prepare_store(receipt.with_name(DRAWS), form, known.names)
        with Lease(receipt.with_name("work") / receipt.stem) as lease:
            problems = _fill(
                store, known, inference, range(first // block, -(-last // block)), lease
            )
    told = {"objects": [first, last], "seconds": time.monotonic() - began, "problems": problems}
    write_text(receipt, json.dumps({"recipe": made_with, **told}, indent=1) + "\n")
    shutil.rmtree(receipt.with_name("work") / receipt.stem, ignore_errors=True)


def _fill(
    store: storage.DrawStore,
    known: collected.Collected,
    inference: _Inference,
    numbers: Sequence[int],
    lease: Lease,
) -> list[str]:
    """Make the blocks that are not there; returns why some objects have no predictions, if any."""
    size, made, waiting, problems, done = store.form.block, store.made(), [], [], 0
    for number in numbers:
        rows = slice(number * size, min((number + 1) * size, store.objects))
        key = _block_key(store.form.recipe, number, known, rows)
        if made[number] != key:
            waiting.append((number, rows, key))
    total = sum(rows.stop - rows.start for _, rows, _ in waiting)
    logger.info("%d objects are to be drawn for", total)
    with tqdm(total=total, unit=" objects", disable=None) as progress:
        for number, rows, key in waiting:
            chain = lease.store / f"block-{number}"
            block, problem = inference.block(number, rows, known, chain)
            lease.check()
            store.add(number, block, key)
            shutil.rmtree(chain, ignore_errors=True)
            inference.predictor.forget()
            if problem:
                problems.append(problem)
                logger.warning("objects %d to %d: %s", rows.start, rows.stop, problem)
            done += rows.stop - rows.start
            progress.update(rows.stop - rows.start)
            logger.info("%d of %d objects are drawn for", done, total)
    return sorted(set(problems))


def _block_key(recipe: str, number: int, known: collected.Collected, rows: slice) -> int:
    """Return what tells whether a block is still what would be made, not 0."""
    truths = {name: of_array(values[rows]) for name, values in known.truths.items()}
    content = [recipe, number, of_array(known.data(rows)), truths]
    return int(digest(content), 16) or 1


def _reference(x: Array) -> Reference | None:
    """Return simulations that objects are compared with; None where there are too few."""
    try:
        return Reference(x)
    except ValueError as error:
        logger.warning("objects are not compared with simulations: %s", error)
        return None


@dataclass(frozen=True)
class _Inference:
    """What makes the blocks of one part.

    Attributes:
        trained: The estimator.
        proposal: What MCMC proposes from, if anything.
        options: Of the sampler.
        draws: Of each object.
        derived: Expressions by name.
        reference: Simulations to compare objects with.
        predictor: What simulates predictions.
        seed: Of draws.
    """

    trained: Posterior
    proposal: Estimator | None
    options: Mapping[str, Any]
    draws: int
    derived: Mapping[str, str]
    reference: Reference | None
    predictor: summaries.ObjectPredictor
    seed: int

    @functools.cached_property
    def prior(self) -> dict[str, Array]:
        """Draws of the prior by inferred parameter."""
        return prior_draws(self.trained.prior, self.seed)

    def block(
        self, number: int, rows: slice, known: collected.Collected, chain: Path
    ) -> tuple[storage.ObjectBlock, str]:
        """Return what is written of one block, and why nothing is predicted, if nothing is.

        Args:
            number: Of the block.
            rows: Its objects.
            known: The catalogue.
            chain: Where MCMC may keep its state.
        """
        x = known.data(rows)
        theta, told = self._drawn(x, streams.integer(self.seed, "infer", number), chain)
        predicted = self.predictor.predict(theta, x, rows.start)
        typical = np.full(len(x), np.nan) if self.reference is None else self.reference.p_values(x)
        draws = summaries.with_derived(theta, self.derived)
        truths = {name: values[rows] for name, values in known.truths.items()}
        summary = {
            **summaries.of_parameters(draws, summaries.with_derived_truths(truths, self.derived)),
            **told,
            "in_distribution_p": typical,
            "predictive_p": predicted.p_value,
            "predictions": predicted.predictions,
            "at_edge": summaries.at_edge(draws, self.prior),
        }
        of = summaries.worst(summary, FLAGGED, SHOWN)
        of = of[np.isfinite(predicted.p_value[of])]
        return storage.ObjectBlock(draws, summary, of, predicted.levels[of]), predicted.problem

    def _drawn(self, x: Array, seed: int, chain: Path) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return draws by parameter, ``(m, draws)``, and what MCMC tells of each object."""
        trained = self.trained
        z, told = samplers.draw_many(
            trained.estimator,
            x,
            self.draws,
            seed=seed,
            folder=chain,
            prior=trained.prior,
            proposal=self.proposal,
            **self.options,
        )
        columns = trained.prior.from_normal(z.reshape(-1, len(trained.names))).T
        shape = (len(x), self.draws)
        theta = {
            name: each.reshape(shape) for name, each in zip(trained.names, columns, strict=True)
        }
        reached = {key: [each.get(key, np.nan) for each in told] for key in summaries.OF_CHAINS}
        return theta, {key: np.array(values) for key, values in reached.items()}


def tabulate(
    *,
    catalogue: Path,
    receipts: Sequence[Path],
    table: Path,
    parquet: Path,
    worst: Path,
    facts: Path,
    model: Model,
    inferred_parameters: Sequence[str],
    key: str,
    derived: Mapping[str, str] | None = None,
    texts: Mapping[str, Mapping[str, str]] | None = None,
    inputs: Keys | None = None,
) -> None:
    """List the objects of a catalogue, a row each, as CSV and as Parquet.

    Reads: ``catalogue``, ``receipts``, and the store of draws beside them. Writes: ``table``,
    ``parquet``; in ``worst`` the objects that look least like what was predicted for them, and in
    ``facts`` what the page tells of all.

    Raises:
        ValueError: The store was made with another estimator or other options, or lacks objects.
    """
    derived, parts = derived or {}, [json.loads(each.read_text()) for each in receipts]
    store = storage.DrawStore(table.with_name(DRAWS))
    with collected.opened(catalogue) as known:
        check_key(known.key, inputs, "catalogue", catalogue)
        _check_store(store, parts, known)
        truths = summaries.with_derived_truths(known.truths, derived)
        rows = summaries.rows(known.names, store.summary(), truths, FLAGGED)
        shown = dict(store.worst())
        of = [which for which in summaries.worst(rows, FLAGGED, SHOWN) if which in shown]
        data = [known.data(slice(which, which + 1))[0] for which in of]
        source = known.source
    _write_table(rows, table, parquet)
    write_dataset(
        worst, _labelled(of, known.names, data, [shown[which] for which in of], store.form)
    )
    prior = summaries.with_derived(
        prior_draws(model.build_prior().keep(tuple(inferred_parameters)), seed=1), derived
    )
    told = {
        "key": key,
        "source": source,
        "draws": store.form.draws,
        "seconds": sum(part["seconds"] for part in parts),
        "notes": sorted({problem for part in parts for problem in part["problems"]}),
        "parameters": {
            name: {
                "label": name,
                "unit": "",
                **(texts or {}).get(name, {}),
                "prior_mean": float(values.mean()),
                "prior_sd": float(values.std(ddof=1)),
                "derived": name in derived,
            }
            for name, values in prior.items()
        },
    }
    write_text(facts, json.dumps(told, indent=1) + "\n")


def _check_store(
    store: storage.DrawStore, parts: Sequence[Mapping[str, Any]], known: collected.Collected
) -> None:
    """Refuse a store that holds no draws of these objects by this estimator."""
    recipes = {part["recipe"] for part in parts}
    if recipes != {store.form.recipe}:
        raise ValueError(
            f"{store.path} was made with another estimator or other options than its receipts say; "
            "delete it and run snakemake again"
        )
    size = store.form.block
    for number, found in enumerate(store.made()):
        rows = slice(number * size, min((number + 1) * size, store.objects))
        if store.objects != len(known.names) or found != _block_key(
            store.form.recipe, number, known, rows
        ):
            raise ValueError(
                f"{store.path} lacks objects {rows.start} to {rows.stop} of {len(known.names)}; "
                "delete it and run snakemake again"
            )


def _write_table(rows: pd.DataFrame, table: Path, parquet: Path) -> None:
    for path, write in ((table, rows.to_csv), (parquet, rows.to_parquet)):
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        write(partial, index=False)
        partial.replace(path)


def _labelled(
    of: Sequence[int],
    names: Sequence[str],
    x: Sequence[Array],
    predicted: Sequence[Array],
    form: storage.Form,
) -> xr.Dataset:
    """Return objects with quantiles of what is predicted for them."""
    dims = [f"x_dim_{axis}" for axis in range(len(form.x_shape))]
    shape, levels = form.x_shape, len(form.levels)
    return xr.Dataset(
        {
            "x": (("object", *dims), np.reshape(x, (len(of), *shape))),
            "predicted": (
                ("object", "level", *dims),
                np.reshape(predicted, (len(of), levels, *shape)),
            ),
        },
        {"object": [names[which] for which in of], "level": list(form.levels)},
    )


def prior_draws(prior: Prior, seed: int) -> dict[str, Array]:
    """Return draws of the prior by parameter, each ``(k,)``."""
    u = streams.uniforms(seed, "prior draws", 0, PRIOR_DRAWS, len(prior.names))
    return dict(zip(prior.names, prior.from_uniform(u).T, strict=True))
