"""A few numbers for a long vector, by a linear map that is fitted to training rows.

``svd`` takes the principal components of the standardised data: what varies most, without a look at
the parameters. Beside them stand averages over all elements under the first cosines, whose
directions owe nothing to the noise of rows, and how much components leave: the level of noise.
``regression`` takes what a linear regression of the parameters, their squares and their products
predicts from all elements, which to first order is their score; it fits noise where elements are
not far fewer than rows. ``both`` takes both. The data are read in blocks: time is linear in rows
and elements, and memory that of a few blocks (a regression holds all rows once in single
precision).

The axes of components lean towards the noise of the rows that they were fitted to. Along them these
rows look larger than others by 1 / (1 - e / (n v)), v the variance of the component and e the mean
square of what no component holds, in n rows; where elements are many more than rows this is more
than a posterior can bear. In training mode summaries are therefore divided by that.

References:
    Halko, Martinsson & Tropp, Finding structure with randomness, SIAM Review 53, 2011,
        https://doi.org/10.1137/090771806.
    Heavens, Jimenez & Lahav, Massive lossless data compression and multiple parameter estimation
        from galaxy spectra, MNRAS 317, 2000, https://doi.org/10.1046/j.1365-8711.2000.03692.x.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from ..options import INTERNAL, Chosen, OneOf, Takes, Width
from . import gains
from .least_squares import best_fit
from .scaling import Standardise, as_floats, spread

logger = logging.getLogger(__name__)

LONG = 500
"""Elements of a vector, above which ``auto`` considers summaries."""
MOST = (64, 256)
"""Components that ``auto`` tries; more where all of the first are above the noise."""
BEYOND = 5.0
"""Standard errors that the variance of a component in held-out rows is above the noise."""
LOSS = 0.05
"""Nats a parameter that summaries may lose against a linear regression on all elements."""
COSINES = 8
"""Averages under cosines: the mean of all elements, under half a wave, and so on."""
LEAST = 0.1
"""Share of a component's variance that is not the noise of its own row, at least."""
SPARE, PASSES = 10, 3
"""Directions that are sketched beside those wanted, and passes that sharpen them."""
AT_ONCE = 2_000_000
"""Elements of a block."""
MOST_EFFECTS = 16
ROWS = 10_000
"""By which ``auto`` chooses."""
SUMMARIES = {"svd": (True, False), "regression": (False, True), "both": (True, True)}
"""Names, and whether they are components, and whether they are a regression's predictions."""


