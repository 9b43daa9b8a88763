"""Consistency model posterior estimation: posterior draws in a few network calls.

A consistency function f maps a noisy point z + t e, e ~ N(0, I), at any noise level t to its origin
z: f(z, t) = c_skip(t) z + c_out(t) F(z, t, x), with c_skip, c_out such that f(z, eps) = z.
Objective: points on one noise path at neighbouring levels must agree,

    lambda_i * d( f(z + t_{i+1} e, t_{i+1}), stopgrad f(z + t_i e, t_i) ),

lambda_i = 1 / (t_{i+1} - t_i), d the pseudo-Huber distance, levels on a grid that is refined as the
training goes on. Draws start from noise at the top level, T, and alternate f and new noise at
falling levels. Quality against the number of steps is U-shaped, best at about 10. There is no
density: ``log_prob`` says so.

References:
    Schmitt, Pratz, Köthe, Bürkner & Radev, Consistency models for scalable and fast
    simulation-based inference, NeurIPS 2024, https://arxiv.org/abs/2312.05440.
    Song & Dhariwal, Improved techniques for training consistency models, ICLR 2024,
    https://arxiv.org/abs/2310.14189.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from torch import Tensor

from ..networks.conditioning import Conditioner, check_conditioner, choose_conditioner
from ..networks.residual import ResidualMLP
from ..options import Depth, Few, Passes, Positive, Width
from ..types import Traits
from .estimator import Estimator, Preview

EPS, RHO = 1e-3, 7.0
LEVEL_MEAN, LEVEL_SD = -1.1, 2.0  # of log t, the levels that are trained most


class CMPE(Estimator):
    """Consistency function of a noisy point, its noise level and data.

    Args:
        theta_dim: Number of inferred parameters.
        x_shape: Shape of one data set.
        noise: Top noise level, T, in units of the prior's standard deviation.
        first_levels: Number of levels at the start of the training.
        last_levels: Number of levels at its end.
        steps: Network calls per draw.
        hidden: Width of the network.
        blocks: Number of residual blocks.
        **conditioner: Options of `conditioning.Conditioner`; ``"auto"`` looks at the data.
    """

    # The loss measures agreement between levels, not closeness to the posterior: no early stop.
    traits = Traits(
        target="posterior",
        conditions=True,
        density=False,
        loss_judges=False,
        steps=True,
        learning_rate=1e-3,
        effort=2.0,
        gaps=True,
    )

    def __init__(
        self,
        theta_dim: int,
        x_shape: tuple[int, ...],
        *,
        noise: Positive = 10.0,
        first_levels: Few = 10,
        last_levels: Few = 50,
        steps: Few = 10,
        hidden: Width = 128,
        blocks: Depth = 4,
        **conditioner: Annotated[Any, Passes(Conditioner, given=2)],
    ) -> None:
        super().__init__()
        self.theta_dim, self.noise, self.steps = theta_dim, noise, steps
        self.first_levels, self.last_levels = first_levels, last_levels
        self.conditioner = Conditioner(theta_dim, x_shape, **conditioner)
        self.net = ResidualMLP(
            theta_dim + 2,
            theta_dim,
            hidden=hidden,
            blocks=blocks,
            context_dim=self.conditioner.out_dim,
        )
        self.n_levels = last_levels

    @classmethod
    def check(cls, x_shape: tuple[int, ...] | None, **options: Any) -> None:
        """Refuse levels that become fewer, and what `conditioning.check_conditioner` does."""
        first, last = options["first_levels"], options["last_levels"]
        if first > last:
            raise ValueError(
                f"first_levels is {first}; wanted at most last_levels, which is {last}"
            )
        check_conditioner(x_shape, **options)

    @classmethod
    def choose(cls, preview: Preview, **options: Any) -> dict[str, Any]:
        """Replace what is left to be chosen from training data by the choice."""
        return choose_conditioner(preview.given, preview.x, gaps=preview.gaps, **options)

    def fit_scales(self, z: Tensor, x: Tensor) -> None:
        """Set what is fitted beforehand to training rows, ``(n, theta_dim)``, ``(n, *x_shape)``."""
        self.conditioner.fit_scales(z, x)

    def doubts(self, x: Tensor) -> list[str]:
        """Say what of data is beyond the limits of training rows, see `scaling`."""
        return self.conditioner.doubts(x)

    def training_done(self, share: float) -> None:
        """Set the number of levels for a share of the training done: it doubles at equal steps."""
        doublings = math.log2(self.last_levels / self.first_levels)
        n = self.first_levels * 2 ** math.floor(share * (math.floor(doublings) + 1))
        self.n_levels = min(n, self.last_levels)

    def levels(self, n: int) -> Tensor:
        """Return n + 1 rising noise levels from eps to T, ``(n + 1,)``."""
        low, high = EPS ** (1 / RHO), self.noise ** (1 / RHO)
        return (low + torch.linspace(0, 1, n + 1) * (high - low)) ** RHO

    def origin(self, z: Tensor, t: Tensor, context: Tensor) -> Tensor:
        """Return f(z, t), ``(n, theta_dim)``, for points ``(n, theta_dim)`` and levels ``(n, 1)``.

        The variance of z under the prior, which sets c_skip and c_out, is 1.
        """
        skip = 1 / ((t - EPS).square() + 1)
        out = (t - EPS) / (1 + t.square()).sqrt()
        scaled = z / (1 + t.square()).sqrt()
        log_t = 0.25 * t.log()
        found: Tensor = skip * z + out * self.net(
            torch.cat((scaled, log_t, log_t.square()), -1), context
        )
        return found

    def loss(self, z: Tensor, x: Tensor) -> Tensor:
        """Return the disagreement of neighbouring levels, ``(n,)``."""
        context = self.conditioner(x)
        z = self.conditioner.whiten(z, context)
        # Validation is on the last grid throughout, so that its losses can be compared.
        levels = self.levels(self.n_levels if self.training else self.last_levels).to(z)
        index = torch.multinomial(level_weights(levels), len(z), replacement=True)
        low, high = levels[index].unsqueeze(-1), levels[index + 1].unsqueeze(-1)
        e = torch.randn_like(z)
        from_high = self.origin(z + high * e, high, context)
        with torch.no_grad():
            from_low = self.origin(z + low * e, low, context)
        c = 0.00054 * math.sqrt(self.theta_dim)
        distance = ((from_high - from_low).square().sum(1) + c**2).sqrt() - c
        return distance / (high - low).squeeze(-1)

    @torch.no_grad()
    def sample_many(self, n: int, x: Tensor, steps: int | None = None) -> Tensor:
        """Draw ``(m, n, theta_dim)`` for data sets ``(m, *x_shape)``, in so many network calls."""
        context = self.conditioner(x)
        m = len(context)
        rows = context if m == 1 else context.repeat_interleave(n, 0)
        z = context.new_zeros(m * n, self.theta_dim)
        for level in self.levels(steps or self.steps).flip(0)[:-1].tolist():
            spread = math.sqrt(level**2 - EPS**2)
            t = z.new_full((m * n, 1), level)
            z = self.origin(z + spread * torch.randn_like(z), t, rows)
        return self.conditioner.restore(z.view(m, n, self.theta_dim), context)


def level_weights(levels: Tensor) -> Tensor:
    """Return how often pairs of neighbouring levels are trained, ``(n,)``: a log-normal's mass."""
    cdf = torch.erf((levels.log() - LEVEL_MEAN) / (math.sqrt(2) * LEVEL_SD))
    return cdf[1:] - cdf[:-1]
