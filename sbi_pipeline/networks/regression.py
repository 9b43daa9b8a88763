"""Linear regression with normal residuals: where an estimator starts from.

A flow, or a ratio, that begins at the best linear-Gaussian answer has only the rest to learn. On
data that are linear and normal it is at the optimum before the first step; elsewhere it begins with
scales that fit, however narrow the posterior is against its prior.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

SHRINKAGES = 10.0 ** torch.arange(-8, 2, 0.5, dtype=torch.float64)


class GaussianRegression(nn.Module):
    """Outputs as N(W inputs + b, S), fitted in closed form.

    W is a ridge regression whose strength generalised cross-validation chooses (Golub, Heath &
    Wahba 1979, https://doi.org/10.1080/00401706.1979.10489751); S = L L' is the covariance of the
    residuals. Unfitted it is the identity: W = 0, b = 0, S = I.

    Args:
        in_dim: Number of inputs.
        out_dim: Number of outputs.
    """

    weight: Tensor
    bias: Tensor
    root: Tensor
    inverse_root: Tensor

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(out_dim, in_dim))
        self.register_buffer("bias", torch.zeros(out_dim))
        self.register_buffer("root", torch.eye(out_dim))
        self.register_buffer("inverse_root", torch.eye(out_dim))

    def fit(self, inputs: Tensor, outputs: Tensor, present: Tensor | None = None) -> None:
        """Fit to rows of inputs, ``(n, in_dim)``, and outputs, ``(n, out_dim)``.

        Args:
            inputs: Of the regression.
            outputs: What it predicts.
            present: Which outputs count, ``(n, out_dim)`` of bool; None where all do.
        """
        inputs, outputs = inputs.double(), outputs.double()
        if present is None or bool(present.all()):
            weight, bias, covariance = regress(inputs, outputs)
            variance = outputs.var(0)
        else:
            weight, bias, covariance = regress_each(inputs, outputs, present)
            variance = torch.stack(
                [column[there].var() for column, there in zip(outputs.T, present.T, strict=True)]
            ).nan_to_num()  # of one row
        # A residual may vanish; a millionth of the outputs' own variance is left of it.
        floor = 1e-6 * variance.clamp(min=1e-12)
        root = torch.linalg.cholesky(covariance + torch.diag(floor))
        self.weight.copy_(weight)
        self.bias.copy_(bias)
        self.root.copy_(root)
        self.inverse_root.copy_(torch.linalg.inv(root))

    def predict(self, inputs: Tensor) -> Tensor:
        """Return W inputs + b, ``(n, out_dim)``."""
        return nn.functional.linear(inputs, self.weight, self.bias)

    def residual(self, outputs: Tensor, inputs: Tensor, present: Tensor | None = None) -> Tensor:
        """Return residuals whitened by L, ``(n, out_dim)``: N(0, I) if all is normal.

        Where an output is not ``present`` it is taken for what is predicted. L is triangular, so
        the residuals of those that are present are a function of these alone.
        """
        residual = outputs - self.predict(inputs)
        if present is not None:
            residual = torch.where(present, residual, 0.0)
        return residual @ self.inverse_root.T

    def log_slopes(self, inputs: Tensor) -> Tensor:
        """Return log |d residual / d output| of each, of one row for all: L is triangular."""
        return self.inverse_root.diagonal().log()

    # What is told of each row: columns of a context, from which outputs are whitened and restored.

    @property
    def columns(self) -> int:
        """How many columns are told."""
        return len(self.bias)

    def told(self, inputs: Tensor) -> Tensor:
        """Return what is told of rows of inputs, ``(n, columns)``: the prediction, which is last.

        It is all that the methods below need to know of a row.
        """
        return self.predict(inputs)

    def whiten(self, outputs: Tensor, told: Tensor) -> Tensor:
        """Return whitened residuals, ``(n, out_dim)``, for paired rows or one."""
        return (outputs - told) @ self.inverse_root.T

    def restore(self, rest: Tensor, told: Tensor) -> Tensor:
        """Undo `whiten` for draws ``(m, n, out_dim)``, given what is told of m rows."""
        return rest @ self.root.T + told[:, None]

    def scales(self, told: Tensor) -> Tensor:
        """Return sds of residuals, ``(out_dim,)`` or of each row."""
        return self.root.square().sum(1).sqrt()

    def log_det(self, told: Tensor) -> Tensor:
        """Return log |d whitened / d outputs|, one number or ``(n,)``."""
        return self.inverse_root.diagonal().log().sum()


def regress(inputs: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return weights, ``(k, p)``, biases and the covariance of what they leave, ``(k, k)``."""
    mean_in, mean_out = inputs.mean(0), outputs.mean(0)
    weight, covariance = ridge(inputs - mean_in, outputs - mean_out)
    return weight, mean_out - weight @ mean_in, covariance


def regress_each(inputs: Tensor, outputs: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Regress each output on the rows where it is present, as `regress`.

    Variances are right for each, and covariances too near to zero by rows that lack one of two.
    """
    whole = present.all(0)
    weight = inputs.new_zeros(outputs.shape[1], inputs.shape[1])
    bias, variance = outputs.new_zeros(2, outputs.shape[1])
    parts = [whole.nonzero()[:, 0], *(~whole).nonzero()] if whole.any() else (~whole).nonzero()
    for columns in parts:
        rows = present[:, columns].all(1)
        found, offset, covariance = regress(inputs[rows], outputs[rows][:, columns])
        weight[columns], bias[columns] = found, offset
        variance[columns] = covariance.diagonal()
    left = torch.where(present, outputs - inputs @ weight.T - bias, 0.0)
    scaled = left / left.square().sum(0).clamp(min=1e-300).sqrt()
    sd = variance.sqrt()
    correlation = scaled.T @ scaled
    correlation.fill_diagonal_(1.0)
    return weight, bias, sd[:, None] * correlation * sd


def ridge(inputs: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Regress centred outputs, ``(n, k)``, on centred inputs, ``(n, p)``.

    Works on second moments alone, so that its cost is linear in the rows.

    Returns:
        Weights, ``(k, p)``, and the covariance of the residuals, ``(k, k)``.
    """
    n = len(inputs)
    gram, cross, total = inputs.T @ inputs, inputs.T @ outputs, outputs.T @ outputs
    values, vectors = torch.linalg.eigh(gram)
    values, turned = values.clamp(min=0), vectors.T @ cross  # (p,), (p, k)
    best = (math.inf, torch.zeros_like(cross), total / n)
    for shrinkage in SHRINKAGES * n:
        inverse = 1 / (values + shrinkage)
        degrees = float((values * inverse).sum())
        fitted = inverse[:, None] * turned  # (p, k)
        rest = total - 2 * turned.T @ fitted + (values[:, None] * fitted).T @ fitted
        if degrees + 2 >= n:
            continue
        # The determinant, so that the scale of no output matters.
        score = float(torch.logdet(rest / n + 1e-9 * torch.diag(total.diagonal() / n)))
        score -= 2 * rest.shape[0] * math.log1p(-(degrees + 1) / n)
        if score < best[0]:
            best = (score, vectors @ fitted, rest / (n - degrees - 1))
    return best[1].T, best[2]
