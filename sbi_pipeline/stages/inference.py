"""Objects of a catalogue: `infer` draws from their posteriors and compares them."""

from __future__ import annotations

import functools
import json
import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from .. import object_predictions, observations, samplers, streams, summaries
from ..campaigns.given_rows import Engine
from ..campaigns.settings import Effort, Limits
from ..diagnostics.in_distribution import Reference
from ..estimators import Estimator
from ..fingerprint import digest, of_file
from ..model import Model
from ..priors import reference_draws
from ..priors.circles import periods_of
from ..priors.edges import at_edge
from ..progress import counting
from ..sidecars import write_text
from ..storage import collected, reading
from ..storage import draws as storage
from ..storage.lease import Lease
from ..storage.missing_elements import MissingElements
from ..storage.noise import Noise
from ..trained import Posterior, load
from ..types import Array
from .catalogues import block_key
from .files import Keys, check_key, read_manifest, read_proposal
from .predictions import read_nuisances
from .simulations import effort_of

logger = logging.getLogger(__name__)

REFERENCE_ROWS = 6_000
"""Simulations that objects are compared with."""


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
    store: Path,
    proposals: Sequence[Path] = (),
    nuisances: Sequence[Path] = (),
    sampler: Mapping[str, Any] | None = None,
    derived: Mapping[str, str] | None = None,
    predictive_draws: int | Literal["auto"] = "auto",
    noise: Noise | None = None,
    missing: MissingElements | None = None,
    seed: int = 1,
    inputs: Keys | None = None,
    limits: Limits | None = None,
    effort: Effort | None = None,
    block_size: int | None = None,
    threads: int = 1,
) -> None:
    """Draw from the posteriors of the objects of one part, and compare them with simulations.

    Objects are drawn for in blocks, each committed to ``store`` when it is whole; a killed run, or
    one with a longer table, makes those that are not there.

    Reads: ``catalogue``, ``simulations``, ``estimator``, in ``proposals`` an estimator that MCMC
    proposes from, if any, and in ``nuisances`` what `learn_nuisances` made, if asked for. Writes:
    blocks of the store, and last ``receipt``.
    """
    began = time.monotonic()
    torch.set_num_threads(threads)
    trained = load(estimator)
    read_manifest(simulations, inputs)
    check_key(trained.header["key"], inputs, "estimator", estimator)
    read = (estimator, *proposals, *nuisances)
    made_with = digest([recipe, *(of_file(each) for each in read)])
    conditions = trained.conditions
    reader = reading.open_campaign(simulations, trained.names, noise, conditions.names, missing)
    parameters = (*trained.names, *(derived or {}))
    guard, spent = limits or Limits(), effort_of(effort, threads)
    prior = model.build_prior()
    known_nuisances, _ = read_nuisances(nuisances, prior, inputs)
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
            shown=summaries.SHOWN,
            levels=observations.LEVELS,
            x_shape=known.x_shape,
        )
        ledger = "-".join(["predictive", *receipt.parts[-4:-1], receipt.stem, made_with])
        inference = _Inference(
            trained=trained,
            proposal=read_proposal(proposals, inputs),
            options={key: each for key, each in (sampler or {}).items() if key != "proposal"},
            draws=draws,
            derived=derived or {},
            reference=_reference(reader.collect({"train": REFERENCE_ROWS})["train"]),
            predictor=object_predictions.ObjectPredictor(
                engine, prior, predictive_draws, objects, seed, ledgers / ledger, known_nuisances
            ),
            seed=seed,
        )
        opened = storage.prepare_store(store, form, known.names)
        with Lease(receipt.with_name("work") / receipt.stem) as lease:
            problems = _fill(
                opened, known, inference, range(first // block, -(-last // block)), lease
            )
    told = {
        "objects": [first, last],
        "reference": inference.reference.compared if inference.reference else None,
        "least_p": inference.reference.least_p if inference.reference else None,
        "seconds": time.monotonic() - began,
        "problems": problems,
    }
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
    size, made, waiting, problems = store.form.block, store.made(), [], []
    for number in numbers:
        rows = slice(number * size, min((number + 1) * size, store.objects))
        key = block_key(store.form.recipe, number, known, rows)
        if made[number] != key:
            waiting.append((number, rows, key))
    total = sum(rows.stop - rows.start for _, rows, _ in waiting)
    logger.info("%d objects are to be drawn for", total)
    with counting("objects", total) as counter:
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
            counter.update(rows.stop - rows.start)
    return sorted(set(problems))


def _reference(view: reading.View) -> Reference | None:
    """Return simulations that objects are compared with; None where there are too few."""
    try:
        return Reference(view.x, view.known)
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
    predictor: object_predictions.ObjectPredictor
    seed: int

    @functools.cached_property
    def prior(self) -> dict[str, Array]:
        """Draws of the prior by inferred parameter that has an edge."""
        drawn = reference_draws(self.trained.prior, self.seed)
        by_name = zip(self.trained.names, drawn.T, strict=True)
        without = periods_of(self.trained.prior)
        return {name: values for name, values in by_name if name not in without}

    def block(
        self, number: int, rows: slice, known: collected.Collected, chain: Path
    ) -> tuple[storage.ObjectBlock, str]:
        """Return what is written of one block, and why nothing is predicted, if nothing is.

        Args:
            number: Of the block.
            rows: Its objects.
            known: The catalogue.
            chain: Where MCMC may keep its state.

        Raises:
            ValueError: The posterior of an object cannot be drawn from.
        """
        x, under = known.data(rows), known.conditions(self.trained.conditions.names, rows)
        beside = dict(zip(self.trained.conditions.names, under.T, strict=True))
        shown = self.trained.conditions.beside(x, under)
        try:
            theta, told = self._drawn(shown, streams.integer(self.seed, "infer", number), chain)
        except samplers.NotDrawn as error:
            called, more = known.names[rows.start + error.which[0]], len(error.which) - 1
            who = f"object {called!r}" + (f", and {more} more" if more else "")
            text = f"{who}: {error} Mend its data in the table, or leave it out"
            raise ValueError(text) from error
        compared = self.predictor.compare(theta, x, rows.start, beside)
        typical = np.full(len(x), np.nan)
        if self.reference is not None:
            typical = self.reference.p_values(x, under)
        draws = summaries.with_derived(theta, self.derived)
        ties = streams.generator(self.seed, "infer/ties", number)
        truths = {name: values[rows] for name, values in known.truths.items()}
        summary = {
            **summaries.of_parameters(
                draws,
                summaries.with_derived_truths(truths, self.derived),
                ties,
                periods_of(self.trained.prior),
            ),
            **told,
            "in_distribution_p": typical,
            "predictive_p": compared.p_value,
            "predictions": compared.predictions,
            "at_edge": at_edge(draws, self.prior),
        }
        of = summaries.worst(summary)
        of = of[compared.predictions[of] > 0]
        shape = (len(of), len(observations.LEVELS), *x.shape[1:])
        bands = np.full(shape, np.nan)
        for place, which in enumerate(of):
            own = {name: each[which] for name, each in theta.items()}
            n = int(compared.predictions[which])
            its = {name: float(values[which]) for name, values in beside.items()}
            bands[place] = self.predictor.bands(own, x[which], rows.start + which, n, its)
        return storage.ObjectBlock(draws, summary, of, bands), compared.problem

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
