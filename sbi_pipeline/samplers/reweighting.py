"""Draws of a proposal, reweighted to the posterior that they propose for, without a chain.

A trained posterior (NPE) proposes for the density that NLE or NRE gives of the same data. Draws
come in rounds. Those of the first are of the proposal, one in five of the prior; those of each
further round are mostly of a mixture fitted to what was seen of the posterior so far. The draws of
all rounds stay, and are weighed as what they are together: draws of one mixture of all that was
proposed. Since some are always of the prior, no weight exceeds ten times its likelihood over the
evidence: a proposal that is too narrow, or misses a mode that draws of the prior hit, shows in
k-hat or in the effective number, and is put right where it is not too bad.

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
    Cornuet, Marin, Mira & Robert, Adaptive multiple importance sampling, Scand. J. Stat. 39, 2012,
    https://doi.org/10.1111/j.1467-9469.2011.00756.x (all rounds weighed as one mixture).
    Vehtari et al., Pareto smoothed importance sampling, JMLR 25, 2024,
    https://arxiv.org/abs/1507.02646.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import logsumexp

from .. import importance
from ..posterior import log_normal
from ..types import Array
from .direct import CHAINS, in_chains
from .draws import Draws
from .mixture import Mixture, fit_mixtures, proposal_of, standard
from .sampler import Problem, Proposal

TRUSTED = 0.5
"""Of k-hat, below which the weights have a finite variance."""
LEAST, FIRST = 1000, 2
"""Draws of the first round: at least, and over those wanted."""
ROUNDS, MOST_NUMBERS = (1, 2, 4, 6), 2**24
"""Draws of each round, over those of the first, and the most numbers of all in a round."""
SHARES, LATER_SHARES = (0.2, 0.8), (0.1, 0.1, 0.8)
"""Of the prior, the proposal and, later, the newest mixture, in the draws of a round."""
FITTED, MOST_FITTED = 0.15, 4000
"""Share of the draws that a mixture is fitted to, and the most."""


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

    def picked(self, n: int, rng: np.random.Generator) -> Array:
        """Return so many draws by weight, ``(n, dim)``, none twice while there are others."""
        noisy = self.log_weight + rng.gumbel(size=len(self.z))
        some = min(n, int(np.isfinite(noisy).sum()))
        return self.z[np.resize(np.argpartition(-noisy, some - 1)[:some], n)]

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
            "efficiency_of_more": self.weights.efficiency_of_more,
            "top_weight": self.weights.top,
        }


@dataclass(frozen=True)
class Pool:
    """Draws of m posteriors from several distributions, weighed as draws of their mixture.

    Attributes:
        z: ``(m, n, dim)``.
        log_prob: Log density of z in nats, ``(m, n)``.
        proposed: Log densities of z by each distribution, ``(k, m, n)``.
        counts: How many of the n draws are of each, ``(k,)``.
    """

    z: Array
    log_prob: Array
    proposed: Array
    counts: Array

    def of(self, places: Sequence[int]) -> Pool:
        """Return the draws of some posteriors."""
        return replace(
            self,
            z=self.z[places],
            log_prob=self.log_prob[places],
            proposed=self.proposed[:, places],
        )

    def joined(self, more: Pool, newest: Proposal) -> Pool:
        """Return these draws with more, one distribution of which is new."""
        proposed = np.concatenate([self.proposed, newest.log_prob(self.z)[None]])
        return Pool(
            np.concatenate([self.z, more.z], axis=1),
            np.concatenate([self.log_prob, more.log_prob], axis=1),
            np.concatenate([proposed, more.proposed], axis=2),
            np.append(self.counts, 0) + more.counts,
        )

    def weighed(self, rng: np.random.Generator, subsets: int) -> list[Reweighted]:
        """Return the draws of each posterior with their weights, see `reweigh`."""
        shares = np.log(self.counts / self.counts.sum())[:, None, None]
        log_weight = self.log_prob - logsumexp(self.proposed + shares, axis=0)
        log_weight = np.where(np.isnan(log_weight), -np.inf, log_weight)
        weights = [_weights(each, rng, subsets) for each in log_weight]
        each = zip(self.z, self.log_prob, log_weight, weights, strict=True)
        return [Reweighted(*one) for one in each]


def pooled(problem: Problem, proposals: Sequence[Proposal], counts: Array, seed: int) -> Pool:
    """Return so many draws of each of several proposals."""
    z = np.concatenate(
        [
            proposal.draw(int(count), seed + place)
            for place, (proposal, count) in enumerate(zip(proposals, counts, strict=True))
            if count
        ],
        axis=1,
    )
    proposed = np.stack([proposal.log_prob(z) for proposal in proposals])
    return Pool(z, problem.log_density(z), proposed, counts)


def of_prior(targets: int, dim: int) -> Proposal:
    """Return the prior of m posteriors as a proposal."""

    def draw(n: int, seed: int) -> Array:
        return np.random.default_rng([seed, 2]).normal(size=(targets, n, dim))

    return Proposal(draw, log_normal)


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
    problem_of: ProblemOf, targets: int, n: int, subsets: int, least: int = LEAST
) -> tuple[list[Reweighted], list[int], ProblemOf]:
    """Draw from the proposals of m posteriors and weigh, in rounds.

    Args:
        problem_of: The problem of some of the posteriors, with a proposal.
        targets: How many there are.
        n: Draws wanted of each.
        subsets: On how many the fit of k-hat is repeated.
        least: Draws of the first round, at least.

    Returns:
        The draws of each posterior, those of which they are not enough, and the problem of some of
        these with what was learned as its proposal.
    """
    found: dict[int, Reweighted] = {}
    learned: list[dict[int, Mixture]] = []
    rest, pool = list(range(targets)), None
    for times in ROUNDS:
        problem = problem_of(rest)
        rng = np.random.default_rng([problem.seed, times])
        proposals = _proposals(problem, [[each[which] for which in rest] for each in learned])
        count = min(times * max(least, FIRST * n), MOST_NUMBERS // (len(rest) * problem.theta_dim))
        counts = _counts(max(least, count), len(learned))
        more = pooled(problem, proposals, counts, int(rng.integers(2**31)))
        pool = more if pool is None else pool.joined(more, proposals[-1])
        found |= zip(rest, pool.weighed(rng, subsets), strict=True)
        poor = [place for place, which in enumerate(rest) if found[which].effective < n]
        rest, pool = [rest[place] for place in poor], pool.of(poor)
        if not rest:
            break
        learned.append(_fitted({which: found[which] for which in rest}, rng))

    def known(some: Sequence[int]) -> Problem:
        prior = of_prior(len(some), found[0].z.shape[1])
        mixtures = proposal_of([learned[-1][which] for which in some])
        return replace(problem_of(some), proposal=both(mixtures, prior, SHARES[0]))

    return [found[which] for which in range(targets)], rest, known


def _proposals(problem: Problem, learned: Sequence[Sequence[Mixture]]) -> list[Proposal]:
    """Return the prior, the proposal and what was learned round by round."""
    assert problem.proposal is not None
    prior = of_prior(problem.targets, problem.theta_dim)
    return [prior, problem.proposal, *map(proposal_of, learned)]


def _counts(n: int, learned: int) -> Array:
    """Return how many of n draws are of the prior, the proposal, and what was learned in rounds."""
    shares = LATER_SHARES if learned else SHARES
    counts = np.zeros(2 + learned, dtype=int)
    counts[[0, 1, -1][: len(shares)]] = [int(share * n) for share in shares]
    counts[-1] += n - counts.sum()
    return counts


def _fitted(found: Mapping[int, Reweighted], rng: np.random.Generator) -> dict[int, Mixture]:
    """Return mixtures fitted to draws picked by weight; the prior where there are no weights."""
    dim = next(iter(found.values())).z.shape[1]
    known = {which: each for which, each in found.items() if each.weights is not None}
    fitted = dict.fromkeys(found, standard(dim))
    if known:
        points = np.stack([each.picked(_points(len(each.z)), rng) for each in known.values()])
        fitted |= zip(known, fit_mixtures(points, int(rng.integers(2**31))), strict=True)
    return fitted


def _points(draws: int) -> int:
    return min(max(100, int(FITTED * draws)), MOST_FITTED)


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
