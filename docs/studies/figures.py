"""Figures of the pages in this folder from results; docs/gallery.py writes them."""

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from scipy.stats import gaussian_kde

from sbi_pipeline.diagnostics.coverage import coverage
from sbi_pipeline.diagnostics.information import information
from sbi_pipeline.plots.style import FAINT, INK, KNOWN, SERIES, TRUTH, key, line_of, styled
from sbi_pipeline.types import Array


def read(results: Path, path: str) -> xr.DataTree:
    """Open a posterior."""
    return xr.open_datatree(results / path / "posterior.nc", engine="h5netcdf")


def draws(tree: xr.DataTree, name: str) -> Array:
    """Return all draws of a parameter, ``(n,)``."""
    return np.asarray(tree["posterior"][name].to_numpy().ravel())


def density(axes: Axes, values: Array, **style: object) -> None:
    """Draw a smooth density of draws, of height one."""
    low, high = np.quantile(values, [0.001, 0.999])
    grid = np.linspace(low, high, 300)
    height = gaussian_kde(values[:4000])(grid)
    axes.plot(grid, height / height.max(), **style)


@styled
def moons(results: Path) -> Figure:
    """One set of points, and what three posteriors say of it."""
    posteriors = {
        "pooled once": (read(results, "moons_deep_set/deep_set/points"), FAINT),
        "network": (read(results, "moons/npe/points"), KNOWN["npe"]),
        "refined by the exact likelihood": (read(results, "moons/exact/points"), KNOWN["nle"]),
    }
    truth, labels = {"d": 0.3, "sigma": 0.06, "t": 2.0}, {"d": "$d$", "sigma": r"$\sigma$"}
    figure = Figure(figsize=(10, 2.9), layout="constrained")
    sky, *panels = figure.subplots(1, 4, width_ratios=[1.4, 1, 1, 1])
    x = posteriors["network"][0]["observed_data"]["x"].to_numpy()
    sky.plot(*x.T, ".", ms=3, color=INK)
    sky.set(xlabel="$x$", ylabel="$y$", title="200 points")
    for axes, (name, value) in zip(panels, truth.items(), strict=True):
        for tree, colour in posteriors.values():
            density(axes, draws(tree, name), color=colour, lw=1.8)
        axes.axvline(value, color=TRUTH, ls="--", lw=1)
        axes.set(xlabel=labels.get(name, "$t$"), ylim=(0, 1.08), yticks=[])
        axes.spines["left"].set_visible(False)
    panels[1].set_xlim(0, 0.25)
    entries = {who: line_of(colour) for who, (_, colour) in posteriors.items()}
    key(figure, entries | {"truth": line_of(TRUTH, ls="--", lw=1)})
    return figure


@styled
def source_counts(results: Path) -> Figure:
    """The map, the map with a glow, coverage on held-out maps, and the posterior of the first."""
    folder = results / "source_counts"
    labels = {"number": "$N$", "sigma": r"$\sigma$", "height": "$h$ [deg]"}
    truth = {"number": 147.6, "sigma": 1.52, "height": 16.4}
    figure = Figure(figsize=(9, 5.4), layout="constrained")
    panels = figure.subplots(2, 3)
    for axes, name in zip(panels[0], ("mock", "glow"), strict=False):
        with xr.open_dataset(folder / f"observations/{name}.nc", engine="h5netcdf") as data:
            counts = 100 * data["x"].to_numpy()
        extent = (-40, 40, -40, 40)
        scale = LogNorm(1, 1e4)
        shown = axes.imshow(counts, origin="lower", norm=scale, extent=extent, cmap="inferno")
        axes.set_facecolor("black")
        axes.set(xlabel="longitude [deg]", ylabel="latitude [deg]", title=f"observation {name!r}")
    figure.colorbar(shown, ax=panels[0, 1], label="counts")
    cover(panels[0, 2], folder / "npe/calibration.nc", labels)
    trees = {method: read(results, f"source_counts/{method}/mock") for method in ("npe", "nre")}
    for axes, (name, value) in zip(panels[1], truth.items(), strict=True):
        for method, tree in trees.items():
            density(axes, draws(tree, name), color=KNOWN[method], lw=1.8, label=method.upper())
        axes.axvline(value, color=TRUTH, ls="--", lw=1)
        axes.set(xlabel=labels[name], ylim=(0, 1.08), yticks=[])
        axes.spines["left"].set_visible(False)
    panels[1, 0].legend(loc="upper left", handlelength=1.2)
    return figure


