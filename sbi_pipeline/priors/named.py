"""Named priors with units, conditional ones too; sampled by inverse CDF.

Each parameter has a distribution of `families.TYPES`. A value in it may be an expression in other
parameters (``mean: "0.1 * mass"``), which makes the prior conditional: p(eta | theta). Every
parameter uses exactly one uniform a row, so draws are vectorised and do not depend on how a
campaign is split; the same map, through the standard normal's CDF, takes parameters to
standard-normal space and back, where bounds are exact and the prior is N(0, I).
(Rosenblatt, Remarks on a multivariate transformation, Ann. Math. Stat. 23, 1952,
https://doi.org/10.1214/aoms/1177729394.)
"""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from ..expressions import Expression
from ..types import Array
from .families import TYPES, Family
from .tabulated import Dependence

Values = dict[str, Array]
TEXTS = ("type", "unit", "label", "description")
COMPUTED = Expression | Dependence
ROUNDED = 2.0**-53
"""The fraction beyond a value that was rounded to an end of its support."""


class ParameterError(ValueError):
    """Something is wrong with the prior of one parameter.

    Attributes:
        name: Of the parameter.
    """

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


@dataclass(frozen=True)
class Parameter:
    """One parameter: its family, and arguments that are numbers or expressions.

    Attributes:
        name: Of the parameter.
        family: Of its distribution.
        arguments: By name.
        label: Shown on axes.
        unit: Shown in tables and on axes.
        periodic: Whether the ends of its range are one point.
    """

    name: str
    family: Family
    arguments: Mapping[str, Any]
    label: str
    unit: str = ""
    periodic: bool = False

    @property
    def parents(self) -> tuple[str, ...]:
        """Names of the parameters that its arguments depend on."""
        expressions = (a for a in self.arguments.values() if isinstance(a, COMPUTED))
        return tuple(sorted({name for e in expressions for name in e.names}))

    def given(self, values: Mapping[str, Array]) -> Any:
        """Return the distribution, given the values of the parents.

        Raises:
            ParameterError: The arguments break the family's rule.
        """
        arguments = {
            key: value(values) if isinstance(value, COMPUTED) else value
            for key, value in self.arguments.items()
        }
        valid = np.asarray(self.family.valid(**arguments))
        if not valid.all():
            first = int(valid.argmin())
            got = ", ".join(f"{k} = {_of_row(value, first)}" for k, value in arguments.items())
            text = f"prior of {self.name!r}: got {got}; wanted {self.family.rule}"
            raise ParameterError(self.name, text)
        return self.family.distribution(*(arguments[key] for key in self.family.arguments))


def parameter(name: str, spec: Mapping[str, Any]) -> Parameter:
    """Read one parameter from its entry in the configuration.

    Raises:
        ValueError: Unknown type, missing or unknown arguments, or values that make no sense.
    """
    kind = spec.get("type")
    if kind not in TYPES:
        raise ValueError(f"prior of {name!r}: got type {kind!r}; wanted one of {', '.join(TYPES)}")
    family = TYPES[kind]
    given = {key: value for key, value in spec.items() if key not in (*TEXTS, "periodic")}
    if set(given) != set(family.arguments):
        raise ValueError(
            f"prior of {name!r}: got {', '.join(given) or 'nothing'}; "
            f"a {kind} prior wants {', '.join(family.arguments)}"
        )
    arguments = {key: _computed(value) for key, value in given.items()}
    made = Parameter(
        name,
        family,
        arguments,
        spec.get("label", name),
        spec.get("unit", ""),
        bool(spec.get("periodic", False)),
    )
    if not made.parents:
        made.given({})
    _check_periodic(made)
    return made


def _computed(written: Any) -> Any:
    """Return an argument; where it depends on other parameters, what works it out."""
    if isinstance(written, Mapping):
        return Dependence(written)
    return Expression(written) if isinstance(written, str) else written


def _check_periodic(made: Parameter) -> None:
    """Refuse a circle without ends that are numbers.

    Raises:
        ParameterError: See above.
    """
    if not made.periodic:
        return
    if made.parents or made.family.discrete or not np.isfinite(made.given({}).support()).all():
        got = f"depends on {made.parents[0]!r}" if made.parents else "has no two ends"
        raise ParameterError(
            made.name,
            f"prior of {made.name!r}: periodic wants a continuous prior between two numbers, such "
            f"as a uniform one from 0 to 2 * pi, and this one {got}; remove periodic",
        )


