"""From a trained estimator and data to labelled draws."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import logsumexp

from ..estimators import Estimator, having
from ..posterior import log_posterior
from ..priors.circles import periodic_columns
from ..priors.discrete import Discrete, combinations
from ..progress import counting
from ..types import Array, Prior
from .direct import CHAINS, Direct, check_z, draws_of, in_chains
from .draws import Draws, labelled, log_likelihood
from .sampler import (
    NotDrawn,
    Problem,
    Proposal,
    Sampler,
    first_suitable,
    sampler_class,
    without_draws,
)
from .turning import Cuts, cuts_of

logger = logging.getLogger(__name__)

FOR_EVIDENCE = 10
"""Draws of a first round over those that they are to be worth."""

__all__ = [
    "Draws",
    "NotDrawn",
    "Problem",
    "Proposal",
    "Sampler",
    "at_once",
    "draw",
    "draw_many",
    "labelled",
    "log_evidences",
    "log_likelihood",
    "sampler_class",
]


def draw(
    estimator: Estimator,
    x: Array,
    n: int,
    *,
    seed: int,
    name: str = "auto",
    prior: Prior | None = None,
    events: bool = False,
    proposal: Estimator | None = None,
    folder: Path | None = None,
    quick: bool = False,
    joined: bool = False,
    tried: Array | None = None,
    **options: Any,
) -> Draws:
    """Draw from the posteriors of m data sets.

    Args:
        estimator: A trained estimator.
        x: Data sets, ``(m, *x_shape)``; of events, ``(m, events, *x_shape)``; where several are
            joined, ``(m, k, *x_shape)``.
        n: Draws wanted of each posterior.
        seed: Seed of the draws.
        prior: Prior of theta; needed where some parameters are discrete, to sum over them.
        events: Whether a data set is several independent events, see `posterior.log_posterior`.
        name: A name of `registry.SAMPLERS` or ``"my_module:MySampler"``; "auto" is the first of
            those that suits the estimator: its own draws if it has any, MCMC otherwise.
        proposal: For MCMC, an estimator of the same posterior, whose draws are reweighted; MCMC
            starts and proposes from it where the weights cannot be trusted.
        folder: Where a sampler may keep its state while it grows.
        quick: Whether what is not in ``options`` is as for many posteriors at once, which need
            less precision than a table of results.
        joined: Whether a data set is several observations of one source. Draws are then reweighted
            from what the estimator, if it has draws, or the proposal says of each of them.
        tried: How many events were tried for each data set, see `posterior.log_posterior`.
        **options: Options of the sampler.

    Raises:
        ValueError: An unknown sampler or one that does not suit the estimator, a wrong option, or
            a proposal that is of no use.
        NotDrawn: Some posteriors cannot be drawn from.
    """
    if joined and name == "auto":
        name = without_draws()
    chosen = sampler_class(name, estimator.traits)
    if joined and chosen.needs == "draws":
        raise ValueError(f"sampler {name!r} draws for one observation, not for several; remove it")
    if joined and estimator.traits.proposes:
        proposal = estimator
    if proposal is not None and chosen.needs == "draws":
        raise ValueError(f"sampler {name!r} draws directly, not from a proposal; remove that")
    discrete = None if prior is None or chosen.needs == "draws" else combinations(prior)
    if proposal is not None and (discrete is not None or events):
        raise ValueError("a proposal cannot propose discrete parameters or for events; remove it")
    theta_dim = estimator.spec["theta_dim"]
    dim = theta_dim if discrete is None else len(discrete.continuous)
    sampler = _built(chosen, name, {**(chosen.quick(dim) if quick else {}), **options})
    label = first_suitable(estimator.traits) if name == "auto" else name
    cuts: Cuts | None = None

    def problem(some: Sequence[int] = range(len(x))) -> Problem:
        data = np.asarray(x)[list(some)]
        numbers = None if tried is None else np.asarray(tried)[list(some)]
        made = Problem(
            log_density=log_posterior(estimator, data, events, joined=joined, tried=numbers),
            targets=len(data),
            theta_dim=theta_dim,
            seed=seed,
            draw=_drawing(estimator, data) if chosen.needs == "draws" else None,
            proposal=None if proposal is None else _proposal(proposal, data, joined),
            folder=folder,
        )
        return made if cuts is None else cuts.of(some).problem(made)

    if discrete is None and prior is not None and chosen.needs == "density":
        columns = periodic_columns(prior)
        cuts = cuts_of(problem(), columns) if columns else None
    if discrete is not None:
        return _with_discrete(discrete, problem(), n, sampler, label)
    if proposal is None:
        drawn = sampler(problem(), n)
    else:
        drawn = _reweighted(problem, len(x), n, sampler, quick)
    drawn = drawn if cuts is None else cuts.undone(drawn)
    facts = drawn.facts if estimator.traits.joint else {**drawn.facts, "margins": 1}
    return dataclasses.replace(drawn, sampler=label, facts=facts)


def _drawing(estimator: Estimator, x: Array) -> Callable[[int, int], Array]:
    return lambda n, seed: draws_of(estimator, x, n, seed)


def _reweighted(
    problem: Callable[[Sequence[int]], Problem], m: int, n: int, sampler: Sampler, quick: bool
) -> Draws:
    """Draw from the proposals of m posteriors, and by a sampler where these are not near enough.

    Proposals for a table of results are first completed by what is found beside them.
    """
    # arviz-stats and scipy.stats take a second, which what is drawn without a proposal saves.
    from ..importance import SUBSETS  # noqa: PLC0415
    from .reweighting import merged, reweigh  # noqa: PLC0415
    from .scouting import scouted  # noqa: PLC0415

    began = time.monotonic()
    given = problem if quick else scouted(problem, m)
    found, rest, problem_of = reweigh(given, m, n, subsets=0 if quick else SUBSETS)
    logger.info("reweighted draws of the proposal: %d of %d posteriors", m - len(rest), m)
    took = time.monotonic() - began
    try:
        chains = sampler(problem_of(rest), n) if rest else None
    except NotDrawn as error:
        raise error.among(rest) from error
    places = {which: place for place, which in enumerate(rest)}
    drawn = merged(found, places, chains, n)
    seconds = drawn.facts.get("seconds", 0.0) + took
    return dataclasses.replace(drawn, facts={**drawn.facts, "seconds": seconds})


def at_once(estimator: Estimator, name: str = "auto", **options: Any) -> int:
    """Return how many posteriors `draw` should be given at once where there are many.

    Args:
        estimator: A trained estimator.
        name: Of the sampler, as in `draw`.
        **options: Options of the sampler.
    """
    sampler = _built(sampler_class(name, estimator.traits), name, options)
    return sampler.at_once(estimator.spec["theta_dim"])


def draw_many(
    estimator: Estimator,
    x: Array,
    n: int,
    *,
    seed: int,
    name: str = "auto",
    folder: Path | None = None,
    **options: Any,
) -> tuple[Array, list[dict[str, Any]]]:
    """Draw from very many posteriors, of which draws are wanted and no densities.

    Args:
        estimator: A trained estimator.
        x: Data sets, ``(m, *x_shape)``.
        n: Draws of each posterior.
        seed: Seed of the draws.
        name: Of the sampler, as in `draw`.
        folder: Where a sampler may keep its state while it grows.
        **options: Further ones of `draw`.

    Returns:
        z, ``(m, n, theta_dim)``; what the chains of each reached, ``r_hat``, ``ess`` and
        ``converged``, empty where there are no chains.

    Raises:
        ValueError: As `draw`.
        NotDrawn: Some posteriors cannot be drawn from.
    """
    if sampler_class(name, estimator.traits) is Direct:
        return check_z(draws_of(estimator, x, n, seed)), [{} for _ in x]
    own = {key: each for key, each in options.items() if key not in ("prior", "proposal", "quick")}
    size, z, told = at_once(estimator, name, **own), [], []
    with counting("posteriors", len(x), bar=False) as counter:
        for first in range(0, len(x), size):
            place = None if folder is None else folder / str(first)
            batch = x[first : first + size]
            try:
                drawn = draw(
                    estimator, batch, n, seed=seed + first, name=name, folder=place, **options
                )
            except NotDrawn as error:
                raise error.among(range(first, len(x))) from error
            z.append(drawn.flat(n))
            told += [_reached(drawn, which) for which in range(len(batch))]
            counter.update(len(batch))
    return np.concatenate(z), told


def log_evidences(
    estimator: Estimator, x: Array, proposal: Estimator, *, seed: int, effective: int = 100
) -> Array:
    """Return log of the integral of a likelihood or ratio over the prior, ``(m,)``, in nats.

    Of a ratio it would be 0, were it exact.

    Args:
        estimator: Of the likelihood or the ratio.
        x: Data sets, ``(m, *x_shape)``.
        proposal: An estimator of the posterior, whose draws are reweighted, see `reweighting`.
        seed: Seed of the draws.
        effective: Draws of each that their weights are to be worth; its error is about the inverse
            of the root of that.
    """
    from .reweighting import reweigh  # noqa: PLC0415 - as in `_reweighted`

    def problem(some: Sequence[int]) -> Problem:
        data = np.asarray(x)[list(some)]
        return Problem(
            log_density=log_posterior(estimator, data),
            targets=len(data),
            theta_dim=estimator.spec["theta_dim"],
            seed=seed,
            proposal=_proposal(proposal, data, joined=False),
        )

    found, _, _ = reweigh(problem, len(x), effective, subsets=0, least=FOR_EVIDENCE * effective)
    means = [logsumexp(each.log_weight) - np.log(len(each.log_weight)) for each in found]
    return np.asarray(means)


def _reached(drawn: Draws, which: int) -> dict[str, float]:
    """Return what the chains of one of many posteriors reached."""
    told = drawn.told(which)
    reached = {key: told.get(key, np.nan) for key in ("r_hat", "ess")}
    return {"converged": float(drawn.converged[which]), **reached}


def _built(chosen: type[Sampler], name: str, options: dict[str, Any]) -> Sampler:
    try:
        return chosen(**options)
    except TypeError as error:
        raise ValueError(f"options of sampler {name!r}: {error}") from error


def _with_discrete(
    discrete: Discrete, problem: Problem, n: int, sampler: Sampler, label: str
) -> Draws:
    """Draw the continuous parameters, the discrete ones summed over, then those given them."""
    targets, density = problem.targets, problem.log_density
    continuous = len(discrete.continuous)
    if continuous:
        summed = discrete.summed(density)
        marginal = dataclasses.replace(problem, log_density=summed, theta_dim=continuous)
        drawn = dataclasses.replace(sampler(marginal, n), sampler=label)
    else:
        nothing = np.zeros((targets, -(-n // CHAINS) * CHAINS, 0))
        drawn = dataclasses.replace(in_chains(nothing), sampler="enumerated")
    shape = drawn.z.shape[:3]
    flat = drawn.z.reshape(targets, shape[1] * shape[2], continuous)
    rng = np.random.default_rng([problem.seed, 1])
    z, log_prob, chance = discrete.complete(flat, density, rng)
    tau = drawn.autocorrelation_time
    if tau is not None:
        tau = np.full((targets, discrete.theta_dim), np.nan)
        tau[:, discrete.continuous] = drawn.autocorrelation_time
    return dataclasses.replace(
        drawn,
        z=z.reshape(*shape, -1),
        log_prob=log_prob.reshape(shape),
        autocorrelation_time=tau,
        discrete=discrete,
        probability=chance,
    )


def _proposal(estimator: Estimator, x: Array, joined: bool) -> Proposal:
    """Return an estimator of the posteriors of m data sets as a proposal for MCMC.

    For several observations that are joined, it is the mixture of what it says of each.
    """
    if not estimator.traits.proposes:
        method = estimator.spec["method"]
        raise ValueError(
            f"the proposal ({method}) must have draws with their density; "
            f"take one of {having(lambda traits: traits.proposes)}"
        )
    parts = list(np.moveaxis(x, 1, 0)) if joined else [x]
    densities = [log_posterior(estimator, part) for part in parts]

    def draw_parts(n: int, seed: int) -> Array:
        shares = (len(some) for some in np.array_split(np.arange(n), len(parts)))
        pairs = enumerate(zip(parts, shares, strict=True))
        drawn = [draws_of(estimator, part, share, seed + i) for i, (part, share) in pairs if share]
        order = np.random.default_rng(seed).permutation(n) if joined else slice(None)
        return np.asarray(np.concatenate(drawn, axis=1)[:, order])

    def log_mixture(z: Array) -> Array:
        return np.asarray(np.logaddexp.reduce([each(z) for each in densities]) - np.log(len(parts)))

    return Proposal(draw=draw_parts, log_prob=log_mixture)
