"""Priors: named parameters with units, or a joint prior of any shape."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

from .. import registry, streams
from ..types import Array, Prior
from .boxes import untruncated
from .named import TEXTS, NamedPrior, Parameter, ParameterError, parameter

__all__ = [
    "TEXTS",
    "NamedPrior",
    "Parameter",
    "ParameterError",
    "build",
    "entry_of",
    "key_of",
    "of_header",
    "parameter",
    "reference_draws",
]

REFERENCE = 4000
"""Draws of a prior that posteriors are compared with."""


def build(specs: Mapping[str, Mapping[str, Any]] | str, names: Sequence[str]) -> Prior:
    """Build the joint prior of a campaign.

    Args:
        specs: Configuration entries by parameter or by pattern (``flux_*``: all that match and
            have no entry of their own), or ``"my_module:MyPrior"`` for a joint prior of any shape:
            a class without arguments that is a `types.Prior`.
        names: The simulator's parameters: the columns, in order.

    Raises:
        ValueError: Parameters without a prior, priors without a parameter, or a bad entry.
    """
    if isinstance(specs, str):
        prior = registry.load_part(specs, {})()
        if not isinstance(prior, Prior):
            raise ValueError(
                f"{specs!r} is no prior; wanted the methods of sbi_pipeline.types.Prior"
            )
        if tuple(prior.names) != tuple(names):
            raise ValueError(
                f"{specs!r} has the parameters {', '.join(prior.names)}; "
                f"the simulator wants {', '.join(names)}, in this order"
            )
        return prior
    entries = {name: found for name in names if (found := entry_of(specs, name)) is not None}
    if missing := [name for name in names if name not in entries]:
        raise ValueError(f"no prior for {missing[0]!r}; the simulator wants {', '.join(names)}")
    if unknown := [key for key in specs if key not in names and not fnmatch.filter(names, key)]:
        raise ValueError(
            f"a prior for {unknown[0]!r}, which the simulator does not know; "
            f"it wants {', '.join(names)}"
        )
    return NamedPrior(tuple(parameter(name, entries[name]) for name in names))


def of_header(header: Mapping[str, Any]) -> Prior:
    """Return the prior of the inferred parameters, the whole one, that an estimator tells of."""
    joint = build(header["priors"], header["parameters"])
    return joint.keep(tuple(header["inferred_parameters"]))


def reference_draws(prior: Prior, seed: int) -> Array:
    """Return draws of a prior that posteriors are compared with, ``(k, dim)``: never of a box."""
    u = streams.uniforms(seed, "prior draws", 0, REFERENCE, len(prior.names))
    return untruncated(prior).from_uniform(u)


def entry_of(specs: Mapping[str, Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    """Return the entry of a parameter: its own, or that of the one pattern it matches, or None.

    Raises:
        ValueError: It matches two patterns.
    """
    key = key_of(specs, name)
    return None if key is None else specs[key]


def key_of(specs: Mapping[str, Any], name: str) -> str | None:
    """Return what the entry of a parameter stands under, see `entry_of`."""
    if name in specs:
        return name
    keys = [key for key in specs if fnmatch.fnmatchcase(name, key)]
    if len(keys) > 1:
        raise ValueError(f"prior of {name!r}: {keys[0]!r} and {keys[1]!r} both match it")
    return keys[0] if keys else None
