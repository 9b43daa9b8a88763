"""Posteriors of parameters that all models have, averaged over models by their probability.

p(theta | x) = sum over k of P(k | x) p(theta | x, k): so many draws of each model's posterior as
its probability says, in random order, each with the model that it is of. (Hoeting, Madigan, Raftery
& Volinsky, Bayesian model averaging: a tutorial, Stat. Sci. 14, 1999,
https://doi.org/10.1214/ss/1009212519.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..types import Array

CHAINS, DRAWS = 4, 2_500
"""As they are written: they are independent as far as those of the models are."""


def averaged_posterior(
    posteriors: Mapping[str, xr.DataTree],
    probability: Array,
    attrs: Mapping[str, Any],
    seed: int,
) -> xr.DataTree | None:
    """Return the averaged posterior of shared parameters; None where no parameter is shared.

    Args:
        posteriors: ArviZ trees by model, in its order.
        probability: Of each model, ``(models,)``.
        attrs: What the file says of itself.
        seed: Of the choice of draws.
    """
    shared = parameters_of_all([tree["posterior"].to_dataset() for tree in posteriors.values()])
    if not shared:
        return None
    rng = np.random.default_rng([seed, 31])
    model = rng.choice(len(probability), size=CHAINS * DRAWS, p=probability / probability.sum())
    values = {name: np.empty(len(model)) for name in shared}
    texts: dict[str, dict[str, Any]] = {}
    for place, tree in enumerate(posteriors.values()):
        own, group = model == place, tree["posterior"].to_dataset()
        count = group.sizes["chain"] * group.sizes["draw"]
        picked = rng.choice(count, int(own.sum()), replace=int(own.sum()) > count)
        for name in shared:
            values[name][own] = group[name].to_numpy().ravel()[picked]
            texts.setdefault(name, dict(group[name].attrs))
    dims = ("chain", "draw")
    shape = (CHAINS, DRAWS)
    posterior = xr.Dataset(
        {name: (dims, each.reshape(shape), texts[name]) for name, each in values.items()}
    )
    told = {"models": list(posteriors), "probability": probability.tolist(), "independent": 1}
    stats = xr.Dataset({"model": (dims, model.reshape(shape))}, attrs=told)
    return xr.DataTree.from_dict(
        {"/": xr.Dataset(attrs=dict(attrs)), "posterior": posterior, "sample_stats": stats}
    )


def parameters_of_all(groups: Sequence[xr.Dataset]) -> list[str]:
    """Return the inferred parameters, and derived ones, that every model has."""
    first, *others = groups
    return [
        str(name)
        for name, values in first.data_vars.items()
        if values.ndim == 2 and all(name in each.data_vars for each in others)
    ]