@dataclass(frozen=True)
class NamedPrior:
    """Independent and conditional priors of named parameters, in the order of ``parameters``."""

    parameters: tuple[Parameter, ...]

    def __post_init__(self) -> None:
        """Check that every expression can be evaluated.

        Raises:
            ValueError: An expression names something unknown, or two depend on each other.
        """
        known = set(self.names)
        for each in self.parameters:
            if missing := [name for name in each.parents if name not in known]:
                raise ValueError(
                    f"prior of {each.name!r} depends on {missing[0]!r}, which is none of "
                    f"{', '.join(self.names)}"
                )
        self.in_order()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(each.name for each in self.parameters)

    def from_uniform(self, u: Array) -> Array:
        """Map uniforms in [0, 1), ``(n, dim)``, to parameters, ``(n, dim)``."""
        return self.complete({}, u)

    def complete(self, known: Mapping[str, Array], u: Array) -> Array:
        """Draw the parameters not in ``known``, given those that are; see `types.Prior`."""

        def draw(column: int, given: Any) -> Array:
            own = u[:, column]
            discrete = self.parameters[column].family.discrete
            return np.asarray(given.ppf(own)) if discrete else _quantiles(given, own)

        return self._fill(known, draw, len(u))

    def from_normal(self, z: Array) -> Array:
        """Map standard-normal space, ``(n, dim)``, to parameters, ``(n, dim)``."""
        z = self._columns(z)

        def draw(column: int, given: Any) -> Array:
            return _from_normal(given, z[:, column], self.parameters[column].family.discrete)

        return self._fill({}, draw, len(z))

    def to_normal(self, parameters: Array) -> Array:
        """Map parameters, ``(n, dim)``, to standard-normal space; a discrete one to mid-step."""
        values = self._by_name(parameters)
        columns = [
            _to_normal(each.given(values), values[each.name], each.family.discrete)
            for each in self.parameters
        ]
        return np.stack(columns, axis=1)

    def log_prob(self, parameters: Array) -> Array:
        """Log density, for discrete parameters log probability, in nats, ``(n,)``."""
        values = self._by_name(parameters)
        total = np.zeros(len(parameters))
        for each in self.parameters:
            given = each.given(values)
            log_density = given.logpmf if each.family.discrete else given.logpdf
            total = total + log_density(values[each.name])
        return np.asarray(total)

    def in_order(self) -> list[int]:
        """Return columns such that parents come first."""
        graph = {each.name: each.parents for each in self.parameters}
        try:
            ordered = list(graphlib.TopologicalSorter(graph).static_order())
        except graphlib.CycleError as error:
            raise ValueError(f"priors depend on each other: {' -> '.join(error.args[1])}") from None
        column = {name: index for index, name in enumerate(self.names)}
        return [column[name] for name in ordered]

    def keep(self, names: Sequence[str]) -> NamedPrior:
        """Return the marginal prior of the named parameters, in the order given.

        Raises:
            ValueError: A kept parameter depends on a dropped one, so that the marginal has no
                closed form.
        """
        by_name = {each.name: each for each in self.parameters}
        for name in names:
            if name not in by_name:
                raise ValueError(f"{name!r} is none of the parameters {', '.join(self.names)}")
            if dropped := [parent for parent in by_name[name].parents if parent not in names]:
                raise ValueError(
                    f"{name!r} is kept but its prior depends on {dropped[0]!r}, which is dropped; "
                    f"infer {dropped[0]!r} too, or write the dependence the other way round"
                )
        return NamedPrior(tuple(by_name[name] for name in names))

    def _fill(self, known: Mapping[str, Array], draw: Callable[[int, Any], Array], n: int) -> Array:
        values: Values = {name: np.asarray(value, float) for name, value in known.items()}
        for column in self.in_order():
            each = self.parameters[column]
            if each.name not in values:
                values[each.name] = np.asarray(draw(column, each.given(values)), float)
        return np.stack([np.broadcast_to(values[name], (n,)) for name in self.names], axis=1)

    def _by_name(self, parameters: Array) -> Values:
        return dict(zip(self.names, self._columns(parameters).T, strict=True))

    def _columns(self, values: Array) -> Array:
        values = np.asarray(values, dtype=float)
        if values.ndim != 2 or values.shape[1] != len(self.names):
            raise ValueError(
                f"got an array of shape {values.shape}; the prior has {len(self.names)} "
                f"parameters ({', '.join(self.names)}), so wanted (n, {len(self.names)})"
            )
        return values


def _of_row(value: Any, row: int) -> Any:
    """Return one of many values of an argument, or the only one."""
    return value[row] if isinstance(value, np.ndarray) and value.ndim else value


def _quantiles(given: Any, u: Array) -> Array:
    """Inverse CDF, ``(n,)``: within the support, where rounding would put values at its ends."""
    return _within(given, np.asarray(given.ppf(np.maximum(u, ROUNDED / 2)), float))


def _from_normal(given: Any, z: Array, discrete: bool) -> Array:
    """Inverse CDF of the normal CDF, each tail from its own side to keep its digits.

    What lies more than 37.5 standard deviations out is taken to lie there: the fraction beyond it
    would be 0, and the parameter infinite.
    """
    beyond = np.maximum(special.ndtr(-np.abs(z)), np.finfo(float).tiny)
    values = np.where(z > 0, given.isf(beyond), given.ppf(np.where(z > 0, 0.5, beyond)))
    return values if discrete else _within(given, values)


def _to_normal(given: Any, value: Array, discrete: bool) -> Array:
    """Return the normal deviate of values, ``(n,)``: finite in the support, its ends included."""
    if discrete:
        return special.ndtri(given.cdf(value) - 0.5 * given.pmf(value))
    low, high = given.support()
    near = np.where((low <= value) & (value <= high), _within(given, value), value)
    moved = near != value
    below, above = (np.clip(tail(near), 0, 1) for tail in (given.cdf, given.sf))
    inside = (low <= near) & (near <= high) & np.isfinite(near)
    below, above = (
        np.where(inside & (moved | (tail == 0)), np.maximum(tail, ROUNDED), tail)
        for tail in (below, above)
    )
    return np.where(below > 0.5, -special.ndtri(above), special.ndtri(below))


def _within(given: Any, values: Array) -> Array:
    """Return values, finite ones at an end of the support or beyond it moved to the next within."""
    low, high = given.support()
    tiny = np.finfo(float).tiny  # what is less has fewer digits, and an infinite inverse
    least = np.where(np.equal(low, 0), tiny, np.nextafter(low, np.inf))
    most = np.where(np.equal(high, 0), -tiny, np.nextafter(high, -np.inf))
    return np.where(np.isfinite(values), np.clip(values, least, most), values)