class Compression(nn.Module):
    """From data ``(n, *x_shape)`` to summaries ``(n, out_dim)``; linear ones of unit variance.

    Args:
        x_shape: Shape of one data set.
        theta_dim: Number of inferred parameters.
        name: Kind of summaries: principal components (``svd``), what a regression predicts of the
            parameters (``regression``), or ``both``.
        components: Number of principal components.
        transform: Function that each number of x goes through first.
    """

    weight: Tensor
    lean: Tensor
    sd: Tensor

    def __init__(
        self,
        x_shape: tuple[int, ...],
        theta_dim: int,
        *,
        name: Annotated[str, OneOf(SUMMARIES)],
        components: Width = 64,
        transform: Annotated[str, INTERNAL] = "none",
    ) -> None:
        super().__init__()
        varying, self.regresses = SUMMARIES[name]
        elements = math.prod(x_shape)
        self.components = min(components, elements) if varying else 0
        self.cosines = min(COSINES, elements) if varying else 0
        predicted = n_effects(theta_dim) if self.regresses else 0
        linear = self.components + self.cosines + predicted
        self.out_dim = linear + varying
        self.standardise = Standardise(x_shape, transform)
        self.register_buffer("weight", torch.zeros(linear, elements))
        self.register_buffer("sd", torch.ones(linear))
        self.register_buffer("lean", torch.ones(linear))

    def fit_to(self, z: Tensor, x: Tensor) -> Tensor:
        """Fit to rows, ``(n, theta_dim)`` and ``(n, *x_shape)``; return their summaries."""
        self.standardise.fit(x)
        found = []
        if self.components:
            found.append(leading_axes(self._blocks(x), self.components).T)
            found.append(cosines(self.weight.shape[1], self.cosines))
        if self.regresses:
            rows = torch.cat(list(self._blocks(x)()))
            found.append(best_fit(rows, effects(z))[0].T)
        weight = torch.cat(found)
        seen = [(rows @ weight.T, rows.square().sum(1)) for rows in self._blocks(x)()]
        summaries, energy = (torch.cat(parts) for parts in zip(*seen, strict=True))
        sizes = summaries[:, : self.components].double().square().sum(0)
        own = (energy.double().sum() - sizes.sum()) / len(x) / sizes.clamp(min=1e-300)
        self.lean[: self.components] = 1 / (1 - own).clamp(min=LEAST)
        self.sd.copy_(spread(summaries / self.lean))
        self.weight.copy_(weight / self.sd[:, None])
        return self._with_rest(summaries / self.sd / self.lean, summaries, energy)

    def _with_rest(self, summaries: Tensor, components: Tensor, energy: Tensor) -> Tensor:
        """Return summaries, and if there are components, the log of the energy they leave."""
        if not self.components:
            return summaries
        left = energy - components[:, : self.components].square().sum(1)
        left = torch.maximum(left, 1e-6 * energy).clamp(min=torch.finfo(left.dtype).tiny)
        return torch.cat((summaries, left.log()[:, None]), 1)

    def _blocks(self, x: Tensor) -> Callable[[], Iterator[Tensor]]:
        return blocks_of(self.standardise, x)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(n, out_dim)`` for data ``(n, *x_shape)``; in training, of rows fitted to."""
        rows = self.standardise(x).flatten(1)
        summaries = rows @ self.weight.T
        seen = summaries / self.lean if self.training else summaries
        return self._with_rest(seen, summaries * self.sd, rows.square().sum(1))


Summaries = Annotated[
    str | Mapping[str, Any] | None, Chosen(), Takes(Compression, given=2, short="name")
]


def named(summaries: str | Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the options of summaries that may be given by their name alone."""
    if summaries is None or isinstance(summaries, str):
        return None if summaries is None else {"name": summaries}
    return dict(summaries)


