"""Marginal neural ratio estimation: the posterior of each parameter alone, and nothing of pairs.

For each parameter a classifier of its own, told the same summary of x, learns the log ratio
f_k(z_k, x) = log p(z_k | x) / p(z_k) by contrast, see `contrast`: in one dimension it has
little to learn, whatever the number of parameters. The posterior of z_k is N(z_k; 0, 1) exp f_k,
normalised on a grid that is made finer around its peak, so that draws are independent and no MCMC
is needed. Draws of different parameters know nothing of each other: ``log_prob`` is the sum over
parameters, the density of the product of the margins.

References:
    Miller, Cole, Forre, Louppe, Weniger, Truncated marginal neural ratio estimation, NeurIPS 2021,
        https://arxiv.org/abs/2107.01214.
    Miller, Weniger & Forré, Contrastive neural ratio estimation, NeurIPS 2022,
        https://arxiv.org/abs/2210.06170.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from ..networks.periodic import told_of, without_circles
from ..networks.residual import ResidualMLP, start_at
from ..options import Depth, Passes, Width
from ..types import Traits
from .contrast import DEGREES, EDGE, Contrastive, contrastive_loss

POINTS = 256
"""Of a grid, each time it is made finer."""
FINER = 3
"""Grids; the last has its points where the posterior is."""
WIDEST = 6.0
"""In normal space, beyond which no grid reaches: one parameter in 500 million lies there."""
DEEPEST = 20.0
"""Nats below the peak, down to which the next grid reaches."""
AT_ONCE = 2_000_000
"""Points of grids that networks see at once."""


class MNRE(Contrastive):
    """A residual network for each parameter, of it and x, whose output is its log ratio.

    Args:
        theta_dim: Number of inferred parameters.
        x_shape: Shape of one data set.
        hidden: Width of each network.
        blocks: Number of residual blocks of each.
        **contrast: Options of `contrast.Contrastive`; ``"auto"`` looks at the data.
    """

    traits = Traits(
        target="posterior",
        conditions=True,
        joint=False,
        learning_rate=1e-3,
        circles=True,
        gaps=True,
    )

    def __init__(
        self,
        theta_dim: int,
        x_shape: tuple[int, ...],
        *,
        hidden: Width = 64,
        blocks: Depth = 2,
        **contrast: Annotated[Any, Passes(Contrastive, given=2)],
    ) -> None:
        super().__init__(theta_dim, x_shape, **contrast)
        context_dim = self.conditioner.out_dim
        nets = [
            ResidualMLP(3, 1, hidden=hidden, blocks=blocks, context_dim=context_dim)
            for _ in range(theta_dim)
        ]
        for net in nets:
            start_at(net.last, torch.zeros(1))
        self.nets = nn.ModuleList(nets)

    def loss(self, z: Tensor, x: Tensor) -> Tensor:
        """Return the contrastive losses, ``(n,)``, summed over parameters."""
        context = self.conditioner(x)
        mean, sd = self._regression(context)
        candidates = torch.stack([z, *self._others(z, mean, sd)])  # (k + 1, n, theta_dim)
        logits = self._log_ratios(candidates, context)
        if self.near:
            logits = logits - self._far_and_near(candidates, mean, sd)
        return contrastive_loss(logits, self.gamma).sum(1)

    def _others(self, z: Tensor, mean: Tensor, sd: Tensor) -> Tensor:
        """Return k alternatives to each number, ``(k, n, theta_dim)``: of other rows, or near x."""
        far = self.far(z)
        if not self.near:
            return far
        noise = torch.randn(*far.shape, 1 + DEGREES, dtype=far.dtype, device=far.device)
        student = noise[..., 0] / noise[..., 1:].square().mean(-1).sqrt()
        return torch.where(torch.rand_like(far) < self.near, mean + sd * student, far)

    def _far_and_near(self, z: Tensor, mean: Tensor, sd: Tensor) -> Tensor:
        """Return the log density of the alternatives over that of the prior, of each number."""
        squared = ((z - mean) / sd).square()
        student = -sd.log() - 0.5 * (DEGREES + 1) * (squared / DEGREES).log1p()
        student += math.lgamma((DEGREES + 1) / 2) - math.lgamma(DEGREES / 2)
        near = student + 0.5 * z.square() - 0.5 * math.log(DEGREES / 2) + math.log(self.near)
        return torch.logaddexp(near, near.new_tensor(math.log1p(-self.near)))

    def _regression(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean, ``(n, theta_dim)``, and sd, ``(theta_dim,)`` or alike, of each parameter."""
        dim = len(self.nets)
        if self.conditioner.linear is None:
            return context.new_zeros(len(context), dim), context.new_ones(dim)
        return context[:, -dim:], self.conditioner.scales(context)

    def _log_ratios(self, z: Tensor, context: Tensor) -> Tensor:
        """Return f_k, ``(g, n, theta_dim)``, of g values for each of n contexts."""
        mean, sd = self._regression(context)
        seen = z.clamp(-EDGE, EDGE)
        rest = without_circles((seen - mean) / sd, self.periodic)
        inputs = torch.stack([*told_of(seen, self.periodic), rest], -1)
        rows = context.expand(len(z), *context.shape).flatten(0, 1)
        learnt = [net(inputs[:, :, k].flatten(0, 1), rows) for k, net in enumerate(self.nets)]
        found = torch.cat(learnt, 1).view(z.shape)
        if self.conditioner.linear is None:
            return found
        return found + 0.5 * (z.square() - ((z - mean) / sd).square()) - sd.log()

    def log_prob(self, z: Tensor, x: Tensor) -> Tensor:
        """Return the log density of the product of the margins, ``(n,)``, in nats.

        Args:
            z: Parameters, ``(n, theta_dim)``.
            x: Their data, ``(n, *x_shape)``, or one data set.
        """
        return self.log_prob_of_summary(z, self.summarise(x))

    def summarise(self, x: Tensor) -> Tensor:
        """Return contexts of data sets ``(m, *x_shape)``, and what their margins integrate to."""
        context = self.conditioner(x)
        some, which = torch.unique_consecutive(context, dim=0, return_inverse=True)
        return torch.cat([context, self._margins(some)[2][which]], 1)

    def log_prob_of_summary(self, z: Tensor, summary: Tensor) -> Tensor:
        """Return ``log_prob``, ``(n,)``, for paired rows or for one summary."""
        context, total = summary[:, : -z.shape[1]], summary[:, -z.shape[1] :]
        own = z[None] if len(context) == len(z) else z[:, None]
        log_ratios = self._log_ratios(own, context).reshape(z.shape)
        normal = -0.5 * z.square() - 0.5 * math.log(2 * math.pi)
        return (log_ratios + normal - total).sum(1)

    def _margins(self, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the margins of n posteriors on grids of their own.

        Returns:
            Points and the probability below each, ``(n, theta_dim, POINTS)``, and the log of what
            N(z_k; 0, 1) exp f_k integrates to, ``(n, theta_dim)``.
        """
        at_once = max(1, AT_ONCE // (POINTS * len(self.nets)))
        parts = [self._margins_of_some(part) for part in context.split(at_once)]
        grid, below, total = (torch.cat(each) for each in zip(*parts, strict=True))
        return grid, below, total

    def _margins_of_some(self, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        steps = torch.linspace(0, 1, POINTS, device=context.device, dtype=context.dtype)
        low = context.new_full((len(context), len(self.nets)), -WIDEST)
        high = -low
        for finer in range(FINER):
            grid = low + (high - low) * steps[:, None, None]
            log_density = self._log_ratios(grid, context) - 0.5 * grid.square()
            peak = log_density.max(0).values
            if finer + 1 < FINER:
                low, high = _reached(grid, log_density > peak - DEEPEST)
        density = (log_density - peak).exp()
        mass = 0.5 * (density[1:] + density[:-1]) * grid.diff(dim=0)
        below = torch.cat([torch.zeros_like(mass[:1]), mass.cumsum(0)])
        total = below[-1].clone()
        log_total = total.log() + peak - 0.5 * math.log(2 * math.pi)
        return grid.movedim(0, -1), (below / total).movedim(0, -1), log_total

    @torch.no_grad()
    def sample_many(self, n: int, x: Tensor) -> Tensor:
        """Draw ``(m, n, theta_dim)`` for data sets ``(m, *x_shape)``, each parameter alone."""
        grid, below, _ = self._margins(self.conditioner(x))
        u = torch.rand(*below.shape[:2], n, device=below.device, dtype=below.dtype)
        upper = torch.searchsorted(below.contiguous(), u).clamp(1, POINTS - 1)
        first, last = below.gather(2, upper - 1), below.gather(2, upper)
        share = ((u - first) / (last - first).clamp(min=torch.finfo(u.dtype).tiny)).clamp(0, 1)
        start = grid.gather(2, upper - 1)
        return (start + share * (grid.gather(2, upper) - start)).movedim(1, 2)


def _reached(grid: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return the points just below and above those that are wanted, each ``(n, theta_dim)``."""
    first = wanted.int().argmax(0)
    last = len(grid) - 1 - wanted.flip(0).int().argmax(0)
    low = grid.gather(0, (first - 1).clamp(min=0)[None])[0]
    high = grid.gather(0, (last + 1).clamp(max=len(grid) - 1)[None])[0]
    return low, high
