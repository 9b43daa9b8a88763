"""The linear start: closed form against least squares, and at the optimum where that is linear."""

import numpy as np
import torch

from sbi_pipeline import estimators
from sbi_pipeline.networks.regression import GaussianRegression


def slopes(columns: int) -> torch.Tensor:
    return torch.randn(3, columns, generator=torch.Generator().manual_seed(7))


def pairs(n: int, columns: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw z from N(0, I) and x from N(slopes' z, 0.25 I)."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, 3, generator=generator)
    return z, z @ slopes(columns) + 0.5 * torch.randn(n, columns, generator=generator)


def test_is_least_squares_where_rows_are_many() -> None:
    z, x = pairs(5000, 4)
    linear = GaussianRegression(4, 3)
    linear.fit(x, z)
    design = np.column_stack([x.numpy(), np.ones(len(x))])
    wanted, *_ = np.linalg.lstsq(design, z.numpy(), rcond=None)
    np.testing.assert_allclose(linear.weight.numpy(), wanted[:-1].T, atol=2e-3)
    np.testing.assert_allclose(linear.bias.numpy(), wanted[-1], atol=2e-3)


def test_residuals_are_white() -> None:
    z, x = pairs(5000, 4)
    linear = GaussianRegression(4, 3)
    linear.fit(x, z)
    np.testing.assert_allclose(np.cov(linear.residual(z, x).T), np.eye(3), atol=0.02)


def test_shrinks_where_columns_are_as_many_as_rows() -> None:
    z, x = pairs(80, 70)
    linear = GaussianRegression(70, 3)
    linear.fit(x, z)
    fresh_z, fresh_x = pairs(2000, 70, seed=1)
    error = (fresh_z - linear.predict(fresh_x)).square().mean()
    assert error < 0.2


def test_npe_starts_at_the_linear_posterior() -> None:
    z, x = pairs(20_000, 4)
    made = estimators.build("npe", z, x, seed=1)
    z, x = pairs(5000, 4, seed=1)
    weights = slopes(4)
    precision = torch.eye(3) + weights @ weights.T / 0.25
    mean = torch.linalg.solve(precision, weights @ x.T / 0.25).T
    exact = torch.distributions.MultivariateNormal(mean, precision_matrix=precision)
    with torch.no_grad():
        divergence = (exact.log_prob(z) - made.log_prob(z, x)).mean()
    assert abs(divergence) < 0.005


def test_outputs_that_do_not_vary_are_survived() -> None:
    z, x = pairs(200, 4)
    z[:, 1] = 2.0
    linear = GaussianRegression(4, 3)
    linear.fit(x, z)
    assert torch.isfinite(linear.residual(z, x)).all()