def blocks_of(standardise: Standardise, x: Tensor) -> Callable[[], Iterator[Tensor]]:
    """Return what yields standardised rows, flattened, a block at a time."""
    at_once = max(1, AT_ONCE // math.prod(x.shape[1:]))
    return lambda: (standardise(as_floats(part)).flatten(1) for part in x.split(at_once))


def leading_axes(blocks: Callable[[], Iterator[Tensor]], components: int) -> Tensor:
    """Return the directions in which rows vary most, ``(elements, components)``, orthonormal.

    Args:
        blocks: Yields centred rows, ``(some, elements)``, all of them each time it is called.
        components: How many; the rest are zero where there are fewer elements or rows.
    """
    elements = next(blocks()).shape[1]
    wide = min(components + SPARE, elements)
    basis = torch.randn(elements, wide, generator=torch.Generator().manual_seed(0))
    for _ in range(PASSES):
        basis = torch.linalg.qr(sum(rows.T @ (rows @ basis) for rows in blocks()))[0]
    seen = [rows @ basis for rows in blocks()]
    gram = sum(part.double().T @ part.double() for part in seen)
    _, turned = torch.linalg.eigh(gram)
    axes: Tensor = basis @ turned.flip(1)[:, :components].float()
    return axes


def cosines(elements: int, number: int) -> Tensor:
    """Return the first cosines over so many elements, ``(number, elements)``, of unit length."""
    place = (torch.arange(elements) + 0.5) / elements
    waves = (torch.pi * torch.arange(number)[:, None] * place).cos()
    return nn.functional.normalize(waves, dim=1)


def effects(z: Tensor) -> Tensor:
    """Return centred parameters, their squares and products, as far as these are few."""
    first, second = torch.triu_indices(z.shape[1], z.shape[1])
    told = torch.cat((z, z[:, first] * z[:, second]), 1)[:, : n_effects(z.shape[1])].float()
    return told - told.mean(0)


def n_effects(theta_dim: int) -> int:
    """Return how many numbers `effects` tells of parameters."""
    whole = theta_dim + theta_dim * (theta_dim + 1) // 2
    return whole if whole <= MOST_EFFECTS else theta_dim


def is_long(x: Tensor) -> bool:
    """Say whether data have so many elements that summaries are considered."""
    return math.prod(x.shape[1:]) > LONG


def choose_summaries(z: Tensor, x: Tensor, transform: str) -> dict[str, Any] | None:
    """Choose summaries of long vectors by held-out rows; None where there are no better ones.

    Components count as far as they vary beyond the noise; where none does, the energy of all
    elements may tell of the parameters. They are taken where a linear regression of the parameters
    on them is as good as one on all elements, which is added to them where it is better and
    elements are few against rows.

    Args:
        z: Parameters in standard-normal space, ``(n, theta_dim)``.
        x: Data, ``(n, *x_shape)``.
        transform: A name of `scaling.TRANSFORMS`.
    """
    elements = math.prod(x.shape[1:])
    step = math.ceil(len(x) / ROWS)
    z, x = z[::step], x[::step]
    standardise = Standardise(tuple(x.shape[1:]), transform)
    standardise.fit(x)
    components, told = choose_components(standardise, x)
    left = energy_left(standardise, x, told)
    tell = components > 0 or gains.taught(z.double(), left.double()) > LOSS
    if tell and not keep_spreads(standardise, z, x, torch.cat((told, told.square(), left), 1)):
        return None
    on_all = explained_by_all(z, torch.cat(list(blocks_of(standardise, x)())))
    on_some = gains.taught(z.double(), told.double()) if tell else 0.0
    logger.info(
        "%d of %d elements of x vary beyond noise as principal components; a linear regression "
        "gains %.3f nats held out on these, %.3f on all",
        components,
        elements,
        on_some,
        on_all,
    )
    lost = on_some < on_all - LOSS * z.shape[1]
    if not lost:
        return {"name": "svd", "components": max(1, components)} if tell else None
    if elements > len(x) // 5:
        return None
    return {"name": "both", "components": components} if components else {"name": "regression"}


def choose_components(standardise: Standardise, x: Tensor) -> tuple[int, Tensor]:
    """Return how many components vary beyond noise in rows held out.

    And what summaries by so many tell of all rows, ``(n, linear summaries)``.
    """
    fit, test = blocks_of(standardise, x[::2]), blocks_of(standardise, x[1::2])
    limit = 1 + BEYOND * math.sqrt(2 / len(x[1::2]))
    for most in sorted({min(most, max(1, len(x) // 20)) for most in MOST}):
        axes = leading_axes(fit, most)
        size, total = torch.zeros(axes.shape[1], dtype=torch.float64), 0.0
        for rows in test():
            size += (rows @ axes).double().square().sum(0)
            total += float(rows.double().square().sum())
        noise = (total - float(size.sum())) / (len(axes) - axes.shape[1])
        found = int((size > limit * noise).sum())
        if found < axes.shape[1]:
            break
    axes = axes[:, size > limit * noise]
    axes = torch.cat((axes, cosines(len(axes), COSINES).T), 1)
    return found, torch.cat([rows @ axes for rows in blocks_of(standardise, x)()])


def energy_left(standardise: Standardise, x: Tensor, told: Tensor) -> Tensor:
    """Return the log of the energy that components leave of each row, ``(n, 1)``."""
    energy = torch.cat([rows.square().sum(1) for rows in blocks_of(standardise, x)()])
    components = told[:, :-COSINES]
    return (energy - components.square().sum(1)).clamp(min=1e-6).log()[:, None]


def keep_spreads(standardise: Standardise, z: Tensor, x: Tensor, known: Tensor) -> bool:
    """Say whether squares of elements tell no more of z than what is ``known`` of rows does."""
    squares = torch.cat([rows.square() for rows in blocks_of(standardise, x)()])
    by_squares = explained_by_all(z, squares - squares.mean(0))
    return by_squares <= gains.taught(z.double(), known.double()) + LOSS * z.shape[1]


def explained_by_all(z: Tensor, rows: Tensor) -> float:
    """Return what a linear regression of z on all columns gains in held-out rows, in nats."""
    left = 1 - best_fit(rows, (z - z.mean(0)).float())[1]
    return float(-0.5 * left.clamp(min=1e-12).log().sum())
