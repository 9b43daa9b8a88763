"""MCMC with emcee: many independent ensembles of walkers, for many posteriors, in one batch.

Works in the prior's normal space, where the prior is N(0, I) and nothing has bounds. Every
posterior gets several independent ensembles; a step moves half of the walkers of all ensembles of
all posteriors at once, so that the network is called on one large batch. A third of the steps
propose from a mixture fitted to the chain so far, and a third go from where the walker is, as far
as the component of the mixture is wide there. The first half of every chain is dropped.

emcee: Foreman-Mackey et al., PASP 125, 2013, https://arxiv.org/abs/1202.3665.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import emcee
import numpy as np
from annotated_types import Ge, Gt, Le, Predicate
from emcee.state import State

from .. import signals
from ..job_reports import in_short
from ..options import Count, Described, Positive
from ..progress import counting
from ..types import Array
from . import stopping
from .chain import Chain
from .draws import Draws
from .mixture import Mixture, learn_mixtures, proposal_of
from .moves import DifferentialEvolution, Fitted, Independence, Nearby, Snooker, Stretch
from .sampler import Problem, Sampler
from .starting import start

logger = logging.getLogger(__name__)

QUICK = {
    "ensembles": 2,
    "max_steps": 600,
    "r_hat": 1.1,
    "ess": 200,
    "autocorrelation_times": 10,
    "prior_draws": 500,
}
"""Of calibration, whose ranks need less precision than a table of results."""


MOST_NUMBERS = 2**16
"""Of one step of the walkers of a batch; a thousand steps are then half a gigabyte."""

Walkers = Annotated[
    int,
    Ge(6),
    Le(16_384),
    Predicate(lambda value: value % 2 == 0),
    Described("an even number of at least 6 and at most 16384"),
]
MIN_STEPS = 100


@dataclass(frozen=True)
class Emcee(Sampler):
    """MCMC that goes on until each posterior has converged.

    Stops when, for every posterior and parameter, the second half of the chain has R-hat across
    ensembles below ``r_hat`` and at least ``ess`` effective draws in bulk and tail, and the whole
    chain is longer than ``autocorrelation_times`` times the autocorrelation time, at two checks in
    a row; or at ``max_steps`` or after ``minutes``, and then says so.

    A proposal, if there is one, is what every other ensemble starts from, and what some steps
    propose from; the other ensembles start from the prior.

    Args:
        ensembles: Independent ensembles for each posterior.
        walkers: Walkers in each ensemble, even, at least twice the dimension and at least 6; by
            default 64, or twelve times the dimension if that is more: from eight times on, half of
            the first steps propose from a distribution fitted to the other walkers.
        min_steps: Steps before the first check; by default 100, or ``max_steps`` if that is less.
        max_steps: Steps after which it stops in any case.
        minutes: Time after which it stops in any case.
        r_hat: Largest rank-normalised split R-hat.
        ess: Smallest number of effective draws, bulk and tail.
        autocorrelation_times: Smallest length of the chain.
        prior_draws: Draws from the prior (or the proposal) that each ensemble starts from; more
            than there are walkers.
    """

    ensembles: Annotated[int, Ge(2), Le(1_000)] = 4
    walkers: Walkers | None = None
    min_steps: Count | None = None
    max_steps: Count = 20_000
    minutes: Positive = 30
    r_hat: Annotated[float, Gt(1)] = 1.01
    ess: Positive = 1000
    autocorrelation_times: Positive = 50
    prior_draws: Annotated[int, Ge(100), Le(10_000_000)] = 2000

    needs = "density"

    @classmethod
    def quick(cls, theta_dim: int) -> dict[str, Any]:
        """Return options for shorter chains of as few walkers as the parameters allow, or 16."""
        return {"walkers": max(16, 2 * theta_dim), **QUICK}

    def check(self, theta_dim: int) -> None:
        """Refuse too few ensembles or walkers, an odd number of them, and contradictions.

        Raises:
            ValueError: See above.
        """
        least, walkers = max(6, 2 * theta_dim), self._walkers(theta_dim)
        if self.ensembles < 2:
            raise ValueError(
                f"got {self.ensembles} ensembles; wanted 2 or more, to compare them by R-hat"
            )
        if walkers < least or walkers % 2:
            raise ValueError(
                f"got {walkers} walkers; wanted an even number of at least {least}, "
                f"twice the {theta_dim} parameters and no fewer than 6"
            )
        if self.prior_draws <= walkers:
            raise ValueError(
                f"prior_draws is {self.prior_draws}; wanted more than the walkers of an ensemble, "
                f"which are {walkers}"
            )
        if self._min_steps > self.max_steps:
            raise ValueError(
                f"min_steps is {self._min_steps}; wanted at most max_steps, which is "
                f"{self.max_steps}"
            )

    def _walkers(self, theta_dim: int) -> int:
        return max(64, 12 * theta_dim) if self.walkers is None else self.walkers

    @property
    def _min_steps(self) -> int:
        return min(MIN_STEPS, self.max_steps) if self.min_steps is None else self.min_steps

    def __call__(self, problem: Problem, n: int) -> Draws:
        """Draw ``n`` of each posterior; rather more, and fewer only if it had to stop.

        Raises:
            signals.Interrupted: A signal came; the folder holds every step up to then.
            ValueError: See `check`; or no draw to start from has finite density.
        """
        self.check(problem.theta_dim)
        ensembles, targets, theta_dim = self.ensembles, problem.targets, problem.theta_dim
        walkers = self._walkers(theta_dim)
        enough = -(-2 * n // (ensembles * walkers))  # half of the steps are kept
        min_steps = max(self._min_steps, enough)
        groups = targets * ensembles

        def batched(z: Array) -> Array:
            return problem.log_density(z.reshape(targets, -1, theta_dim)).reshape(-1)

        chain = Chain(problem.folder)
        chain.restore(groups * walkers, theta_dim)
        _forget_others(chain, batched)
        begin = None
        if not chain.iteration:
            rng = np.random.default_rng(problem.seed)
            shape = (targets, ensembles, walkers, theta_dim)
            coords = start(problem, shape, self.prior_draws, rng)
            random = np.random.RandomState(rng.integers(2**31))
            begin = State(coords, random_state=random.get_state())

        def by_target(values: Array) -> Array:
            """``(steps, groups * walkers, ...) -> (targets, ensembles, walkers, steps, ...)``."""
            split = values.reshape(len(values), targets, ensembles, walkers, *values.shape[2:])
            return np.moveaxis(split, 0, 3)

        def sampler(steps: int) -> emcee.EnsembleSampler:
            """Return a sampler that has learned from the second half of so many steps."""
            far = [Independence(groups, problem.proposal, targets)] if problem.proposal else []
            learned: list[Mixture] = []
            if steps:
                learned = learn_mixtures(
                    by_target(chain.get_chain()[steps // 2 : steps]), problem.seed
                )
                far.append(Independence(groups, proposal_of(learned), targets))
            elif walkers // 2 >= 4 * theta_dim:
                far.append(Fitted(groups))
            moves, size = _moves(groups, far, learned), groups * walkers
            walk = emcee.EnsembleSampler(
                size, theta_dim, batched, moves=moves, vectorize=True, backend=chain
            )
            walk.log_prob_fn = batched  # emcee's wrapper of it prints tracebacks of interrupts
            return walk

        wanted = stopping.Criteria(self.r_hat, self.ess, self.autocorrelation_times)

        def judge(steps: int, everything: bool = False) -> stopping.State:
            """Judge the chain as it was after so many steps."""
            kept = by_target(chain.get_chain()[steps // 2 : steps])
            return stopping.judge_chains(kept, steps, wanted, everything)

        most = 60 * self.minutes
        with signals.interruptible(chain.keep):
            reason = _run(sampler, begin, chain, min_steps, self.max_steps, most, judge)
            chain.save()
        reached = judge(chain.iteration, everything=True)
        discard, merged = chain.iteration // 2, (targets, ensembles * walkers, -1)
        kept = by_target(chain.get_chain(discard=discard))
        log_prob = by_target(chain.get_log_prob(discard=discard))
        thin = max(1, kept.shape[3] * walkers * ensembles // n)
        return Draws(
            z=kept[..., ::thin, :].reshape(*merged, theta_dim),
            log_prob=log_prob[..., ::thin].reshape(merged),
            ensemble=np.repeat(np.arange(ensembles), walkers),
            converged=reached.converged,
            independent=False,
            acceptance=(chain.accepted / chain.iteration).reshape(targets, ensembles * walkers),
            autocorrelation_time=reached.autocorrelation_time,
            facts={
                "steps": chain.iteration,
                "burn_in": discard,
                "thin": thin,
                "walkers": walkers,
                "ensembles": ensembles,
                "seconds": chain.worked(),
            },
            own=[
                _reached(reached.of(which), reason, chain.iteration, wanted, kept[0, ..., 0].size)
                for which in range(targets)
            ],
        )

    def at_once(self, theta_dim: int) -> int:
        """Return how many posteriors fit into one batch: their chains are held in memory."""
        return max(1, MOST_NUMBERS // (self.ensembles * self._walkers(theta_dim) * theta_dim))


def _reached(
    reached: stopping.State, reason: str, steps: int, wanted: stopping.Criteria, draws: int
) -> dict[str, Any]:
    """Return what is told of the chains of one posterior."""
    said = stopping.statement(reason, steps, reached, wanted)
    return {
        "r_hat": float(reached.r_hat[0]),
        "ess": float(reached.ess[0]),
        "stopped": "converged" if reached.converged[0] else reason,
        "statement": said + stopping.stuck(reached, draws),
    }


def _moves(groups: int, far: list[Any], learned: list[Mixture]) -> list[tuple[Any, float]]:
    """Return moves and their weights: far away, along other walkers, and by what was learned."""
    along = [(Stretch(groups), 0.5), (DifferentialEvolution(groups), 0.4), (Snooker(groups), 0.1)]
    nearby = [(Nearby(groups, learned), 1.0)] if learned else []
    return [*((move, 1 / len(far)) for move in far), *along, *nearby]


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
    sampler_after: Callable[[int], emcee.EnsembleSampler],
    begin: State | None,
    chain: Chain,
    min_steps: int,
    max_steps: int,
    seconds: float,
    judge: Callable[[int], stopping.State],
) -> str:
    """Run until converged or out of steps or time; returns which.

    It has converged where two checks in a row say so: walkers that have just found the way into a
    narrow neck still fill it. Checks come at fixed lengths of the chain, and so does what is
    learned from it, each time that it has doubled: one that was interrupted ends like one that was
    not.
    """
    before, check = 0, min(min_steps, max_steps)
    learned, sampler = 0, sampler_after(0)
    with counting("steps", max_steps, chain.iteration, at_most=True) as counter:
        while True:
            if chain.iteration < check:
                steps = check - chain.iteration
                state = chain.get_last_sample() if chain.iteration else begin
                for _ in sampler.sample(state, iterations=steps, skip_initial_state_check=True):
                    counter.update()
                    if chain.worked() > seconds:
                        return "minutes"
            if chain.iteration == check:
                found = judge(check)
                counter.update(0, _told(chain, found), curve=True)
                if found.converged.all() and before and judge(before).converged.all():
                    return "converged"
                if check >= max_steps:
                    return "max_steps"
            if check >= 2 * learned:
                learned, sampler = check, sampler_after(check)
            before, check = check, min(check + max(min_steps, check // 2), max_steps)


def _told(chain: Chain, found: stopping.State) -> dict[str, float]:
    """Log where the chain stands; returns what of it was worked out, by name."""
    told = {
        "R-hat": _worst(found.r_hat),
        "effective draws": abs(_worst(-found.ess)),
        "acceptance": float(np.mean(chain.accepted / chain.iteration)),
    }
    words = ", ".join(f"{name} {in_short(value)}" for name, value in told.items())
    tau = found.autocorrelation_time.max()
    logger.info("emcee: step %d, autocorrelation time %.1f, %s", chain.iteration, tau, words)
    return told


def _worst(values: Array) -> float:
    """Return the largest value; NaN where nothing was worked out."""
    known = values[np.isfinite(values)]
    return float(known.max()) if known.size else np.nan
