"""MCMC with emcee: many independent ensembles of walkers, for many posteriors, in one batch.

Works in the prior's normal space, where the prior is N(0, I) and nothing has bounds. Every
posterior gets several independent ensembles; a step moves half of the walkers of all ensembles of
all posteriors at once, so that the network is called on one large batch. The first half of every
chain is dropped.

emcee: Foreman-Mackey et al., PASP 125, 2013, https://arxiv.org/abs/1202.3665.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import emcee
import numpy as np
from emcee.state import State
from tqdm import tqdm

from ..posterior import LogDensity
from ..types import Array
from . import stopping
from .chain import Chain
from .draws import Draws
from .moves import DifferentialEvolution, Fitted, Independence, Proposal, Snooker, Stretch

logger = logging.getLogger(__name__)


def ensemble(
    log_density: LogDensity,
    targets: int,
    theta_dim: int,
    n: int,
    *,
    seed: int,
    ensembles: int = 4,
    walkers: int | None = None,
    min_steps: int = 200,
    max_steps: int = 20_000,
    minutes: float = 30,
    r_hat: float = 1.01,
    ess: float = 1000,
    autocorrelation_times: float = 50,
    prior_draws: int = 2000,
    proposal: Proposal | None = None,
    folder: Path | None = None,
) -> Draws:
    """Sample m posteriors until each has converged.

    Stops when, for every posterior and parameter, the second half of the chain has R-hat across
    ensembles below ``r_hat`` and at least ``ess`` effective draws in bulk and tail, and the whole
    chain is longer than ``autocorrelation_times`` times the autocorrelation time; or at
    ``max_steps`` or after ``minutes``, and then says so.

    Args:
        log_density: Of z, ``(m, k, theta_dim) -> (m, k)``, in nats.
        targets: Number m of posteriors.
        theta_dim: Number of parameters.
        n: Draws to return of each posterior; rather more, and fewer only if it had to stop.
        seed: Seed of start and moves.
        ensembles: Independent ensembles for each posterior.
        walkers: Walkers in each ensemble, even, at least twice the dimension and at least 6; by
            default 64, or twelve times the dimension if that is more: from eight times on, half of
            the steps propose from a distribution fitted to the other walkers.
        min_steps: Steps before the first check.
        max_steps: Steps after which it stops in any case.
        minutes: Time after which it stops in any case.
        r_hat: Largest rank-normalised split R-hat.
        ess: Smallest number of effective draws, bulk and tail.
        autocorrelation_times: Smallest length of the chain.
        prior_draws: Draws from the prior (or ``proposal``) that each ensemble starts from.
        proposal: A density near the target, such as an NPE's: the walkers start from its draws,
            and some steps propose from it.
        folder: Where the chain is kept while it grows; a killed run goes on from there.

    Raises:
        ValueError: Too few ensembles, too few or an odd number of walkers, or no draw to start
            from has finite density.
    """
    if walkers is None:
        walkers = max(64, 12 * theta_dim)
    _check(ensembles, walkers, theta_dim)
    min_steps = max(min_steps, -(-2 * n // (ensembles * walkers)))  # half of them are kept
    groups = targets * ensembles

    def batched(z: Array) -> Array:
        return log_density(z.reshape(targets, -1, theta_dim)).reshape(-1)

    chain = Chain(folder)
    chain.restore(groups * walkers, theta_dim)
    _forget_others(chain, batched)
    sampler = emcee.EnsembleSampler(
        groups * walkers,
        theta_dim,
        batched,
        moves=_moves(groups, targets, walkers // 2 >= 4 * theta_dim, proposal),
        vectorize=True,
        backend=chain,
    )
    start = None
    if not chain.iteration:
        rng, shape = np.random.default_rng(seed), (targets, ensembles, walkers, theta_dim)
        coords = _start(log_density, shape, prior_draws, proposal, rng)
        random = np.random.RandomState(rng.integers(2**31))
        start = State(coords, random_state=random.get_state())

    def by_target(values: Array) -> Array:
        """``(steps, groups * walkers, ...) -> (targets, ensembles, walkers, steps, ...)``."""
        split = values.reshape(len(values), targets, ensembles, walkers, *values.shape[2:])
        return np.moveaxis(split, 0, 3)

    def judge(everything: bool = False) -> stopping.State:
        kept = by_target(chain.get_chain(discard=chain.iteration // 2))
        wanted = stopping.Criteria(r_hat, ess, autocorrelation_times)
        return stopping.judge(kept, chain.iteration, wanted, everything)

    reason = _run(sampler, start, min_steps, max_steps, 60 * minutes, judge)
    chain.save()
    reached = judge(everything=True)
    discard, merged = chain.iteration // 2, (targets, ensembles * walkers, -1)
    kept = by_target(chain.get_chain(discard=discard))
    log_prob = by_target(chain.get_log_prob(discard=discard))
    thin = max(1, kept.shape[3] * walkers * ensembles // n)
    return Draws(
        z=kept[..., ::thin, :].reshape(*merged, theta_dim),
        log_prob=log_prob[..., ::thin].reshape(merged),
        ensemble=np.repeat(np.arange(ensembles), walkers),
        sampler="emcee",
        converged=reached.converged,
        acceptance=sampler.acceptance_fraction.reshape(targets, ensembles * walkers),
        autocorrelation_time=reached.autocorrelation_time,
        facts={
            "steps": chain.iteration,
            "burn_in": discard,
            "thin": thin,
            "walkers": walkers,
            "ensembles": ensembles,
            "r_hat": float(np.nanmax(reached.r_hat)),
            "ess": float(np.nanmin(reached.ess)),
            "stopped": reason,
            "statement": _statement(reason, chain.iteration, reached, r_hat, ess)
            + _stuck(reached, kept.shape[3] * walkers * ensembles),
            "seconds": chain.worked(),
        },
    )


def _check(ensembles: int, walkers: int, theta_dim: int) -> None:
    least = max(6, 2 * theta_dim)
    if ensembles < 2:
        raise ValueError(f"got {ensembles} ensembles; wanted 2 or more, to compare them by R-hat")
    if walkers < least or walkers % 2:
        raise ValueError(
            f"got {walkers} walkers; wanted an even number of at least {least}, "
            f"twice the {theta_dim} parameters and no fewer than 6"
        )


def _moves(
    groups: int, targets: int, many: bool, proposal: Proposal | None
) -> list[tuple[Any, float]]:
    """Return moves and their weights; half of all steps propose far away where that can work."""
    moves = [(Stretch(groups), 0.5), (DifferentialEvolution(groups), 0.4), (Snooker(groups), 0.1)]
    far: list[Any] = [Fitted(groups)] if many else []
    if proposal is not None:
        far.append(Independence(groups, proposal, targets))
    return [*((move, 1 / len(far)) for move in far), *moves]


def _forget_others(chain: Chain, log_density: Callable[[Array], Array]) -> None:
    """Start anew where the chain on disk is of another density."""
    if not chain.iteration:
        return
    last = chain.get_last_sample()
    if not np.allclose(log_density(last.coords), last.log_prob, rtol=1e-3, atol=1e-3):
        logger.warning("the chain starts anew: the one in %s is of another density", chain.folder)
        chain.remove()
        chain.restore(*chain.shape)


def _run(
    sampler: Any,
    start: State | None,
    min_steps: int,
    max_steps: int,
    seconds: float,
    judge: Callable[[], stopping.State],
) -> str:
    """Run until converged or out of steps or time; returns which.

    Checks come at fixed lengths of the chain, so that one that was interrupted ends like one that
    was not.
    """
    chain: Chain = sampler.backend
    check = min(min_steps, max_steps)
    with tqdm(total=max_steps, initial=chain.iteration, unit="step", disable=None) as progress:
        while True:
            if chain.iteration < check:
                steps, begin = check - chain.iteration, start
                if chain.iteration:
                    begin = chain.get_last_sample()
                for _ in sampler.sample(begin, iterations=steps, skip_initial_state_check=True):
                    progress.update()
                    if chain.worked() > seconds:
                        return "minutes"
            if chain.iteration == check:
                found = judge()
                told = f"R-hat {_worst(found.r_hat)}, ESS {_worst(-found.ess)}"
                acceptance = sampler.acceptance_fraction.mean()
                progress.set_postfix_str(f"{told}, acceptance {acceptance:.2f}")
                tau = found.autocorrelation_time.max()
                logger.info(
                    "emcee: step %d, autocorrelation time %.1f, %s, acceptance %.2f",
                    *(check, tau, told, acceptance),
                )
                if found.converged.all():
                    return "converged"
                if check >= max_steps:
                    return "max_steps"
            check = min(check + max(min_steps, check // 2), max_steps)


def _worst(values: Array) -> str:
    """Return the largest value in words; what was not worked out is a dash."""
    known = values[np.isfinite(values)]
    return f"{abs(known.max()):.4g}" if known.size else "-"


def _statement(reason: str, steps: int, reached: stopping.State, r_hat: float, ess: float) -> str:
    """Say in a sentence why it stopped, with what was reached and what was wanted."""
    if reason == "converged":
        return f"MCMC converged after {steps} steps."
    limit = {"max_steps": "it came to its last step", "minutes": "its time was up"}[reason]
    tau = reached.autocorrelation_time.max()
    return (
        f"MCMC stopped after {steps} steps because {limit}, not because it had converged: "
        f"R-hat {np.nanmax(reached.r_hat):.3f} (wanted below {r_hat:g}), "
        f"{np.nanmin(reached.ess):.0f} effective draws (wanted {ess:g}), "
        f"{steps / tau:.0f} autocorrelation times."
    )


def _stuck(reached: stopping.State, draws: int) -> str:
    """Say so where walkers stay in the modes they started in.

    Each then moves fast within its mode, but all together have fewer effective draws by far than
    their autocorrelation time promises.
    """
    promised = draws / reached.autocorrelation_time.max(axis=1)
    if (reached.ess > promised / 4).all():
        return ""
    return (
        " Walkers do not move between the modes of the posterior, so the weights of the modes "
        "are about those of the start and not to be trusted."
    )


def _start(
    log_density: LogDensity,
    shape: tuple[int, int, int, int],
    draws: int,
    proposal: Proposal | None,
    rng: np.random.Generator,
) -> Array:
    """Draw from the prior or the proposal and pick walkers by weight for each ensemble.

    Every mode then has walkers in proportion to its weight. Adding Gumbel noise to log-weights and
    taking the largest is sampling without replacement (Kool et al., Stochastic beams and where to
    find them, 2019, https://arxiv.org/abs/1903.06059).
    """
    targets, ensembles, walkers, dim = shape
    if proposal is None:
        z = rng.normal(size=(targets, ensembles * draws, dim))
        drawn_from = -0.5 * np.sum(z**2, axis=-1)
    else:
        z = proposal.draw(ensembles * draws, int(rng.integers(2**31)))
        drawn_from = proposal.log_prob(z)
    log_weight = log_density(z) - drawn_from
    noisy = np.where(np.isfinite(log_weight), log_weight, -np.inf) + rng.gumbel(size=z.shape[:2])
    noisy = noisy.reshape(targets * ensembles, draws)
    enough = np.isfinite(noisy).sum(axis=1) >= walkers
    if not enough.all():
        raise ValueError(
            f"the density is zero at nearly all of {draws} draws from the prior: fewer than "
            f"{walkers} walkers can start; is the observation within the reach of the simulator?"
        )
    picked = np.argpartition(-noisy, walkers, axis=1)[:, :walkers]
    z = z.reshape(targets * ensembles, draws, dim)
    return np.take_along_axis(z, picked[..., None], axis=1).reshape(-1, dim)
