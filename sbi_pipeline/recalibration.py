"""Recalibration: posteriors moved and widened so that held-out truths rank as they should.

The normal score s of a truth in its posterior is N(0, 1) for an honest one, and its rank among L
draws binomial, of L trials with probability Phi(s). Here s is taken to be N(a, b^2), where a and b
of each parameter are those that make the ranks of held-out truths most probable.
A draw of normal score s among the others then goes to where its posterior has the score a + b s:
b widens, a moves, in units of each posterior's own sd. How draws of several parameters hang
together stays as it is.

Whether there is a correction at all is chosen by ranks that it was not fitted to (two folds): where
these are no more probable with it, a = 0 and b = 1.

A correction is the same for all data: one that is right on average over the prior mends no fault
that only some data have.

References:
    Kuleshov, Fenner & Ermon, Accurate uncertainties for deep learning using calibrated regression,
        ICML 2018, https://arxiv.org/abs/1807.00263 (ranks mapped to ranks).
    Dheur & Ben Taieb, Probabilistic calibration by design for neural network regression, AISTATS
        2024, https://arxiv.org/abs/2403.11964.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy import optimize, special

from .types import Array

PARTS = 4
"""Parts of the held-out ranks, of which one judges a correction that is fitted to the others."""
FEWEST_RANKS = 50
"""Ranks that judge a correction, at least."""
FEWEST_TO_CORRECT = PARTS * FEWEST_RANKS
"""Held-out simulations of which a correction is made and judged, at least."""
SCORES = np.linspace(-12, 12, 961)
"""Normal scores over which ranks are averaged."""
TAIL = 0.02
"""Fraction of the draws at either end that tell how quantiles go on beyond them."""


class Correction(NamedTuple):
    """How the posterior of one parameter is moved and widened, in units of its sd.

    Attributes:
        shift: To where it is moved.
        scale: By what it is widened.
    """

    shift: float
    scale: float


AS_IT_IS = Correction(0.0, 1.0)


def fitted_correction(ranks: Array, draws: int) -> Correction:
    """Return the correction that held-out ranks of one parameter ask for.

    Args:
        ranks: ``(n,)``.
        draws: Among how many draws.
    """
    folds = np.arange(len(ranks)) % 2
    chances, gain = _chances(draws), 0.0
    own, other = (np.bincount(ranks[folds == fold], minlength=draws + 1) for fold in (0, 1))
    for fitted, judging in ((own, other), (other, own)):
        found = _most_probable(fitted, chances)
        gain += _log_probability(judging, chances, found)
        gain -= _log_probability(judging, chances, AS_IT_IS)
    return _most_probable(own + other, chances) if gain > 0 else AS_IT_IS


def _chances(draws: int) -> Array:
    """Return how probable each rank is for each of `SCORES`, ``(scores, draws + 1)``."""
    rank = np.arange(draws + 1)
    ways = (
        special.gammaln(draws + 1) - special.gammaln(rank + 1) - special.gammaln(draws - rank + 1)
    )
    below, above = special.log_ndtr(SCORES)[:, None], special.log_ndtr(-SCORES)[:, None]
    return np.exp(ways + rank * below + (draws - rank) * above)


def _most_probable(counts: Array, chances: Array) -> Correction:
    def loss(values: Array) -> float:
        return -_log_probability(counts, chances, Correction(values[0], np.exp(values[1])))

    shift, log_scale = optimize.minimize(loss, [0.0, 0.0], method="Nelder-Mead").x
    return Correction(float(shift), float(np.exp(log_scale)))


def _log_probability(counts: Array, chances: Array, correction: Correction) -> float:
    """Return the log probability of how often each rank was found, ``(draws + 1,)``."""
    weight = np.exp(-0.5 * ((SCORES - correction.shift) / correction.scale) ** 2)
    probability = weight / weight.sum() @ chances
    return float(counts @ np.log(np.maximum(probability, 1e-300)))


def _scores_in(ranks: Array, draws: int, correction: Correction, rng: np.random.Generator) -> Array:
    """Return normal scores of truths in what is corrected, ``(n,)``, drawn given their ranks.

    Beyond all draws, where a rank tells no more, they are those that the correction expects.
    """
    weight = np.exp(-0.5 * ((SCORES - correction.shift) / correction.scale) ** 2)
    below = np.cumsum(weight[:, None] * _chances(draws), axis=0)
    below /= below[-1]
    place = (below[:, ranks] < rng.random(len(ranks))).sum(axis=0)
    step = SCORES[1] - SCORES[0]
    return np.asarray(SCORES[place] + step * (rng.random(len(ranks)) - 0.5))


def corrected_draws(z: Array, corrections: Sequence[Correction]) -> Array:
    """Return draws of one posterior moved and widened, ``(n, dim)``.

    Args:
        z: Draws in normal space, ``(n, dim)``, where bounds of the prior are far away.
        corrections: One for each parameter.
    """
    moved = [_corrected(*each) for each in zip(z.T, corrections, strict=True)]
    return np.stack(moved, axis=1)


def _corrected(values: Array, correction: Correction) -> Array:
    if correction == AS_IT_IS:
        return values
    n, order = len(values), np.argsort(values)
    known, scores = values[order], special.ndtri((np.arange(n) + 0.5) / n)
    wanted = correction.shift + correction.scale * scores
    found = np.interp(wanted, scores, known)
    tail = max(2, int(TAIL * n))
    for end, near in ((slice(tail), 0), (slice(-tail, None), -1)):
        beyond = wanted < scores[0] if near == 0 else wanted > scores[-1]
        slope = np.polyfit(scores[end], known[end], 1)[0]
        found[beyond] = known[near] + slope * (wanted[beyond] - scores[near])
    moved = np.empty(n)
    moved[order] = found
    return moved


def corrected_calibration(data: xr.Dataset, seed: int) -> xr.Dataset:
    """Fit corrections to most of the held-out ranks, and apply them to the first of them.

    A correction has an error of its own, which those that judge it see: so these are a part of all.

    Args:
        data: The calibration of what is corrected.
        seed: Spreads truths between draws.

    Returns:
        The calibration of what is corrected, of those that judge it, but for what is of all
        parameters together, with ``shift`` and ``scale`` (parameter) and the attribute ``fitted``,
        how many ranks these are of. The density at the truth is not known.

    Raises:
        ValueError: There are too few.
    """
    draws, n = int(data.attrs["draws"]), data.sizes["simulation"]
    judged = n // PARTS
    if n < FEWEST_TO_CORRECT:
        raise ValueError(
            f"{n} held-out simulations; recalibration wants at least {FEWEST_TO_CORRECT}, of "
            f"which {FEWEST_RANKS} judge it: simulate more, or hold out more (split: "
            "{test: ...}; calibration: {simulations: ...})"
        )
    ranks = data["ranks"].transpose("simulation", "parameter").to_numpy()
    found = [fitted_correction(each, draws) for each in ranks[judged:].T]
    shift, scale = np.array(found).T
    rest = data.drop_vars(["joint_ranks"], errors="ignore").isel(simulation=slice(judged))
    rng = np.random.default_rng(seed)
    columns = zip(ranks[:judged].T, found, strict=True)
    score = np.stack([_scores_in(each, draws, of, rng) for each, of in columns], axis=1)
    score = (score - shift) / scale
    own_ranks = np.minimum((special.ndtr(score) * (draws + 1)).astype(int), draws)
    scores = rest["scores"].to_numpy().copy()
    scores[:, 0] = np.clip(score, -6, 6)
    said = rest["said"].to_numpy().copy()  # mean and log sd of each parameter
    said[:, ::2] += shift * np.exp(said[:, 1::2])
    said[:, 1::2] += np.log(scale)
    moved, widened = (xr.DataArray(each, dims="parameter") for each in (shift, scale))
    return rest.assign(
        ranks=(("simulation", "parameter"), own_ranks),
        scores=(rest["scores"].dims, scores),
        said=(rest["said"].dims, said),
        mean=rest["mean"] + moved * rest["sd"],
        sd=rest["sd"] * widened,
        sd_ratio=rest["sd_ratio"] * widened,
        pulls=(rest["pulls"] - moved) / widened,
        log_prob=rest["log_prob"] * np.nan,
        shift=("parameter", shift),
        scale=("parameter", scale),
    ).assign_attrs(fitted=n - judged)
