"""A prior along other axes of its normal space, in which a box may lie obliquely.

The normal space of a prior is N(0, I), and so it is along any axes at right angles. A box along the
principal axes of a posterior is tight also where that is thin and oblique; its draws are exact and
its volume is known, as of any box.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import optimize, special

from ..types import Array, Prior
from .reach import reachable

Axes = Mapping[str, Sequence[float]]
"""Unit vectors at right angles, each called after the parameter that it is nearest to, in a normal
space whose coordinates are these parameters, in this order."""


@dataclass(frozen=True)
class TurnedPrior:
    """A prior whose normal space has other axes; again a `types.Prior`.

    Attributes:
        whole: The prior.
        axes: Its axes; parameters that they do not name keep their own.
    """

    whole: Prior
    axes: Axes

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order: in normal space of the axes nearest to them."""
        return self.whole.names

    @cached_property
    def _columns(self) -> list[int]:
        return [self.names.index(name) for name in self.axes]

    @cached_property
    def _matrix(self) -> Array:
        return np.array(list(self.axes.values()), dtype=float).reshape((len(self.axes),) * 2)

    def from_uniform(self, u: Array) -> Array:
        """Map uniforms in [0, 1), ``(n, dim)``, to parameters, ``(n, dim)``."""
        return self.from_normal(special.ndtri(u))

    def from_normal(self, z: Array) -> Array:
        """Map coordinates along the axes, ``(n, dim)``, to parameters, ``(n, dim)``."""
        z = reachable(np.array(z, dtype=float))
        z[:, self._columns] = z[:, self._columns] @ self._matrix
        return self.whole.from_normal(z)

    def to_normal(self, parameters: Array) -> Array:
        """Map parameters, ``(n, dim)``, to coordinates along the axes, ``(n, dim)``."""
        z = reachable(np.array(self.whole.to_normal(parameters), dtype=float))
        z[:, self._columns] = z[:, self._columns] @ self._matrix.T
        return z

    def log_prob(self, parameters: Array) -> Array:
        """Log density in nats, ``(n,)``."""
        return self.whole.log_prob(parameters)

    def keep(self, names: tuple[str, ...]) -> TurnedPrior:
        """Return the marginal prior of the named parameters, those that are turned among them."""
        self._check_whole(names)
        return TurnedPrior(self.whole.keep(names), self.axes)

    def complete(self, known: Mapping[str, Array], u: Array) -> Array:
        """Draw the parameters not in ``known``, given those that are turned; see `types.Prior`."""
        self._check_whole(tuple(known))
        return self.whole.complete(known, u)

    def _check_whole(self, names: tuple[str, ...]) -> None:
        if missing := [name for name in self.axes if name not in names]:
            raise ValueError(
                f"the box lies obliquely in {', '.join(self.axes)}, so {missing[0]!r} cannot be "
                "left out; wanted all of them, or rounds whose axes are parameters"
            )


def axes_of_draws(z: Array, names: Sequence[str]) -> dict[str, list[float]]:
    """Return the principal axes of draws, ``(n, dim)``, each called after the nearest parameter.

    Axes of draws that are not correlated are those of the parameters.
    """
    _, vectors = np.linalg.eigh(np.atleast_2d(np.cov(z.T)))
    _, order = optimize.linear_sum_assignment(-np.abs(vectors))
    chosen = vectors[:, order]
    chosen = chosen * np.where(np.diag(chosen) < 0, -1.0, 1.0)
    return dict(zip(names, chosen.T.tolist(), strict=True))
