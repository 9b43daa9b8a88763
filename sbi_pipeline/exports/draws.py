"""The draws of a posterior file, as other formats want them: columns, weights, texts and priors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .. import priors, sidecars
from ..priors import NamedPrior, Parameter
from ..types import Array

WEIGHT, DENSITY = "weight", "log_posterior"
"""Columns beside those of parameters, called as ChainConsumer looks for them."""
TAKEN = (WEIGHT, DENSITY)


@dataclass(frozen=True)
class DescribedColumn:
    """A parameter, inferred or derived.

    Attributes:
        label: LaTeX between dollars, or text.
        unit: May be empty.
        derived: Whether it is an expression in others.
        period: Ends of a periodic parameter.
        probabilities: Of each value, where it is discrete.
    """

    label: str
    unit: str = ""
    derived: bool = False
    period: tuple[float, float] | None = None
    probabilities: Mapping[float, float] | None = None


@dataclass(frozen=True)
class ExportedPosterior:
    """What is known of one posterior.

    Attributes:
        names: ``campaign``, ``estimator`` and ``observation``, as far as the file tells them.
        draws: By parameter, derived ones last, each ``(n,)``. Of draws that were resampled by
            weight each is there once.
        weight: How often each draw is there, ``(n,)``: 1, or of resampled ones how many copies.
        log_posterior: Log density of the inferred parameters in nats, ``(n,)``; None where the
            method knows none.
        columns: By parameter.
        facts: What the sampler told of its run.
        truth: Known true values by parameter.
        priors: Of inferred parameters whose prior is known and depends on no other, by name.
    """

    names: Mapping[str, str]
    draws: Mapping[str, Array]
    weight: Array
    log_posterior: Array | None
    columns: Mapping[str, DescribedColumn]
    facts: Mapping[str, Any]
    truth: Mapping[str, float]
    priors: Mapping[str, Parameter]

    @property
    def title(self) -> str:
        """How it is called: campaign, estimator and observation."""
        return ", ".join(self.names.values())

    @property
    def independent(self) -> bool:
        """Whether draws are no chain."""
        return bool(self.facts.get("independent", 0))

    @property
    def is_weighted(self) -> bool:
        """Whether some draws are there more than once."""
        return bool(np.any(self.weight != 1))

    @property
    def inferred(self) -> list[str]:
        """Parameters that are no function of others."""
        return [name for name, column in self.columns.items() if not column.derived]

    def repeated(self) -> dict[str, Array]:
        """Return draws that all count alike, ``(m,)`` each, copies next to each other."""
        return {name: np.repeat(values, self.weight) for name, values in self.draws.items()}


def read_posterior(path: Path) -> ExportedPosterior:
    """Read a posterior, and what lies beside it: its prior, and true values of a mock observation.

    Args:
        path: A ``posterior.nc``, or one of ``recommended/``.

    Raises:
        ValueError: It is no posterior of this package.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file; name a posterior.nc below results")
    path = path.resolve()
    try:
        with xr.open_datatree(path, engine="h5netcdf") as opened:
            tree = opened.load()
    except OSError as error:
        raise ValueError(f"{path} cannot be read as netCDF: {error}") from error
    if not {"posterior", "sample_stats"} <= set(tree.children):
        raise ValueError(f"{path} holds no posterior; wanted a posterior.nc that snakemake made")
    group, stats = tree["posterior"].to_dataset(), tree["sample_stats"].to_dataset()
    columns = {str(name): _column(values.attrs) for name, values in group.data_vars.items()}
    if taken := [name for name in TAKEN if name in columns]:
        raise ValueError(f"a parameter is called {taken[0]!r}, as a column of exported files is")
    first, weight = _distinct(stats)
    density = stats["lp"].to_numpy().ravel()[first] if "lp" in stats else None
    names = {key: str(tree.attrs.get(key, "")) for key in ("campaign", "estimator", "observation")}
    return ExportedPosterior(
        names={key: name for key, name in names.items() if name} or {"observation": path.stem},
        draws={name: group[name].to_numpy().ravel()[first] for name in columns},
        weight=weight,
        log_posterior=density if density is not None and np.isfinite(density).all() else None,
        columns=columns,
        facts=dict(stats.attrs),
        truth=_truth(path, names),
        priors=_priors(path, tree.attrs, [name for name, of in columns.items() if not of.derived]),
    )


def _column(attrs: Mapping[str, Any]) -> DescribedColumn:
    period = attrs.get("period")
    pairs = [np.atleast_1d(attrs[key]) for key in ("values", "probabilities") if key in attrs]
    return DescribedColumn(
        label=str(attrs.get("label", "")),
        unit=str(attrs.get("unit", "")),
        derived="derived" in attrs,
        period=None if period is None else (float(period[0]), float(period[1])),
        probabilities=dict(zip(*(each.tolist() for each in pairs), strict=True)) if pairs else None,
    )


def _distinct(stats: xr.Dataset) -> tuple[Array, Array]:
    """Return where draws stand that differ from those before, and how often each is there.

    Draws that were resampled by weight say of which draw of the proposal each is a copy.
    """
    if "origin" not in stats:
        n = stats.sizes["chain"] * stats.sizes["draw"]
        return np.arange(n), np.ones(n, dtype=int)
    origin = stats["origin"].to_numpy().ravel()
    _, first, count = np.unique(origin, return_index=True, return_counts=True)
    return first, count


def _folder(path: Path, estimator: str, observation: str) -> Path:
    """Return where the results of an estimator for an observation lie, for a copy of them, too."""
    if path.parent.name == "recommended":
        return path.parents[1] / estimator / observation
    return path.parent


def _truth(path: Path, names: Mapping[str, str]) -> dict[str, float]:
    table = _folder(path, names["estimator"], names["observation"]) / "diagnostics.csv"
    if not table.is_file():
        return {}
    rows = pd.read_csv(table).dropna(subset=["truth"])
    return dict(zip(rows["parameter"], rows["truth"].astype(float), strict=True))


def _priors(path: Path, told: Mapping[str, Any], inferred: list[str]) -> dict[str, Parameter]:
    """Return priors from the header of the estimator, and those that a refinement changed."""
    folder = _folder(path, str(told.get("estimator", "")), str(told.get("observation", "")))
    trained = str(told.get("proposal") or told.get("estimator", ""))
    header = sidecars.read_if_whole(folder.parents[1] / trained / "estimator.json")
    if header is None or isinstance(header["priors"], str):
        return {}
    changed: dict[str, Any] = {}
    if told.get("new_priors"):
        spec = sidecars.read_if_whole(folder / "refine.spec.json")
        if spec is None:
            return {}
        changed = spec["arguments"]["new_priors"]
    whole = priors.build({**header["priors"], **changed}, header["parameters"])
    if not isinstance(whole, NamedPrior):
        return {}
    known = {each.name: each for each in whole.parameters if not each.parents}
    return {name: known[name] for name in inferred if name in known}
