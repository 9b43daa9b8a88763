"""Families of distributions that a prior may be written with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le, MinLen, doc

from ..options import Described
from ..types import Array
from .distributions import (
    beta,
    exponential,
    gamma,
    halfnormal,
    lognormal,
    loguniform,
    normal,
    uniform,
)
from .shapes import (
    cauchy,
    halfcauchy,
    invgamma,
    laplace,
    latitude,
    logistic,
    polar_angle,
    powerlaw,
    student,
    triangular,
    weibull,
)
from .tabulated import by_quantiles, copula, rise

EXPRESSION = "an expression in parameters written before it"
REAL = Annotated[float | str, Described(f"a number or {EXPRESSION}")]
POSITIVE = Annotated[Annotated[float, Gt(0)] | str, Described(f"a number above 0 or {EXPRESSION}")]
WHOLE = Annotated[int | str, Described(f"a whole number or {EXPRESSION}")]
PROBABILITY = Annotated[
    Annotated[float, Ge(0), Le(1)] | str, Described(f"a number from 0 to 1 or {EXPRESSION}")
]
PROBABILITIES = Annotated[
    list[Annotated[float, Ge(0), Le(1)]],
    MinLen(2),
    Described("a list of two or more numbers from 0 to 1"),
    doc("of 0, 1, 2, …"),
]
LOGARITHMIC = doc("of the natural logarithm")
BEFORE = doc("before truncation")
NUMBERS = Annotated[
    list[float], MinLen(2), Described("a list of two or more numbers, each above the one before")
]
PLACED = {"location": REAL, "scale": POSITIVE}


@dataclass(frozen=True)
class Family:
    """A family of distributions: its arguments, the distribution, what must hold.

    ``arguments`` says what each may be, by name. ``distribution`` turns arguments, each a number or
    ``(n,)``, into one with the methods of a frozen distribution of SciPy. ``valid`` says whether
    arguments make sense; ``rule`` says it in words.
    """

    arguments: Mapping[str, Any]
    distribution: Callable[..., Any]
    valid: Callable[..., Any]
    rule: str
    discrete: bool = False


def _scipy_stats() -> Any:
    """Import SciPy's distributions: they take half a second, which the usual families save."""
    from scipy import stats  # noqa: PLC0415

    return stats


def _categorical(probabilities: Sequence[float]) -> Any:
    values = np.arange(len(probabilities))
    return _scipy_stats().rv_discrete(values=(values, np.asarray(probabilities, float)))


def _truncnormal(mean: Array, sd: Array, min: Array, max: Array) -> Any:  # noqa: A002
    return _scipy_stats().truncnorm((min - mean) / sd, (max - mean) / sd, mean, sd)


