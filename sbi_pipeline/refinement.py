"""Draws of a posterior reweighted by a likelihood, to another prior, or both.

The likelihood is an estimator's, or the simulator's own. Where there are nuisances, its mean over
draws of them from their prior is taken for each draw of theta, which keeps the weights right on
average. `importance` has the formulas of the weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import special

from . import importance, samplers
from .estimators import having
from .posterior import log_normal, log_posterior
from .progress import counting
from .samplers.direct import CHAINS, in_chains
from .trained import Posterior
from .types import Array, Prior


@dataclass(frozen=True)
class Proposed:
    """Draws to be reweighted.

    Attributes:
        who: The estimator that drew them.
        names: Of the inferred parameters.
        theta: ``(n, theta_dim)``.
        log_prob: Log density of theta in nats, ``(n,)``.
        normalised: Whether that is the normalised density they were drawn from.
        share: Effective draws over draws: below 1 for those of a chain.
        selection: What their file says of how events were selected.
    """

    who: str
    names: tuple[str, ...]
    theta: Array
    log_prob: Array
    normalised: bool
    share: float
    selection: Mapping[str, Any] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, Array]:
        """Draws by parameter, each ``(n,)``."""
        return dict(zip(self.names, self.theta.T, strict=True))

    def check_density(self) -> None:
        """Refuse draws whose density is not known.

        Raises:
            ValueError: They are of MCMC, or of a method without density.
        """
        if not self.normalised:
            raise ValueError(
                "a likelihood can only refine draws whose normalised density is known: the direct "
                f"ones of {having(lambda traits: traits.proposes)}"
            )


def estimated_likelihood(trained: Posterior, theta: Array, x_o: Array, known: Array) -> Array:
    """Return log likelihoods, or log ratios, of an estimator, ``(n,)``.

    Args:
        trained: The estimator.
        theta: ``(n, theta_dim)``.
        x_o: The observation, ``x_shape``, or ``(events, *x_shape)``.
        known: Its known conditions, ``(known,)``, or ``(events, known)``.

    Raises:
        ValueError: It is one of the posterior.
    """
    if trained.estimator.traits.draws:
        others = having(lambda traits: not traits.draws)
        raise ValueError(f"a posterior is no likelihood; refine with an estimator of {others}")
    z = trained.prior.to_normal(theta)
    shown = trained.conditions.beside(x_o, known)[None]
    log_posterior_z = log_posterior(trained.estimator, shown, trained.events)(z[None])[0]
    return np.asarray(log_posterior_z - log_normal(z))


def knows_marginal(simulator: Any, names: Sequence[str]) -> bool:
    """Say whether a simulator knows the likelihood of just these parameters, in this order."""
    return tuple(getattr(simulator, "marginal_parameters", ())) == tuple(names)


def knows_likelihood(simulator: Any, names: Sequence[str]) -> bool:
    """Say whether a simulator knows its likelihood, of these parameters or of all it takes."""
    return knows_marginal(simulator, names) or hasattr(simulator, "log_likelihood")


def check_exact(simulator: Any, names: Sequence[str]) -> None:
    """Refuse a simulator that does not know its likelihood.

    Args:
        simulator: The simulator.
        names: Of the inferred parameters, and of known ones.

    Raises:
        ValueError: It does not.
    """
    if not knows_likelihood(simulator, names):
        raise ValueError(
            f"{type(simulator).__name__} has no log_likelihood(parameters, x); name an estimator "
            f"of {having(lambda traits: not traits.draws)} instead of exact"
        )


def exact_likelihood(
    simulator: Any,
    prior: Prior,
    theta: Mapping[str, Array],
    x_o: Array,
    draws: int,
    rng: np.random.Generator,
    conditions: Mapping[str, Any] | None = None,
) -> Array:
    """Return the simulator's own log likelihoods, ``(n,)``, nuisances averaged over.

    A simulator that knows the average, for just these parameters in this order, says it itself.

    Args:
        simulator: One with ``log_likelihood(parameters, x)``.
        prior: Of all its parameters.
        theta: Values of the inferred ones by name, in order, each ``(n,)``.
        x_o: The observation, ``x_shape``.
        draws: Draws of the nuisances for each draw of theta.
        rng: Draws them.
        conditions: Known conditions of the observation by name.

    Raises:
        ValueError: It has no likelihood.
    """
    (n,) = {len(values) for values in theta.values()}
    known = {**theta, **{name: np.full(n, each) for name, each in (conditions or {}).items()}}
    check_exact(simulator, list(known))
    if knows_marginal(simulator, list(known)):
        columns = np.stack(list(known.values()), axis=1)
        return np.asarray(simulator.log_marginal_likelihood(columns, x_o))
    shape = n, len(prior.names)
    if len(known) == len(prior.names):
        return np.asarray(simulator.log_likelihood(prior.complete(known, rng.random(shape)), x_o))
    values = []
    with counting("draws of the nuisances", draws, bar=False) as counter:
        for _ in range(draws):
            whole = prior.complete(known, rng.random(shape))
            values.append(simulator.log_likelihood(whole, x_o))
            counter.update()
    return np.asarray(special.logsumexp(values, axis=0) - np.log(draws))


def exact_at_truth(
    simulator: Any,
    prior: Prior,
    truth: Mapping[str, float],
    names: Sequence[str],
    x: Array,
    draws: int,
    rng: np.random.Generator,
) -> float:
    """Return the log likelihood of a simulation at its own parameters, nuisances averaged over.

    The true nuisances are one of the draws: ranks by weight are exact then, however few they are.

    Args:
        simulator: One that averages over draws.
        prior: Of all its parameters.
        truth: All of them by name.
        names: Those that are not averaged over: the inferred ones, in order, then known ones.
        x: The data, ``x_shape``.
        draws: How many there are for each point.
        rng: Draws the others.
    """
    every = np.array([[truth[name] for name in prior.names]])
    own = simulator.log_likelihood(every, x)
    if draws == 1:
        return float(own[0])
    columns = {name: np.array([truth[name]]) for name in names}
    others = exact_likelihood(simulator, prior, columns, x, draws - 1, rng)
    return float(np.logaddexp(own, others + np.log(draws - 1))[0] - np.log(draws))


def refined(
    given: Proposed,
    prior: Prior,
    target: Prior,
    log_likelihood: Array | None,
    rng: np.random.Generator,
    *,
    normalised: bool,
) -> samplers.Draws:
    """Return as many draws as were given, resampled by weight, in the target's normal space.

    Args:
        given: The draws.
        prior: What they were drawn under.
        target: The prior wanted; the same where it does not change.
        log_likelihood: Of each draw, in nats, ``(n,)``; None to change the prior alone.
        rng: Resamples.
        normalised: Whether the likelihood is normalised, so that the weights give the evidence.

    Raises:
        ValueError: The density of the draws is not known, or the weights make no sense.
    """
    log_new = target.log_prob(given.theta)
    if log_likelihood is None:
        log_weight = log_new - prior.log_prob(given.theta)
        log_new = given.log_prob + log_weight
    else:
        given.check_density()
        log_new = log_new + log_likelihood
        log_weight = log_new - given.log_prob
    weights = importance.weigh(log_weight, rng)
    drawn = _resampled(given, log_new - weights.log_mean, weights.weight, target, rng)
    return dataclasses.replace(drawn, facts=_facts(weights, given, normalised))


def _resampled(
    given: Proposed, log_prob: Array, weight: Array, target: Prior, rng: np.random.Generator
) -> samplers.Draws:
    n = len(weight) // CHAINS * CHAINS
    pick = importance.resample(weight, n, rng)
    theta = given.theta[pick]
    z = target.to_normal(theta)
    in_z = log_prob[pick] - target.log_prob(theta) + log_normal(z)
    drawn = in_chains(z[None])
    shape = drawn.log_prob.shape
    return dataclasses.replace(
        drawn,
        log_prob=in_z.reshape(shape),
        sampler="reweighted",
        copied={"origin": pick.reshape(shape), "weight": weight[pick].reshape(shape)},
    )


def _facts(weights: importance.Weights, given: Proposed, normalised: bool) -> dict[str, Any]:
    """Return what a posterior file says of its weights."""
    facts = {
        "k_hat": weights.k_hat,
        "k_hat_jitter": weights.k_hat_jitter,
        "effective": weights.effective * given.share,
        "efficiency": weights.effective / len(given.theta),
        "efficiency_of_more": weights.efficiency_of_more,
        "top_weight": weights.top,
    }
    if normalised:
        facts |= {"log_evidence": weights.log_mean, "log_evidence_error": weights.log_mean_error}
    return facts
