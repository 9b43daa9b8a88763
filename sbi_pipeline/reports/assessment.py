"""Every diagnostic is asked of every subject of its kind: all that the verdict rests on."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .. import diagnostics
from ..diagnostics.diagnostic import Finding
from ..populations import ObservedCatalogue
from ..rounds import SimulatedRounds
from ..sampled_posteriors import ManyEvents, Neighbourhood, ObservedData
from ..storage.reading import View
from ..subjects import Nuisances, SimulatedRows, Subject, TrainedEstimator
from .sharing import Share, done_here

REFERENCE_ROWS = 2_000
"""Simulations an observation is compared with."""


def assess(
    groups: Iterable[Sequence[Subject]],
    thresholds: Mapping[str, Mapping[str, Any]],
    share: Share = done_here,
) -> Iterator[Finding]:
    """Yield what every diagnostic finds, group by group.

    All is measured before anything is judged: with how many p-values there are, each has to be
    smaller to mean something.

    Args:
        groups: Subjects of one kind each, in the order of the page; see `subjects_of`.
        thresholds: Those of the configuration, by diagnostic.
        share: Who measures.
    """
    registered = diagnostics.registered()
    asked = [
        (name, subject)
        for group in groups
        for name, diagnostic in registered.items()
        for subject in group
        if isinstance(subject, diagnostic.of)
    ]
    questions = [functools.partial(registered[name].measure, each) for name, each in asked]
    answers = share(questions)
    pairs = zip(asked, answers, strict=True)
    measured = [(*of, found) for of, found in pairs if found is not None]
    tests = sum(registered[name].tests for name, _, _ in measured)
    for name, subject, found in measured:
        limits = {**registered[name].among(tests, found), **thresholds.get(name, {})}
        yield registered[name].finding(name, subject, found, limits)


def subjects_of(
    simulations: SimulatedRows,
    trained: Sequence[TrainedEstimator],
    observed: Sequence[ObservedData],
    held_out: View,
    catalogues: Sequence[ObservedCatalogue] = (),
    nuisances: Nuisances | None = None,
    rounds: SimulatedRounds | None = None,
    conditions: Sequence[str] = (),
) -> Iterator[Sequence[Subject]]:
    """Yield groups of all that can be asked of a campaign.

    Args:
        simulations: Of the campaign.
        trained: Estimators, then refined posteriors.
        observed: Observations with their posteriors.
        held_out: The held-out simulations, in the order they were calibrated in.
        catalogues: Catalogues with what estimators say of their objects.
        nuisances: What was learnt of them, where that was asked for.
        rounds: Those the campaign was simulated in, if it was.
        conditions: Names of the known conditions.

    Raises:
        ValueError: A calibration was made with other simulations.
    """
    yield [simulations]
    yield [] if rounds is None else [rounds]
    yield from ([each] for each in trained)
    yield [] if nuisances is None else [nuisances]
    pairs = list(_calibrated(trained, observed, held_out, conditions))
    yield [each for each in pairs if isinstance(each, Neighbourhood)]
    for observation in observed:
        yield from ([posterior] for posterior in observation.posteriors.values())
        yield observation.pairs
        yield [observation]
    yield [each for each in pairs if isinstance(each, ManyEvents)]
    for catalogue in catalogues:
        yield from ([population] for population in catalogue.populations.values())
        yield catalogue.pairs
        yield [catalogue]


def _calibrated(
    trained: Sequence[TrainedEstimator],
    observed: Sequence[ObservedData],
    held_out: View,
    conditions: Sequence[str],
) -> Iterator[Neighbourhood | ManyEvents]:
    """Pair calibrated estimators with what they say of observations."""
    for estimator, observation in itertools.product(trained, observed):
        data, posterior = estimator.calibration, observation.posteriors.get(estimator.name)
        if data is None or posterior is None:
            continue
        rows = data.sizes["simulation"]
        if not np.array_equal(held_out.theta[:rows], data["truth"]):
            raise ValueError(
                f"calibration of {estimator.name} has other truths than the held-out simulations; "
                "delete it and run snakemake again"
            )
        if posterior.x_o.ndim == held_out.x.ndim:  # a set of events is like no single one
            yield ManyEvents(estimator, posterior)
        else:
            known = held_out.known[:rows]
            yield Neighbourhood(estimator, posterior, known, conditions)
