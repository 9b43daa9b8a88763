"""Linear regression where elements of the data are missing: where an estimator then starts from.

Data given parameters are taken for x = B z + b + e with normal e of covariance E, and z for normal.
Whatever elements are there, of these alone follow the posterior of z and the density of x, exactly
where all is linear and normal. Nothing is put in for what is missing, which is NaN.

References:
    Little & Rubin, Statistical analysis with missing data, Wiley 2019,
    https://doi.org/10.1002/9781119482260.
    Schäfer & Strimmer, A shrinkage approach to large-scale covariance matrix estimation, Stat.
    Appl. Genet. Mol. Biol. 4, 2005, https://doi.org/10.2202/1544-6115.1175.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from .regression import GaussianRegression

MOST_GAPPED = 64
"""Columns: for each data set a system of equations of so many unknowns is solved."""
FLOOR = 1e-6  # of an element's own variance, which is left of it at least


class Line(Protocol):
    """What data are expected to be given z, and how far they scatter, under known conditions.

    Attributes:
        known: How many columns tell of the conditions.
    """

    known: int

    def fit(self, x: Tensor, z: Tensor, conditions: Tensor) -> Tensor:
        """Fit to rows; return what that leaves of x, over its scale, 0 where x is NaN."""

    def __call__(self, conditions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return B, ``(n, in_dim, out_dim)``, b and the logarithm of scales, ``(n, in_dim)``."""


