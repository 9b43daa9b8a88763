"""What sets, series and images are like as a whole, in numbers.

Elements say little of a set, whose points have no order: that x and y of its points were shuffled
against each other no element shows. Nor do elements of a long series say whether its noise is
correlated. What data sets are described by here is worked out of each alone, so that ranks among
data sets stay exact whatever is made of it:

* sets, of few columns and many rows: how many points there are; mean, spread and quantiles of every
  column; products of columns up to the fourth order; distances between neighbours; and means of
  waves over the points, whose Euclidean distance is a maximum mean discrepancy;
* series: power by frequency, autocorrelation and tails of the second differences, noise by quarter;
* images: quantiles and means of blocks, power by scale, correlation and tails of the Laplacian.

Which of them data are is told by their shape.

References:
    Gretton, Borgwardt, Rasch, Schölkopf, Smola, A kernel two-sample test, 2012,
        https://jmlr.org/papers/v13/gretton12a.html
    Rahimi & Recht, Random features for large-scale kernel machines, 2007,
        https://papers.nips.cc/paper/3182-random-features-for-large-scale-kernel-machines
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import spatial

from ..types import Array
from .typicality import local_density, mahalanobis, reduction, two_sided, upper, with_medians

MOST_COLUMNS = 8
"""Columns of a set, or channels of series and images, at most."""
FEWEST_POINTS, FEWEST_SAMPLES, FEWEST_PIXELS = 10, 16, 8
"""Of a set, of a series, and along each side of an image."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
NEIGHBOURS = (1, 3, 9, 27)
"""Which neighbour's distance is asked for."""
MOST_POINTS = 500
"""Points of a set that neighbours and waves are asked of: the first."""
WAVES = 10
BANDS = 12
FAR = 3
"""Widths from the middle beyond which descriptors are told by their logarithm."""
WORDS = {
    "set": "its points together",
    "series": "its spectrum and noise",
    "image": "its spectrum and texture",
}
FAINTEST = 1e-12
"""Power, as a fraction of all, below which there is none."""


def kind_of(x_shape: tuple[int, ...]) -> str:
    """Return what data of a shape are taken for: "set", "series", "image", or "" for no such."""
    if len(x_shape) == 1:
        return "series" if x_shape[0] >= FEWEST_SAMPLES else ""
    if len(x_shape) == 2 and x_shape[1] <= MOST_COLUMNS and x_shape[0] >= FEWEST_POINTS:
        return "set"
    if len(x_shape) == 2 and x_shape[0] < FEWEST_PIXELS and x_shape[1] >= FEWEST_SAMPLES:
        return "series"
    channels = x_shape[:-2]
    sides = min(x_shape[-2:])
    if len(channels) <= 1 and sides >= FEWEST_PIXELS and np.prod(channels) <= MOST_COLUMNS:
        return "image"
    return ""


def unlike_by_descriptors(
    x: Array,
    x_o: Array,
    known: Array | None = None,
    neighbours: int | None = None,
    residual: bool = False,
) -> dict[str, Array]:
    """Return how unusual descriptors of an observation, then of data sets are, by statistic.

    Args:
        x: Data sets, ``(n, *x_shape)``.
        x_o: The observation, ``x_shape``.
        known: Features of known conditions, of the observation first, ``(1 + n, known)``.
        neighbours: How many for the local outlier factor; None to leave that out.
        residual: Whether series and images are described by what their median leaves of them, which
            is noise where all have the same parameters.

    Returns:
        Surprises, ``(1 + n,)`` each; nothing for data that have no descriptors.
    """
    pooled = _alike(x, x_o)
    if residual and kind_of(x_o.shape) != "set":
        pooled = pooled - np.median(pooled, axis=0)
    numbers = descriptors_of(pooled)
    if not numbers.size:
        return {}
    name, features = WORDS[kind_of(x_o.shape)], descriptor_features(numbers)(numbers)
    if known is not None:
        features = np.column_stack([known, features])
    found = {
        name: upper(mahalanobis(features)),
        f"{name}, one number": upper(np.max([two_sided(each) for each in numbers.T], axis=0)),
    }
    if neighbours is not None:
        found[f"{name}, local density"] = upper(local_density(features, neighbours))
    return found


def _alike(x: Array, x_o: Array) -> Array:
    """Return the observation, then data sets, ``(1 + n, *x_shape)``, which lack the same or none.

    Elements that the observation lacks all lack, unless simulated data lack some, too.
    """
    pooled = np.concatenate([x_o[None], x]).astype(float)
    if not np.isnan(x).any():
        pooled[:, np.isnan(x_o)] = np.nan
    if kind_of(x_o.shape) == "set":
        return pooled
    return with_medians(pooled.reshape(len(pooled), -1)).reshape(pooled.shape)


