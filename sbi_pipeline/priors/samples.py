"""From samples, or a density on a grid, to entries of priors: quantiles and a Gaussian copula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from ..tables import check_real, instead_of, open_table
from ..types import Array
from .tabulated import by_quantiles

MOST, FEWEST = 100, 20
"""Pieces of a distribution; samples with fewer different values are refused."""
PER_PIECE = 20
"""Samples of a piece, about."""
ALONE = 1e-6
"""Variance of a normal deviate, given others, below which it follows from them."""


@dataclass(frozen=True)
class Samples:
    """Samples of parameters.

    Attributes:
        columns: By name, each ``(n,)``.
        weights: ``(n,)``.
    """

    columns: Mapping[str, Array]
    weights: Array

    @property
    def effective(self) -> float:
        """Number of samples of equal weight that would be as good."""
        return float(self.weights.sum() ** 2 / (self.weights**2).sum())


def read_samples(path: Path, names: Sequence[str], weights: str | None = None) -> Samples:
    """Read columns of a table, of a chain of GetDist or of a posterior of ArviZ.

    Args:
        path: A table of `tables`; a chain's ``root``, of which ``root.paramnames`` and ``root.txt``
            or ``root_1.txt``, … are there; or a netCDF file with a group ``posterior``.
        names: Columns that are wanted.
        weights: Column of weights; a chain of GetDist has its own.

    Raises:
        ValueError: It is not there, lacks a column, or holds what is no sample.
    """
    wanted = [*names, *([weights] if weights else [])]
    own: Array | None = None
    if path.with_name(f"{path.name}.paramnames").is_file():
        columns, own = _getdist(path)
    elif path.suffix == ".nc":
        columns = _arviz(path)
    else:
        columns = _table(path, wanted)
    for name in wanted:
        if name not in columns:
            raise ValueError(f"no column {name!r}{instead_of(name, list(columns))}")
    if weights:
        own = columns[weights]
    first = columns[names[0]]
    own = np.ones(len(first)) if own is None else own
    found = Samples({name: columns[name] for name in names}, own)
    _check(found)
    return found


def _check(samples: Samples) -> None:
    for name, values in {**samples.columns, "weights": samples.weights}.items():
        if bad := int(np.sum(~np.isfinite(values))):
            raise ValueError(f"column {name!r} has {bad} entries that are NaN or infinite")
    if (samples.weights < 0).any() or not samples.weights.sum() > 0:
        raise ValueError("wanted weights of 0 or more, some of them above 0")


def _table(path: Path, wanted: Sequence[str]) -> dict[str, Array]:
    table = open_table(path)
    there = [name for name in wanted if name in table.columns]
    for name in there:
        check_real(name, table.columns[name])
    if not there:
        return dict.fromkeys(table.columns, np.empty(0))
    rows = min(table.columns[name].rows for name in there)
    numbers = table.numbers(there, 0, rows).astype(float)
    if numbers.ndim != 2:
        raise ValueError(f"column {there[0]!r} holds no number a row")
    others = dict.fromkeys(table.columns, np.empty(0))
    return others | dict(zip(there, numbers.T, strict=True))


def _getdist(root: Path) -> tuple[dict[str, Array], Array]:
    """Return parameters and weights of a chain; a name may end with ``*`` for derived ones."""
    lines = root.with_name(f"{root.name}.paramnames").read_text().splitlines()
    names = [line.split()[0].removesuffix("*") for line in lines if line.strip()]
    single = root.with_name(f"{root.name}.txt")
    several = sorted(root.parent.glob(f"{root.name}_[0-9]*.txt"))
    files = [single] if single.is_file() else several
    if not files:
        raise ValueError(f"no chain beside {root.name}.paramnames; wanted {single.name}")
    rows = np.concatenate([np.loadtxt(file, ndmin=2) for file in files])
    if rows.shape[1] != len(names) + 2:
        raise ValueError(
            f"{files[0].name} has {rows.shape[1]} columns and {root.name}.paramnames {len(names)} "
            "names; wanted weight, minus log likelihood, and a column for each name"
        )
    return dict(zip(names, rows[:, 2:].T, strict=True)), rows[:, 0]


def _arviz(path: Path) -> dict[str, Array]:
    import xarray as xr  # noqa: PLC0415 - a third of a second, and most priors need none

    try:
        with xr.open_dataset(path, group="posterior", engine="h5netcdf") as posterior:
            return {
                str(name): np.asarray(values.to_numpy(), dtype=float).ravel()
                for name, values in posterior.data_vars.items()
                if set(values.dims) == {"chain", "draw"}
            }
    except (OSError, KeyError) as error:
        raise ValueError(f"no group 'posterior' can be read: {error}") from error


def entry_of_samples(name: str, values: Array, weights: Array) -> dict[str, Any]:
    """Return the entry of a prior with the quantiles of samples.

    Raises:
        ValueError: There are too few different values.
    """
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order]
    values, weights = values[weights > 0], weights[weights > 0]
    different, first = np.unique(values, return_index=True)
    if len(different) < FEWEST:
        raise ValueError(
            f"column {name!r} has {len(different)} different values; wanted {FEWEST} or more, to "
            "make a density of"
        )
    mass = np.add.reduceat(weights, first) / weights.sum()
    # Each value stands in the middle of its mass; the ends are the outermost values.
    below = np.cumsum(mass) - mass / 2
    below = (below - below[0]) / (below[-1] - below[0])
    pieces = int(np.clip(len(different) // PER_PIECE, FEWEST // 2, MOST))
    reach = special.ndtri(1 - min(0.1, PER_PIECE / 2 / len(different)))
    inner = special.ndtr(np.linspace(-reach, reach, pieces - 1))
    probabilities = np.concatenate([[0.0], inner, [1.0]])
    return _entry(np.interp(probabilities, below, different), probabilities)


def entry_of_density(name: str, grid: Array, density: Array) -> dict[str, Any]:
    """Return the entry of a prior whose density is given on a grid.

    Raises:
        ValueError: The grid does not rise, or the density is negative or zero all over.
    """
    if len(grid) < 2 or not (np.diff(grid) > 0).all():
        raise ValueError(f"column {name!r} does not rise; wanted a grid of two or more points")
    if (density < 0).any() or not density.sum() > 0:
        raise ValueError("wanted a density of 0 or more that is not 0 everywhere")
    mass = np.diff(grid) * (density[1:] + density[:-1]) / 2
    below = np.concatenate([[0.0], np.cumsum(mass)])
    inside = np.flatnonzero(mass > 0)
    if len(inside) != inside[-1] - inside[0] + 1:
        raise ValueError("the density is 0 between two places where it is not; wanted one piece")
    kept = slice(inside[0], inside[-1] + 2)
    probabilities = below[kept] / below[-1]
    probabilities[-1] = 1.0
    return _entry(grid[kept], probabilities)


def _entry(values: Array, probabilities: Array) -> dict[str, Any]:
    rising = np.concatenate([[True], np.diff(values) > 0])
    rising[-1] = True
    values, probabilities = values[rising], probabilities[rising]
    if len(values) > 1 and values[-2] >= values[-1]:
        values, probabilities = np.delete(values, -2), np.delete(probabilities, -2)
    return {
        "type": "quantiles",
        "values": values.tolist(),
        "probabilities": probabilities.tolist(),
    }


def joint_entries(samples: Samples) -> tuple[dict[str, dict[str, Any]], str]:
    """Return the entries of a Gaussian copula of samples, each given those before it.

    Args:
        samples: Of the parameters, in the order in which they depend on each other.

    Returns:
        The entries by name, and what the copula loses, in words.

    Raises:
        ValueError: Too few samples, or a parameter follows from others.
    """
    weights, names = samples.weights, list(samples.columns)
    entries = {
        name: entry_of_samples(name, values, weights) for name, values in samples.columns.items()
    }
    z = np.stack(
        [
            by_quantiles(entries[name]["values"], entries[name]["probabilities"]).normal(values)
            for name, values in samples.columns.items()
        ],
        axis=1,
    )
    z = np.clip(z, -4, 4)
    correlation = np.atleast_2d(_correlation(z, weights))
    for k in range(1, len(names)):
        before = correlation[:k, :k]
        slopes = np.linalg.solve(before, correlation[:k, k])
        left = float(1 - slopes @ correlation[:k, k])
        if left < ALONE:
            raise ValueError(
                f"{names[k]!r} follows from {', '.join(names[:k])}; leave it to the simulator"
            )
        margins = {
            name: {**{key: entries[name][key] for key in ("values", "probabilities")}}
            for name in names[:k]
        }
        for name, slope in zip(names, slopes.tolist(), strict=False):
            margins[name]["slope"] = slope
        entries[names[k]] |= {"type": "copula", "given": margins, "rest": float(np.sqrt(left))}
    return entries, what_is_lost(names, z, weights)


def what_is_lost(names: Sequence[str], z: Array, weights: Array) -> str:
    """Say which dependence of normal deviates a Gaussian copula has not, the largest there is.

    For jointly normal deviates a square is uncorrelated with another deviate, and squares have the
    square of the correlation between them.
    """
    squares = z**2
    both = _correlation(np.concatenate([z, squares], axis=1), weights)
    dim, worst = len(names), (0.0, "")
    for i in range(dim):
        for j in range(dim):
            if i == j:
                continue
            bent = float(both[i, dim + j])
            worst = max(worst, (abs(bent), f"{names[i]} and the square of {names[j]}"))
            if i < j:
                more = float(both[dim + i, dim + j] - both[i, j] ** 2)
                worst = max(worst, (abs(more), f"the squares of {names[i]} and {names[j]}"))
    by_chance = 3 / np.sqrt(weights.sum() ** 2 / (weights**2).sum())
    if worst[0] < by_chance:
        return f"no correlation above {by_chance:.2g} is lost"
    return f"lost: a correlation of {worst[0]:.2g} of {worst[1]} (normal deviates)"


def _correlation(columns: Array, weights: Array) -> Array:
    covariance = np.atleast_2d(np.cov(columns.T, aweights=weights))
    sd = np.sqrt(np.diag(covariance))
    return np.asarray(covariance / np.outer(sd, sd))
