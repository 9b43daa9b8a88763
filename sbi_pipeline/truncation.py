"""From a posterior to a box of the prior that holds it: where the next round simulates.

Each parameter's interval reaches from the mass/2 to the 1 - mass/2 quantile of the draws, beyond
the last draws by a generalised Pareto tail. An over-confident estimator must not cut off the truth,
so the interval is widened by what calibration near the observation found: by as much as intervals
of held-out posteriors would have to grow to hold the truths they missed. All of it happens in the
normal space of the prior drawn from, so that boxes are nested by construction. Where asked for, it
happens along the principal axes of the posterior there, so that a box is tight also around one that
is thin and oblique; every axis is called after the parameter nearest to it.

A posterior that leans on a face of its own box may be cut off there, so the next box reaches beyond
it. Where a wider box showed nothing there, the posterior ends there, and the face is settled.

References:
    Miller, Cole, Forre, Louppe, Weniger, Truncated marginal neural ratio estimation, 2021,
        https://arxiv.org/abs/2107.01214 (boxes)
    Deistler, Goncalves, Macke, Truncated proposals for scalable and hassle-free simulation-based
        inference, 2022, https://arxiv.org/abs/2210.04815 (mass)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import special, stats

from .priors.axes import TurnedPrior, axes_of_draws
from .priors.boxes import BoxedPrior, Faces, NormalInterval
from .priors.circles import periodic_columns, periods_of
from .priors.reach import reachable
from .types import Array, Prior

Pair = tuple[float | None, float | None]
Sides = tuple[bool, bool]

TAIL = 0.05
"""Fraction of the draws that a tail is fitted to."""
EDGE = 0.01
"""Where less of the box's own prior mass lies beyond a face, nothing is cut off there."""
NEXT_TO, LEANS = 0.9, 0.02
"""Share of the way from the median to a face beyond which draws are next to it, and the fraction of
draws there above which a posterior leans on it; of a normal one 0.0002 are."""
CROWDED = 0.1
"""Share of the way from the middle of a box to a face below which the median crowds there."""
NEAR = 100
"""Held-out simulations nearest to the observation that an interval is widened by, at least."""
LEVELS = 0.01, 0.1
"""Fractions outside central intervals whose misses are counted."""
SURE, UNLIKELY = 0.01, 0.05
"""P-values of misses below which intervals are widened by them: of central intervals, and of the
box itself, where one in a hundred is enough."""
WIDEST = 5.0
"""Factor by which misses widen intervals, at most."""

ALL_THE_SAME, FAR = 1e-14, 6.0
"""Standard deviation in normal space below which draws differ by rounding alone, and distance of
their median from 0 above which they lie at an end of it."""


