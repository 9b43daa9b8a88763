"""Several members of one method, trained together on the same rows and mixed as a density.

Members differ in their initial weights only. Where data are scarce each errs in a way of its own,
and the mixture is better, and wider where they disagree, than any of them. Their weights are
stacked, so that one vectorised pass (`torch.vmap`) computes all losses.

Reference: Hermans et al., A crisis in simulation-based inference? Beware, your posterior
approximations can be unfaithful, TMLR 2022, https://arxiv.org/abs/2110.06581.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from ..types import Target


class Ensemble(nn.Module):
    """Members with equal weights.

    ``log_prob`` is the log of the mean of the members' densities (or likelihoods, or ratios);
    draws are shared out among them.

    Args:
        members: Estimators of one method and architecture, scales fitted to the same rows.
    """

    def __init__(self, members: list[Any]) -> None:
        super().__init__()
        self.target: Target = members[0].target
        # What the method says of itself holds for the whole.
        for name in ("loss_judges", "has_density", "learning_rate", "effort"):
            if hasattr(members[0], name):
                setattr(self, name, getattr(members[0], name))
        self.size = len(members)
        # The structure, and the buffers, which are the same for all; its own weights go unused.
        self.structure = members[0].requires_grad_(False)
        self.names = [name for name, _ in self.structure.named_parameters()]
        of_members = [dict(member.named_parameters()) for member in members]
        self.stacked = nn.ParameterList(
            nn.Parameter(torch.stack([weights[name].detach() for weights in of_members]))
            for name in self.names
        )

    def _call(self, method: str, weights: Sequence[Tensor], *arguments: Any) -> Tensor:
        named = {f"structure.{k}": w for k, w in zip(self.names, weights, strict=True)}
        result: Tensor = functional_call(Call(self.structure, method), named, arguments)
        return result

    def _of_each(self, method: str, *arguments: Any) -> list[Tensor]:
        return [
            self._call(method, [weights[index] for weights in self.stacked], *arguments)
            for index in range(self.size)
        ]

    def training_done(self, share: float) -> None:
        """Pass on the share of the training that is done, to methods that want to know."""
        if hasattr(self.structure, "training_done"):
            self.structure.training_done(share)

    def loss(self, z: Tensor, x: Tensor) -> Tensor:
        """Return the mean of the members' losses, ``(n,)``."""
        losses = vmap(lambda *weights: self._call("loss", weights, z, x), randomness="different")
        mean: Tensor = losses(*self.stacked).mean(0)
        return mean

    def log_prob(self, z: Tensor, x: Tensor) -> Tensor:
        """Return the log of the mean over members, ``(n,)``, for paired rows or for one x."""
        parts = torch.stack(self._of_each("log_prob", z, x))
        return parts.logsumexp(0) - math.log(self.size)

    def sample(self, n: int, x: Tensor) -> Tensor:
        """Draw ``(n, theta_dim)`` for one data set, ``x_shape``."""
        return self.sample_many(n, x)[0]

    @torch.no_grad()
    def sample_many(self, n: int, x: Tensor) -> Tensor:
        """Draw ``(m, n, theta_dim)`` for data sets ``(m, *x_shape)``, in random order."""
        draws = torch.cat(self._of_each("sample_many", math.ceil(n / self.size), x), 1)
        return draws[:, torch.randperm(draws.shape[1], device=draws.device)[:n]]


class Call(nn.Module):
    """A module whose call is a method of another's."""

    def __init__(self, structure: nn.Module, method: str) -> None:
        super().__init__()
        self.structure, self.method = structure, method

    def forward(self, *arguments: Any) -> Tensor:
        """Call the method."""
        result: Tensor = getattr(self.structure, self.method)(*arguments)
        return result
