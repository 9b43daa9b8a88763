"""Where priors live: whether draws from one can be reweighted to another."""

from __future__ import annotations

import numpy as np

from ..types import Array, Prior
from .named import NamedPrior

TRIES = 100_000


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
            f"the new prior has {100 * lost:.2g} % of its probability where the one trained on "
            "has none; narrow it or simulate with the wider one"
        )


def _draws(prior: Prior) -> Array:
    u = np.random.default_rng(0).random((TRIES, len(prior.names)))
    return prior.from_uniform(u)
