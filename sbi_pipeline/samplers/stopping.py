"""When a chain is long enough.

Three things must hold for every parameter, of the part that is kept:

* rank-normalised split R-hat *across independent ensembles* is small: the walkers of an ensemble
  move each other, so they are no separate chains;
* there are enough effective draws in the bulk and in the tails, walkers taken as chains: walkers
  that never leave a mode disagree with each other, which makes this number small however long the
  chain and however small the autocorrelation time;
* the whole chain is long against the autocorrelation time.

The cheap question comes first, and the next is asked only if its answer was yes.

References:
    Vehtari et al., Rank-normalization, folding, and localization: an improved R-hat, Bayesian
    Analysis 16, 2021, https://doi.org/10.1214/20-BA1221.
    Goodman & Weare, CAMCoS 5, 2010, and https://emcee.readthedocs.io/en/stable/tutorials/autocorr
    (autocorrelation time of ensembles).
"""

from __future__ import annotations

from dataclasses import dataclass

import emcee
import numpy as np
from arviz_stats.base import array_stats

from ..types import Array

TAILS = (0.01, 0.99)
"""Quantiles whose effective draws are those of the tails."""


@dataclass(frozen=True)
class Criteria:
    """What is asked of a chain: R-hat below, effective draws and autocorrelation times above."""

    r_hat: float
    ess: float
    autocorrelation_times: float


@dataclass(frozen=True)
class State:
    """Where the chains of m posteriors stand; NaN for what was not asked any more.

    Attributes:
        autocorrelation_time: In steps, ``(m, dim)``.
        r_hat: Largest over parameters, ``(m,)``.
        ess: Smallest over parameters, bulk and tail, ``(m,)``.
        converged: Whether all criteria are met, ``(m,)``.
    """

    autocorrelation_time: Array
    r_hat: Array
    ess: Array
    converged: Array

    def of(self, which: int) -> State:
        """Return where the chains of one posterior stand."""
        one = slice(which, which + 1)
        return State(
            self.autocorrelation_time[one], self.r_hat[one], self.ess[one], self.converged[one]
        )


def judge_chains(kept: Array, steps: int, wanted: Criteria, everything: bool = False) -> State:
    """Judge the chains of m posteriors.

    Args:
        kept: The kept part, ``(m, ensembles, walkers, steps, dim)``.
        steps: Length of the whole chain.
        wanted: The criteria.
        everything: Work all numbers out for all posteriors; otherwise the first posterior that
            misses a criterion ends it, since the chains must go on in any case.
    """
    m = len(kept)
    tau = np.stack([autocorrelation_time(one) for one in kept])
    r_hats, ess = np.full(m, np.nan), np.full(m, np.nan)
    converged: Array = np.all(steps >= wanted.autocorrelation_times * tau, axis=1)
    for which in np.arange(m) if everything or converged.all() else ():
        # Every quarter of an autocorrelation time says nearly all there is to say.
        few = kept[which][:, :, :: max(1, int(tau[which].min() / 4))]
        r_hats[which] = worst_r_hat(few)
        converged[which] &= bool(r_hats[which] < wanted.r_hat)
        if everything or converged[which]:
            ess[which] = effective(few)
            converged[which] &= bool(ess[which] >= wanted.ess)
        if not everything and not converged[which]:
            break
    return State(tau, r_hats, ess, converged)


def autocorrelation_time(chain: Array) -> Array:
    """Return the mean over ensembles of the time in steps, from (ensembles, walkers, steps, dim).

    A walker that never moved has none: the chain's length stands for it.
    """
    with np.errstate(invalid="ignore"):
        times = [
            emcee.autocorr.integrated_time(np.moveaxis(one, 0, 1), tol=0, quiet=True)
            for one in chain
        ]
    return np.maximum(np.nan_to_num(np.mean(times, axis=0), nan=chain.shape[2]), 1)


def worst_r_hat(chain: Array) -> float:
    """Return the largest R-hat over parameters, from (ensembles, walkers, steps, dim)."""
    by_time = np.moveaxis(chain, 1, 2).reshape(len(chain), -1, chain.shape[-1])
    return max(float(array_stats.rhat(column)) for column in np.moveaxis(by_time, -1, 0))


def effective(chain: Array) -> float:
    """Return the smallest effective sample size over parameters, bulk and tail."""
    if chain.shape[2] < 4:
        return 0.0
    chains = chain.reshape(-1, *chain.shape[2:])
    columns = np.moveaxis(chains, -1, 0)
    bulk = [array_stats.ess(column, method="bulk") for column in columns]
    tail = [array_stats.ess(column, method="tail", prob=TAILS) for column in columns]
    return float(min(*bulk, *tail))


def statement(reason: str, steps: int, reached: State, wanted: Criteria) -> str:
    """Say in a sentence why it stopped, with what was reached and what was wanted."""
    if reached.converged.all():
        return f"MCMC converged after {steps} steps."
    limit = {"max_steps": "it came to its last step", "minutes": "its time was up"}[reason]
    tau = reached.autocorrelation_time.max()
    return (
        f"MCMC stopped after {steps} steps because {limit}, not because it had converged: "
        f"R-hat {np.nanmax(reached.r_hat):.3f} (wanted below {wanted.r_hat:g}), "
        f"{np.nanmin(reached.ess):.0f} effective draws (wanted {wanted.ess:g}), "
        f"{steps / tau:.0f} autocorrelation times."
    )


def stuck(reached: State, draws: int) -> str:
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
