"""A linear regression whose slopes and residuals depend on some of its inputs: known conditions.

Of a signal in noise of a known level, slope and width of the answer change with that level by as
much as it does. A flow that begins at one slope and one width for all levels has a decade to learn;
here it begins at those of the level.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .regression import GaussianRegression, ridge

MOST_FEATURES = 500
"""Inputs and their products with conditions, at most."""
MOST_ROWS = 100_000
"""That quantiles are taken of."""
MOST_GAPPED_FEATURES = 100
"""Likewise where each column of the data is regressed on parameters in rows of its own."""
TIMES = 3
"""That means and scales are fitted in turn, each with the other."""
MEAN_LOG = -0.635
"""Of the logarithm of the modulus of a standard normal number."""
CUT = 1e-3
"""Fraction of training rows at each end of the scales, beyond which none is extrapolated."""


class ConditionedRegression(GaussianRegression):
    """Outputs as N(W f(inputs) + b, D S D), with the scales D of each row in its conditions.

    Slopes are quadratic in the conditions; linear where that would be too many features, and the
    same under all conditions where that would be, too. Logarithms of the scales are quadratic
    (Harvey, Estimating regression models with multiplicative heteroscedasticity, Econometrica 44,
    1976, https://doi.org/10.2307/1913974). Unfitted it is the identity.

    Args:
        in_dim: Number of inputs.
        out_dim: Number of outputs.
        known: Which of the inputs are the conditions.
    """

    scale_weight: Tensor
    scale_bias: Tensor
    scale_limits: Tensor

    def __init__(self, in_dim: int, out_dim: int, known: Sequence[int]) -> None:
        self.known, terms = list(known), len(known) * (len(known) + 3) // 2
        choices = (terms, len(known), 0)
        self.products = next(n for n in choices if not n or in_dim * (1 + n) <= MOST_FEATURES)
        super().__init__(in_dim * (1 + self.products), out_dim)
        self.register_buffer("scale_weight", torch.zeros(out_dim, terms))
        self.register_buffer("scale_bias", torch.zeros(out_dim))
        self.register_buffer("scale_limits", torch.zeros(2, out_dim))

    def fit(self, inputs: Tensor, outputs: Tensor, present: Tensor | None = None) -> None:
        """Fit to rows of inputs, ``(n, in_dim)``, and outputs, ``(n, out_dim)``.

        Outputs that are not ``present`` are taken for the mean of those that are.
        """
        inputs, outputs = inputs.double(), outputs.double()
        if present is not None:
            known = torch.where(present, outputs, torch.nan)
            outputs = torch.where(present, outputs, known.nanmean(0).nan_to_num())
        features, terms = self._features(inputs), self._terms(inputs)
        floor = 1e-6 * outputs.var(0).clamp(min=1e-12)
        log_scale = torch.zeros_like(outputs)
        for _ in range(TIMES):
            weight, bias = weighted_fit(features, outputs, (-2 * log_scale.mean(1)).exp())
            rest = outputs - features @ weight.T - bias
            logs = 0.5 * (rest.square() + floor).log() - MEAN_LOG
            slopes, at_zero = weighted_fit(terms, logs, terms.new_ones(len(terms)))
            log_scale = terms @ slopes.T + at_zero
            limits = torch.quantile(log_scale[:MOST_ROWS], torch.tensor([CUT, 1 - CUT]).double(), 0)
            log_scale = log_scale.clamp(*limits)
        white = rest * (-log_scale).exp()
        root = torch.linalg.cholesky(white.T @ white / len(white) + 1e-6 * torch.eye(len(floor)))
        for buffer, value in (
            (self.weight, weight),
            (self.bias, bias),
            (self.root, root),
            (self.inverse_root, torch.linalg.inv(root)),
            (self.scale_weight, slopes),
            (self.scale_bias, at_zero),
            (self.scale_limits, limits),
        ):
            buffer.copy_(value)

    def predict(self, inputs: Tensor) -> Tensor:
        """Return W f(inputs) + b, ``(n, out_dim)``."""
        return super().predict(self._features(inputs))

    def log_scale(self, inputs: Tensor) -> Tensor:
        """Return the logarithms of the scales of residuals, ``(n, out_dim)``."""
        logs = nn.functional.linear(self._terms(inputs), self.scale_weight, self.scale_bias)
        return logs.clamp(self.scale_limits[0], self.scale_limits[1])

    def residual(self, outputs: Tensor, inputs: Tensor, present: Tensor | None = None) -> Tensor:
        """Return residuals over their scales, whitened, ``(n, out_dim)``."""
        rest = (outputs - self.predict(inputs)) * (-self.log_scale(inputs)).exp()
        if present is not None:
            rest = torch.where(present, rest, 0.0)
        return rest @ self.inverse_root.T

    def log_slopes(self, inputs: Tensor) -> Tensor:
        """Return log |d residual / d output| of each, ``(n, out_dim)``."""
        return super().log_slopes(inputs) - self.log_scale(inputs)

    @property
    def columns(self) -> int:
        """How many columns are told: the logarithms of the scales, and the prediction."""
        return 2 * len(self.bias)

    def told(self, inputs: Tensor) -> Tensor:
        """Return what is told of rows of inputs, ``(n, columns)``."""
        return torch.cat((self.log_scale(inputs), self.predict(inputs)), -1)

    def whiten(self, outputs: Tensor, told: Tensor) -> Tensor:
        """Return residuals over their scales, whitened, ``(n, out_dim)``."""
        log_scale, predicted = told.chunk(2, -1)
        return ((outputs - predicted) * (-log_scale).exp()) @ self.inverse_root.T

    def restore(self, rest: Tensor, told: Tensor) -> Tensor:
        """Undo `whiten` for draws ``(m, n, out_dim)``, given what is told of m rows."""
        log_scale, predicted = told[:, None].chunk(2, -1)
        return rest @ self.root.T * log_scale.exp() + predicted

    def scales(self, told: Tensor) -> Tensor:
        """Return sds of residuals of each row, ``(n, out_dim)``."""
        return super().scales(told) * told.chunk(2, -1)[0].exp()

    def log_det(self, told: Tensor) -> Tensor:
        """Return log |d whitened / d outputs|, ``(n,)``."""
        return super().log_det(told) - told.chunk(2, -1)[0].sum(-1)

    def _features(self, inputs: Tensor) -> Tensor:
        """Return what means are linear in, ``(n, features)``."""
        factors = self._terms(inputs)[:, : self.products, None]
        return torch.cat((inputs, (factors * inputs[:, None, :]).flatten(1)), 1)

    def _terms(self, inputs: Tensor) -> Tensor:
        return terms_of(inputs[:, self.known])


class ConditionedLine(nn.Module):
    """Data with gaps as B z + b + noise, with B, b and the scales of the noise by conditions.

    As in `ConditionedRegression`, each column of the data in the rows that have it. It is a `Line`
    of `gapped_regression`, which correlates the noise. Unfitted B = 0, b = 0, scales 1.

    Args:
        in_dim: Number of columns of the data.
        out_dim: Number of parameters.
        known: How many columns tell of the conditions.
    """

    weight: Tensor
    bias: Tensor
    scale_weight: Tensor
    scale_bias: Tensor
    scale_limits: Tensor

    def __init__(self, in_dim: int, out_dim: int, known: int) -> None:
        super().__init__()
        self.known, self.out_dim, terms = known, out_dim, known * (known + 3) // 2
        most = MOST_GAPPED_FEATURES // (1 + out_dim)
        self.products = next(n for n in (terms, known, 0) if not n or 1 + n <= most)
        features = out_dim + self.products * (1 + out_dim)
        shapes = {"weight": (features,), "bias": (), "scale_weight": (terms,), "scale_bias": ()}
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(in_dim, *shape, dtype=torch.float64))
        self.register_buffer("scale_limits", torch.zeros(in_dim, 2, dtype=torch.float64))

    def fit(self, x: Tensor, z: Tensor, conditions: Tensor) -> Tensor:
        """Fit to data with NaN for what is missing; return residuals over scales, 0 for these.

        Args:
            x: Data, ``(n, in_dim)``.
            z: Parameters, ``(n, out_dim)``.
            conditions: What is told of them, ``(n, known)``.
        """
        terms = terms_of(conditions)
        factors = terms[:, : self.products]
        main, products = (
            torch.cat((z, factors), 1),
            (factors[:, :, None] * z[:, None, :]).flatten(1),
        )
        white = torch.zeros_like(x)
        for column, there in enumerate((~x.isnan()).T):
            if there.any():
                rows = x[there, column], main[there], products[there], terms[there]
                white[there, column] = self._fit_column(column, *rows)
        return white

    def _fit_column(
        self, column: int, x: Tensor, main: Tensor, products: Tensor, terms: Tensor
    ) -> Tensor:
        """Set what is of one column from the rows that have it; return what that leaves of it."""
        floor, log_scale = 1e-6 * x.var(correction=0).clamp(min=1e-12), torch.zeros_like(x)
        for _ in range(TIMES):
            weight, bias = fit_in_turn(main, products, x[:, None], (-2 * log_scale).exp())
            rest = (
                x - main @ weight[0, : main.shape[1]] - products @ weight[0, main.shape[1] :] - bias
            )
            logs = 0.5 * (rest.square() + floor).log() - MEAN_LOG
            slopes, at_zero = weighted_fit(terms, logs[:, None], torch.ones_like(x))
            log_scale = terms @ slopes[0] + at_zero
            limits = torch.quantile(log_scale[:MOST_ROWS], torch.tensor([CUT, 1 - CUT]).to(x))
            log_scale = log_scale.clamp(*limits)
        self.weight[column], self.bias[column] = weight[0], bias[0]
        self.scale_weight[column], self.scale_bias[column] = slopes[0], at_zero[0]
        self.scale_limits[column] = limits
        return rest * (-log_scale).exp()

    def forward(self, conditions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return B, ``(n, in_dim, out_dim)``, b and the logarithm of scales, ``(n, in_dim)``."""
        terms = terms_of(conditions)
        factors, ends = terms[:, : self.products], (self.out_dim, self.out_dim + self.products)
        slope, offset, products = self.weight.tensor_split(ends, 1)
        turned = torch.einsum("nf,kfd->nkd", factors, products.unflatten(1, (-1, self.out_dim)))
        log_scale = terms @ self.scale_weight.T + self.scale_bias
        log_scale = log_scale.clamp(self.scale_limits[:, 0], self.scale_limits[:, 1])
        return slope + turned, self.bias + factors @ offset.T, log_scale


def conditioned_line(in_dim: int, out_dim: int, known: int) -> ConditionedLine | None:
    """Return how data depend on known conditions, if any are."""
    return ConditionedLine(in_dim, out_dim, known) if known else None


def terms_of(known: Tensor) -> Tensor:
    """Return conditions, ``(n, known)``, then their squares and products, ``(n, terms)``."""
    first, second = torch.triu_indices(known.shape[1], known.shape[1], device=known.device)
    return torch.cat((known, known[:, first] * known[:, second]), 1)


def weighted_fit(inputs: Tensor, outputs: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Regress outputs, ``(n, k)``, on inputs, ``(n, p)``, with weights of rows, ``(n,)``.

    Returns:
        Weights of the inputs, ``(k, p)``, and constants, ``(k,)``.
    """
    share = (weights / weights.mean())[:, None]
    mean_in, mean_out = (share * inputs).mean(0), (share * outputs).mean(0)
    rows = share.sqrt() * (inputs - mean_in), share.sqrt() * (outputs - mean_out)
    slopes, _ = ridge(*rows)
    return slopes, mean_out - slopes @ mean_in


def fit_in_turn(
    main: Tensor, more: Tensor, outputs: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Regress outputs on ``main`` inputs, and on ``more`` of which each may well be for nothing.

    What ``more`` says beyond ``main`` has a ridge of its own, which shrinks it where that is chance
    and leaves ``main`` alone. As `weighted_fit`; the inputs are those of both, in this order.
    """
    weight, bias = weighted_fit(main, outputs, weights)
    if not more.shape[1]:
        return weight, bias
    shared, offset = weighted_fit(main, more, weights)
    beyond = more - main @ shared.T - offset
    added, constant = weighted_fit(beyond, outputs - main @ weight.T - bias, weights)
    return torch.cat((weight - added @ shared, added), 1), bias + constant - added @ offset


def regression(in_dim: int, out_dim: int, known: Sequence[int] = ()) -> GaussianRegression:
    """Return a regression, whose answer depends on known conditions where there are any."""
    if known:
        return ConditionedRegression(in_dim, out_dim, known)
    return GaussianRegression(in_dim, out_dim)
