"""An estimator and a sampler as a user writes them: the least that the contracts ask for."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from sbi_pipeline.estimators import Estimator
from sbi_pipeline.samplers import Draws, Sampler
from sbi_pipeline.types import Traits


class ToyEstimator(Estimator):
    """q(z | x) is normal, its mean linear in x."""

    traits = Traits(target="posterior")

    def __init__(self, theta_dim, x_shape, *, sd=1.0):
        super().__init__()
        self.elements = math.prod(x_shape)
        self.mean = torch.nn.Linear(self.elements, theta_dim)
        self.log_sd = torch.nn.Parameter(torch.full((theta_dim,), math.log(sd)))

    def loss(self, z, x):
        return -self.log_prob(z, x)

    def log_prob(self, z, x):
        mean = self.mean(x.reshape(-1, self.elements).float())
        squared = ((z - mean) / self.log_sd.exp()).square()
        return -(0.5 * squared + self.log_sd + 0.5 * math.log(2 * math.pi)).sum(1)

    @torch.no_grad()
    def sample_many(self, n, x):
        mean = self.mean(x.reshape(-1, self.elements).float())
        return mean[:, None] + self.log_sd.exp() * torch.randn(len(mean), n, mean.shape[1])


class ToyRatio(Estimator):
    """A ratio that learns nothing, and whose summary of data is their mean."""

    traits = Traits(target="ratio", loss_judges=False)

    def __init__(self, theta_dim, x_shape):
        super().__init__()
        self.slope = torch.nn.Parameter(torch.ones(theta_dim))
        self.x_shape = x_shape

    def loss(self, z, x):
        return z.square().sum(1) * self.slope.square().sum()

    def log_prob(self, z, x):
        return self.log_prob_of_summary(z, self.summarise(x.reshape(-1, *self.x_shape)))

    def summarise(self, x):
        return x.flatten(1).mean(1, keepdim=True).float()

    def log_prob_of_summary(self, z, summary):
        return -0.5 * (z * self.slope - summary).square().sum(1)


@dataclass(frozen=True)
class ToySampler(Sampler):
    """Draws of the prior, resampled by likelihood."""

    candidates: int = 50_000

    needs = "density"

    def __call__(self, problem, n):
        rng = np.random.default_rng(problem.seed)
        z = rng.normal(size=(problem.targets, self.candidates, problem.theta_dim))
        log_prob = problem.log_density(z)
        noisy = log_prob + 0.5 * np.sum(z**2, axis=-1) + rng.gumbel(size=log_prob.shape)
        picked = np.argpartition(-noisy, n, axis=1)[:, :n]
        return Draws(
            z=np.take_along_axis(z, picked[..., None], axis=1)[:, None],
            log_prob=np.take_along_axis(log_prob, picked, axis=1)[:, None],
            ensemble=np.zeros(1, dtype=int),
            converged=np.ones(len(z), dtype=bool),
            independent=True,
        )


class NoEstimator(torch.nn.Module):
    """A module that follows no contract."""


class NoTraits(Estimator):
    """An estimator that does not say what it is."""


class NoNeeds(Sampler):
    """A sampler that does not say what it needs."""

    def __call__(self, problem, n):
        raise NotImplementedError
