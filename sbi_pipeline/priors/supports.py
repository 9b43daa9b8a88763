"""Where priors live: whether they can be drawn from, and reweighted to one another."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..types import Array, Prior
from .named import NamedPrior, ParameterError

TRIES = 100_000
LOOKED_AT = 100_000, 1000, 50
"""Numbers that are drawn to look at a prior, and rows of them, at most and at least."""

MOST_ALIKE = 0.4
"""Share of the draws of a continuous parameter that may be the same number, rounded."""


def check_covers(prior: Prior, target: Prior) -> None:
    """Refuse a prior to reweight to whose support is wider than that of the one drawn from.

    Bounds are compared exactly where they are numbers; draws are tried otherwise.

    Raises:
        ValueError: The target has probability where the prior has none.
    """
    if isinstance(prior, NamedPrior) and isinstance(target, NamedPrior):
        for old, new in zip(prior.parameters, target.parameters, strict=True):
            if old.parents or new.parents:
                continue
            (low, high), (least, most) = old.given({}).support(), new.given({}).support()
            if least < low or most > high:
                raise ValueError(
                    f"the new prior of {new.name!r} reaches from {least:g} to {most:g}, the one "
                    f"trained on from {low:g} to {high:g}; draws can only be reweighted within "
                    "that, so narrow it or simulate with the wider one"
                )
    lost = float(np.mean(np.isneginf(prior.log_prob(_draws(target)))))
    if lost:
        raise ValueError(
            f"the new prior has {100 * lost:.3g} % of its probability where the one trained on "
            "has none; narrow it or simulate with the wider one"
        )


def look_at(prior: Prior) -> Array:
    """Return some draws of a prior, ``(n, dim)``.

    Raises:
        ParameterError: Some are infinite or NaN.
    """
    numbers, most, least = LOOKED_AT
    theta = _draws(prior, min(max(numbers // len(prior.names), least), most))
    _check_finite(prior, theta, "infinite or NaN; wanted numbers that a computer can hold")
    return theta


def check_normal(prior: Prior, theta: Array) -> None:
    """Refuse a prior whose draws cannot be taken to normal space.

    Raises:
        ParameterError: They lie at an end of it, where that is infinite, or most of them are the
            same number, rounded.
    """
    wanted = "wanted a prior whose values can be told from one another"
    _check_finite(prior, np.asarray(prior.to_normal(theta)), f"rounded to an end of it; {wanted}")
    if not isinstance(prior, NamedPrior):
        return
    for each, values in zip(prior.parameters, theta.T, strict=True):
        count = int(np.unique(values, return_counts=True)[1].max())
        if not each.family.discrete and count > MOST_ALIKE * len(theta):
            text = f"{count} of {len(theta)} draws are the same number, rounded; {wanted}"
            raise ParameterError(each.name, f"prior of {each.name!r}: {text}")


def outside(values: Mapping[str, Array], prior: Prior) -> dict[str, Array]:
    """Return which values of some parameters a prior excludes, as far as that can be told.

    Args:
        values: By parameter, each ``(n,)``; those that are NaN are not excluded.
        prior: Of these parameters, and of others maybe.

    Returns:
        By parameter, each ``(n,)``.
    """
    if isinstance(prior, NamedPrior):
        return _outside_named(values, prior)
    if set(values) != set(prior.names):
        return {}
    rows = np.stack([values[name] for name in prior.names], axis=1)
    known = np.isfinite(rows).all(axis=1)
    excluded = np.zeros(len(rows), bool)
    if known.any():
        excluded[known] = np.isneginf(prior.log_prob(rows[known]))
    return dict.fromkeys(prior.names, excluded)


def _outside_named(values: Mapping[str, Array], prior: NamedPrior) -> dict[str, Array]:
    """Return the same, of parameters whose parents are known and not excluded themselves."""
    found: dict[str, Array] = {}
    for each in (prior.parameters[column] for column in prior.in_order()):
        if each.name not in values or set(each.parents) - set(values):
            continue
        known = np.isfinite(values[each.name])
        for parent in each.parents:
            known &= np.isfinite(values[parent]) & ~found.get(parent, np.False_)
        given = each.given({name: values[name][known] for name in each.parents})
        own = values[each.name][known]
        low, high = given.support()
        excluded = (own < low) | (own > high)
        if each.family.discrete:
            excluded |= given.pmf(own) == 0
        found[each.name] = np.zeros(len(known), bool)
        found[each.name][known] = excluded
    return found


def _check_finite(prior: Prior, values: Array, text: str) -> None:
    bad = ~np.isfinite(values)
    if bad.any():
        column = int(bad.any(axis=0).argmax())
        name, count = prior.names[column], int(bad[:, column].sum())
        raise ParameterError(name, f"prior of {name!r}: {count} of {len(values)} draws are {text}")


def _draws(prior: Prior, rows: int = TRIES) -> Array:
    u = np.random.default_rng(0).random((rows, len(prior.names)))
    return prior.from_uniform(u)
