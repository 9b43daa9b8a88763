"""Which likelihood an evidence is the mean of: the simulator's own, or one that was learnt."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from .. import priors as priors_module
from ..estimators import Ensemble, Estimator
from ..model import Model
from ..portfolio import Portfolio
from ..posterior import log_posterior
from ..priors.boxes import BoxedPrior, untruncated
from ..priors.discrete import combinations
from ..refinement import exact_likelihood
from ..trained import Posterior
from ..types import Array, Prior
from .evidence import Target, with_prior

logger = logging.getLogger(__name__)


class NoEvidence(ValueError):  # noqa: N818 - no fault of a study
    """A way gives no evidence; the text says why."""


def learnt_target(
    trained: Posterior, theta: Array, x: Array, known: Array, changed: Mapping[str, Prior]
) -> Target:
    """Return what is integrated of an estimator that learnt a likelihood.

    Args:
        trained: The estimator; of what is mixed (``auto``) the part that learnt it is taken.
        theta: Draws of the posterior, ``(n, theta_dim)``.
        x: The observation, ``x_shape``.
        known: Its known conditions, ``(known,)``.
        changed: Priors of the inferred parameters, by name, that may stand for its own.

    Raises:
        NoEvidence: It learnt none, or only that of a part of the data.
    """
    estimator = likelihood_of(trained.estimator)
    shown = trained.conditions.beside(x, known)[None]
    density = log_posterior(estimator, shown)
    shift = 0.0 if estimator.validity is not None else _log_worked(trained.header)
    prior = trained.prior
    discrete = combinations(prior)
    z = prior.to_normal(theta)
    if discrete is not None:
        z, density = z[:, discrete.continuous], discrete.summed(density)
    target = Target(
        log_density=density,
        posterior=z,
        shift=shift + log_mass(prior),
        from_normal=prior.from_normal,
        log_ratios={} if discrete is not None else _ratios(prior, changed),
    )
    if discrete is None and isinstance(estimator, Ensemble):
        return replace(target, of_members=_members(estimator, shown))
    return target


def exact_target(
    model: Model,
    prior: Prior,
    theta: Array,
    x: Array,
    conditions: Mapping[str, Any],
    changed: Mapping[str, Prior],
    draws: int,
    rng: np.random.Generator,
) -> Target:
    """Return what is integrated of a simulator that knows its likelihood.

    Args:
        model: The simulator and the prior of all it takes.
        prior: Of the inferred parameters, in a box if the last round had one.
        theta: Draws of the posterior, ``(n, theta_dim)``.
        x: The observation, ``x_shape``.
        conditions: Known conditions by name.
        changed: As for `learnt_target`.
        draws: Draws of the nuisances over which it is averaged.
        rng: Draws them.
    """
    simulator, whole = model.build_simulator(), model.build_prior()

    def log_likelihood(z: Array) -> Array:
        columns = dict(zip(prior.names, prior.from_normal(z).T, strict=True))
        return exact_likelihood(simulator, whole, columns, x, draws, rng, conditions)

    density, z = with_prior(log_likelihood), prior.to_normal(theta)
    discrete = combinations(prior)
    if discrete is not None:
        z, density = z[:, discrete.continuous], discrete.summed(density)
    return Target(
        log_density=density,
        posterior=z,
        shift=log_mass(prior),
        from_normal=prior.from_normal,
        log_ratios={} if discrete is not None else _ratios(prior, changed),
    )


def likelihood_of(estimator: Estimator) -> Estimator:
    """Return the part of an estimator that learnt a likelihood of the data as they are.

    Raises:
        NoEvidence: There is none.
    """
    parts = estimator.members if isinstance(estimator, Portfolio) else [estimator]
    learnt = [part for part in parts if part.traits.target == "likelihood"]
    if not learnt:
        raise NoEvidence("no part of it learnt a likelihood")
    network = learnt[0].spec["network"]
    if network.get("summaries"):
        raise NoEvidence(
            "it learnt the likelihood of summaries, which are others in every model; write "
            "network: {summaries: null} of that estimator"
        )
    columns = math.prod(learnt[0].spec["x_shape"])
    if len(network["columns"]) < columns:
        raise NoEvidence(
            f"it learnt the likelihood of {len(network['columns'])} of {columns} numbers, those "
            "that a parameter moves; write network: {columns: all} of that estimator"
        )
    return learnt[0]


def unit_of(estimator: Estimator) -> str:
    """Return what the density of each number of the data is per, as a text to be compared."""
    spec = likelihood_of(estimator).spec
    values = {int(at): each for at, each in (spec["network"].get("values") or {}).items()}
    columns = range(math.prod(spec["x_shape"]))
    return " ".join(_kind(values[at]) if at in values else "real" for at in columns)


def _kind(values: Mapping[str, Any]) -> str:
    """Return what a number of the data holds, where it is no real number alone."""
    if values.get("step"):
        return f"{values['step']:g}"
    return "values" if not values.get("rest", True) else "partly"


def log_mass(prior: Prior) -> float:
    """Return the log of the share of the whole prior that a box holds."""
    return math.log(prior.volume) if isinstance(prior, BoxedPrior) else 0.0


def changed_priors(
    model: Model, names: Sequence[str], new: Mapping[str, Mapping[str, Any]]
) -> dict[str, Prior]:
    """Return the prior of the inferred parameters with some entries changed, by name of the change.

    Args:
        model: The simulator and the prior of all it takes.
        names: Of the inferred parameters.
        new: Entries by parameter, by name of the change.
    """
    if isinstance(model.priors, str):
        return {}
    return {
        name: priors_module.build({**model.priors, **entries}, model.parameters).keep(tuple(names))
        for name, entries in new.items()
    }


def _ratios(prior: Prior, changed: Mapping[str, Prior]) -> dict[str, Callable[[Array], Array]]:
    """Return the logs of changed priors over the prior as it is, within a box or not."""
    whole = untruncated(prior)

    def ratio(new: Prior) -> Callable[[Array], Array]:
        return lambda theta: np.asarray(new.log_prob(theta) - whole.log_prob(theta))

    return {name: ratio(new) for name, new in changed.items()}


def _log_worked(header: Mapping[str, Any]) -> float:
    """Return the log of the share of simulations that worked, where nothing more was learnt."""
    told = header["failures"]
    return math.log1p(-told["failed"] / told["simulated"])


def _members(estimator: Ensemble, shown: Array) -> Callable[[Array], Array]:
    """Return the log densities of networks of an ensemble over that of the whole."""
    data = torch.as_tensor(shown)

    @torch.inference_mode()
    def of_members(z: Array) -> Array:
        rows = torch.as_tensor(z, dtype=torch.float32)
        whole = estimator.log_prob(rows, data)
        return np.asarray((estimator.log_probs(rows, data) - whole).double().numpy())

    return of_members
