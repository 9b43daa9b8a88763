"""Refinement: `refine` reweights the draws of a posterior."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import torch
import xarray as xr
from scipy import special

from .. import priors as priors_module
from .. import refinement, registry, samplers, streams
from ..posterior import log_normal, log_posterior
from ..priors.supports import check_covers
from ..samplers.direct import CHAINS, independent
from ..trained import Posterior, load
from ..types import Array, Prior
from .files import expect, read_dataset, write_dataset
from .posteriors import labelled

logger = logging.getLogger(__name__)


def refine(
    *,
    proposal: Path,
    observation: Path,
    posterior: Path,
    key: str,
    simulator: str,
    options: Mapping[str, Any],
    parameters: Sequence[str],
    priors: Mapping[str, Any] | str,
    likelihoods: Sequence[Path] = (),
    proposal_key: str | None = None,
    observation_key: str | None = None,
    likelihood_key: str | None = None,
    exact: bool = False,
    nuisance_draws: int = 64,
    new_priors: Mapping[str, Any] | None = None,
    derived: Mapping[str, str] | None = None,
    texts: Mapping[str, Mapping[str, str]] | None = None,
    names: Mapping[str, str] | None = None,
    seed: int = 1,
    threads: int = 1,
) -> None:
    """Reweight draws of a posterior by a likelihood, to another prior, or both.

    The likelihood is an estimator's, or with ``exact`` the simulator's own; where there are
    nuisances, its mean over ``nuisance_draws`` draws of them from their prior is taken for each
    draw of theta, which keeps the weights right on average.

    Reads: ``proposal``, a posterior; ``observation``; in ``likelihoods`` an estimator, if any.
    Writes: ``posterior``, resampled by weight.

    Raises:
        ValueError: The draws have no normalised density, the new prior is wider, or the weights
            make no sense.
    """
    torch.set_num_threads(threads)
    began, rng = time.monotonic(), streams.generator(seed, "refine")
    given = _read(proposal, proposal_key)
    whole = priors_module.build(priors, parameters)
    prior = target = whole.keep(given.names)
    if new_priors and not isinstance(priors, str):
        target = priors_module.build({**priors, **new_priors}, parameters).keep(given.names)
        check_covers(prior, target)
    x_o = read_dataset(observation, observation_key)["x"].to_numpy()
    log_new, evidence = target.log_prob(given.theta), exact
    if exact:
        made = registry.load(simulator, registry.SIMULATORS)(**options)
        log_new += _exact(made, whole, given, x_o, nuisance_draws, rng)
    elif likelihoods:
        trained = load(likelihoods[0])
        expect(trained.header["key"], likelihood_key, likelihoods[0])
        log_new += _estimated(trained, given.theta, x_o)
        evidence = trained.estimator.traits.target == "likelihood"
    if exact or likelihoods:
        given.check()
        log_weight = log_new - given.log_prob
    else:
        log_weight = log_new - prior.log_prob(given.theta)
        log_new = given.log_prob + log_weight
    weights = refinement.weigh(log_weight, rng)
    drawn = _drawn(given, log_new - weights.log_mean, weights.weight, target, rng)
    facts = _facts(weights, given, evidence) | {"seconds": time.monotonic() - began}
    logger.info("reweighted: %s", facts)
    drawn = dataclasses.replace(drawn, facts=facts)
    attrs = {"key": key, "method": "reweighted", "proposal": given.who, **(names or {})}
    tree = labelled(drawn, target, x_o, attrs, seed=seed, derived=derived, texts=texts)
    write_dataset(posterior, tree)


@dataclass(frozen=True)
class Given:
    """Draws to be reweighted.

    Attributes:
        who: The estimator that drew them.
        names: Of the inferred parameters.
        theta: ``(n, theta_dim)``.
        log_prob: Log density of theta in nats, ``(n,)``.
        sampler: What drew them.
        independent: Effective draws over draws: below 1 for those of MCMC.
    """

    who: str
    names: tuple[str, ...]
    theta: Array
    log_prob: Array
    sampler: str
    independent: float

    def check(self) -> None:
        """Refuse draws whose density is not known."""
        if self.sampler != "direct" or not np.isfinite(self.log_prob).all():
            raise ValueError(
                "a likelihood can only refine draws whose normalised density is known: those of "
                "npe or fmpe, not of MCMC or cmpe"
            )


def _read(path: Path, key: str | None) -> Given:
    """Read a posterior that is to be reweighted."""
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        expect(tree.attrs["key"], key, path)
        group, drawn = tree["posterior"], tree["sample_stats"]
        names = tuple(str(name) for name, v in group.data_vars.items() if "derived" not in v.attrs)
        theta = np.stack([group[name].to_numpy().ravel() for name in names], axis=1)
        log_prob, sampler = drawn["lp"].to_numpy().ravel(), str(drawn.attrs["sampler"])
        sizes = [float(az.ess(group[name].to_numpy())) for name in names]
        independent = min(1.0, min(sizes) / len(theta)) if sampler == "emcee" else 1.0
        who = str(tree.attrs.get("estimator", ""))
        return Given(who, names, theta, log_prob, sampler, independent)


def _estimated(trained: Posterior, theta: Array, x_o: Array) -> Array:
    """Return log likelihoods, or log ratios, of an estimator, ``(n,)``."""
    if trained.estimator.traits.target == "posterior":
        raise ValueError("a posterior is no likelihood; refine with an estimator of nle or nre")
    z = trained.prior.to_normal(theta)
    log_posterior_z = log_posterior(trained.estimator, x_o[None], trained.events)(z[None])[0]
    return np.asarray(log_posterior_z - log_normal(z))


def _exact(
    simulator: Any, prior: Prior, given: Given, x_o: Array, draws: int, rng: np.random.Generator
) -> Array:
    """Return the simulator's own log likelihoods, ``(n,)``, nuisances averaged over.

    A simulator that knows the average, for just these parameters in this order, says it itself.
    """
    if getattr(simulator, "marginal_parameters", ()) == given.names:
        return np.asarray(simulator.log_marginal_likelihood(given.theta, x_o))
    if not hasattr(simulator, "log_likelihood"):
        raise ValueError(
            f"{type(simulator).__name__} has no log_likelihood(parameters, x); name an estimator "
            "of nle or nre instead of exact"
        )
    known = dict(zip(given.names, given.theta.T, strict=True))
    if len(given.names) == len(prior.names):
        draws = 1
    values = [
        simulator.log_likelihood(prior.complete(known, rng.random(_shape(given, prior))), x_o)
        for _ in range(draws)
    ]
    return np.asarray(special.logsumexp(values, axis=0) - np.log(draws))


def _shape(given: Given, prior: Prior) -> tuple[int, int]:
    return len(given.theta), len(prior.names)


def _drawn(
    given: Given, log_prob: Array, weight: Array, target: Prior, rng: np.random.Generator
) -> samplers.Draws:
    """Return as many draws as were given, resampled by weight, in the target's normal space."""
    n = len(weight) // CHAINS * CHAINS
    pick = refinement.resample(weight, n, rng)
    theta = given.theta[pick]
    z = target.to_normal(theta)
    in_z = log_prob[pick] - target.log_prob(theta) + log_normal(z)
    drawn = independent(z[None], "reweighted")
    return dataclasses.replace(drawn, log_prob=in_z.reshape(drawn.log_prob.shape))


def _facts(weights: refinement.Weights, given: Given, evidence: bool) -> dict[str, Any]:
    """Return what a posterior file says of its weights."""
    facts = {
        "k_hat": weights.k_hat,
        "k_hat_jitter": weights.k_hat_jitter,
        "effective": weights.effective * given.independent,
        "efficiency": weights.effective / len(given.theta),
        "top_weight": weights.top,
    }
    if evidence:
        facts |= {"log_evidence": weights.log_mean, "log_evidence_error": weights.log_mean_error}
    return facts
