"""Draws of a proposal, reweighted to the posterior that they propose for, without a chain.

A trained posterior (NPE) proposes for the density that NLE or NRE gives of the same data. Draws are
of a *defensive mixture*, one part in five from the prior, so no weight exceeds five times its
likelihood over the evidence: a proposal that is too narrow, or misses a mode that draws of the
prior hit, shows in k-hat or in the effective number, and is put right where it is not too bad.

What the weights of a posterior say is trusted where their Pareto k-hat is below 0.5, their variance
then being finite, and as many draws are effective as are wanted, so that the draws that are
resampled are worth their number. For all others there is MCMC.

What this cannot see: a mode that neither the proposal knows nor one of the draws of the prior hits.
For a table of results `scouting` looks further.

References:
    Hesterberg, Weighted average importance sampling and defensive mixture distributions,
    Technometrics 37, 1995, https://doi.org/10.1080/00401706.1995.10484303.
    Owen & Zhou, Safe and effective importance sampling, JASA 95, 2000,
    https://doi.org/10.1080/01621459.2000.10473909 (strata of a mixture in fixed numbers).
    Vehtari et al., Pareto smoothed importance sampling, JMLR 25, 2024,
    https://arxiv.org/abs/1507.02646.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import importance
from ..posterior import log_normal
from ..types import Array
from .direct import CHAINS, in_chains
from .draws import Draws
from .mixture import Mixture, fit_mixture, proposal_of, standard
from .sampler import Problem, Proposal

DEFENSIVE = 0.2
"""Share of the draws that are of the prior."""
TRUSTED = 0.5
"""Of k-hat, below which the weights have a finite variance."""
LEAST, FIRST = 1000, 2
"""Draws of the proposal in the first round: at least, and over those wanted."""
ROUNDS = (1, 2, 3)
"""Draws of each round, over those of the first."""
LEARNED, MOST_FITTED = 0.5, 4000
"""Share of the draws that are of what was learned, and the most draws that it is fitted to."""


ProblemOf = Callable[[Sequence[int]], Problem]
"""From some of m posteriors to their problem."""


@dataclass(frozen=True)
class Reweighted:
    """Draws of a proposal, with the weights that make them those of one posterior.

    Attributes:
        z: ``(n, dim)``.
        log_prob: Log density of z in nats, ``(n,)``.
        log_weight: That over the density they are drawn from, ``(n,)``; -inf where there is none.
        weights: Made of it; None where too few of them have any.
    """

    z: Array
    log_prob: Array
    log_weight: Array
    weights: importance.Weights | None

    @property
    def effective(self) -> float:
        """How many draws they are worth; none, where the weights cannot be trusted."""
        trusted = self.weights is not None and self.weights.k_hat < TRUSTED
        return self.weights.effective if self.weights is not None and trusted else 0.0

    def resampled(self, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Return so many draws, ``(n, dim)``, and their log densities."""
        assert self.weights is not None  # it is what is resampled by
        picked = importance.resample(self.weights.weight, n, rng)
        return self.z[picked], self.log_prob[picked]

    def fitted(self, rng: np.random.Generator) -> Mixture:
        """Return a mixture fitted to draws picked by weight, none of them twice.

        Where none have weights it is the prior.
        """
        if self.weights is None:
            return standard(self.z.shape[1])
        noisy = self.log_weight + rng.gumbel(size=len(self.z))
        count = min(int(np.isfinite(noisy).sum()), max(100, len(self.z) // 4), MOST_FITTED)
        picked = np.argpartition(-noisy, count - 1)[:count]
        return fit_mixture(self.z[picked], int(rng.integers(2**31)))

    @property
    def facts(self) -> dict[str, Any]:
        """What a posterior file says of the weights, as it does of refined posteriors."""
        assert self.weights is not None
        return {
            "sampler": "reweighted",
            "independent": 1,
            "stopped": "reweighted",
            "k_hat": self.weights.k_hat,
            "k_hat_jitter": self.weights.k_hat_jitter,
            "effective": self.weights.effective,
            "efficiency": self.weights.effective / len(self.z),
            "top_weight": self.weights.top,
        }


def defensive(proposal: Proposal) -> Proposal:
    """Return a proposal some of whose draws are of the prior."""
    shape = proposal.draw(1, 0)[:, 0].shape

    def of_prior(n: int, seed: int) -> Array:
        rng = np.random.default_rng([seed, 2])
        return rng.normal(size=(shape[0], n, shape[1]))

    return both(proposal, Proposal(of_prior, log_normal), DEFENSIVE)


def both(first: Proposal, second: Proposal, share: float) -> Proposal:
    """Return a mixture of two proposals, with the share of the second one."""

    def draw(n: int, seed: int) -> Array:
        of_second = np.random.default_rng([seed, 1]).random(n) < share
        count = int(of_second.sum())
        z = np.concatenate([first.draw(n - count, seed), second.draw(count, seed)], axis=1)
        return z[:, np.argsort(np.argsort(of_second, kind="stable"))]

    def log_prob(z: Array) -> Array:
        parts = np.log1p(-share) + first.log_prob(z), np.log(share) + second.log_prob(z)
        return np.asarray(np.logaddexp(*parts))

    return Proposal(draw, log_prob)


def reweigh(
    problem_of: ProblemOf, targets: int, n: int, subsets: int
) -> tuple[list[Reweighted], list[int], ProblemOf]:
    """Draw from the proposals of m posteriors and weigh.

    Where that is not enough, a mixture fitted to what was seen of the posterior is mixed into the
    proposal, which is then drawn from anew.

    Args:
        problem_of: The problem of some of the posteriors, with a proposal.
        targets: How many there are.
        n: Draws wanted of each.
        subsets: On how many the fit of k-hat is repeated.

    Returns:
        The draws of each posterior, those of which they are not enough, and the problem of some of
        these with what was learned in its proposal.
    """
    found: dict[int, Reweighted] = {}
    rest, known = list(range(targets)), problem_of
    for times in ROUNDS:
        problem = known(rest)
        assert problem.proposal is not None
        count = times * max(LEAST, FIRST * n)
        drawn = _weighed(problem, defensive(problem.proposal), count, subsets)
        found |= zip(rest, drawn, strict=True)
        rest = [which for which in rest if found[which].effective < n]
        if not rest:
            break
        rng = np.random.default_rng([problem.seed, times])
        known = knowing(problem_of, {which: found[which].fitted(rng) for which in rest}, LEARNED)
    return [found[which] for which in range(targets)], rest, known


def knowing(problem_of: ProblemOf, learned: Mapping[int, Mixture], share: float) -> ProblemOf:
    """Return problems whose proposals draw a share from what was learned of each posterior."""

    def made(some: Sequence[int]) -> Problem:
        given = problem_of(some)
        assert given.proposal is not None
        mixtures = proposal_of([learned[which] for which in some])
        return replace(given, proposal=both(given.proposal, mixtures, share))

    return made


def _weighed(problem: Problem, proposal: Proposal, n: int, subsets: int) -> list[Reweighted]:
    """Draw so many of the proposal for each posterior, and weigh them."""
    z = proposal.draw(n, problem.seed)
    log_prob = problem.log_density(z)
    log_weight = log_prob - proposal.log_prob(z)
    log_weight = np.where(np.isnan(log_weight), -np.inf, log_weight)
    rng = np.random.default_rng([problem.seed, 3])
    weights = [_weights(each, rng, subsets) for each in log_weight]
    return [Reweighted(*each) for each in zip(z, log_prob, log_weight, weights, strict=True)]


def _weights(
    log_weight: Array, rng: np.random.Generator, subsets: int
) -> importance.Weights | None:
    if np.isfinite(log_weight).sum() < importance.FEWEST:
        return None
    return importance.weigh(log_weight, rng, subsets)


def merged(
    found: Sequence[Reweighted],
    by_chain: Mapping[int, int],
    chains: Draws | None,
    n: int,
) -> Draws:
    """Return draws of m posteriors, resampled or by MCMC.

    Args:
        found: Of all posteriors.
        by_chain: Those that are by MCMC, with their places among the chains.
        chains: Their draws, if there are any; the others are then laid out as these are.
        n: Draws wanted of each.
    """
    rng = np.random.default_rng(len(found[0].z))
    nothing = np.zeros((0, -(-n // CHAINS) * CHAINS, found[0].z.shape[1]))
    like = in_chains(nothing) if chains is None else chains
    *shape, dim = like.z.shape[1:]

    def resampled(each: Reweighted) -> tuple[Array, Array]:
        z, log_prob = each.resampled(math.prod(shape), rng)
        return z.reshape(*shape, dim), log_prob.reshape(shape)

    pairs = [
        (like.z[by_chain[which]], like.log_prob[by_chain[which]])
        if which in by_chain
        else resampled(each)
        for which, each in enumerate(found)
    ]
    z, log_prob = (np.stack(each) for each in zip(*pairs, strict=True))
    return replace(
        like,
        z=z,
        log_prob=log_prob,
        converged=_placed(like.converged, by_chain, len(found), True),
        acceptance=_placed(like.acceptance, by_chain, len(found), np.nan),
        autocorrelation_time=_placed(like.autocorrelation_time, by_chain, len(found), np.nan),
        own=[
            _told(like, by_chain[which]) if which in by_chain else each.facts
            for which, each in enumerate(found)
        ],
    )


def _told(chains: Draws, place: int) -> Mapping[str, Any]:
    return chains.own[place] if chains.own else {}


def _placed(values: Any, places: Mapping[int, int], m: int, other: Any) -> Any:
    """Return values of some posteriors as those of m, another value where there is none."""
    if values is None:
        return None
    made = np.full((m, *values.shape[1:]), other, dtype=values.dtype)
    made[list(places)] = values[list(places.values())]
    return made