def descriptor_features(fitted: Array) -> Callable[[Array], Array]:
    """Return what makes features of descriptors, fitted to those of some data sets.

    Each is told in widths of its middle half, far out by the logarithm, so that heavy tails do not
    hide what is unusual.
    """
    low, centre, high = np.quantile(fitted, (0.25, 0.5, 0.75), axis=0)
    width = np.where(high > low, (high - low) / 1.349, fitted.std(axis=0))
    told = width > 0

    def scores(numbers: Array) -> Array:
        return np.asarray(FAR * np.arcsinh(((numbers - centre) / (FAR * width))[:, told]))

    with np.errstate(all="ignore"):
        reduced = reduction(scores(fitted))

    def features(numbers: Array) -> Array:
        with np.errstate(all="ignore"):
            return reduced(scores(numbers))

    return features


def descriptors_of(x: Array) -> Array:
    """Return numbers that describe data sets, ``(n, *x_shape) -> (n, numbers)``; none for vectors.

    What is missing of sets, NaN or rows of zeros, is left out; other data must have been filled in.
    """
    kind = kind_of(x.shape[1:])
    if kind == "":
        return np.empty((len(x), 0))
    with np.errstate(all="ignore"):
        if kind == "set":
            numbers = _of_sets(x)
        elif kind == "series":
            numbers = _of_series(x.reshape(len(x), -1, x.shape[-1]))
        else:
            numbers = _of_images(x.reshape(len(x), -1, *x.shape[-2:]))
        every = [np.reshape(each, (len(each), -1)) for each in numbers]
    return np.nan_to_num(np.concatenate(every, axis=1), posinf=0.0, neginf=0.0)


def _of_sets(x: Array) -> list[Array]:
    values, points = _without_padding(x)
    mean = _mean(values)
    spread = np.sqrt(_mean((values - mean[:, None]) ** 2))
    scaled = (values - mean[:, None]) / np.where(spread > 0, spread, 1)[:, None]
    products = [
        _mean(scaled[..., i] ** a * scaled[..., j] ** b)
        for i, j in itertools.combinations(range(x.shape[2]), 2)
        for a, b in ((1, 1), (1, 2), (2, 1), (2, 2))
    ]
    whole = not np.isnan(scaled).any()
    quantiles = (np.quantile if whole else np.nanquantile)(scaled, QUANTILES, axis=1)
    some = scaled[:, :MOST_POINTS]
    told = [points, mean, np.log(spread), np.moveaxis(quantiles, 0, 1), *products]
    return [*told, _between_neighbours(some), _waves(some)]


def _without_padding(x: Array) -> tuple[Array, Array]:
    """Return points of sets, NaN where there is none, and how many there are, ``(n,)``.

    Of a set without points one at 0 is left, so that it can be described.
    """
    there = ~np.isnan(x).any(axis=2) & (x != 0).any(axis=2)
    values = np.where(there[..., None], x, np.nan)
    values[~there.any(axis=1), 0] = 0
    return values, there.sum(axis=1)


def _mean(values: Array) -> Array:
    """Return means along axis 1 of what is there."""
    there = ~np.isnan(values)
    return np.asarray(np.where(there, values, 0).sum(axis=1) / there.sum(axis=1))


def _between_neighbours(values: Array) -> Array:
    """Return mean, spread and ends of log distances to some neighbours, ``(n, numbers)``."""
    found = np.full((len(values), len(NEIGHBOURS), 4), np.nan)
    for place, each in enumerate(values):
        points = each[~np.isnan(each).any(axis=1)]
        if len(points) > max(NEIGHBOURS):
            distances, _ = spatial.KDTree(points).query(points, k=[1 + k for k in NEIGHBOURS])
            logs = np.log(np.maximum(distances, FAINTEST))
            ends = np.quantile(logs, (0.1, 0.9), axis=0)
            found[place] = np.stack([logs.mean(axis=0), logs.std(axis=0), *ends], axis=1)
    return found