class GappedRegression(nn.Module):
    """Data as N(B z + b, E), fitted to rows with gaps; unfitted B = 0, b = 0, E = I.

    Under known conditions B, b and the scales of E are those of the conditions, which stand in the
    first columns of what is told of a row.

    Args:
        in_dim: Number of columns of the data.
        out_dim: Number of parameters.
        line: How B, b and the scales follow from conditions; None where none are known.
    """

    slope: Tensor
    offset: Tensor
    covariance: Tensor
    prior_mean: Tensor
    prior_precision: Tensor

    def __init__(self, in_dim: int, out_dim: int, line: Line | None = None) -> None:
        super().__init__()
        self.line = line
        self.register_buffer("slope", torch.zeros(in_dim, out_dim, dtype=torch.float64))
        self.register_buffer("offset", torch.zeros(in_dim, dtype=torch.float64))
        self.register_buffer("covariance", torch.eye(in_dim, dtype=torch.float64))
        self.register_buffer("prior_mean", torch.zeros(out_dim, dtype=torch.float64))
        self.register_buffer("prior_precision", torch.eye(out_dim, dtype=torch.float64))

    def _parts(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return known conditions, and data, in double precision."""
        known = 0 if self.line is None else self.line.known
        return inputs[:, :known].double(), inputs[:, known:].double()

    def fit(self, inputs: Tensor, z: Tensor) -> None:
        """Fit to data with NaN for what is missing, ``(n, in_dim)``, and ``(n, out_dim)``.

        Each column is regressed on z in the rows that have it. Correlations of what that leaves are
        those of the rows that have both columns, shrunk by as much as chance makes of them.

        Args:
            inputs: Known conditions, where there are any, and data.
            z: Parameters.
        """
        (conditions, x), z = self._parts(inputs), z.double()
        rest = self._fit_line(x, z) if self.line is None else self.line.fit(x, z, conditions)
        self.covariance.copy_(shrunk_covariance(rest, (~x.isnan()).double()))
        spread = torch.cov(z.T).reshape(z.shape[1], z.shape[1])
        floor = torch.diag(FLOOR * spread.diagonal().clamp(min=1e-6))
        self.prior_mean.copy_(z.mean(0))
        self.prior_precision.copy_(torch.linalg.inv(spread + floor))

    def _fit_line(self, x: Tensor, z: Tensor) -> Tensor:
        """Set B and b; return what they leave of x, 0 where it is missing."""
        mask, given = (~x.isnan()).double(), torch.cat((z, torch.ones_like(z[:, :1])), 1)
        x = x.nan_to_num(0.0)
        gram = torch.einsum("nk,ni,nj->kij", mask, given, given)
        gram = gram + 1e-6 * len(x) * torch.eye(given.shape[1]).to(gram)
        weight = torch.linalg.solve(gram, (x.T @ given).unsqueeze(-1))[..., 0]  # (k, theta_dim + 1)
        self.slope.copy_(weight[:, :-1])
        self.offset.copy_(weight[:, -1])
        return mask * (x - given @ weight.T)

    def _under(self, conditions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return B, b and the logarithm of the scales, of each row where conditions are known."""
        if self.line is None:
            return self.slope, self.offset, torch.zeros_like(self.offset)
        return self.line(conditions)

    def posterior(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return means of z, ``(n, out_dim)``, and roots of its covariance, lower triangles.

        Args:
            inputs: Known conditions, where there are any, and data, NaN where they are missing.
        """
        conditions, x = self._parts(inputs)
        slope, offset, log_scale = self._under(conditions)
        mask = (~x.isnan()).double()
        root, share = self._noise_root(mask), mask * (-log_scale).exp()
        expected = offset + slope @ self.prior_mean
        slope = torch.linalg.solve_triangular(root, share.unsqueeze(-1) * slope, upper=False)
        rest = torch.linalg.solve_triangular(
            root, (share * (x.nan_to_num(0.0) - expected)).unsqueeze(-1), upper=False
        )
        precision = self.prior_precision + slope.mT @ slope
        covariance = torch.linalg.inv(precision)
        mean = self.prior_mean + (covariance @ (slope.mT @ rest))[..., 0]
        spread = torch.linalg.cholesky(0.5 * (covariance + covariance.mT))
        return mean.float(), spread.float()

    def residual(self, inputs: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return whitened residuals of data and the log of their slopes, ``(n, in_dim)`` both.

        Both are 0 for what is missing.

        Args:
            inputs: Known conditions, where there are any, and data, NaN where they are missing.
            z: Parameters, ``(n, out_dim)``.
        """
        conditions, x = self._parts(inputs)
        slope, offset, log_scale = self._under(conditions)
        mask = (~x.isnan()).double()
        root = self._noise_root(mask)
        expected = offset + (slope @ z.double().unsqueeze(-1))[..., 0]
        rest = mask * (x.nan_to_num(0.0) - expected) * (-log_scale).exp()
        white = torch.linalg.solve_triangular(root, rest.unsqueeze(-1), upper=False)[..., 0]
        log_slopes = -root.diagonal(dim1=-2, dim2=-1).log() - mask * log_scale
        return white.float(), log_slopes.float()

    def _noise_root(self, mask: Tensor) -> Tensor:
        """Return the root of E among the elements that are there; of the others it is 1."""
        both = mask.unsqueeze(-1) * mask.unsqueeze(-2)
        return torch.linalg.cholesky(both * self.covariance + torch.diag_embed(1 - mask))


class PerDataSet(GappedRegression):
    """A regression of z on what is there of x, as columns of a context.

    They are the root of the covariance, a lower triangle whose diagonal is a logarithm, and then
    the prediction of z.
    """

    corner: Tensor

    def __init__(self, in_dim: int, out_dim: int, line: Line | None = None) -> None:
        super().__init__(in_dim, out_dim, line)
        self.out_dim = out_dim
        places = torch.tril_indices(out_dim, out_dim, -1)
        corner = torch.zeros(places.shape[1], out_dim, out_dim)
        corner[range(places.shape[1]), places[0], places[1]] = 1
        self.register_buffer("corner", corner.flatten(1), persistent=False)

    @property
    def columns(self) -> int:
        """How many columns it takes."""
        return self.out_dim * (self.out_dim + 3) // 2

    def told(self, inputs: Tensor) -> Tensor:
        """Return what is told of rows, see `posterior`, ``(n, columns)``."""
        mean, root = self.posterior(inputs)
        below = root.flatten(-2) @ self.corner.T
        return torch.cat((root.diagonal(dim1=-2, dim2=-1).log(), below, mean), -1)

    def whiten(self, outputs: Tensor, told: Tensor) -> Tensor:
        """Return what the prediction leaves of z, whitened, ``(n, out_dim)``."""
        rest = (outputs - told[..., -self.out_dim :]).unsqueeze(-1)
        return torch.linalg.solve_triangular(self.root_of(told), rest, upper=False)[..., 0]

    def restore(self, rest: Tensor, told: Tensor) -> Tensor:
        """Undo `whiten` for draws ``(m, n, out_dim)``, given what is told of m rows."""
        return rest @ self.root_of(told).mT + told[:, None, -self.out_dim :]

    def scales(self, told: Tensor) -> Tensor:
        """Return sds of z of each row, ``(n, out_dim)``."""
        return self.root_of(told).square().sum(-1).sqrt()

    def log_det(self, told: Tensor) -> Tensor:
        """Return minus the log of the determinant of each root, ``(n,)``."""
        return -told[..., : self.out_dim].sum(-1)

    def root_of(self, told: Tensor) -> Tensor:
        """Return the root of each row, ``(n, out_dim, out_dim)``."""
        dim = self.out_dim
        corner = (told[..., dim:-dim] @ self.corner).unflatten(-1, (dim, dim))
        return corner + torch.diag_embed(told[..., :dim].exp())


class OnFilled(GaussianRegression):
    """A regression of z on many elements, 0 where they are missing, and on which are there."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__(2 * in_dim, out_dim)

    def fit(self, inputs: Tensor, outputs: Tensor, present: Tensor | None = None) -> None:
        """Fit to rows of inputs with NaN, ``(n, in_dim)``, and outputs, ``(n, out_dim)``."""
        super().fit(with_mask(inputs), outputs, present)

    def predict(self, inputs: Tensor) -> Tensor:
        """Return the prediction of outputs, ``(n, out_dim)``."""
        return super().predict(with_mask(inputs))


def with_mask(inputs: Tensor) -> Tensor:
    """Return elements, 0 where they are missing, and which are there, ``(n, 2 elements)``."""
    return torch.cat((inputs.nan_to_num(0.0), (~inputs.isnan()).to(inputs)), -1)


def shrunk_covariance(rest: Tensor, mask: Tensor) -> Tensor:
    """Return the covariance of residuals with gaps, ``(k, k)``, positive definite.

    Args:
        rest: Residuals, ``(n, k)``; 0 where there are none.
        mask: 1 where there are, 0 elsewhere, ``(n, k)``.
    """
    pairs = (mask.T @ mask).clamp(min=1)
    found = rest.T @ rest / pairs
    sd = found.diagonal().sqrt().clamp(min=FLOOR**0.5)
    correlation = found / sd / sd.unsqueeze(-1)
    apart = ~torch.eye(len(sd), dtype=torch.bool, device=sd.device)
    # The variance of a correlation is the inverse of its rows; chance makes so much of them all.
    size = float(correlation[apart].square().sum())
    share = min(1.0, float((1 / pairs)[apart].sum()) / size) if size > 0 else 1.0
    values, vectors = torch.linalg.eigh(torch.where(apart, (1 - share) * correlation, 1.0))
    least = max(FLOOR, -2 * float(values.min()))  # what is negative tells how little is known
    whole = vectors @ torch.diag(values.clamp(min=least)) @ vectors.T
    scale = sd / whole.diagonal().sqrt()
    return whole * scale * scale.unsqueeze(-1)
