"""Does a simulation at these parameters work? log p(valid | z), learnt from status alone.

Where simulations fail more at some parameters than at others, what is learnt from the rows that
worked is conditional on that. A posterior learnt from them, q(z | x), is p(z | x, valid), and
nothing is missing, since an observation is valid data. A likelihood is p(x | z, valid), and a ratio
that over p(x | valid); for both the posterior needs the factor p(valid | z):

    p(z | x, valid)  ~  p(x | z, valid) p(valid | z) p(z).

Of many events it depends on how they were selected, see `selection`.

A classifier of rows that worked against rows that failed, trained by cross-entropy, estimates it,
with nuisance parameters marginalised because it never sees them.

Reference: Glöckler, Deistler & Macke, Variational methods for simulation-based inference, ICLR
2022, https://arxiv.org/abs/2203.04176.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..types import Traits
from .residual import ResidualMLP
from .trainable import Trainable


class Validity(Trainable):
    """Residual network of z whose output is the log odds of working.

    Args:
        theta_dim: Number of inferred parameters.
        hidden: Width of the network.
        blocks: Number of residual blocks.
    """

    traits = Traits(target="likelihood", learning_rate=1e-3)  # of the status

    def __init__(self, theta_dim: int, hidden: int = 64, blocks: int = 2) -> None:
        super().__init__()
        self.spec = {"hidden": hidden, "blocks": blocks}
        self.net = ResidualMLP(theta_dim, 1, hidden=hidden, blocks=blocks)

    @torch.no_grad()
    def start_at(self, rate: float) -> None:
        """Begin with the same probability of working everywhere, between 0 and 1."""
        self.net.last.weight.zero_()
        self.net.last.bias.fill_(torch.logit(torch.tensor(rate)))

    def loss(self, z: Tensor, x: Tensor) -> Tensor:
        """Return the cross-entropy in nats, ``(n,)``; ``x`` is 1 for rows that worked, ``(n,)``."""
        return functional.binary_cross_entropy_with_logits(
            self.net(z)[:, 0], x.float(), reduction="none"
        )

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log p(valid | z), ``(n,)``."""
        return functional.logsigmoid(self.net(z)[:, 0])

    def log_failed(self, z: Tensor) -> Tensor:
        """Return log p(failed | z), ``(n,)``."""
        return functional.logsigmoid(-self.net(z)[:, 0])
