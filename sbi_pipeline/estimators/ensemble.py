"""Several members of one method, trained together and mixed as a density.

Members differ in their initial weights and in the rows they see: in each step every member learns
from two fifths of the batch, drawn for itself. Where data are scarce each errs in a way of its own,
and the mixture is better, and wider where they disagree, than any of them. Their parameters are
stacked, so that one vectorised pass (`torch.vmap`) computes all losses.

The weights of the mixture maximise the held-out log density (stacking). Ratios and methods without
a density are mixed equally: a ratio that is too large is not punished by the joint alone.

References:
    Hermans et al., A crisis in simulation-based inference? Beware, your posterior approximations
    can be unfaithful, TMLR 2022, https://arxiv.org/abs/2110.06581.
    Yao, Vehtari, Simpson & Gelman, Using stacking to average Bayesian predictive distributions,
    Bayesian Analysis 2018, https://arxiv.org/abs/1704.02030.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from .estimator import Estimator

SHARE = 0.4  # of the rows of a batch that a member learns from: five cost two
MIN_SPLIT = 10  # rows of a batch, below which all members learn from all of it
MAX_WEIGHED = 1000  # rows; densities by an ODE take seconds


class Ensemble(Estimator):
    """Members and their weights in the mixture, equal until `weigh` is called.

    ``log_prob`` is the log of the weighted mean of the members' densities (or likelihoods, or
    ratios); draws are shared out among them.

    Args:
        members: Estimators of one method and architecture, scales fitted to the same rows.
    """

    mixture: Tensor

    def __init__(self, members: Sequence[Estimator]) -> None:
        super().__init__()
        self.traits = members[0].traits  # what a method says of itself holds for the whole
        self.size = len(members)
        # The structure, and the buffers, which are the same for all; its own weights go unused.
        self.structure: Estimator = members[0].requires_grad_(False)
        self.names = [name for name, _ in self.structure.named_parameters()]
        of_members = [dict(member.named_parameters()) for member in members]
        self.stacked = nn.ParameterList(
            nn.Parameter(torch.stack([weights[name].detach() for weights in of_members]))
            for name in self.names
        )
        self.register_buffer("mixture", torch.full((self.size,), 1 / self.size))

    def _call(self, method: str, weights: Sequence[Tensor], *arguments: Any) -> Tensor:
        named = {f"structure.{k}": w for k, w in zip(self.names, weights, strict=True)}
        result: Tensor = functional_call(Call(self.structure, method), named, arguments)
        return result

    def _of_each(self, method: str, *arguments: Any) -> list[Tensor]:
        return [self._call_member(index, method, *arguments) for index in range(self.size)]

    def _call_member(self, index: int, method: str, *arguments: Any) -> Tensor:
        return self._call(method, [weights[index] for weights in self.stacked], *arguments)

    def training_done(self, share: float) -> None:
        """Pass on the share of the training that is done."""
        self.structure.training_done(share)

    def loss(self, z: Tensor, x: Tensor) -> Tensor:
        """Return the mean of the members' losses: of all rows, or of some in training."""
        return self.weighted_loss(z, x)

    def weighted_loss(self, z: Tensor, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return that mean, the loss of each row times its weight, ``(n,)``, if it has one."""

        def of_one(z: Tensor, x: Tensor, *weights: Tensor) -> Tensor:
            return self._call("loss", weights, z, x)

        shared = None
        if self.training and len(z) >= MIN_SPLIT:
            own = torch.rand(self.size, len(z), device=z.device).argsort(1)
            own = own[:, : round(SHARE * len(z))]
            z, x, shared = z[own], x[own], 0
            weight = None if weight is None else weight[own]
        in_dims = (shared, shared, *[0] * len(self.names))
        losses: Tensor = vmap(of_one, in_dims, randomness="different")(z, x, *self.stacked)
        return (losses if weight is None else losses * weight).mean(0)

    @torch.no_grad()
    def weigh(self, z: Tensor, x: Tensor, weight: Tensor | None = None) -> None:
        """Set the weights of the mixture by rows that were not learnt from.

        Args:
            z: Parameters, ``(n, theta_dim)``.
            x: Data, ``(n, *x_shape)``.
            weight: Of each row, ``(n,)``; None where all count alike.
        """
        if self.traits.target == "ratio" or not self.traits.density:
            return
        z, x = z[:MAX_WEIGHED], x[:MAX_WEIGHED]
        counts = None if weight is None else weight[:MAX_WEIGHED]
        self.mixture.copy_(stack(torch.stack(self._of_each("log_prob", z, x), 1), counts))

    def doubts(self, x: Tensor) -> list[str]:
        """Return what a member says of data, ``(n, *x_shape)``."""
        found: Any = self._call_member(0, "doubts", x)
        return list(found)

    def log_probs(self, z: Tensor, x: Tensor) -> Tensor:
        """Return log densities of each member, ``(members, n)``, for paired rows or for one x."""
        return torch.stack(self._of_each("log_prob", z, x))

    def log_prob(self, z: Tensor, x: Tensor) -> Tensor:
        """Return the log of the mean over members, ``(n,)``, for paired rows or for one x."""
        return (self.log_probs(z, x).T + self.mixture.log()).logsumexp(1)

    @torch.no_grad()
    def sample_many(self, n: int, x: Tensor, *options: Any) -> Tensor:
        """Draw ``(m, n, theta_dim)`` for data sets ``(m, *x_shape)``, in random order."""
        draws = torch.cat(
            [
                self._call_member(index, "sample_many", count, x, *options)
                for index, count in enumerate(share_out(n, self.mixture))
                if count
            ],
            1,
        )
        return draws[:, torch.randperm(n, device=draws.device)]


def stack(log_prob: Tensor, counts: Tensor | None = None, steps: int = 100) -> Tensor:
    """Return the weights of a mixture that make held-out rows likely, by expectation maximisation.

    Args:
        log_prob: Log density of each row under each member, ``(n, members)``.
        counts: For how many each row counts, ``(n,)``; None for one.
        steps: Number of iterations.

    Returns:
        Weights, ``(members,)``; a priori each member has one row to its credit.
    """
    n, members = log_prob.shape
    counts = log_prob.new_ones(n) if counts is None else counts
    weights = log_prob.new_full((members,), 1 / members)
    for _ in range(steps):
        credit = (counts[:, None] * (log_prob + weights.log()).softmax(1)).sum(0)
        weights = (credit + 1) / (counts.sum() + members)
    return weights


def share_out(n: int, weights: Tensor) -> list[int]:
    """Return how many of n draws each member makes: n times its weight, rounded at random."""
    exact = n * weights.double().cpu()
    counts = exact.floor()
    rest = n - int(counts.sum())
    if rest > 0:
        lucky = torch.multinomial((exact - counts).clamp(min=1e-9), rest)
        counts[lucky] += 1
    return [int(count) for count in counts]


class Call(nn.Module):
    """A module whose call is a method of another's."""

    def __init__(self, structure: nn.Module, method: str) -> None:
        super().__init__()
        self.structure, self.method = structure, method

    def forward(self, *arguments: Any) -> Tensor:
        """Call the method."""
        result: Tensor = getattr(self.structure, self.method)(*arguments)
        return result
