"""MCMC on a density that is written down, and a sampler that needs patience."""

from dataclasses import dataclass, replace

import numpy as np

from sbi_pipeline.samplers import Problem, Sampler
from sbi_pipeline.samplers.direct import in_chains
from sbi_pipeline.samplers.ensemble import Emcee


def emcee(log_density, targets, dim, n, *, seed, proposal=None, folder=None, **options):
    problem = Problem(log_density, targets, dim, seed, proposal=proposal, folder=folder)
    return Emcee(**options)(problem, n)


@dataclass(frozen=True)
class Patient(Sampler):
    """Its draws are about a tenth of its steps; the first half of the posteriors needs none."""

    max_steps: int = 100
    needs = "density"

    @classmethod
    def quick(cls, theta_dim):
        return {"max_steps": 10}

    def __call__(self, problem, n):
        rng = np.random.default_rng(problem.seed)
        z = rng.normal(self.max_steps / 10, 0.1, size=(problem.targets, n, problem.theta_dim))
        first = np.arange(problem.targets) < problem.targets / 2
        return replace(in_chains(z), converged=first | (self.max_steps >= 40), independent=False)
