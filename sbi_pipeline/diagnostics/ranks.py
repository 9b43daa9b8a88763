"""Simulation-based calibration: where does the truth rank among draws of its posterior?

For (theta*, x) from the joint distribution and L draws from the posterior of x, the rank of theta*
is uniform on 0 ... L if the posterior is right, for every parameter and for joint quantities.

References:
    Talts, Betancourt, Simpson, Vehtari, Gelman, Validating Bayesian inference algorithms with
        simulation-based calibration, 2018, https://arxiv.org/abs/1804.06788
    Lemos, Coogan, Hezaveh, Perreault-Levasseur, Sampling-based accuracy testing of posterior
        estimators for general inference, 2023, https://arxiv.org/abs/2302.03026 (TARP)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import xarray as xr
from annotated_types import Ge, Le
from scipy import special

from .. import samplers
from ..estimators import Estimator
from ..nuisances import NuisancePosterior, places_of
from ..options import INTERNAL
from ..posterior import LogDensity, log_posterior, to_theta_density
from ..priors import reference_draws
from ..priors.circles import circular_mean, circular_sd, periods_of, turned
from ..priors.discrete import combinations
from ..priors.edges import at_edge
from ..subjects import MOST_UNCONVERGED
from ..trained import Posterior
from ..types import Array, Prior, Traits
from .evidence import log_evidence
from .statements import statements
from .steps import sweep

BY_PARAMETER = ("simulation", "parameter")
BY_MEMBER = ("simulation", "member", "parameter")
MEMBERS = 4
"""Draws of each posterior kept beside the truth."""
LONGER = (4, 16)
"""Steps of chains that fell short, over those that were allowed first."""
TRUSTED = 0.05
"""Effective fraction of importance samples below which a normalisation is not to be trusted."""


def rank(
    posterior: Posterior,
    theta: Array,
    x: Array,
    *,
    seed: Annotated[int, INTERNAL],
    proposal: Annotated[Estimator | None, INTERNAL] = None,
    simulations: Annotated[int, Ge(20)] | None = None,
    draws: Annotated[int, Ge(20), Le(1_000_000)] = 200,
    sampler: Mapping[str, Any] | None = None,
    keep_draws: Annotated[bool, INTERNAL] = False,
) -> xr.Dataset:
    """Rank held-out truths among posterior draws.

    Args:
        posterior: A trained estimator with its prior.
        theta: Held-out truths, ``(n, theta_dim)``.
        x: Their data, ``(n, *x_shape)``, packed with known conditions if there are any.
        seed: Seed of the draws.
        proposal: An estimator of the same posterior that MCMC proposes from, if there is one.
        simulations: How many held-out ones to use, no more than the largest campaign has; by
            default 1000, or 200 where MCMC is needed or for ``auto``. Of a smaller campaign all are
            used.
        draws: Draws of each posterior.
        sampler: Name and options of the sampler; what is not given is quicker than for an
            observation, since ranks need less precision than a table of results.
        keep_draws: Whether all draws are returned as well.

    Returns:
        ``ranks``, ``truth``, ``mean``, ``sd`` and, over that of all truths in normal space,
        ``sd_ratio`` (simulation, parameter), ``pulls``, distances of truth and mean in sds of
        normal space, (simulation, parameter), ``joint_ranks`` (simulation, quantity) of the log
        density, if there is one, and of TARP distances, where parameters are learnt together,
        ``log_prob`` and ``prior_log_prob`` (simulation) in nats, ``converged`` (simulation), and
        ``at_edge`` (simulation), the largest fraction of draws outside the central 99 % of the
        prior of a parameter, ``scores`` (simulation, member, parameter): normal scores of the truth
        (member 0) and a few draws, and ``said`` (simulation, statement), what the draws say
        (`statements`), for `local_calibration`.
        The attribute ``independent`` says whether the draws are of no chain.
        With ``keep_draws``, ``draws`` in normal space (simulation, draw, parameter).
        Of a method that chooses the number of its steps, ``energy_score`` (steps, statistic).

    Raises:
        ValueError: There are no held-out simulations, or an option of the sampler is wrong.
    """
    if not len(theta):
        raise ValueError("no held-out simulations; set split.test above 0")
    traits, prior = posterior.estimator.traits, posterior.prior
    count = min(simulations or default_simulations(traits), len(theta))
    truth, x, z_truth = theta[:count], x[:count], prior.to_normal(theta[:count])
    if posterior.events:  # held-out simulations are single events, each of a theta of its own
        x = x[:, None]
    z, facts = draw_longer(posterior, x, draws, seed, {"proposal": proposal, **(sampler or {})})
    density = log_posterior(posterior.estimator, x, posterior.events, tried=_tried(posterior, x))
    at_truth = density(z_truth[:, None])[:, 0]
    at_draws = density(z)
    rng = np.random.default_rng(seed)
    joint = {"TARP": tarp_ranks(z, z_truth, rng)}
    log_prob = at_truth
    if combinations(prior) is not None:  # a density of some parameters, a probability of others
        log_prob = np.full(count, np.nan)
    elif not traits.draws:
        log_prob = at_truth - _normalisation(density, z, seed)
    at_theta = to_theta_density(log_prob, z_truth, prior)
    said = statements(np.concatenate([z_truth[:, None], z], axis=1), prior)
    told = draws_beside_truths(prior, z, z_truth, truth, seed)
    z, z_truth, truth = uncut_circles(prior, z, z_truth, truth)  # after the log densities
    drawn_theta = np.stack([prior.from_normal(each) for each in z])
    ranks = ranks_of(drawn_theta, truth[:, None], rng)
    if traits.density:
        joint = {"log density": ranks_of(at_draws, at_truth[:, None], rng), **joint}
    ranked = xr.Dataset(
        {
            "ranks": (BY_PARAMETER, ranks),
            "joint_ranks": (("simulation", "quantity"), np.stack(list(joint.values()), axis=1)),
            "log_prob": ("simulation", at_theta),
            "converged": ("simulation", facts.pop("converged")),
            "scores": (BY_MEMBER, normal_scores(z, z_truth, MEMBERS).astype(np.float32)),
            "said": (("simulation", "statement"), said),
            **told,
        },
        {"parameter": list(prior.names), "quantity": list(joint)},
        {"draws": draws, **facts},
    )
    if keep_draws:
        ranked["draws"] = (("simulation", "draw", "parameter"), z.astype(np.float32))
    if not traits.joint:
        ranked = ranked.drop_dims("quantity")
    if traits.steps:
        ranked["energy_score"] = sweep(posterior.estimator, x, z_truth, seed=seed)
    return ranked


def draws_beside_truths(
    prior: Prior, z: Array, z_truth: Array, truth: Array, seed: int
) -> dict[str, tuple[Any, Array]]:
    """Return what draws for held-out simulations say of the truths, besides ranks.

    Args:
        prior: Of the parameters.
        z: Draws in normal space, ``(n, L, dim)``.
        z_truth: True values there, ``(n, dim)``.
        truth: The same as parameters.
        seed: Of the reference draws of the prior.

    Returns:
        Variables of `rank` by name, with their dimensions.
    """
    theta, spread = np.stack([prior.from_normal(each) for each in z]), z_truth.std(axis=0)
    mean, sd = theta.mean(axis=1), theta.std(axis=1, ddof=1)
    for name, period in periods_of(prior).items():
        if name in prior.names:
            column = prior.names.index(name)
            mean[:, column] = circular_mean(theta[..., column], period, axis=1)
            sd[:, column] = circular_sd(theta[..., column], period, axis=1)
    z, z_truth, _ = uncut_circles(prior, z, z_truth, truth)
    theta = np.stack([prior.from_normal(each) for each in z])
    own_sd = z.std(axis=1, ddof=1)
    known_sd = np.where(own_sd > 0, own_sd, np.nan)  # one draw may outweigh all others
    return {
        "truth": (BY_PARAMETER, truth),
        "mean": (BY_PARAMETER, mean),
        "sd": (BY_PARAMETER, sd),
        "sd_ratio": (BY_PARAMETER, own_sd / spread),
        "pulls": (BY_PARAMETER, (z_truth - z.mean(axis=1)) / known_sd),
        "at_edge": ("simulation", _at_edge(prior, theta, seed)),
        "prior_log_prob": ("simulation", prior.log_prob(truth)),
    }


def draw_longer(
    posterior: Posterior,
    x: Array,
    draws: int,
    seed: int,
    options: Mapping[str, Any],
    *,
    joined: bool = False,
) -> tuple[Array, dict[str, Any]]:
    """Draw ``(m, draws, theta_dim)``; again and longer where more than a few chains fell short.

    How many steps are allowed is left to this, unless the options say.

    Args:
        posterior: A trained estimator with its prior.
        x: Data sets, as `samplers.draw` takes them.
        draws: Of each posterior.
        seed: Of the draws.
        options: Of the sampler, its name among them.
        joined: Whether a data set is several observations of one source.

    Returns:
        The draws; ``converged``, ``(m,)``, ``seconds`` and whether draws are ``independent``.
    """
    estimator, events, tried = posterior.estimator, posterior.events, _tried(posterior, x)
    own = {"prior": posterior.prior, "events": events, "joined": joined, "quick": True}
    settings: dict[str, Any] = {**own, **options}
    first = samplers.draw(estimator, x, draws, seed=seed, tried=tried, **settings)
    z, converged = first.flat(draws), first.converged.astype(np.int8)
    seconds = float(first.facts.get("seconds", 0))
    for steps in _longer_chains(estimator, options):
        rest = np.flatnonzero(converged == 0)
        if len(rest) <= MOST_UNCONVERGED * len(x):
            break
        numbers = None if tried is None else tried[rest]
        more = samplers.draw(
            estimator, x[rest], draws, seed=seed, tried=numbers, **settings, max_steps=steps
        )
        z[rest], converged[rest] = more.flat(draws), more.converged
        seconds += float(more.facts.get("seconds", 0))
    facts = {"converged": converged, "seconds": seconds, "independent": int(first.independent)}
    return z, facts


def _tried(posterior: Posterior, x: Array) -> Array | None:
    """Return how many events were tried of each data set: one held-out event, which worked.

    Its theta is of the prior given that, whatever is said of the events of an observation.
    """
    return np.ones(len(x), dtype=int) if posterior.events else None


def _longer_chains(estimator: Estimator, options: Mapping[str, Any]) -> list[int]:
    """Return how many steps are allowed where chains fell short; none if the options say."""
    chosen = samplers.sampler_class(options.get("name", "auto"), estimator.traits)
    steps = chosen.quick(estimator.spec["theta_dim"]).get("max_steps")
    return [] if steps is None or "max_steps" in options else [times * steps for times in LONGER]


def rank_nuisances(
    posterior: NuisancePosterior, theta: Array, x: Array, *, seed: int, draws: int = 200
) -> xr.Dataset:
    """Rank nuisances of held-out simulations among draws given their theta and data.

    Args:
        posterior: What was learnt.
        theta: All parameters, ``(n, dim)``, in the order of the prior.
        x: Their data, ``(n, *x_shape)``.
        seed: Of the draws.
        draws: For each simulation.

    Returns:
        ``ranks`` (simulation, parameter) and ``joint_ranks`` (simulation, quantity), as
        `rank` returns them, in the normal space of the prior given theta.
    """
    names = posterior.names
    z = posterior.prior.to_normal(theta)
    truth = z[:, places_of(posterior.prior, names)]
    drawn = posterior.sample(z[:, places_of(posterior.prior, posterior.inferred)], x, draws, seed)
    joint = tarp_ranks(drawn, truth, np.random.default_rng(seed))
    return xr.Dataset(
        {
            "ranks": (("simulation", "parameter"), (drawn < truth[:, None]).sum(axis=1)),
            "joint_ranks": (("simulation", "quantity"), joint[:, None]),
        },
        {"parameter": list(names), "quantity": ["TARP"]},
        {"draws": draws},
    )


def uncut_circles(
    prior: Prior, z: Array, z_truth: Array, truth: Array
) -> tuple[Array, Array, Array]:
    """Return draws and truths in normal space, and truths as parameters, as `uncut` cuts them."""
    periods = periods_of(prior)
    if not periods:
        return z, z_truth, truth
    z, z_truth = uncut(z, z_truth, [prior.names.index(name) for name in periods])
    return z, z_truth, prior.from_normal(z_truth)


def uncut(draws: Array, truth: Array, periodic: Sequence[int]) -> tuple[Array, Array]:
    """Return draws and truths of circles cut opposite to where both are together.

    Where that is does not tell the truth from the draws, so ranks stay uniform.

    Args:
        draws: Posterior draws in normal space, ``(n, L, dim)``.
        truth: True values there, ``(n, dim)``.
        periodic: Columns that are periodic.
    """
    pool = np.concatenate([truth[:, None], draws], axis=1)
    own = pool[..., list(periodic)]
    centre = circular_mean(special.ndtr(own), (0.0, 1.0), axis=1)
    pool[..., list(periodic)] = turned(own, centre[:, None])
    return pool[:, 1:], pool[:, 0]


def default_simulations(traits: Traits) -> int:
    """Return how many held-out simulations to rank: fewer where draws are of chains, or weighed."""
    return 1000 if traits.draws and not traits.composed else 200


def ranks_of(draws: Array, truth: Array, rng: np.random.Generator) -> Array:
    """Return how many draws, along axis 1, lie below the truth; ties are broken at random.

    Only discrete parameters have ties; without breaking them their ranks could not be uniform.
    """
    below, equal = (draws < truth).sum(axis=1), (draws == truth).sum(axis=1)
    return below + (rng.random(equal.shape) * (equal + 1)).astype(int) if equal.any() else below


def tarp_ranks(draws: Array, truth: Array, rng: np.random.Generator) -> Array:
    """Return, for each simulation, how many draws lie nearer to a random reference than the truth.

    Uniform on 0..L for an honest joint posterior, whatever the reference points; they are truths of
    other simulations, so they fall where posteriors live. It tests the joint posterior, but is
    blind to faults that cancel over directions.

    Args:
        draws: Posterior draws, ``(simulations, L, theta_dim)``, in units where the parameters are
            comparable (normal space, or divided by the prior sd).
        truth: True values, ``(simulations, theta_dim)``, in the same units.
        rng: Chooses the references.
    """
    reference = references(truth, rng)
    far = np.linalg.norm(truth - reference, axis=1)
    near = np.linalg.norm(draws - reference[:, None, :], axis=2) < far[:, None]
    return np.asarray(near.sum(axis=1))


def references(truth: Array, rng: np.random.Generator) -> Array:
    """Return, for each simulation, the truth of another one, ``(n, theta_dim)``."""
    n = len(truth)
    return np.asarray(truth[(np.arange(n) + rng.integers(1, n, size=n)) % n])


def normal_scores(draws: Array, truth: Array, members: int) -> Array:
    """Return normal scores of truth and some draws among all of their simulation.

    Args:
        draws: Posterior draws, ``(n, L, dim)``.
        truth: True values, ``(n, dim)``.
        members: Draws to return beside the truth.

    Returns:
        ``(n, 1 + members, dim)``, the truth first.
    """
    pool = np.concatenate([truth[:, None], draws], axis=1)
    kept = np.linspace(0, draws.shape[1], members + 1).astype(int)
    ranks = np.stack([_mean_rank(pool, pool[:, [which]]) for which in kept], axis=1)
    return np.asarray(special.ndtri((ranks - 0.5) / pool.shape[1]))


def _mean_rank(pool: Array, value: Array) -> Array:
    """Return the rank, from 1, of one of a pool along axis 1; those that are equal share theirs."""
    return np.asarray((pool < value).sum(axis=1) + ((pool == value).sum(axis=1) + 1) / 2)


def _at_edge(prior: Prior, draws: Array, seed: int) -> Array:
    """Return how each posterior leans on the edges of its prior, ``(n,)``; circles have none."""
    known = dict(zip(prior.names, reference_draws(prior, seed).T, strict=True))
    edged = {name: values for name, values in known.items() if name not in periods_of(prior)}
    own = {name: draws[..., place] for place, name in enumerate(prior.names)}
    return at_edge(own, edged)


def _normalisation(density: LogDensity, z: Array, seed: int) -> Array:
    """Return log evidences, ``(m,)``; NaN for all where that of many is a guess."""
    total, effective = log_evidence(density, z, np.random.default_rng([seed, 1]))
    return total if np.median(effective) > TRUSTED else np.full(len(z), np.nan)
