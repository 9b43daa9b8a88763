"""The evidence of a model: the mean of its likelihood over its prior, by importance sampling.

    Z = E_prior[L(theta)] = E_q[L(theta) prior(theta) / q(theta)]

Draws of the posterior are known already. A mixture is fitted to them, completed by what scouts of
the prior find beside them (`samplers.scouting`) and by a share of the prior itself, and moved a few
times to where its weights are. Then the proposal is fixed, and Z is the mean weight of fresh draws
of it: these are independent, so its standard error is that of a mean.

A likelihood that was learnt from rows that worked is p(x | theta, valid): times p(valid | theta),
learnt or counted, it is what is averaged. That of a box of the prior is times the mass of the box.

References:
    Those of `importance`, `samplers.reweighting` and `samplers.scouting`.
    Kass & Raftery, Bayes factors, JASA 90, 1995, https://doi.org/10.1080/01621459.1995.10476572.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import logsumexp

from .. import importance
from ..posterior import LogDensity, log_normal
from ..progress import Counter, counting
from ..samplers.mixture import Mixture, fit_mixtures, proposal_of
from ..samplers.reweighting import of_prior
from ..samplers.sampler import Problem, Proposal
from ..samplers.scouting import points_climbed, scout
from ..types import Array
from .weighed import DRAWS, Evidence

MOVES, FIRST, FITTED = 3, 5_000, 2_000
"""How often it is moved, by how many draws, and points that mixtures are fitted to."""
LOOKED = 50_000
"""Draws of the prior among which scouts look for modes."""
SCOUTS, PRIOR = 0.3, 0.1
"""Shares of the proposal."""
UNKNOWN = math.log(100)
"""Nats by which scouts' density exceeds that of the posterior's draws where these know nothing."""


@dataclass(frozen=True)
class Target:
    """What is integrated.

    Attributes:
        log_density: Log of likelihood times N(z; 0, I), in nats: ``(1, n, dim) -> (1, n)``.
        posterior: Draws of the posterior in normal space, ``(n, dim)``.
        shift: What log Z gains beside the integral.
        from_normal: From z, ``(n, dim)``, to parameters.
        of_members: Log densities of each network over that of the whole, ``(n, dim) ->
            (networks, n)``; None where there is one network, or none.
        log_ratios: By the name of a changed prior, the log of that over the prior of parameters,
            ``(n, theta_dim) -> (n,)``.
    """

    log_density: LogDensity
    posterior: Array
    shift: float
    from_normal: Callable[[Array], Array]
    of_members: Callable[[Array], Array] | None = None
    log_ratios: Mapping[str, Callable[[Array], Array]] = field(default_factory=dict)


def evidence_of(target: Target, seed: int, *, exact: bool) -> Evidence:
    """Return the evidence of one observation.

    Args:
        target: What is integrated.
        seed: Of all draws.
        exact: Whether the likelihood is the simulator's own.
    """
    rng = np.random.default_rng([seed, 11])
    dim = target.posterior.shape[1]
    if dim == 0:
        value = float(target.log_density(np.zeros((1, 1, 0)))[0, 0]) + target.shift
        return Evidence(value, 0.0, 0.0 if exact else math.nan, 0.0, DRAWS, 0.0)
    known = _fitted(target.posterior, rng)
    with counting("points", points_weighed(dim), bar=False) as counter:
        counted = replace(target, log_density=_counted(target.log_density, counter))
        (found,) = scout(Problem(counted.log_density, targets=1, theta_dim=dim, seed=seed), LOOKED)
        proposal = _proposal(counted, known, found, rng)
        z = proposal.draw(DRAWS, int(rng.integers(2**31)))
        log_density = counted.log_density(z)[0]
    log_weight = _numbers(log_density - proposal.log_prob(z)[0])
    try:
        weights = importance.weigh(log_weight, rng)
    except ValueError as error:
        return Evidence(k_hat=math.inf, problem=str(error))
    raw = np.exp(log_weight - logsumexp(log_weight))
    beyond = found.log_prob(z[0]) - known.log_prob(z[0]) > UNKNOWN
    mean = raw @ z[0]
    return Evidence(
        log_evidence=weights.log_mean + target.shift,
        error=weights.log_mean_error,
        network_error=0.0 if exact else _scatter(target, z[0], log_weight),
        k_hat=weights.k_hat,
        effective=weights.effective,
        lost=float(raw[beyond].sum()),
        widths=np.sqrt(raw @ (z[0] - mean) ** 2),
        changed=_changed(target, z[0], log_weight, rng),
    )


def points_weighed(dim: int) -> int:
    """Return at how many points the density is asked for one evidence of so many parameters."""
    return LOOKED + points_climbed(dim) + MOVES * FIRST + DRAWS


def _counted(log_density: LogDensity, counter: Counter) -> LogDensity:
    """Return a density that counts the points at which it was asked."""

    def counted(z: Array) -> Array:
        found = log_density(z)
        counter.update(z.shape[1])
        return found

    return counted


Parts = list[tuple[float, Proposal]]
"""Proposals with their shares of a mixture, which add up to 1."""


def _proposal(target: Target, known: Mixture, found: Mixture, rng: np.random.Generator) -> Proposal:
    """Return what is known, what scouts found and a share of the prior, moved to the weights."""
    prior = (PRIOR, of_prior(1, known.means.shape[1]))
    near: Parts = [(1 - SCOUTS, proposal_of([known])), (SCOUTS, proposal_of([found]))]
    for _ in range(MOVES):
        more = _moved(target, mixed([prior, *_scaled(near, 1 - PRIOR)]), rng)
        near = near if more is None else [(0.5, proposal_of([more])), *_scaled(near, 0.5)]
    return mixed([prior, *_scaled(near, 1 - PRIOR)])


def _scaled(parts: Parts, share: float) -> Parts:
    return [(share * own, part) for own, part in parts]


def mixed(parts: Parts) -> Proposal:
    """Return a mixture of proposals for one posterior, whose draws are independent."""

    def draw(n: int, seed: int) -> Array:
        rng = np.random.default_rng([seed, 12])
        counts = rng.multinomial(n, [share for share, _ in parts])
        pairs = zip(counts.tolist(), parts, strict=True)
        return np.concatenate(
            [part.draw(count, int(rng.integers(2**31))) for count, (_, part) in pairs], axis=1
        )

    def log_prob(z: Array) -> Array:
        each = [math.log(share) + part.log_prob(z) for share, part in parts]
        return np.asarray(logsumexp(each, axis=0))

    return Proposal(draw, log_prob)


def _moved(target: Target, proposal: Proposal, rng: np.random.Generator) -> Mixture | None:
    """Return a mixture fitted to draws of a proposal by weight; None where hardly any has one."""
    z = proposal.draw(FIRST, int(rng.integers(2**31)))
    log_weight = _numbers(target.log_density(z)[0] - proposal.log_prob(z)[0])
    some = np.isfinite(log_weight)
    if some.sum() < importance.FEWEST:
        return None
    noisy = log_weight + rng.gumbel(size=len(log_weight))
    picked = np.argsort(-noisy)[: min(FITTED, int(some.sum()) // 2)]
    return _fitted(z[0, picked], rng)


def _fitted(z: Array, rng: np.random.Generator) -> Mixture:
    some = z[rng.choice(len(z), min(len(z), FITTED), replace=False)]
    (mixture,) = fit_mixtures(some[None], int(rng.integers(2**31)))
    return mixture


def _numbers(log_weight: Array) -> Array:
    """Return log weights, none where there is no number."""
    return np.where(np.isnan(log_weight), -np.inf, log_weight)


def _scatter(target: Target, z: Array, log_weight: Array) -> float:
    """Return the standard deviation of log Z over networks; NaN where there is one."""
    if target.of_members is None:
        return math.nan
    each = _numbers(target.of_members(z) + log_weight)
    return float(np.std(logsumexp(each, axis=1), ddof=1))


def _changed(
    target: Target, z: Array, log_weight: Array, rng: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """Return log Z under changed priors, and errors."""
    found = {}
    for name, log_ratio in target.log_ratios.items():
        changed = _numbers(log_weight + log_ratio(target.from_normal(z)))
        try:
            weights = importance.weigh(changed, rng, subsets=0)
        except ValueError:
            found[name] = math.nan, math.nan
        else:
            found[name] = weights.log_mean + target.shift, weights.log_mean_error
    return found


def with_prior(log_likelihood: Callable[[Array], Array]) -> LogDensity:
    """Return likelihood times N(z; 0, I) from log likelihoods, ``(n, dim) -> (n,)``."""
    return lambda z: np.asarray(log_likelihood(z[0])[None] + log_normal(z))
