"""Which checks are asked of what: from the records of a report to all that its verdict rests on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .. import checks
from ..checks import Check
from ..diagnostics import predictive as predicted
from ..diagnostics.events import accumulated, nearby
from ..diagnostics.failures import prior_shift
from ..diagnostics.information import information
from ..diagnostics.local import local_test
from ..storage.reading import View
from ..types import Array
from .contents import Estimator, Observation

REFERENCE_ROWS = 2_000
"""Simulations an observation is compared with."""

Ask = Callable[..., Any]
"""Calls a check with the thresholds of its name."""


def asker(thresholds: Mapping[str, Mapping[str, Any]]) -> Ask:
    """Return a function that calls a check with the configured thresholds."""

    def ask(check: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return check(*args, **kwargs, **thresholds.get(check.__name__, {}))

    return ask


def of_simulations(
    failures: Mapping[str, int],
    rows: int,
    failed: tuple[Mapping[str, Array], Array] | None,
    ask: Ask,
) -> Iterator[Check]:
    """Ask how many simulations failed, and whether that cuts the prior."""
    yield ask(checks.failures, failures, rows)
    if failed is not None:
        yield ask(checks.lost_prior, prior_shift(failed[0], failed[1] != ""))


def of_estimator(each: Estimator, ask: Ask) -> Iterator[Check]:
    """Ask whether an estimator was trained to the end, is honest, and learned something."""
    yield ask(checks.training, each.history, each.name)
    if each.failures.get("failed", 0):
        yield checks.modelled_failures(subject=each.name, **each.failures)
    if each.calibration is not None:
        for check in (checks.calibration, checks.probability_plot, checks.coverage, checks.tarp):
            yield ask(check, each.calibration, each.name)
        found = information(each.calibration)
        yield ask(checks.information, found, each.name)
        yield checks.parameter_order(each.calibration, each.name)


def of_neighbourhood(
    trained: Sequence[Estimator],
    observed: Sequence[Observation],
    held_out: View,
    ask: Ask,
) -> Iterator[Check]:
    """Ask whether each estimator is honest for data like each observation.

    Args:
        trained: Estimators.
        observed: Observations.
        held_out: The held-out simulations, in the order they were calibrated in.
        ask: See `asker`.

    Raises:
        ValueError: The calibration was made with other simulations.
    """
    for estimator, observation in itertools.product(trained, observed):
        data, posterior = estimator.calibration, observation.posteriors.get(estimator.name)
        if data is None or posterior is None:
            continue
        rows = data.sizes["simulation"]
        theta, x = held_out.theta[:rows], held_out.x[:rows]
        if not np.array_equal(theta, data["truth"]):
            raise ValueError(
                f"calibration of {estimator.name} has other truths than the held-out simulations; "
                "delete it and run snakemake again"
            )
        if posterior.x_o.ndim == x.ndim:
            continue  # a set of events is like no single one
        names = [str(name) for name in data["parameter"].to_numpy()]
        found = local_test(data["scores"].to_numpy(), names, x, posterior.x_o)
        yield ask(checks.local_calibration, found, f"{estimator.name}, {observation.name}")


def of_events(
    trained: Sequence[Estimator], observed: Sequence[Observation], x_ndim: int, ask: Ask
) -> Iterator[Check]:
    """Ask whether errors of per-event likelihoods add up, where an observation is many events.

    Args:
        trained: Estimators.
        observed: Observations.
        x_ndim: Dimensions of one event.
        ask: See `asker`.
    """
    for estimator, observation in itertools.product(trained, observed):
        data, posterior = estimator.calibration, observation.posteriors.get(estimator.name)
        if data is None or posterior is None or "event_score" not in data:
            continue
        if posterior.x_o.ndim > x_ndim:
            names = data["parameter"].to_numpy()
            means = posterior.summary.set_index("parameter")["mean"]
            weights = nearby(data["event_theta"].to_numpy(), means.loc[names].to_numpy())
            score, events = data["event_score"].to_numpy(), len(posterior.x_o)
            found = accumulated(score, weights, events)
            yield ask(checks.accumulation, found, f"{estimator.name}, {observation.name}")


def of_observation(
    each: Observation, simulated: Array, inferred: Sequence[str], ask: Ask
) -> Iterator[Check]:
    """Ask of the posteriors of one observation, and of the observation itself.

    Args:
        each: The observation.
        simulated: Data of simulations to compare it with, ``(n, *x_shape)``.
        inferred: Parameters in the order of the configuration.
        ask: See `asker`.
    """
    for who, posterior in each.posteriors.items():
        subject, facts = f"{who}, {each.name}", posterior.tree["sample_stats"].attrs
        yield from ask(
            checks.sampling,
            posterior.summary,
            subject,
            sampler=facts["sampler"],
            steps=facts.get("steps"),
            stopped=str(facts.get("stopped", "converged")),
        )
        if facts["sampler"] == "reweighted":
            yield from ask(checks.refinement, facts, subject)
        yield ask(checks.prior_edge, posterior.summary, subject)
        if posterior.predictive is not None:
            x, x_o = (posterior.predictive[name].to_numpy() for name in ("x", "x_o"))
            yield ask(checks.predictive, predicted.typicality(x, x_o), subject)
    for pair, table in each.comparisons.items():
        yield ask(checks.agreement, table, f"{pair}, {each.name}")
    for pair, (accuracy, draws) in each.accuracies.items():
        yield ask(checks.joint_agreement, accuracy, draws, f"{pair}, {each.name}")
    if each.posteriors:
        x_o = next(iter(each.posteriors.values())).x_o
        if x_o.ndim < simulated.ndim:  # no set of events
            typical = predicted.in_distribution(simulated, x_o)
            yield ask(checks.in_distribution, typical, each.name)
            learnt = {who: posterior.inferred for who, posterior in each.posteriors.items()}
            path = predicted.data_path(simulated, x_o, learnt, inferred)
            yield ask(checks.data_path, path, each.name)