def _waves(values: Array) -> Array:
    """Return means over points of waves of fixed random directions, the shorter the later."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(values.shape[2], WAVES)) * np.linspace(0.5, 4, WAVES)
    found = []
    for each in np.array_split(values, math.ceil(values.size / 1_000_000)):
        phase = each @ directions
        found.append(np.concatenate([_mean(np.cos(phase)), _mean(np.sin(phase))], axis=1))
    return np.concatenate(found)


def _of_series(x: Array) -> list[Array]:
    """Describe series, ``(n, channels, samples)``."""
    steps = np.diff(x, n=2, axis=2)
    quarters = [(each**2).mean(axis=2) for each in np.array_split(steps, 4, axis=2)]
    power = np.abs(np.fft.rfft(_tapered(x, 2), axis=2)) ** 2
    return [
        _levels(x),
        _by_band(power[..., 1:], np.arange(1, power.shape[2])),
        *_variogram(x, [(1,), (2,), (4,)]),
        *_of_noise(steps, [(1,), (2,), (3,)]),
        *(np.log(each / np.mean(quarters, axis=0)) for each in quarters),
        _between_channels(steps),
    ]


def _of_images(x: Array) -> list[Array]:
    """Describe images, ``(n, channels, height, width)``."""
    laplacian = np.diff(x, n=2, axis=2)[..., 1:-1] + np.diff(x, n=2, axis=3)[..., 1:-1, :]
    blocks = [
        block.mean(axis=(2, 3))
        for rows in np.array_split(x, 3, axis=2)
        for block in np.array_split(rows, 3, axis=3)
    ]
    power = np.abs(np.fft.fft2(_tapered(_tapered(x, 2), 3))) ** 2
    high, wide = (np.fft.fftfreq(side) for side in x.shape[2:])
    frequency = np.hypot(high[:, None], wide).ravel()
    return [
        _levels(x),
        *blocks,
        _by_band(power.reshape(*x.shape[:2], -1)[..., frequency > 0], frequency[frequency > 0]),
        *_variogram(x, [(0, 1), (1, 0), (1, 1), (0, 3), (3, 0)]),
        *_of_noise(laplacian, [(0, 1), (1, 0), (1, 1)]),
        _between_channels(laplacian),
    ]


def _levels(x: Array) -> Array:
    """Return quantiles of all elements of each channel, ``(quantiles, n, channels)`` reordered."""
    flat = x.reshape(*x.shape[:2], -1)
    return np.moveaxis(np.quantile(flat, QUANTILES, axis=2), 0, 2)


def _tapered(x: Array, axis: int) -> Array:
    """Return data without their mean along an axis, and falling to 0 at both ends of it."""
    window = np.hanning(x.shape[axis] + 2)[1:-1]
    shape = [1] * x.ndim
    shape[axis] = -1
    return np.asarray((x - x.mean(axis=axis, keepdims=True)) * window.reshape(shape))


def _by_band(power: Array, frequency: Array) -> Array:
    """Return logarithms of the power in bands, each the same factor wide."""
    edges = np.geomspace(frequency.min(), frequency.max() * (1 + 1e-9), BANDS + 1)
    band = np.digitize(frequency, edges)
    least = FAINTEST * power.sum(axis=2)
    means = [power[..., band == each].mean(axis=2) for each in np.unique(band)]
    return np.stack([np.log(np.maximum(each, least)) for each in means], axis=2)


def _variogram(x: Array, shifts: Sequence[tuple[int, ...]]) -> list[Array]:
    """Return logarithms of mean squared steps over some distances, each ``(n, channels)``.

    They are in units of the variance, so that white noise has the same for all distances.
    """
    axes = tuple(range(2, x.ndim))
    pairs = (_apart(x, shift) for shift in shifts)
    return [np.log(((a - b) ** 2).mean(axis=axes) / x.var(axis=axes)) for a, b in pairs]


def _of_noise(rough: Array, shifts: Sequence[tuple[int, ...]]) -> list[Array]:
    """Return size and tails of what a smooth signal has none of, and how it is correlated."""
    axes = tuple(range(2, rough.ndim))
    square = (rough**2).mean(axis=axes)
    tails = (rough**4).mean(axis=axes) / square**2
    middle = np.median(np.abs(rough), axis=axes) / np.sqrt(square)
    pairs = (_apart(rough, shift) for shift in shifts)
    correlations = ((a * b).mean(axis=axes) / square for a, b in pairs)
    return [np.log(square), np.log(tails), middle, *correlations]


def _apart(x: Array, shift: tuple[int, ...]) -> tuple[Array, Array]:
    """Return elements of ``(n, channels, ...)``, and those that lie so far from each of them."""
    sides = list(zip(x.shape[2:], shift, strict=True))
    first = (slice(None), slice(None), *(slice(0, n - by) for n, by in sides))
    then = (slice(None), slice(None), *(slice(by, n) for n, by in sides))
    return x[first], x[then]


def _between_channels(rough: Array) -> Array:
    """Return correlations of channels, ``(n, pairs)``."""
    flat = rough.reshape(*rough.shape[:2], -1)
    products = np.einsum("nck,ndk->ncd", flat, flat)
    scale = np.sqrt(np.einsum("ncc->nc", products))
    first, then = np.triu_indices(flat.shape[1], 1)
    return np.asarray((products / (scale[:, :, None] * scale[:, None]))[:, first, then])
