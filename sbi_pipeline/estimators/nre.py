"""Neural ratio estimation: a classifier of joint against independent pairs (z, x).

Objective (NRE-C): for each x, tell K parameter vectors drawn without regard to x from such a set
in which one is its own, or is not. With r = exp(f(z, x)) and odds gamma the loss of a row is

    [ log(K + gamma * sum_k r(z_k, x)) - log K ]
    + gamma * [ log(K + gamma * (r(z, x) + sum_{k<K} r(z_k, x))) - log(gamma * r(z, x)) ],

over (1 + gamma); its minimum is f = log p(x | z) / p(x) exactly. K = gamma = 1 is the usual binary
classifier (NRE-A). ``log_prob(z, x)`` is the log ratio, f, in nats: the log posterior is that plus
the log prior. The z_k are those of other rows of the batch. ``balance`` adds a penalty on
classifiers whose mean output on joint and independent pairs do not sum to one, which keeps
posteriors from being too narrow.

References:
    Hermans, Begy & Louppe, Likelihood-free MCMC with amortized approximate ratio estimators,
    ICML 2020, https://arxiv.org/abs/1903.04057.
    Miller, Weniger & Forré, Contrastive neural ratio estimation, NeurIPS 2022,
    https://arxiv.org/abs/2210.06170.
    Delaunoy et al., Towards reliable simulation-based inference with balanced neural ratio
    estimation, NeurIPS 2022, https://arxiv.org/abs/2208.13624.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..networks.conditioning import Conditioner, choose_conditioner
from ..networks.residual import ResidualMLP, start_at
from ..networks.scaling import as_ranks
from ..types import Target


class NRE(nn.Module):
    """Residual network of z and x whose output is the log ratio.

    Args:
        theta_dim: Number of inferred parameters.
        x_shape: Shape of one data set.
        alternatives: Number K of parameter vectors a data set is compared with.
        gamma: Odds that one of them is its own.
        balance: Weight of the balancing penalty; 100 is what its authors use.
        hidden: Width of the network.
        blocks: Number of residual blocks.
        **conditioner: Options of `conditioning.Conditioner`; ``"auto"`` looks at the data.
    """

    target: ClassVar[Target] = "ratio"
    learning_rate: ClassVar[float] = 1e-3

    def __init__(
        self,
        theta_dim: int,
        x_shape: tuple[int, ...],
        *,
        alternatives: int = 8,
        gamma: float = 1.0,
        balance: float = 0.0,
        hidden: int = 128,
        blocks: int = 3,
        **conditioner: Any,
    ) -> None:
        super().__init__()
        if alternatives < 1 or gamma <= 0:
            raise ValueError(
                f"alternatives is {alternatives} and gamma {gamma}; at least 1 and above 0 wanted"
            )
        self.alternatives, self.gamma, self.balance = alternatives, gamma, balance
        self.conditioner = Conditioner(theta_dim, x_shape, **conditioner)
        context_dim = self.conditioner.out_dim
        # Told z, as ranks too, and of a linear start what that leaves of it; zero at first.
        inputs = theta_dim * (2 + (self.conditioner.linear is not None))
        self.net = ResidualMLP(inputs, 1, hidden=hidden, blocks=blocks, context_dim=context_dim)
        start_at(self.net.last, torch.zeros(1))

    choose = staticmethod(choose_conditioner)

    def fit_scales(self, z: Tensor, x: Tensor) -> None:
        """Set what is fitted beforehand to training rows, ``(n, theta_dim)``, ``(n, *x_shape)``."""
        self.conditioner.fit_scales(z, x)

    def loss(self, z: Tensor, x: Tensor) -> Tensor:
        """Return the contrastive loss, ``(n,)``; alternatives are the z of the rows before."""
        n, k = len(z), min(self.alternatives, len(z) - 1)
        if k < 1:
            raise ValueError("a batch of one row has nothing to be compared with")
        candidates = torch.cat([z.roll(shift, 0) for shift in range(k + 1)])
        logits = self.log_ratio(candidates, self.conditioner(x).repeat(k + 1, 1)).view(k + 1, n)
        own, others = logits[0], logits[1:]
        log_k, log_gamma = math.log(k), math.log(self.gamma)
        none_own = total(others, log_k, log_gamma) - log_k
        one_own = total(logits[:k], log_k, log_gamma) - log_gamma - own
        loss = (none_own + self.gamma * one_own) / (1 + self.gamma)
        if self.balance:
            excess = own.sigmoid().mean() + others.sigmoid().mean() - 1
            loss = loss + self.balance * excess.square()
        return loss

    def log_prob(self, z: Tensor, x: Tensor) -> Tensor:
        """Return log p(x | z) / p(x) in nats, ``(n,)``, for paired rows or for one data set x."""
        return self.log_ratio(z, self.conditioner(x))

    def log_ratio(self, z: Tensor, context: Tensor) -> Tensor:
        """Return the log ratio, ``(n,)``, for paired rows or for one context."""
        if self.conditioner.linear is None:
            log_ratio: Tensor = self.net(torch.cat((z, as_ranks(z)), 1), context)[:, 0]
            return log_ratio
        rest = self.conditioner.whiten(z, context)
        start = 0.5 * (z.square() - rest.square()).sum(1) + self.conditioner.log_det()
        return start + self.net(torch.cat((z, as_ranks(z), rest), 1), context)[:, 0]

    def sample(self, n: int, x: Tensor) -> Tensor:
        """Refuse: a ratio has no draws of its own."""
        raise ValueError("nre learns a ratio and cannot draw parameters; sample it by MCMC")


def total(logits: Tensor, log_k: float, log_gamma: float) -> Tensor:
    """Return log(K + gamma * sum exp(logits)) over the first axis, ``(n,)``."""
    return torch.logaddexp(logits.logsumexp(0) + log_gamma, logits.new_tensor(log_k))
