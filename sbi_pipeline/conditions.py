"""Known conditions: parameters whose values are given with every data set, such as an exposure.

They are drawn from their prior for the simulations, and travel with the data: what a network is
shown is a data set packed with the conditions it was taken under (`networks.packing`), these in the
normal space of their prior, where their scale is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import priors
from .networks.packing import packed
from .priors.supports import outside
from .types import Array, Prior

WITHIN = 4.0
"""In normal space, where conditions farther out are taken to lie: one in 16 000 does, which teaches
no network what a value at a bound of its prior would mean."""
TOLERANCE = 1e-6
"""Of log densities, to which a joint prior must be the product of those of its parts."""


@dataclass(frozen=True)
class Conditions:
    """The known conditions of data sets.

    Attributes:
        prior: Theirs; None where there are none.
    """

    prior: Prior | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, in order."""
        return () if self.prior is None else self.prior.names

    def only(self, names: Sequence[str]) -> Conditions:
        """Return some of them."""
        if self.prior is None or not names:
            return NO_CONDITIONS
        return Conditions(self.prior.keep(tuple(names)))

    def beside(self, x: Array, known: Array) -> Array:
        """Return data sets as networks are shown them: packed with conditions in normal space.

        Args:
            x: ``(..., *x_shape)``.
            known: Their conditions, ``(..., known)``.
        """
        return packed(self.to_normal(known), x)

    def to_normal(self, known: Array) -> Array:
        """Return conditions in normal space, ``(..., known)``."""
        if self.prior is None or not known.size:
            return known
        z = self.prior.to_normal(known.reshape(-1, len(self.names)))
        return np.clip(z, -WITHIN, WITHIN).reshape(known.shape)

    def of(self, given: Mapping[str, Any] | None, shape: tuple[int, ...] = ()) -> Array:
        """Return conditions that are given by name, ``(*shape, known)``, after a look at them.

        Args:
            given: Numbers, or arrays that fit ``shape``.
            shape: Of the data sets: ``()`` for one.

        Raises:
            ValueError: One is missing, not known, of another shape, or excluded by its prior.
        """
        given = given or {}
        self.check_names(given)
        values = {name: _fitted(name, given[name], shape) for name in self.names}
        self.check_values({name: np.ravel(each) for name, each in values.items()})
        return np.stack([*values.values()], axis=-1) if values else np.empty((*shape, 0))

    def check_names(self, given: Mapping[str, Any]) -> None:
        """Refuse names that are no known conditions, and conditions of which nothing is given.

        Raises:
            ValueError: With the first of them.
        """
        are = f"known parameters are {', '.join(self.names) or 'none'}"
        if unknown := [name for name in given if name not in self.names]:
            raise ValueError(f"{unknown[0]!r} is given as known, and {are}")
        if missing := [name for name in self.names if name not in given]:
            raise ValueError(
                f"the value of {missing[0]!r} is not given, and {are}: say what it is, as known: "
                f"{{{missing[0]}: ...}}"
            )

    def check_values(self, values: Mapping[str, Array]) -> None:
        """Refuse values that are no numbers, or that the prior excludes.

        Args:
            values: By name, ``(n,)``.

        Raises:
            ValueError: With the first of them.
        """
        for name, each in values.items():
            if not np.isfinite(each).all():
                raise ValueError(f"known {name} is {each[~np.isfinite(each)][0]}; wanted a number")
        if self.prior is None:
            return
        for name, excluded in outside(values, self.prior).items():
            if excluded.any():
                raise ValueError(
                    f"known {name} = {values[name][excluded][0]:g} lies outside its prior, where "
                    "nothing is learnt: widen the prior, or mend the value"
                )


NO_CONDITIONS = Conditions()


def conditions_of(header: Mapping[str, Any]) -> Conditions:
    """Return the known conditions that an estimator tells of."""
    joint = priors.build(header["priors"], header["parameters"])
    return conditions_in(joint, header.get("known_parameters", ()))


def conditions_in(joint: Prior, names: Sequence[str]) -> Conditions:
    """Return known conditions by their names, under the prior of all parameters.

    Raises:
        ValueError: Their prior depends on other parameters.
    """
    return Conditions(joint.keep(tuple(names))) if names else NO_CONDITIONS


def check_independent(joint: Prior, inferred: Sequence[str], known: Sequence[str]) -> None:
    """Refuse known conditions whose prior depends on the inferred parameters, or theirs on it.

    Args:
        joint: Of all parameters.
        inferred: Names of the inferred parameters.
        known: Names of the known conditions.

    Raises:
        ValueError: It does: a posterior given the conditions would have another prior.
    """
    both = joint.keep((*inferred, *known))
    theta = both.from_uniform(np.random.default_rng(0).random((100, len(both.names))))
    parts = np.split(theta, [len(inferred)], axis=1)
    apart = [
        joint.keep(tuple(names)).log_prob(part)
        for names, part in zip((inferred, known), parts, strict=True)
    ]
    if not np.allclose(both.log_prob(theta), np.sum(apart, axis=0), rtol=TOLERANCE, atol=TOLERANCE):
        raise ValueError(
            f"the prior of {', '.join(inferred)} depends on {', '.join(known)}; wanted known "
            "parameters that are drawn independently of the inferred ones"
        )


def _fitted(name: str, value: Any, shape: tuple[int, ...]) -> Array:
    """Return values of one condition for data sets, ``shape``."""
    found = np.asarray(value)
    if not (np.issubdtype(found.dtype, np.number) or found.dtype == bool):
        raise ValueError(f"known {name} is {value!r}; wanted a number")
    try:
        return np.broadcast_to(found.astype(float), shape)
    except ValueError as error:
        text = f"wanted one, or an array of shape {shape}: one for each data set"
        raise ValueError(f"known {name} has {found.size} values; {text}") from error