TYPES = {
    "uniform": Family(
        {"min": REAL, "max": REAL},
        uniform,
        lambda min, max: min < max,  # noqa: A006
        "min < max",
    ),
    "normal": Family({"mean": REAL, "sd": POSITIVE}, normal, lambda mean, sd: sd > 0, "sd > 0"),
    "lognormal": Family(
        {"mean": Annotated[REAL, LOGARITHMIC], "sd": Annotated[POSITIVE, LOGARITHMIC]},
        lognormal,
        lambda mean, sd: sd > 0,
        "sd > 0 (mean and sd are those of the natural logarithm)",
    ),
    "halfnormal": Family({"sd": POSITIVE}, halfnormal, lambda sd: sd > 0, "sd > 0"),
    "loguniform": Family(
        {"min": POSITIVE, "max": POSITIVE},
        loguniform,
        lambda min, max: (min > 0) & (min < max),  # noqa: A006
        "0 < min < max",
    ),
    "beta": Family(
        {"a": POSITIVE, "b": POSITIVE},
        beta,
        lambda a, b: (a > 0) & (b > 0),
        "a > 0 and b > 0",
    ),
    "gamma": Family(
        {"shape": POSITIVE, "scale": POSITIVE},
        gamma,
        lambda shape, scale: (shape > 0) & (scale > 0),
        "shape > 0 and scale > 0",
    ),
    "exponential": Family({"scale": POSITIVE}, exponential, lambda scale: scale > 0, "scale > 0"),
    "truncnormal": Family(
        {
            "mean": Annotated[REAL, BEFORE],
            "sd": Annotated[POSITIVE, BEFORE],
            "min": REAL,
            "max": REAL,
        },
        _truncnormal,
        lambda mean, sd, min, max: (sd > 0) & (min < max),  # noqa: A006
        "sd > 0 and min < max",
    ),
    "powerlaw": Family(
        {"exponent": Annotated[REAL, doc("of the density")], "min": REAL, "max": POSITIVE},
        powerlaw,
        lambda exponent, min, max: (  # noqa: A006
            (min >= 0) & (min < max) & ((min > 0) | (exponent > -1))
        ),
        "0 <= min < max, and min > 0 where the exponent is -1 or less",
    ),
    "sine": Family(
        {"min": REAL, "max": REAL},
        polar_angle,
        lambda min, max: (min >= 0) & (min < max) & (max <= np.pi),  # noqa: A006
        "0 <= min < max <= pi",
    ),
    "cosine": Family(
        {"min": REAL, "max": REAL},
        latitude,
        lambda min, max: (-np.pi / 2 <= min) & (min < max) & (max <= np.pi / 2),  # noqa: A006
        "-pi/2 <= min < max <= pi/2",
    ),
    "triangular": Family(
        {"min": REAL, "mode": REAL, "max": REAL},
        triangular,
        lambda min, mode, max: (min <= mode) & (mode <= max) & (min < max),  # noqa: A006
        "min <= mode <= max and min < max",
    ),
    "student": Family(
        {"df": Annotated[POSITIVE, doc("degrees of freedom")], **PLACED},
        student,
        lambda df, location, scale: (df > 0) & (scale > 0),
        "df > 0 and scale > 0",
    ),
    "cauchy": Family(PLACED, cauchy, lambda location, scale: scale > 0, "scale > 0"),
    "halfcauchy": Family({"scale": POSITIVE}, halfcauchy, lambda scale: scale > 0, "scale > 0"),
    "laplace": Family(
        {"mean": REAL, "scale": POSITIVE}, laplace, lambda mean, scale: scale > 0, "scale > 0"
    ),
    "logistic": Family(
        {"mean": REAL, "scale": POSITIVE}, logistic, lambda mean, scale: scale > 0, "scale > 0"
    ),
    "weibull": Family(
        {"shape": POSITIVE, "scale": POSITIVE},
        weibull,
        lambda shape, scale: (shape > 0) & (scale > 0),
        "shape > 0 and scale > 0",
    ),
    "invgamma": Family(
        {"shape": POSITIVE, "scale": POSITIVE},
        invgamma,
        lambda shape, scale: (shape > 0) & (scale > 0),
        "shape > 0 and scale > 0",
    ),
    "quantiles": Family(
        {
            "values": Annotated[NUMBERS, doc("between which the density is constant")],
            "probabilities": Annotated[NUMBERS, doc("of what lies below, from 0 to 1")],
        },
        by_quantiles,
        rise,
        "as many values as probabilities, each above the one before, from 0 to 1",
    ),
    "copula": Family(
        {
            "values": Annotated[NUMBERS, doc("as of `quantiles`")],
            "probabilities": NUMBERS,
            "given": Annotated[
                Mapping[str, Any],
                doc("parameters written before it: their values and probabilities, and a slope"),
            ],
            "rest": Annotated[float, Gt(0), Le(1), doc("sd of the normal deviate given those")],
        },
        copula,
        lambda values, probabilities, given, rest: rise(values, probabilities) & (rest > 0),
        "as many values as probabilities, each above the one before, from 0 to 1, and rest > 0",
    ),
    "bernoulli": Family(
        {"probability": PROBABILITY},
        lambda probability: _scipy_stats().bernoulli(probability),
        lambda probability: (probability >= 0) & (probability <= 1),
        "0 <= probability <= 1",
        discrete=True,
    ),
    "integer": Family(
        {"min": Annotated[WHOLE, doc("included")], "max": Annotated[WHOLE, doc("included")]},
        lambda min, max: _scipy_stats().randint(min, max + 1),  # noqa: A006
        lambda min, max: (min < max) & (min == np.round(min)) & (max == np.round(max)),  # noqa: A006
        "min and max whole numbers, min < max, both included",
        discrete=True,
    ),
    "categorical": Family(
        {"probabilities": PROBABILITIES},
        _categorical,
        lambda probabilities: (
            np.all(np.asarray(probabilities) >= 0) and np.isclose(np.sum(probabilities), 1)
        ),
        "probabilities >= 0 that sum to 1; the values are 0, 1, 2, ...",
        discrete=True,
    ),
}
