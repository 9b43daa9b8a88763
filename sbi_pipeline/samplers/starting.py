"""Where walkers start: at draws of the prior, or of a proposal, resampled by likelihood.

With a proposal every other ensemble starts from the prior all the same: a mode that the proposal
does not know, and the prior does, is then one that ensembles disagree about until all have it.
"""

from __future__ import annotations

import numpy as np

from ..types import Array
from .sampler import NotDrawn, Problem


def start(
    problem: Problem,
    shape: tuple[int, int, int, int],
    draws: int,
    rng: np.random.Generator,
) -> Array:
    """Draw from the proposal and the prior, in turn, and pick walkers by weight for each ensemble.

    Returns:
        ``(targets * ensembles * walkers, dim)``, for a shape of these four.

    Every mode then has walkers in proportion to its weight. Adding Gumbel noise to log-weights and
    taking the largest is sampling without replacement (Kool et al., Stochastic beams and where to
    find them, 2019, https://arxiv.org/abs/1903.06059).

    Raises:
        NotDrawn: Some posteriors have hardly a draw with a density.
    """
    targets, ensembles, walkers, dim = shape
    z = rng.normal(size=(targets, ensembles * draws, dim))
    drawn_from = -0.5 * np.sum(z**2, axis=-1)
    if problem.proposal is not None:
        near = problem.proposal.draw(-(-ensembles // 2) * draws, int(rng.integers(2**31)))
        of_proposal = np.arange(ensembles * draws) // draws % 2 == 0
        z[:, of_proposal] = near
        drawn_from[:, of_proposal] = problem.proposal.log_prob(near)
    log_weight = problem.log_density(z) - drawn_from
    noisy = np.where(np.isfinite(log_weight), log_weight, -np.inf) + rng.gumbel(size=z.shape[:2])
    noisy = noisy.reshape(targets * ensembles, draws)
    enough = np.isfinite(noisy).sum(axis=1) >= walkers
    if not enough.all():
        raise NotDrawn(
            f"the density is zero at nearly all of {draws} draws from the prior: fewer than "
            f"{walkers} walkers can start; is the observation within the reach of the simulator?",
            np.flatnonzero(~enough.reshape(targets, ensembles).all(axis=1)).tolist(),
        )
    picked = np.argpartition(-noisy, walkers, axis=1)[:, :walkers]
    z = z.reshape(targets * ensembles, draws, dim)
    return np.take_along_axis(z, picked[..., None], axis=1).reshape(-1, dim)
