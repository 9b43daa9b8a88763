"""Draws of several posteriors, and their labelled form: an ArviZ file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from .. import streams
from ..estimators import Estimator
from ..expressions import Expression
from ..posterior import pointwise, to_theta_density
from ..priors.circles import periods_of
from ..priors.discrete import Discrete
from ..types import Array, Prior

MOST_VALUES = 2_000_000
"""Log likelihoods, draws times events, that are written for one posterior."""


@dataclass(frozen=True)
class Draws:
    """Draws of m posteriors in the prior's normal space.

    Attributes:
        z: ``(m, chains, draws, theta_dim)``.
        log_prob: Log density of z in nats, ``(m, chains, draws)``.
        ensemble: Which independent ensemble each chain belongs to, ``(chains,)``.
        converged: Whether each posterior met the sampler's criteria, ``(m,)``.
        independent: Whether draws are independent of each other, and not those of a chain.
        normalised: Whether ``log_prob`` is the normalised density that z is drawn from: whether
            draws can be reweighted by a likelihood.
        sampler: The name it has in the configuration, or "enumerated" where all parameters are
            discrete; set by `samplers.draw`.
        acceptance: Accepted fraction of each chain, ``(m, chains)``; MCMC only.
        autocorrelation_time: In steps, ``(m, theta_dim)``; MCMC only.
        discrete: The discrete parameters, if there are any.
        probability: Of each combination of their values, ``(m, k)``.
        copied: Of draws resampled by weight, ``(m, chains, draws)`` each: ``origin``, which draw of
            the proposal each one is, and ``weight``, what that weighs there, all of them 1.
        facts: What else is worth telling: steps, burn_in, thin, why it stopped.
        own: What is worth telling of each posterior, m of them: what its chains reached, or what
            its weights are and that its draws are ``independent``; empty where there is nothing.
    """

    z: Array
    log_prob: Array
    ensemble: Array
    converged: Array
    independent: bool
    normalised: bool = False
    sampler: str = ""
    acceptance: Array | None = None
    autocorrelation_time: Array | None = None
    discrete: Discrete | None = None
    probability: Array | None = None
    copied: Mapping[str, Array] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    own: Sequence[Mapping[str, Any]] = ()

    def told(self, which: int) -> dict[str, Any]:
        """Return what is worth telling of one posterior; of the time, its part."""
        seconds = self.facts.get("seconds", 0.0) / len(self.z)
        return {**self.facts, "seconds": seconds, **(self.own[which] if self.own else {})}

    def flat(self, n: int) -> Array:
        """Return ``n`` draws of each posterior, ``(m, n, theta_dim)``, spread over all draws."""
        by_time = np.moveaxis(self.z, 1, 2)
        z = by_time.reshape(len(self.z), -1, self.z.shape[-1])
        if n > z.shape[1]:
            raise ValueError(f"{n} draws wanted of {z.shape[1]}")
        return z[:, streams.some(z.shape[1], n)]


def labelled(
    draws: Draws,
    which: int,
    prior: Prior,
    *,
    x_o: Array,
    prior_draws: Array,
    derived: Mapping[str, str],
    texts: Mapping[str, Mapping[str, str]],
    attrs: Mapping[str, Any],
    known: Mapping[str, Array] | None = None,
) -> xr.DataTree:
    """Return one posterior as a tree of ArviZ's groups, in theta space with labels and units.

    Args:
        draws: From a sampler.
        which: Which of its m posteriors.
        prior: Prior of theta.
        x_o: The observation, ``x_shape``.
        prior_draws: theta drawn from the prior, ``(k, theta_dim)``.
        derived: Expressions in theta by name, such as ``{"R0": "beta / gamma"}``.
        texts: ``label`` and ``unit`` by parameter.
        attrs: What to write on the root.
        known: Known conditions of the observation by name, a number each, or one for each event.
    """
    z = draws.z[which]
    chains, n, theta_dim = z.shape
    theta = prior.from_normal(z.reshape(-1, theta_dim))
    lp = to_theta_density(draws.log_prob[which].reshape(-1), z.reshape(-1, theta_dim), prior)
    stats: dict[str, Any] = {"lp": (("chain", "draw"), lp.reshape(chains, n))}
    if draws.acceptance is not None:
        stats["acceptance_rate"] = ("chain", draws.acceptance[which])
    if draws.autocorrelation_time is not None:
        stats["autocorrelation_time"] = ("parameter", draws.autocorrelation_time[which])
    stats |= {name: (("chain", "draw"), of[which]) for name, of in draws.copied.items()}
    coords = {
        "chain": np.arange(chains),
        "draw": np.arange(n),
        "ensemble": ("chain", draws.ensemble),
        "parameter": list(prior.names),
    }
    facts = {
        "sampler": draws.sampler,
        "independent": int(draws.independent),
        "normalised": int(draws.normalised),
        "converged": int(draws.converged[which]),
        **draws.told(which),
    }
    dims = [f"x_dim_{axis}" for axis in range(np.ndim(x_o))]
    names = prior.names
    posterior = _variables(theta, (chains, n), names, derived, texts)
    for name, period in periods_of(prior).items():
        posterior[name].attrs["period"] = list(period)
    for name, values, probabilities in _probabilities(draws, which, names):
        posterior[name].attrs |= {"values": values, "probabilities": probabilities}
    constant = {name: (dims[: np.ndim(each)], each) for name, each in (known or {}).items()}
    return xr.DataTree.from_dict(
        {
            "/": xr.Dataset(attrs=dict(attrs)),
            "/posterior": posterior.assign_coords(ensemble=("chain", draws.ensemble)),
            "/sample_stats": xr.Dataset(stats, coords, facts),
            "/prior": _variables(prior_draws, (1, len(prior_draws)), names, derived, texts),
            "/observed_data": xr.Dataset({"x": (dims, x_o)}),
            **({"/constant_data": xr.Dataset(constant)} if constant else {}),
        }
    )


def log_likelihood(
    draws: Draws, which: int, estimator: Estimator, x_o: Array, *, counted: bool = False
) -> xr.Dataset:
    """Return the group from which `arviz.loo` tells how well events are predicted.

    Args:
        draws: From a sampler.
        which: Which of its m posteriors; of its draws every so many-th is taken.
        estimator: Of the likelihood of a single event.
        x_o: The events, ``(events, *x_shape)``.
        counted: As in `posterior.pointwise`.
    """
    chains, n, theta_dim = draws.z[which].shape
    kept = np.arange(0, n, math.ceil(chains * n * len(x_o) / MOST_VALUES))
    z = draws.z[which][:, kept].reshape(-1, theta_dim)
    values = pointwise(estimator, x_o, z, counted=counted).reshape(chains, len(kept), len(x_o))
    coords = {"chain": np.arange(chains), "draw": kept, "event": np.arange(len(x_o))}
    return xr.Dataset({"x": (("chain", "draw", "event"), values.astype(np.float32))}, coords)


def _probabilities(
    draws: Draws, which: int, names: Sequence[str]
) -> Iterator[tuple[str, Array, Array]]:
    """Yield name, values and their probabilities for each discrete parameter."""
    if draws.discrete is not None and draws.probability is not None:
        marginals = draws.discrete.marginals(draws.probability[which])
        for column, (values, probabilities) in zip(draws.discrete.columns, marginals, strict=True):
            yield names[column], values, probabilities


def _variables(
    theta: Array,
    shape: tuple[int, int],
    names: Sequence[str],
    derived: Mapping[str, str],
    texts: Mapping[str, Mapping[str, str]],
) -> xr.Dataset:
    """Return one variable for each parameter and each derived one, with label and unit."""
    values = dict(zip(names, theta.T, strict=True))
    attrs = {
        name: {"label": name, "unit": "", **texts.get(name, {})} for name in [*names, *derived]
    }
    for name, expression in derived.items():
        values[name] = Expression(expression)(values)
        attrs[name]["derived"] = expression
    return xr.Dataset(
        {name: (("chain", "draw"), v.reshape(shape), attrs[name]) for name, v in values.items()},
        {"chain": np.arange(shape[0]), "draw": np.arange(shape[1])},
    )
