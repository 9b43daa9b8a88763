"""Neural ratio estimation: a classifier of joint against independent pairs (z, x).

``log_prob(z, x)`` is the log ratio f = log p(x | z) / p(x), in nats, learnt by contrast, see
`contrast`: the log posterior is that plus the log prior. ``balance`` adds a penalty on classifiers
whose mean output on joint and independent pairs do not sum to one, which keeps posteriors from
being too narrow.

References:
    Those of `contrast`.
    Delaunoy et al., Towards reliable simulation-based inference with balanced neural ratio
    estimation, NeurIPS 2022, https://arxiv.org/abs/2208.13624.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from torch import Tensor

from ..networks.periodic import told_of, without_circles
from ..networks.residual import ResidualMLP, start_at
from ..options import Depth, NonNegative, Passes, Width
from ..types import Traits
from .contrast import DEGREES, EDGE, Contrastive, contrastive_loss
from .estimator import Preview


class NRE(Contrastive):
    """Residual network of z and x whose output is the log ratio.

    Args:
        theta_dim: Number of inferred parameters.
        x_shape: Shape of one data set.
        balance: Weight of the balancing penalty; 100 is what its authors use.
        hidden: Width of the network.
        blocks: Number of residual blocks.
        **contrast: Options of `contrast.Contrastive`; ``"auto"`` looks at the data.
    """

    traits = Traits(target="ratio", conditions=True, learning_rate=1e-3, circles=True, gaps=True)

    def __init__(
        self,
        theta_dim: int,
        x_shape: tuple[int, ...],
        *,
        balance: NonNegative = 0.0,
        hidden: Width = 128,
        blocks: Depth = 3,
        **contrast: Annotated[Any, Passes(Contrastive, given=2)],
    ) -> None:
        super().__init__(theta_dim, x_shape, **contrast)
        self.balance = balance
        context_dim = self.conditioner.out_dim
        # Told z, as ranks too, and of a linear start what that leaves of it; zero at first.
        inputs = theta_dim * (2 + (self.conditioner.linear is not None))
        self.net = ResidualMLP(inputs, 1, hidden=hidden, blocks=blocks, context_dim=context_dim)
        start_at(self.net.last, torch.zeros(1))

    @classmethod
    def choose(cls, preview: Preview, **options: Any) -> dict[str, Any]:
        """Replace what is left to be chosen; refuse a balance of rows that are weighted."""
        if options.get("balance") and preview.weighted:
            raise ValueError(
                "balance is a mean over rows of the prior, and these were drawn from another "
                "density; remove it"
            )
        return super().choose(preview, **options)

    def loss(self, z: Tensor, x: Tensor) -> Tensor:
        """Return the contrastive loss, ``(n,)``, with alternatives of its own."""
        context = self.conditioner(x)
        candidates = torch.stack([z, *self._others(z, context)])  # (k + 1, n, theta_dim)
        told = context.repeat(len(candidates), 1)
        logits = self._logits(candidates.flatten(0, 1), told).view(candidates.shape[:2])
        loss = contrastive_loss(logits, self.gamma)
        if self.balance:
            excess = logits[0].sigmoid().mean() + logits[1:].sigmoid().mean() - 1
            loss = loss + self.balance * excess.square()
        return loss

    def _others(self, z: Tensor, context: Tensor) -> Tensor:
        """Return k alternatives to each row, ``(k, n, theta_dim)``: z of rows before, or near x."""
        far = self.far(z)
        if not self.near:
            return far
        noise = torch.randn(*far.shape, 1 + DEGREES, dtype=far.dtype, device=far.device)
        student = noise[..., 0] / noise[..., :1, 1:].square().mean(-1).sqrt()
        near = self.conditioner.restore(student.transpose(0, 1), context).transpose(0, 1)
        return torch.where(torch.rand_like(far[..., :1]) < self.near, near, far)

    def _logits(self, z: Tensor, context: Tensor) -> Tensor:
        """Return the log ratio of the posterior and what alternatives are drawn from, ``(n,)``."""
        log_ratio = self.log_prob_of_summary(z, context)
        if not self.near:
            return log_ratio
        dim = z.shape[1]
        squared = self.conditioner.whiten(z, context).square().sum(1)
        student = -0.5 * (DEGREES + dim) * (squared / DEGREES).log1p()
        student = student + self.conditioner.log_det(context)
        student += math.lgamma((DEGREES + dim) / 2) - math.lgamma(DEGREES / 2)
        near = student + 0.5 * z.square().sum(1) - 0.5 * dim * math.log(DEGREES / 2)
        near += math.log(self.near)
        return log_ratio - torch.logaddexp(near, near.new_tensor(math.log1p(-self.near)))

    def log_prob(self, z: Tensor, x: Tensor) -> Tensor:
        """Return log p(x | z) / p(x) in nats, ``(n,)``, for paired rows or for one data set x."""
        return self.log_prob_of_summary(z, self.conditioner(x))

    def summarise(self, x: Tensor) -> Tensor:
        """Return the context of data sets ``(m, *x_shape)``, ``(m, context_dim)``."""
        context: Tensor = self.conditioner(x)
        return context

    def log_prob_of_summary(self, z: Tensor, summary: Tensor) -> Tensor:
        """Return the log ratio, ``(n,)``, for paired rows or for one context."""
        seen = z.clamp(-EDGE, EDGE)
        inputs = [*told_of(seen, self.periodic)]
        if self.conditioner.linear is None:
            learnt: Tensor = self.net(torch.cat(inputs, 1), summary)[:, 0]
            return learnt
        rest = self.conditioner.whiten(seen, summary)
        inputs.append(without_circles(rest, self.periodic))
        learnt = self.net(torch.cat(inputs, 1), summary)[:, 0]
        return self._start(z, summary) + learnt

    def _start(self, z: Tensor, context: Tensor) -> Tensor:
        """Return the log density of the linear regression over that of the prior, ``(n,)``."""
        rest = self.conditioner.whiten(z, context)
        return 0.5 * (z.square() - rest.square()).sum(1) + self.conditioner.log_det(context)
