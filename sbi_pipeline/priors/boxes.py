"""A prior within a box of its uniform space: exact draws and densities, however small the box.

Every parameter is the inverse CDF of one uniform, so a prior is truncated by an interval for some
of them: draws are ``low + u (high - low)``, nothing is rejected, and the density within gains the
same factor everywhere. Conditional priors are truncated in the uniform of each parameter given its
parents. Faces are kept in the prior's normal space, where they have their digits in both tails.
A box may lie obliquely in another, along other axes of its normal space (`axes`).
(Truncated marginal neural ratio estimation: Miller, Cole, Forre, Louppe, Weniger, 2021,
https://arxiv.org/abs/2107.01214.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import special

from ..types import Array, Prior
from .axes import Axes, TurnedPrior

Faces = Mapping[str, Any]
"""Low and high face of a box in the prior's normal space, by parameter; None is none. Of one that
lies obliquely: ``axes`` in the normal space of the box ``within`` which it lies, `axes.Axes`, and
``faces`` along them."""
NO_FACES = (None, None)
SMALLEST = 2.0**-53
"""How near draws come to a face, in uniforms of the box."""


@dataclass(frozen=True)
class BoxedPrior:
    """A prior, truncated; again a `types.Prior`, and N(0, I) in its own normal space.

    Attributes:
        whole: The prior that is truncated; along other axes, that of the box around this one.
        faces: Of the box; parameters, or axes, that are not named stay whole.
    """

    whole: Prior
    faces: Mapping[str, Sequence[float | None]]

    @classmethod
    def of(cls, prior: Prior, box: Faces) -> BoxedPrior:
        """Return a prior within a box, also in one that cuts nothing or lies obliquely."""
        if not is_oblique(box):
            return cls(prior, box)
        outer = truncated(prior, box["within"])
        return cls(TurnedPrior(outer, box["axes"]), box["faces"])

    @property
    def box(self) -> Faces:
        """The box, as `of` takes it."""
        if not isinstance(self.whole, TurnedPrior):
            return self.faces
        within = {} if self.outer is None else self.outer.box
        return {"within": within, "axes": self.whole.axes, "faces": self.faces}

    @property
    def outer(self) -> BoxedPrior | None:
        """The prior within the box in which this one lies obliquely; None for no such box."""
        around = self.whole.whole if isinstance(self.whole, TurnedPrior) else None
        return around if isinstance(around, BoxedPrior) else None

    @property
    def layers(self) -> list[BoxedPrior]:
        """All boxes around each other, the outermost first."""
        return [*([] if self.outer is None else self.outer.layers), self]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return self.whole.names

    @property
    def volume(self) -> float:
        """The mass of the whole prior within the box."""
        return float(np.exp(sum(each._log_share for each in self.layers)))

    @cached_property
    def _log_share(self) -> float:
        """Logarithm of the mass within it of what is truncated."""
        return float(sum(np.log(each.mass) for each in self._intervals.values()))

    @cached_property
    def _intervals(self) -> dict[int, NormalInterval]:
        """The interval of each truncated column."""
        return {
            self.names.index(name): NormalInterval.between(*faces)
            for name, faces in self.faces.items()
        }

    def from_uniform(self, u: Array) -> Array:
        """Map uniforms in [0, 1), ``(n, dim)``, to parameters within the box, ``(n, dim)``."""
        return self.from_normal(special.ndtri(u))

    def from_normal(self, z: Array) -> Array:
        """Map standard-normal space, ``(n, dim)``, to parameters within the box, ``(n, dim)``."""
        z = np.array(z, dtype=float)
        for column, each in self._intervals.items():
            z[:, column] = each.from_own(z[:, column])
        return self.whole.from_normal(z)

    def to_normal(self, parameters: Array) -> Array:
        """Map parameters, ``(n, dim)``, to standard-normal space; to its end outside the box."""
        z = np.array(self.whole.to_normal(parameters), dtype=float)
        for column, each in self._intervals.items():
            z[:, column] = each.to_own(z[:, column])
        return z

    def log_prob(self, parameters: Array) -> Array:
        """Log density in nats, ``(n,)``; -inf outside the box."""
        inside = self.contains(parameters)
        log_prob = self.whole.log_prob(parameters) - self._log_share
        return np.where(inside, log_prob, -np.inf)

    def contains(self, parameters: Array) -> Array:
        """Say which parameters, ``(n, dim)``, lie within the box, ``(n,)``."""
        z = self.whole.to_normal(parameters)
        inside = np.ones(len(z), bool) if self.outer is None else self.outer.contains(parameters)
        for column, each in self._intervals.items():
            inside &= (each.low <= z[:, column]) & (z[:, column] <= each.high)
        return inside

    def face_values(self, parameters: Array) -> dict[str, tuple[float, float]]:
        """Return both ends of each parameter that is cut, the others as given, ``(dim,)``."""
        found = {}
        for name in self.faces:
            column = self.names.index(name)
            z = np.repeat(self.to_normal(parameters[None]), 2, axis=0)
            z[:, column] = -np.inf, np.inf
            low, high = self.from_normal(z)[:, column]
            found[name] = (float(low), float(high))
        return found

    def keep(self, names: Sequence[str]) -> BoxedPrior:
        """Return the marginal prior of the named parameters, in the order given."""
        kept = {name: each for name, each in self.faces.items() if name in names}
        return BoxedPrior(self.whole.keep(tuple(names)), kept)

    def complete(self, known: Mapping[str, Array], u: Array) -> Array:
        """Draw the parameters not in ``known``, given those that are; see `types.Prior`."""
        u = np.array(u, dtype=float)
        for column, each in self._intervals.items():
            u[:, column] = special.ndtr(each.from_own(special.ndtri(u[:, column])))
        return self.whole.complete(known, u)


@dataclass(frozen=True)
class NormalInterval:
    """An interval of a standard normal, and the normal space of the distribution within it.

    It is mirrored if most of it lies above 0, since CDFs have more digits near 0 than near 1.

    Attributes:
        low: Its low face.
        high: Its high face.
    """

    low: float
    high: float

    @classmethod
    def between(cls, low: float | None, high: float | None) -> NormalInterval:
        """Return the interval between two faces, of which None is none."""
        return cls(-np.inf if low is None else low, np.inf if high is None else high)

    @property
    def mass(self) -> float:
        """The probability of the interval."""
        return self._cdfs[1] - self._cdfs[0]

    def from_own(self, z: Array) -> Array:
        """Map the normal space of the interval to that of the whole."""
        if self._is_whole:
            return z
        sign, (low, high) = self._sign, self._cdfs
        below, above = special.ndtr(sign * z), special.ndtr(-sign * z)
        below, above = np.maximum(below, SMALLEST), np.maximum(above, SMALLEST)
        found = np.where(below < 0.5, low + below * self.mass, high - above * self.mass)
        return np.clip(sign * special.ndtri(found), self.low, self.high)

    def to_own(self, z: Array) -> Array:
        """Map the normal space of the whole to that of the interval, the outside to an end."""
        if self._is_whole:
            return z
        sign, (low, high) = self._sign, self._cdfs
        cdf = special.ndtr(sign * z)
        below = np.clip((cdf - low) / self.mass, SMALLEST, 1)
        above = np.clip((high - cdf) / self.mass, SMALLEST, 1)
        found = np.where(below < 0.5, special.ndtri(below), -special.ndtri(above))
        return np.asarray(sign * found)

    @property
    def _is_whole(self) -> bool:
        return bool(np.isneginf(self.low) and np.isposinf(self.high))

    @property
    def _sign(self) -> int:
        return -1 if self.low > -self.high else 1

    @property
    def _cdfs(self) -> tuple[float, float]:
        """CDFs of both faces, mirrored if need be."""
        faces = (self.low, self.high) if self._sign > 0 else (-self.high, -self.low)
        low, high = special.ndtr(faces)
        return float(low), float(high)


def truncated(prior: Prior, box: Faces | None) -> Prior:
    """Return a prior within a box; the prior itself where there is none."""
    return BoxedPrior.of(prior, box) if box else prior


def untruncated(prior: Prior) -> Prior:
    """Return the prior that one within a box was truncated from; any other as it is."""
    while isinstance(prior, BoxedPrior | TurnedPrior):
        prior = prior.whole
    return prior


def is_oblique(box: Faces) -> bool:
    """Say whether a box lies along other axes than those of the parameters."""
    return isinstance(box.get("axes"), Mapping)


def cut_by(box: Faces) -> set[str]:
    """Return the parameters that a box cuts, or that are nearest to the axes that it cuts."""
    return {name for _, faces in _layers(box) for name in faces}


def check_kept(whole: Prior, names: Sequence[str], theta: Array) -> None:
    """Refuse a prior some of whose parameters have other normal deviates when they are kept alone.

    Faces found among inferred parameters cut the joint prior at other values then.

    Args:
        whole: The joint prior.
        names: The parameters that are kept, in an order in which they are.
        theta: Draws of it, ``(n, dim)``.

    Raises:
        ValueError: Some have.
    """
    columns = [whole.names.index(name) for name in names]
    own = whole.keep(tuple(names)).to_normal(theta[:, columns])
    differ = ~np.isclose(own, whole.to_normal(theta)[:, columns], rtol=0, atol=1e-6)
    if differ.any():
        name = names[int(differ.any(axis=0).argmax())]
        raise ValueError(
            f"{name!r} has other normal deviates in keep(({', '.join(names)})) than in the whole "
            "prior, so a box found among these would lie elsewhere in it; wanted the same, or a "
            "campaign without rounds"
        )


def holds(outer: Faces, inner: Faces) -> bool:
    """Say whether one box is known to lie within another.

    Of boxes that lie obliquely it is where they share their axes, or one was cut out of the other.
    """
    around = _layers(outer)
    others = [*_layers(inner), *[(None, dict[str, Any]())] * len(around)]
    for (axes, faces), (own_axes, own) in zip(around, others, strict=False):
        if axes != own_axes or not _hold(faces, own):
            return False
        if not _hold(own, faces):  # smaller, so further layers are cut out of something else
            return faces is around[-1][1]
    return True


def _layers(box: Faces) -> list[tuple[Axes | None, Mapping[str, Sequence[float | None]]]]:
    """Return axes and faces of all boxes around each other, the outermost first."""
    if not is_oblique(box):
        return [(None, box)]
    return [*_layers(box["within"]), (box["axes"], box["faces"])]


def _hold(
    outer: Mapping[str, Sequence[float | None]], inner: Mapping[str, Sequence[float | None]]
) -> bool:
    """Say whether faces lie within others along the same axes."""
    for name, faces in outer.items():
        own, other = (NormalInterval.between(*each) for each in (faces, inner.get(name, NO_FACES)))
        if not own.low <= other.low <= other.high <= own.high:
            return False
    return True
