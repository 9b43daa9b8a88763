"""The evidences of a comparison of models: `weigh_models`."""

from __future__ import annotations

import dataclasses
import functools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from .. import streams
from ..comparison.evidence import evidence_of
from ..comparison.likelihoods import (
    NoEvidence,
    changed_priors,
    exact_target,
    learnt_target,
    unit_of,
)
from ..comparison.weighed import Evidence
from ..model import Model
from ..progress import counting
from ..trained import Posterior, load
from ..types import Array
from .files import (
    Keys,
    check_key,
    conditions_named,
    data_of,
    known_of,
    read_dataset,
    write_dataset,
)

logger = logging.getLogger(__name__)

NUMBERS = ("log_evidence", "error", "network_error", "k_hat", "effective", "lost")
"""What a file of evidences holds of each, beside its problem, widths and changed priors."""


def weigh_models(
    *,
    estimators: Sequence[Path],
    posteriors: Sequence[Path],
    observed: Sequence[Path],
    evidences: Path,
    ways: Sequence[Mapping[str, Any]],
    observations: Sequence[str],
    seed: int,
    key: str,
    nuisance_draws: int = 64,
    inputs: Keys | None = None,
    threads: int = 1,
) -> None:
    """Find the evidence of each model, in each way that there is, for each observation.

    ``ways`` are the ``model``, the name of the ``way``, whether it is ``exact``, the
    ``campaign_model`` and ``new_priors`` under which evidences are found, too. Files are in the
    order of ways, and of observations for each.

    Reads: ``estimators`` and ``posteriors`` of the ways, and ``observed``. Writes: ``evidences``.
    """
    torch.set_num_threads(threads)
    cases = [(way, each) for way in ways for each in observations]
    files = zip(estimators, posteriors, observed, strict=True)
    trained = functools.lru_cache(maxsize=4)(load)
    found: list[Evidence] = []
    began = time.monotonic()
    with counting("evidences", len(cases)) as counter:
        for place, ((way, observation), paths) in enumerate(zip(cases, files, strict=True)):
            own_seed = streams.integer(seed, "evidence", place)
            evidence = _evidence(
                way, observation, *paths, trained, own_seed, nuisance_draws, inputs
            )
            logger.info("%s, %s, %s: %s", observation, way["model"], way["way"], evidence)
            found.append(evidence)
            counter.update()
    attrs = {"key": key, "seconds": time.monotonic() - began}
    write_dataset(evidences, _as_dataset(cases, comparable(cases, found)).assign_attrs(attrs))


def _evidence(
    way: Mapping[str, Any],
    observation: str,
    estimator: Path,
    posterior: Path,
    observed: Path,
    trained: Callable[[Path], Posterior],
    seed: int,
    nuisance_draws: int,
    inputs: Keys | None,
) -> Evidence:
    """Return one evidence; a way that has none says why."""
    of = f"{way['model']}, {way['way']}, {observation}"
    learnt = trained(estimator)
    check_key(learnt.header["key"], inputs, f"estimator of {of}", estimator)
    data = read_dataset(observed, inputs, f"observation of {way['model']}, {observation}")
    theta = _draws(posterior, learnt.names, inputs, f"posterior of {of}")
    model = Model(**way["campaign_model"])
    changed = changed_priors(model, learnt.names, way["new_priors"])
    try:
        if way["exact"]:
            target = exact_target(
                model,
                learnt.prior,
                theta,
                data_of(data),
                conditions_named(data),
                changed,
                nuisance_draws,
                streams.generator(seed, "nuisances"),
            )
        else:
            target = learnt_target(learnt, theta, data_of(data), known_of(data), changed)
        unit = "" if way["exact"] else unit_of(learnt.estimator)
    except NoEvidence as error:
        return Evidence(problem=str(error))
    return dataclasses.replace(evidence_of(target, seed, exact=way["exact"]), unit=unit)


def comparable(
    cases: Sequence[tuple[Mapping[str, Any], str]], found: Sequence[Evidence]
) -> list[Evidence]:
    """Return evidences without those whose densities are per something else than another's."""
    units: dict[str, dict[str, str]] = {}
    for (way, observation), each in zip(cases, found, strict=True):
        if each.unit and not each.problem:
            units.setdefault(observation, {}).setdefault(each.unit, f"{way['model']}, {way['way']}")
    kept = []
    for (_, observation), each in zip(cases, found, strict=True):
        alike = not each.unit or each.problem or len(units.get(observation, {})) < 2
        kept.append(each if alike else Evidence(problem=_unlike(units[observation])))
    return kept


def _unlike(units: Mapping[str, str]) -> str:
    """Say whose densities are per different things; ``units`` names one of each."""
    one, other = list(units.values())[:2]
    return (
        f"numbers of the data are discrete to {one} and not to {other}, or otherwise so; write "
        "dequantise or discrete alike for both"
    )


def _draws(path: Path, names: Sequence[str], inputs: Keys | None, of: str) -> Array:
    """Return draws of a posterior, ``(n, theta_dim)``."""
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        check_key(tree.attrs["key"], inputs, of, path)
        group = tree["posterior"]
        return np.stack([group[name].to_numpy().ravel() for name in names], axis=1)


def _as_dataset(
    cases: Sequence[tuple[Mapping[str, Any], str]], found: Sequence[Evidence]
) -> xr.Dataset:
    """Return evidences as a table: a row for each way and observation."""
    changed = list(dict.fromkeys(name for each in found for name in each.changed))
    widest = max((len(each.widths) for each in found), default=0)
    widths = np.full((len(found), widest), np.nan)
    under = np.full((len(found), len(changed), 2), np.nan)
    for row, each in enumerate(found):
        widths[row, : len(each.widths)] = each.widths
        for name, values in each.changed.items():
            under[row, changed.index(name)] = values
    texts = {
        "model": [way["model"] for way, _ in cases],
        "way": [way["way"] for way, _ in cases],
        "observation": [observation for _, observation in cases],
        "problem": [each.problem for each in found],
    }
    numbers = {name: [getattr(each, name) for each in found] for name in NUMBERS}
    return xr.Dataset(
        {
            **{name: ("row", np.array(each, dtype=object)) for name, each in texts.items()},
            **{name: ("row", np.array(each, dtype=float)) for name, each in numbers.items()},
            "widths": (("row", "parameter"), widths),
            "changed": (("row", "prior", "value"), under),
        },
        {"prior": changed, "value": ["log_evidence", "error"]},
    )


def read_evidences(path: Path, inputs: Keys | None) -> dict[str, dict[str, dict[str, Evidence]]]:
    """Return evidences by observation, way and model."""
    table = read_dataset(path, inputs, "evidences")
    found: dict[str, dict[str, dict[str, Evidence]]] = {}
    for row in range(table.sizes.get("row", 0)):
        one = table.isel(row=row)
        model, way, observation, problem = (
            str(one[name].item()) for name in ("model", "way", "observation", "problem")
        )
        widths = one["widths"].to_numpy()
        pairs = zip(table["prior"].to_numpy(), one["changed"].to_numpy(), strict=True)
        own = Evidence(
            **{name: float(one[name]) for name in NUMBERS},  # type: ignore[arg-type]
            widths=widths[np.isfinite(widths)],
            changed={
                str(name): (float(value), float(error))
                for name, (value, error) in pairs
                if np.isfinite(value)
            },
            problem=problem,
        )
        found.setdefault(observation, {}).setdefault(way, {})[model] = own
    return found