def cover(axes: Axes, path: Path, labels: dict[str, str]) -> None:
    """Draw how often intervals hold the truth, against their level, with the binomial band."""
    with xr.open_dataset(path, engine="h5netcdf") as data:
        data.load()
    for (name, label), colour in zip(labels.items(), SERIES, strict=False):
        ranks = data["ranks"].sel(parameter=name).to_numpy()
        found = coverage(ranks, int(data.attrs["draws"]))
        axes.plot(found.levels, found.observed - found.levels, color=colour, label=label)
    axes.fill_between(
        found.levels, found.low - found.levels, found.high - found.levels, color="#E5E5E5", zorder=0
    )
    axes.axhline(0, color=TRUTH, lw=0.7)
    axes.set(xlabel="credible level", ylabel="coverage $-$ level", title="NPE, 1000 held-out maps")
    axes.set_ylim(-0.08, 0.05)
    axes.legend(ncols=3, loc="lower center", columnspacing=1, handlelength=1.2)


@styled
def nuisances(results: Path) -> Figure:
    """Coverage and posterior widths against the number of nuisances dropped."""
    counts = (0, 10, 100, 1000)
    labels = {"number": "$N$", "sigma": r"$\sigma$", "height": "$h$"}
    folders = [results / f"nuisances_{count}/npe" for count in counts]
    figure = Figure(figsize=(7, 2.7), layout="constrained")
    covered, widths = figure.subplots(1, 2)
    asked = []
    for folder in folders:
        with xr.open_dataset(folder / "calibration.nc", engine="h5netcdf") as data:
            asked.append(data.load())
    for (name, label), colour in zip(labels.items(), SERIES, strict=False):
        style = {"color": colour, "marker": "o", "ms": 4}
        found = [
            coverage(data["ranks"].sel(parameter=name).to_numpy(), data.attrs["draws"], [0.6827])
            for data in asked
        ]
        covered.plot([100 * each.observed[0] for each in found], label=label, **style)
        widths.plot([information(data).sd_ratio[name] for data in asked], **style)
    covered.axhspan(100 * found[0].low[0], 100 * found[0].high[0], color="#E5E5E5", zorder=0)
    covered.axhline(68.27, color=TRUTH, lw=0.7)
    covered.set(ylabel="coverage at 68.3 % [%]", ylim=(58, 78))
    covered.legend(ncols=3, columnspacing=1, handlelength=1.2)
    widths.set(ylabel="posterior sd over prior sd", yscale="log")
    for axes in (covered, widths):
        axes.set_xticks(range(len(counts)), map(str, counts))
        axes.set_xlabel("nuisances $K$")
    return figure


@styled
def ringdown(results: Path) -> Figure:
    """Posteriors of the second, third and last round, and the last one weighted exactly."""
    truth = {"frequency": 251, "tau": 4, "amplitude": 0.6, "delay": 3.1}
    labels = {"frequency": "$f$ [Hz]", "tau": r"$\tau$ [ms]"}
    labels |= {"amplitude": "$A$ [$10^{-21}$]", "delay": r"$\Delta$ [ms]"}
    rounds = {"round 2": "_round_2", "round 3": "_round_3", "last round": ""}
    trees = [read(results, f"ringdown{suffix}/npe/mock") for suffix in rounds.values()]
    weighted = read(results, "ringdown/npe_exact/mock")
    shades = [colormaps["Blues"](share) for share in (0.35, 0.65, 1.0)]
    lines = dict(zip(rounds, map(line_of, shades), strict=True))
    figure = Figure(figsize=(10, 2.7), layout="constrained")
    for axes, (name, value) in zip(figure.subplots(1, 4), truth.items(), strict=True):
        for tree, shade in zip(trees, shades, strict=True):
            density(axes, draws(tree, name), color=shade, lw=1.8)
        density(axes, draws(weighted, name), color=KNOWN["nle"], ls="--", lw=1.8)
        axes.axvline(value, color=TRUTH, ls="--", lw=1)
        axes.set(xlabel=labels[name], ylim=(0, 1.08), yticks=[])
        axes.spines["left"].set_visible(False)
    exact = {"weighted exactly": line_of(KNOWN["nle"], ls="--")}
    key(figure, lines | exact | {"truth": line_of(TRUTH, ls="--", lw=1)})
    return figure
