"""Flow matching posterior estimation: a velocity field that carries noise to the posterior.

Objective: with noise e ~ N(0, I) and an angle from 0 to pi / 2, y = cos(angle) e + sin(angle) z;
regress its velocity: minimise ``|v(angle, y, x) - (cos(angle) z - sin(angle) e)|^2`` averaged over
features. It is the optimal-transport path t z + (1 - t) e, tan(angle) = t / (1 - t), divided by its
own sd where z is N(0, I): both have the same draws. What is to be learnt has variance 1 at all
angles and vanishes where the whitened posterior is N(0, I), which is where the network begins, so
that solvers need few steps. The share of the path that is done, the angle over pi / 2, is drawn
with density proportional to share^alpha: late parts decide how sharp a posterior can be.

Draws are solutions of dy/dangle = v. ``log_prob(z, x)`` is the log density in nats, by the exact
divergence of v along the path back to the noise: one network derivative per parameter and step.

References:
    Lipman et al., Flow matching for generative modeling, ICLR 2023,
    https://arxiv.org/abs/2210.02747.
    Dax et al., Flow matching for scalable simulation-based inference, NeurIPS 2023,
    https://arxiv.org/abs/2305.17161; the density of times is that of the authors' experiments.
    Albergo & Vanden-Eijnden, Building normalizing flows with stochastic interpolants, ICLR 2023,
    https://arxiv.org/abs/2209.15571, for paths by sine and cosine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

import torch
from annotated_types import Ge, Le
from scipy.integrate import solve_ivp
from torch import Tensor

from ..networks.conditioning import Conditioner, check_conditioner, choose_conditioner
from ..networks.residual import ResidualMLP, start_at
from ..options import Depth, Few, NonNegative, Passes, Positive, Width
from ..types import Traits
from .estimator import Estimator, Preview

QUARTER = math.pi / 2
"""Angle from noise to posterior."""
COARSER = 100  # the absolute tolerance of a log density, in nats, over that of positions


class FMPE(Estimator):
    """Velocity field of time, position and data.

    Args:
        theta_dim: Number of inferred parameters.
        x_shape: Shape of one data set.
        alpha: Exponent of the density of times in training; larger for sharper posteriors.
        paths: Number of paths to each training row, at times of their own, in every step; by
            default 4 for 20 000 rows or fewer, falling as 1 / rows to 1.
        hidden: Width of the network.
        blocks: Number of residual blocks.
        frequencies: Number of sines and cosines of time given to the network.
        tolerance: Of the ODE solver, relative and absolute.
        **conditioner: Options of `conditioning.Conditioner`; ``"auto"`` looks at the data.
    """

    # Few rows would stop it before the learning rate falls, where it learns most.
    traits = Traits(target="posterior", conditions=True, stops_early=False, effort=1.5, gaps=True)

    def __init__(
        self,
        theta_dim: int,
        x_shape: tuple[int, ...],
        *,
        alpha: NonNegative = 1.0,
        paths: Few = 4,
        hidden: Width = 128,
        blocks: Depth = 4,
        frequencies: Annotated[int, Ge(0), Le(1_000)] = 4,
        tolerance: Positive = 1e-4,
        **conditioner: Annotated[Any, Passes(Conditioner, given=2)],
    ) -> None:
        super().__init__()
        self.theta_dim, self.alpha, self.tolerance = theta_dim, alpha, tolerance
        self.paths = paths
        self.conditioner = Conditioner(theta_dim, x_shape, **conditioner)
        self.waves = math.pi * 2.0 ** torch.arange(frequencies)
        self.net = ResidualMLP(
            theta_dim + 1 + 2 * frequencies,
            theta_dim,
            hidden=hidden,
            blocks=blocks,
            context_dim=self.conditioner.out_dim,
        )
        start_at(self.net.last, torch.zeros(1))

    @classmethod
    def check(cls, x_shape: tuple[int, ...] | None, **options: Any) -> None:
        """Refuse what `conditioning.check_conditioner` does."""
        check_conditioner(x_shape, **options)

    @classmethod
    def choose(cls, preview: Preview, **options: Any) -> dict[str, Any]:
        """Replace what is left to be chosen from training data by the choice."""
        # A summary shared by all times; what it gains is in benchmarks/sbibm/README.md.
        chosen = choose_conditioner(
            preview.given, preview.x, vectors="mlp", gaps=preview.gaps, **options
        )
        return {"paths": choose_paths(preview.rows), **chosen}

    def fit_scales(self, z: Tensor, x: Tensor) -> None:
        """Set what is fitted beforehand to training rows, ``(n, theta_dim)``, ``(n, *x_shape)``."""
        self.conditioner.fit_scales(z, x)

    def doubts(self, x: Tensor) -> list[str]:
        """Say what of data is beyond the limits of training rows, see `scaling`."""
        return self.conditioner.doubts(x)

    def velocity(self, share: Tensor, y: Tensor, context: Tensor) -> Tensor:
        """Return dy/dangle, ``(n, theta_dim)``.

        Args:
            share: Of the path that is done, in [0, 1], ``(n, 1)``.
            y: Points on it, ``(n, theta_dim)``.
            context: Of the conditioner, for each point or for all.
        """
        angles = share * self.waves.to(share)
        out: Tensor = self.net(torch.cat((y, share, angles.sin(), angles.cos()), -1), context)
        return out

    def loss(self, z: Tensor, x: Tensor) -> Tensor:
        """Return the squared error of the velocity, ``(n,)``, at random times of random paths."""
        context = self.conditioner(x)
        z = self.conditioner.whiten(z, context).repeat(self.paths, 1)
        share = spread_out(z[:, :1]) ** (1 / (1 + self.alpha))
        sine, cosine = (QUARTER * share).sin(), (QUARTER * share).cos()
        noise = torch.randn_like(z)
        wanted = cosine * z - sine * noise
        found = self.velocity(share, cosine * noise + sine * z, context.repeat(self.paths, 1))
        return (found - wanted).square().mean(1).view(self.paths, -1).mean(0)

    @torch.no_grad()
    def log_prob(self, z: Tensor, x: Tensor) -> Tensor:
        """Return log q(z | x) in nats, ``(n,)``, for paired rows or for one data set x."""
        context = self.conditioner(x)

        def rate(share: float, state: Tensor) -> Tensor:
            shares = state.new_full((len(z), 1), share)
            v, divergence = velocity_and_divergence(
                lambda at: self.velocity(shares, at, context), state[:, :-1]
            )
            return QUARTER * torch.cat((v, divergence), -1)

        rest = self.conditioner.whiten(z, context)
        start = torch.cat((rest, z.new_zeros(len(z), 1)), -1)
        absolute = torch.full((self.theta_dim + 1,), self.tolerance)
        absolute[-1] *= COARSER
        end = integrate(rate, start, 1.0, 0.0, self.tolerance, absolute)
        noise, gained = end[:, :-1], end[:, -1]
        at_noise = -0.5 * noise.square().sum(1) - 0.5 * self.theta_dim * math.log(2 * math.pi)
        return at_noise + gained + self.conditioner.log_det(context)

    @torch.no_grad()
    def sample_many(self, n: int, x: Tensor) -> Tensor:
        """Draw ``(m, n, theta_dim)`` for data sets ``(m, *x_shape)``."""
        context = self.conditioner(x)
        m = len(context)
        rows = context if m == 1 else context.repeat_interleave(n, 0)
        noise = torch.randn(m * n, self.theta_dim, device=context.device)

        def rate(share: float, state: Tensor) -> Tensor:
            return QUARTER * self.velocity(state.new_full((m * n, 1), share), state, rows)

        rest = integrate(rate, noise, 0.0, 1.0, self.tolerance, self.tolerance)
        return self.conditioner.restore(rest.view(m, n, self.theta_dim), context)


def choose_paths(rows: int) -> int:
    """Return the number of paths to a training row, for so many of them.

    Two paths beside one row cost as much as one to each of two rows, which say more where there are
    any. With 10 000 rows, four beside two gained 0.04 to 0.14 nats on three tasks of the benchmark.
    """
    return max(1, min(4, round(80_000 / rows)))


def spread_out(like: Tensor) -> Tensor:
    """Return random numbers in (0, 1), one in each of n equal parts of it in order, ``(n, 1)``."""
    n = len(like)
    parts = torch.arange(n).to(like).unsqueeze(1)
    return (parts + torch.rand_like(like)) / n


def velocity_and_divergence(field: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    """Return a field ``(n, dim)`` at z, ``(n, dim)``, and its exact divergence, ``(n, 1)``."""

    def along(axis: Tensor) -> tuple[Tensor, Tensor]:
        value, slope, *_ = torch.func.jvp(field, (z,), (axis,))
        return value, slope

    axes = torch.eye(z.shape[1]).to(z).unsqueeze(1).expand(-1, *z.shape)
    values, slopes = torch.func.vmap(along)(axes)  # the value is the same for all of them
    return values[0], slopes.diagonal(dim1=0, dim2=2).sum(-1, keepdim=True)


def integrate(
    rate: Callable[[float, Tensor], Tensor],
    start: Tensor,
    t0: float,
    t1: float,
    relative: float,
    absolute: float | Tensor,
) -> Tensor:
    """Solve dy/dt = rate(t, y) for all rows together with Dormand and Prince's method.

    The absolute tolerance may differ by column.
    """

    def flat_rate(t: float, y: Any) -> Any:
        state = torch.as_tensor(y, dtype=start.dtype, device=start.device).view(start.shape)
        return rate(t, state).flatten().double().cpu().numpy()

    flat = start.flatten().double().cpu().numpy()
    atol = torch.as_tensor(absolute).expand(start.shape).flatten().double().cpu().numpy()
    solved = solve_ivp(flat_rate, (t0, t1), flat, rtol=relative, atol=atol)
    if not solved.success:
        raise ValueError(f"the ODE of the flow could not be solved: {solved.message}")
    return torch.as_tensor(solved.y[:, -1], dtype=start.dtype, device=start.device).view_as(start)
