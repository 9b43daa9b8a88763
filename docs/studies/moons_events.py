"""The figure of moons_events.md: posteriors of NPE, NLE and NRE over the exact one, from a grid."""

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from sbi_pipeline import priors
from sbi_pipeline.plots.posterior import corner_overlay
from sbi_pipeline.simulators.moons import log_mixture
from sbi_pipeline.types import Array

PRIORS = {
    "sigma": {"type": "lognormal", "mean": -3, "sd": 0.7},
    "t": {"type": "halfnormal", "sd": 2},
}
LABELS = {"sigma": r"$\sigma$", "t": "$t$"}
TRUTH = {"sigma": 0.0787, "t": 3.296}


def exact(points: Array, draws: int = 20_000) -> xr.DataTree:
    """Draw from the exact posterior of sigma and t for points, ``(n, 2)``, of the upper moon."""
    rng = np.random.default_rng(1)
    nodes = np.linspace(0.066, 0.092, 105), np.linspace(3.2, 3.4, 101)
    theta = np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1).reshape(-1, 2)
    upper = np.ones((1, 1))
    log_likelihood = [log_mixture(points, upper, *row[:, None, None]).sum() for row in theta]
    log_joint = np.array(log_likelihood) + priors.build(PRIORS, tuple(PRIORS)).log_prob(theta)
    mass = np.exp(log_joint - log_joint.max())
    drawn = theta[rng.choice(len(theta), draws, p=mass / mass.sum())]
    drawn += rng.uniform(-0.5, 0.5, drawn.shape) * [each[1] - each[0] for each in nodes]
    columns = {
        name: (("chain", "draw"), column[None], {"label": LABELS[name], "unit": ""})
        for name, column in zip(PRIORS, drawn.T, strict=True)
    }
    return xr.DataTree.from_dict({"/posterior": xr.Dataset(columns)})


def moons_events(results: Path) -> Figure:
    """Return the posteriors of the study, and the exact one."""
    path = results / "moons_events/observations/points.nc"
    with xr.open_dataset(path, engine="h5netcdf") as data:
        trees = {"exact": exact(data["x"].to_numpy())}
    for campaign, method in (("", "nle"), ("", "nre"), ("_sets", "npe")):
        path = results / f"moons_events{campaign}" / method / "points/posterior.nc"
        trees[method] = xr.open_datatree(path, engine="h5netcdf")
    return corner_overlay(trees, TRUTH)