@dataclass(frozen=True)
class Calibration:
    """What is known of posteriors of held-out simulations, ``n`` of them.

    Attributes:
        means: Posterior means, ``(n, dim)``.
        ranks: Of truths among draws, ``(n, dim)``.
        draws: How many those were.
        pulls: Distances of truths and means in posterior sds, in normal space, ``(n, dim)``.
        drawn: Those draws in normal space, ``(n, draws, dim)``, where boxes are to be oblique.
        truth: The truths there, ``(n, dim)``.
    """

    means: Array
    ranks: Array
    draws: int
    pulls: Array
    drawn: Array | None = None
    truth: Array | None = None

    def along(self, axes: Array) -> Calibration:
        """Return the same along other axes of normal space, those that are rows, ``(dim, dim)``."""
        if self.drawn is None or self.truth is None:
            raise ValueError("draws of held-out posteriors were not kept; calibrate again")
        drawn, truth = self.drawn @ axes.T, self.truth @ axes.T
        sd = np.maximum(drawn.std(axis=1, ddof=1), np.finfo(float).tiny)
        pulls = (truth - drawn.mean(axis=1)) / sd
        ranks = (drawn < truth[:, None]).sum(axis=1)
        return Calibration(self.means, ranks, self.draws, np.nan_to_num(pulls))

    def near(self, mean: Array) -> Calibration:
        """Return the simulations whose posterior means are nearest to one, ``(dim,)``."""
        scale = np.maximum(self.means.std(axis=0), np.finfo(float).tiny)
        distance = np.sum(((self.means - mean) / scale) ** 2, axis=1)
        chosen = np.argsort(distance)[: max(NEAR, len(distance) // 5)]
        return Calibration(self.means[chosen], self.ranks[chosen], self.draws, self.pulls[chosen])


@dataclass(frozen=True)
class Box:
    """Where the next round simulates.

    Attributes:
        faces: In the normal space of the whole prior, by parameter; None where nothing is cut. Or
            an oblique box within that it was made in, see `boxes.Faces`.
        ratio: The prior's mass in the box over that in the box that it was made in.
        widening: Factors by which intervals had to be widened, by parameter.
        near: Held-out simulations that they rest on.
        missed: How many of these have a truth that such an interval, not widened, leaves out.
        beyond: Sides, low and high, on which it reaches beyond the box it was made in, since the
            posterior leans on the face there; by parameter, empty where it does not.
        lost: Parameters in which the posterior lies at an end of the prior or of the box, or all
            draws are the same, as where data are like no simulation; nothing is cut there.
    """

    faces: Faces
    ratio: float
    widening: dict[str, float]
    near: int
    missed: int
    beyond: dict[str, Sides] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)


def next_box(
    prior: Prior,
    theta: Array,
    calibration: Calibration,
    settled: Mapping[str, Sides],
    *,
    mass: float,
    widening: float = 1.0,
    members: int = 1,
    oblique: bool = False,
) -> Box:
    """Return the box of the next round: around the posterior, or beyond a face it leans on.

    Args:
        prior: That the estimator was trained under: the whole one, or within a box.
        theta: Draws of the posterior, ``(n, dim)``.
        calibration: Of the estimator.
        settled: Sides on which a wider box has shown nothing, low and high, by parameter.
        mass: Posterior mass outside the interval of a parameter, where it is not widened.
        widening: Factor by which intervals are widened at least.
        members: Of an ensemble: its box holds the box of each.
        oblique: Whether it lies along the principal axes of the posterior.
    """
    options: dict[str, Any] = {"mass": mass, "widening": widening, "members": members}
    if oblique:
        found = _oblique_box(prior, theta, calibration, **options)
    else:
        found = box_around(prior, theta, calibration, **options)
    if not isinstance(prior, BoxedPrior):
        return found
    for layer in prior.layers:
        if beyond := _leant_on(layer, theta, settled if layer is prior else {}):
            wider = BoxedPrior(layer.whole, _moved_out(layer, theta, beyond))
            ratio = wider.volume / prior.volume
            return replace(found, faces=wider.box, ratio=ratio, beyond=beyond)
    return found


def _leant_on(prior: Prior, theta: Array, settled: Mapping[str, Sides]) -> dict[str, Sides]:
    """Return the sides of a box that a posterior leans on, but for those that are settled."""
    found = {
        name: (low > LEANS and not known[0], high > LEANS and not known[1])
        for name, (low, high) in next_to_faces(prior, theta).items()
        for known in [settled.get(name, (False, False))]
    }
    return {name: sides for name, sides in found.items() if any(sides)}


def _oblique_box(prior: Prior, theta: Array, calibration: Calibration, **options: Any) -> Box:
    """Return the box along the principal axes of a posterior; it is cut out of that of the prior.

    A parameter in which the posterior is lost keeps its own axis, in which nothing is cut.
    """
    z = reachable(prior.to_normal(theta))
    used = [name for name, lost in zip(prior.names, _lost(z), strict=True) if not lost]
    columns = [prior.names.index(name) for name in used]
    axes = axes_of_draws(z[:, columns], used) if used else {}
    whole = np.eye(len(prior.names))
    whole[np.ix_(columns, columns)] = list(axes.values())
    turned = TurnedPrior(prior, axes)
    found = box_around(turned, theta, calibration.along(whole), **options)
    return replace(found, faces=BoxedPrior(turned, found.faces).box)


def _lost(z: Array) -> Array:
    """Say of which parameters all draws are the same, or lie at an end, ``(dim,)``."""
    centre = np.median(z, axis=0)
    sd = (z - centre).std(axis=0, ddof=1)  # of equal draws exactly 0
    return np.asarray(~(sd > ALL_THE_SAME) | (np.abs(centre) > FAR))


def next_to_faces(prior: Prior, theta: Array) -> dict[str, tuple[float, float]]:
    """Return the fractions of draws next to the low and high face of a box, by parameter.

    Args:
        prior: Within the box; of a whole one nothing is returned.
        theta: Draws, ``(n, dim)``.
    """
    if not isinstance(prior, BoxedPrior):
        return {}
    z, found = reachable(prior.whole.to_normal(theta)), {}
    for name, faces in prior.faces.items():
        own = z[:, prior.names.index(name)]
        middle = np.median(own)
        low, high = (
            0.0 if face is None else float(np.mean((own - middle) / (face - middle) > NEXT_TO))
            for face in faces
        )
        found[name] = (low, high)
    return found


def _moved_out(prior: BoxedPrior, theta: Array, beyond: Mapping[str, Sides]) -> dict[str, Pair]:
    """Return the faces of a box, those on some sides twice as far from the median."""
    medians = np.median(reachable(prior.whole.to_normal(theta)), axis=0)
    moved = {}
    for name, faces in prior.faces.items():
        median = float(medians[prior.names.index(name)])
        middle = float(NormalInterval.between(*faces).from_own(np.zeros(1))[0])
        sides = zip(faces, beyond.get(name, (False, False)), strict=True)
        low, high = (
            _farther(face, median, middle) if outwards and face is not None else face
            for face, outwards in sides
        )
        moved[name] = (low, high)
    return moved


def _farther(face: float, median: float, middle: float) -> float:
    """Return where a face is twice as far from the median of the draws.

    Where these crowd at the face, from the prior's in the box: from there it would hardly move.
    """
    crowded = abs(face - median) < CROWDED * abs(face - middle)
    return 2 * face - (middle if crowded else median)


def box_around(
    prior: Prior,
    theta: Array,
    calibration: Calibration,
    *,
    mass: float,
    widening: float = 1.0,
    members: int = 1,
) -> Box:
    """Return the box that holds all but a mass of each margin of a posterior.

    Args:
        prior: That the estimator was trained under: the whole one, or within a box.
        theta: Draws of the posterior, ``(n, dim)``.
        calibration: Of the estimator.
        mass: Posterior mass outside the interval of a parameter, where it is not widened.
        widening: Factor by which intervals are widened at least.
        members: Of an ensemble: its box holds the box of each.
    """
    z = reachable(prior.to_normal(theta))
    near = calibration.near(theta.mean(axis=0))
    centre, sd = np.median(z, axis=0), z.std(axis=0, ddof=1)
    lost = _lost(z)
    sd = np.where(lost, 1, sd)
    tail = mass / 2 / members
    reach = np.stack([upper_quantile(centre - z, tail), upper_quantile(z - centre, tail)])
    reach = np.maximum(reach, ALL_THE_SAME)
    missed = ~lost & ((near.pulls < -reach[0] / sd) | (near.pulls > reach[1] / sd))
    beyond_chance = stats.binom.sf(missed.sum(axis=0) - 1, len(missed), mass) < UNLIKELY
    by_pulls = np.where(beyond_chance, _by_pulls(near, reach / sd), 1)
    factors = np.where(lost, 1, np.maximum(_by_misses(near), by_pulls))
    below, above = np.maximum(factors, widening) * reach
    below[list(periodic_columns(prior))] = above[list(periodic_columns(prior))] = np.inf
    low, high = centre - below, centre + above
    low = np.where(lost | (special.ndtr(low) < EDGE), -np.inf, low)
    high = np.where(lost | (special.ndtr(-high) < EDGE), np.inf, high)
    return Box(
        faces=dict(_faces(prior, low, high)),
        ratio=float(np.prod([NormalInterval(*each).mass for each in zip(low, high, strict=True)])),
        widening=dict(zip(prior.names, factors.tolist(), strict=True)),
        near=len(near.pulls),
        missed=int(missed.any(axis=1).sum()),
        lost=[name for name, is_lost in zip(prior.names, lost, strict=True) if is_lost],
    )


def _faces(prior: Prior, low: Array, high: Array) -> Iterator[tuple[str, Pair]]:
    """Yield names and faces in the normal space of what the prior is cut from, where it is cut."""
    known = prior.faces if isinstance(prior, BoxedPrior) else {}
    whole = periods_of(prior)  # an interval of a circle would have a side that is no end
    for column, name in enumerate(prior.names):
        if name in whole:
            continue
        outer = NormalInterval.between(*known.get(name, (None, None)))
        inner = outer.from_own(np.array([low[column], high[column]]))
        below, above = (float(each) if np.isfinite(each) else None for each in inner)
        if (below, above) != (None, None):
            yield name, (below, above)


def upper_quantile(values: Array, tail: float) -> Array:
    """Return what a fraction of each column exceeds, ``(dim,)``, also a fraction that none does.

    The largest values are taken for those of a generalised Pareto distribution (Pickands, 1975).

    Args:
        values: Draws, ``(n, dim)``.
        tail: The fraction.
    """
    at = np.quantile(values, 1 - TAIL, axis=0)
    if tail >= TAIL:
        return np.quantile(values, 1 - tail, axis=0)
    found = []
    for column, threshold in zip(values.T, at, strict=True):
        excess = column[column > threshold] - threshold
        if not excess.size:  # one in twenty draws is the largest
            found.append(float(threshold))
            continue
        shape, _, scale = stats.genpareto.fit(excess, floc=0)
        beyond = stats.genpareto.isf(tail / TAIL, min(shape, 0.5), scale=scale)
        found.append(max(threshold + beyond, np.quantile(column, 1 - tail)))
    return np.array(found)


def _by_misses(near: Calibration) -> Array:
    """Return how much wider central intervals must be to miss as many truths as they should."""
    factors = np.ones(near.ranks.shape[1])
    for level in LEVELS:
        last = max(1, round(near.draws * level / 2))
        expected = 2 * last / (near.draws + 1)
        outside = ((near.ranks < last) | (near.ranks > near.draws - last)).sum(axis=0)
        sure = stats.binom.sf(outside - 1, len(near.ranks), expected) < SURE
        share = np.clip(outside / len(near.ranks), expected, 0.95)
        wider = special.ndtri(1 - expected / 2) / special.ndtri(1 - share / 2)
        factors = np.maximum(factors, np.where(sure, np.minimum(wider, WIDEST), 1))
    return factors


def _by_pulls(near: Calibration, reach: Array) -> Array:
    """Return how much wider intervals must be to hold all truths near the observation.

    Args:
        near: Simulations near it.
        reach: Of the interval below and above the centre, in posterior sds, ``(2, dim)``.
    """
    farthest = np.maximum(-near.pulls.min(axis=0) / reach[0], near.pulls.max(axis=0) / reach[1])
    return np.clip(farthest, 1, WIDEST)
