"""Mixture of normal densities with full covariances, conditioned on a context.

Reference: Bishop, Mixture density networks, 1994,
https://publications.aston.ac.uk/id/eprint/373.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class GaussianMixture(nn.Module):
    """Density of ``(n, features)`` given a context, as an nflows flow answers.

    A component is N(mean, (L L')^-1), L lower triangular: the density needs no inverse.

    Args:
        features: Number of features.
        components: Number of normals.
        net: ``(n, context)`` to ``(n, n_outputs(features, components))``.
    """

    places: Tensor

    def __init__(self, features: int, components: int, net: nn.Module) -> None:
        super().__init__()
        self.features, self.components, self.net = features, components, net
        below = torch.tril_indices(features, features, -1)
        places = torch.zeros(below.shape[1], features**2)
        places[torch.arange(below.shape[1]), below[0] * features + below[1]] = 1.0
        self.register_buffer("places", places, persistent=False)

    def _parts(self, context: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return log weights ``(n, k)``, means, factors and the logs of their diagonals."""
        d = self.features
        raw = self.net(context).unflatten(-1, (self.components, -1))
        weight, mean, diagonal, rest = raw.split((1, d, d, self.places.shape[0]), dim=-1)
        log_diagonal = 10 * torch.tanh(diagonal / 10)
        factor = torch.diag_embed(log_diagonal.exp()) + (rest @ self.places).unflatten(-1, (d, d))
        return weight.squeeze(-1).log_softmax(-1), mean, factor, log_diagonal

    def log_prob(self, inputs: Tensor, context: Tensor) -> Tensor:
        """Return log q(inputs | context) in nats, ``(n,)``."""
        log_weight, mean, factor, log_diagonal = self._parts(context)
        away = (inputs.unsqueeze(1) - mean).unsqueeze(-2)
        squares = (away @ factor).square().sum((-1, -2))  # |L' (x - mean)|^2
        constant = 0.5 * self.features * math.log(2 * math.pi)
        return (log_weight - 0.5 * squares + log_diagonal.sum(-1)).logsumexp(-1) - constant

    def sample(self, n: int, context: Tensor) -> Tensor:
        """Draw ``(m, n, features)`` for contexts ``(m, context)``."""
        log_weight, mean, factor, _ = self._parts(context)
        which = torch.multinomial(log_weight.exp(), n, replacement=True)
        rows = torch.arange(len(context), device=which.device).unsqueeze(1)
        noise = torch.randn(*which.shape, self.features, 1, device=which.device)
        upper = factor[rows, which].transpose(-1, -2)
        spread = torch.linalg.solve_triangular(upper, noise, upper=True)
        return mean[rows, which] + spread.squeeze(-1)


def n_outputs(features: int, components: int) -> int:
    """Return how many numbers the network of a mixture gives."""
    return components * (1 + 2 * features + features * (features - 1) // 2)
