"""Posteriors: `sample`."""

from __future__ import annotations

import itertools
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from .. import samplers
from ..posterior import chance_to_work, doubts
from ..priors import reference_draws
from ..trained import load
from ..types import Array, Prior
from .files import (
    Keys,
    check_key,
    complain,
    data_of,
    known_of,
    read_dataset,
    read_proposal,
    tried_of,
    write_dataset,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ToSample:
    """An observation whose posterior is drawn from.

    Attributes:
        observation: The observation.
        posterior: The posterior, written.
        key: Its key.
        inputs: Keys of what is read.
        names: What the file says of itself.
    """

    observation: Path
    posterior: Path
    key: str
    inputs: Keys | None = None
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Observed:
    """Data sets of m observations of one shape.

    Attributes:
        x: ``(m, *x_shape)``, or ``(m, events, *x_shape)``.
        known: Their known conditions, ``(m, known)`` or ``(m, events, known)``.
        tried: Events that were tried for each, ``(m,)``; None where nobody knows.
    """

    x: Array
    known: Array
    tried: Array | None = None

    def __getitem__(self, which: Sequence[int]) -> Observed:
        """Return some of them."""
        tried = None if self.tried is None else self.tried[which]
        return Observed(self.x[which], self.known[which], tried)


def sample(
    *,
    each: Sequence[ToSample],
    estimator: Path,
    proposals: Sequence[Path] = (),
    sampler: Mapping[str, Any] | None = None,
    derived: Mapping[str, str] | None = None,
    texts: Mapping[str, Mapping[str, str]] | None = None,
    selection: str | None = None,
    seed: int = 1,
    threads: int = 1,
) -> Iterator[ToSample]:
    """Draw from the posteriors of observations, as many in one batch as the sampler takes.

    Of events, ``selection`` is what is said of how they were selected; without a word, and where
    an observation does not say how many were tried, only those that worked were kept.

    Reads: ``estimator``, ``observation``, and in ``proposals`` an estimator that MCMC proposes
    from, if any. Writes: ``posterior``, an ArviZ file; the chains of a batch beside the estimator
    while they grow, from which a killed run goes on.
    """
    torch.set_num_threads(threads)
    trained, inputs = load(estimator), each[0].inputs
    check_key(trained.header["key"], inputs, "estimator", estimator)
    proposal = read_proposal(proposals, inputs)
    options = {"draws": 10_000, **(sampler or {})}
    options.pop("proposal", None)
    wanted = options.pop("draws")
    at_once = samplers.at_once(trained.estimator, **options)
    failed: list[str] = []

    def draw(batch: Sequence[ToSample], data: Observed) -> samplers.Draws:
        x_shape = trained.estimator.spec["x_shape"]
        return samplers.draw(
            trained.estimator,
            trained.conditions.beside(data.x, data.known),
            wanted,
            seed=seed,
            prior=trained.prior,
            events=trained.events,
            proposal=proposal,
            folder=_chain(estimator, batch[0]),
            joined=data.x.ndim - 2 - trained.events == len(x_shape),
            tried=data.tried,
            **options,
        )

    for batch, data, drawn in draw_batches(_batches(each, at_once), draw, failed):
        for which, one in enumerate(batch):
            shown = trained.conditions.beside(data.x[which], data.known[which])
            for doubt in doubts(trained.estimator, shown):
                logger.warning("%s: %s", one.observation.stem, doubt)
            if not drawn.converged[which]:
                unknown = f"{drawn.sampler} has not converged"
                told = drawn.told(which).get("statement", unknown)
                logger.warning("%s: %s", one.observation.stem, told)
            attrs = {"key": one.key, "method": trained.header["method"], **one.names}
            attrs |= {"selection": selection} if selection else {}
            attrs |= {} if data.tried is None else {"tried": int(data.tried[which])}
            if trained.events:
                z = drawn.z[which].reshape(-1, drawn.z.shape[-1])
                attrs["chance"] = chance_to_work(trained.estimator, shown, z)
            tree = labelled_posterior(
                drawn,
                which,
                trained.prior,
                data.x[which],
                attrs,
                seed=seed,
                derived=derived,
                texts=texts,
                known=dict(zip(trained.conditions.names, data.known[which].T, strict=True)),
            )
            if trained.events and trained.estimator.traits.target == "likelihood":
                shown = trained.conditions.beside(data.x[which], data.known[which])
                counted = data.tried is not None
                group = samplers.log_likelihood(
                    drawn, which, trained.estimator, shown, counted=counted
                )
                tree["log_likelihood"] = xr.DataTree(group)
            write_dataset(one.posterior, tree)
            yield one
        _forget_chains(estimator, batch)
    _forget_chains(estimator, each)  # of batches that began with what cannot be drawn from
    complain(failed, each)


def draw_batches(
    batches: Iterator[tuple[Sequence[ToSample], Observed]],
    draw: Callable[[Sequence[ToSample], Observed], samplers.Draws],
    failed: list[str],
) -> Iterator[tuple[Sequence[ToSample], Observed, samplers.Draws]]:
    """Yield batches with their draws, without what cannot be drawn from, which ``failed`` is told.

    Args:
        batches: Observations with their data.
        draw: Draws for a batch.
        failed: Gets a line for each observation that is left out.
    """
    for batch, data in batches:
        kept = list(range(len(batch)))
        while kept:
            some, theirs = [batch[which] for which in kept], data[kept]
            try:
                drawn = draw(some, theirs)
            except samplers.NotDrawn as error:
                wrong = error.among(kept).which
                failed += [f"{batch[which].observation.stem}: {error}" for which in wrong]
                kept = [which for which in kept if which not in wrong]
            else:
                yield some, theirs, drawn
                break


def _chain(estimator: Path, first: ToSample) -> Path:
    """Return where the chains of a batch grow that begins with a posterior."""
    return estimator.with_name(f"sample-{first.key}.chain")


def _forget_chains(estimator: Path, batch: Sequence[ToSample]) -> None:
    for first in batch:
        shutil.rmtree(_chain(estimator, first), ignore_errors=True)


def _batches(
    each: Sequence[ToSample], at_once: int
) -> Iterator[tuple[Sequence[ToSample], Observed]]:
    """Yield observations of one shape, so many at once, with their data."""
    read = (read_dataset(one.observation, one.inputs, "observation") for one in each)
    data = zip(each, read, strict=True)
    for _, alike in itertools.groupby(data, lambda pair: _form(pair[1])):
        several = list(alike)
        for first in range(0, len(several), at_once):
            batch, found = zip(*several[first : first + at_once], strict=True)
            x, known = ([of(one) for one in found] for of in (data_of, known_of))
            tried = [tried_of(one) for one in found]
            counted = None if tried[0] is None else np.array(tried)
            yield batch, Observed(np.stack(x), np.stack(known), counted)


def _form(observed: xr.Dataset) -> tuple[Any, ...]:
    """Return what must be the same of observations that are drawn for in one batch."""
    return observed["x"].shape, observed["x"].dtype, tried_of(observed) is None


def labelled_posterior(
    drawn: samplers.Draws,
    which: int,
    prior: Prior,
    x_o: Array,
    attrs: Mapping[str, Any],
    *,
    seed: int,
    derived: Mapping[str, str] | None,
    texts: Mapping[str, Mapping[str, str]] | None,
    known: Mapping[str, Array] | None = None,
) -> xr.DataTree:
    """Return draws of one posterior in ArviZ's schema, with draws from the prior beside them."""
    return samplers.labelled(
        drawn,
        which,
        prior,
        x_o=x_o,
        prior_draws=reference_draws(prior, seed),
        derived=derived or {},
        texts=texts or {},
        attrs=attrs,
        known=known,
    )
