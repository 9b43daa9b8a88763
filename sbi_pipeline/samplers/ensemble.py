"""MCMC with emcee: many independent ensembles of walkers, for many posteriors, in one batch.

Works in the prior's normal space, where the prior is N(0, I) and nothing has bounds. Every
posterior gets several independent ensembles; a step moves half of the walkers of all ensembles of
all posteriors at once, so that the network is called on one large batch.

Stretch move: Goodman & Weare, Ensemble samplers with affine invariance, CAMCoS 5, 2010,
https://doi.org/10.2140/camcos.2010.5.65. Differential evolution: ter Braak, Stat. Comput. 16,
2006, https://doi.org/10.1007/s11222-006-8769-1. emcee: Foreman-Mackey et al., PASP 125, 2013,
https://arxiv.org/abs/1202.3665. R-hat: Vehtari et al., Bayesian Analysis 16, 2021,
https://arxiv.org/abs/1903.08008.
"""

from __future__ import annotations

import time
from typing import Any

import arviz as az
import emcee
import numpy as np
from emcee.moves import Move
from emcee.state import State
from tqdm import tqdm

from ..posterior import LogDensity
from ..types import Array
from .draws import Draws


def ensemble(
    log_density: LogDensity,
    targets: int,
    theta_dim: int,
    n: int,
    *,
    seed: int,
    ensembles: int = 4,
    walkers: int = 32,
    min_steps: int = 200,
    max_steps: int = 20_000,
    max_seconds: float = 600,
    r_hat: float = 1.01,
    ess: float = 1000,
    autocorrelation_times: float = 50,
    prior_draws: int = 2000,
) -> Draws:
    """Sample m posteriors until each has converged; the first half of every chain is dropped.

    Stops when, for every posterior and parameter, the second half of the chain has R-hat across
    ensembles below ``r_hat`` and at least ``ess`` effective draws, and the whole chain is longer
    than ``autocorrelation_times`` times the autocorrelation time; or at ``max_steps`` or
    ``max_seconds``, and then says so.

    Args:
        log_density: Of z, ``(m, k, theta_dim) -> (m, k)``, in nats.
        targets: Number m of posteriors.
        theta_dim: Number of parameters.
        n: Draws to return of each posterior, about.
        seed: Seed of start and moves.
        ensembles: Independent ensembles for each posterior.
        walkers: Walkers in each ensemble, even, at least twice the dimension.
        min_steps: Steps before the first check.
        max_steps: Steps after which it stops in any case.
        max_seconds: Wall time, in s, after which it stops in any case.
        r_hat: Largest rank-normalised split R-hat.
        ess: Smallest number of effective draws.
        autocorrelation_times: Smallest length of the chain.
        prior_draws: Draws from the prior from which each ensemble's start is picked.

    Raises:
        ValueError: Too few ensembles, too few or an odd number of walkers, or no prior draw has
            finite density.
    """
    if ensembles < 2:
        raise ValueError(f"got {ensembles} ensembles; wanted 2 or more, to compare them by R-hat")
    if walkers < 2 * theta_dim or walkers % 2:
        raise ValueError(
            f"got {walkers} walkers; wanted an even number of at least {2 * theta_dim}, "
            f"twice the {theta_dim} parameters"
        )
    groups = targets * ensembles

    def batched(z: Array) -> Array:
        return log_density(z.reshape(targets, -1, theta_dim)).reshape(-1)

    rng = np.random.default_rng(seed)
    start = _start(log_density, targets, theta_dim, ensembles, walkers, prior_draws, rng)
    sampler = emcee.EnsembleSampler(
        groups * walkers,
        theta_dim,
        batched,
        moves=[(Stretch(groups), 0.6), (DifferentialEvolution(groups), 0.4)],
        vectorize=True,
    )
    state = State(start, random_state=np.random.RandomState(rng.integers(2**31)).get_state())

    def by_target(values: Array) -> Array:
        """``(steps, groups * walkers, ...) -> (targets, ensembles, walkers, steps, ...)``."""
        split = values.reshape(len(values), targets, ensembles, walkers, *values.shape[2:])
        return np.moveaxis(split, 0, 3)

    began, reason = time.monotonic(), ""
    with tqdm(total=max_steps, unit="step", desc="emcee", disable=None) as progress:
        while not reason:
            steps = min(max(min_steps, sampler.iteration // 2), max_steps - sampler.iteration)
            state = sampler.run_mcmc(state, steps, skip_initial_state_check=True)
            progress.update(steps)
            kept = by_target(sampler.get_chain(discard=sampler.iteration // 2))
            tau = np.stack([_autocorrelation_time(one) for one in kept])
            worst = np.array([_r_hat(one) for one in kept])
            effective = kept.shape[3] * walkers * ensembles / tau
            converged = (
                (worst < r_hat)
                & (effective >= ess).all(axis=1)
                & (sampler.iteration >= autocorrelation_times * tau).all(axis=1)
            )
            progress.set_postfix(r_hat=f"{worst.max():.3f}", ess=f"{effective.min():.0f}")
            if converged.all():
                reason = "converged"
            elif sampler.iteration >= max_steps:
                reason = "max_steps"
            elif time.monotonic() - began > max_seconds:
                reason = "max_seconds"

    thin = max(1, kept.shape[3] * walkers * ensembles // n)
    log_prob = by_target(sampler.get_log_prob(discard=sampler.iteration // 2))
    acceptance = sampler.acceptance_fraction.reshape(targets, ensembles * walkers)
    merged = (targets, ensembles * walkers, -1)
    return Draws(
        z=kept[..., ::thin, :].reshape(*merged, theta_dim),
        log_prob=log_prob[..., ::thin].reshape(merged),
        ensemble=np.repeat(np.arange(ensembles), walkers),
        sampler="emcee",
        converged=converged,
        acceptance=acceptance,
        autocorrelation_time=tau,
        facts={
            "steps": sampler.iteration,
            "burn_in": sampler.iteration // 2,
            "thin": thin,
            "walkers": walkers,
            "ensembles": ensembles,
            "stopped": reason,
            "seconds": time.monotonic() - began,
        },
    )


def _start(
    log_density: LogDensity,
    targets: int,
    theta_dim: int,
    ensembles: int,
    walkers: int,
    prior_draws: int,
    rng: np.random.Generator,
) -> Array:
    """Draw from the prior and pick walkers by likelihood, without repeats, for each ensemble.

    Adding Gumbel noise to log-weights and taking the largest is sampling without replacement
    (Kool et al., Stochastic beams and where to find them, 2019, https://arxiv.org/abs/1903.06059).
    """
    z = rng.normal(size=(targets, ensembles * prior_draws, theta_dim))
    log_likelihood = log_density(z) + 0.5 * np.sum(z**2, axis=-1)
    noisy = np.where(np.isfinite(log_likelihood), log_likelihood, -np.inf) + rng.gumbel(
        size=log_likelihood.shape
    )
    noisy = noisy.reshape(targets * ensembles, prior_draws)
    if np.isneginf(noisy).all(axis=1).any():
        raise ValueError(f"the density is zero at all of {prior_draws} draws from the prior")
    picked = np.argpartition(-noisy, walkers, axis=1)[:, :walkers]
    z = z.reshape(targets * ensembles, prior_draws, theta_dim)
    return np.take_along_axis(z, picked[..., None], axis=1).reshape(-1, theta_dim)


def _autocorrelation_time(chain: Array) -> Array:
    """Mean over ensembles of the time in steps, from (ensembles, walkers, steps, dim)."""
    times = [
        emcee.autocorr.integrated_time(np.moveaxis(one, 0, 1), tol=0, quiet=True) for one in chain
    ]
    return np.maximum(np.mean(times, axis=0), 1)


def _r_hat(chain: Array) -> float:
    """Largest R-hat over parameters across ensembles, from (ensembles, walkers, steps, dim)."""
    by_time = np.moveaxis(chain, 1, 2).reshape(len(chain), -1, chain.shape[-1])
    return max(float(az.rhat(by_time[..., column])) for column in range(chain.shape[-1]))


class _Grouped(Move):
    """A red-blue move within each of several independent groups of walkers, all at once."""

    def __init__(self, groups: int) -> None:
        self.groups = groups

    def propose(self, model: Any, state: State) -> tuple[State, Array]:
        """Move one random half of every group against the other half, then the reverse."""
        random = model.random
        count, dim = state.coords.shape
        order = random.rand(self.groups, count // self.groups).argsort(axis=1)
        halves = order < order.shape[1] // 2
        accepted = np.zeros(count, dtype=bool)
        for moving in (halves.ravel(), ~halves.ravel()):
            walkers = state.coords[moving].reshape(self.groups, -1, dim)
            others = state.coords[~moving].reshape(self.groups, -1, dim)
            proposed, factors = self.proposal(walkers, others, random)
            proposed = proposed.reshape(-1, dim)
            log_prob, blobs = model.compute_log_prob_fn(proposed)
            log_ratio = factors.reshape(-1) + log_prob - state.log_prob[moving]
            accepted[moving] = np.log(random.rand(len(log_ratio))) < log_ratio
            new = State(proposed, log_prob=log_prob, blobs=blobs)
            state = self.update(state, new, accepted, moving)
        return state, accepted

    def proposal(self, walkers: Array, others: Array, random: Any) -> tuple[Array, Array]:
        """Propose for walkers, ``(groups, k, dim)``; returns them and log factors, (groups, k)."""
        raise NotImplementedError


class Stretch(_Grouped):
    """Stretch move with scale a = 2."""

    def proposal(self, walkers: Array, others: Array, random: Any) -> tuple[Array, Array]:
        """Stretch each walker along the line through a random other one."""
        shape = walkers.shape[:2]
        stretch = (random.rand(*shape) + 1) ** 2 / 2
        pick = random.randint(others.shape[1], size=shape)
        anchor = np.take_along_axis(others, pick[..., None], axis=1)
        factors = (walkers.shape[-1] - 1) * np.log(stretch)
        return anchor + stretch[..., None] * (walkers - anchor), factors


class DifferentialEvolution(_Grouped):
    """Differential evolution move; one in ten with full length, which jumps between modes."""

    def proposal(self, walkers: Array, others: Array, random: Any) -> tuple[Array, Array]:
        """Move each walker by the scaled difference of two random other ones."""
        groups, count, dim = walkers.shape
        first = random.randint(others.shape[1], size=(groups, count))
        second = (first + random.randint(1, others.shape[1], size=(groups, count))) % others.shape[
            1
        ]
        difference = np.take_along_axis(others, first[..., None], axis=1) - np.take_along_axis(
            others, second[..., None], axis=1
        )
        scale = np.where(random.rand(groups, count) < 0.1, 1.0, 2.38 / np.sqrt(2 * dim))
        jitter = 1 + 1e-5 * random.randn(groups, count)
        return walkers + (scale * jitter)[..., None] * difference, np.zeros((groups, count))
