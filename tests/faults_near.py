"""Linear Gaussian problems of any size, whose estimator is wrong near the observation only.

theta ~ N(0, I), x = A theta + noise, so that the exact posterior is normal with a covariance that
no data change, and a mean that is linear in them.
"""

import math
from dataclasses import dataclass

import numpy as np
import synthetic
import torch
import xarray as xr

from sbi_pipeline import priors
from sbi_pipeline.diagnostics.local_calibration import measure_local_calibration
from sbi_pipeline.diagnostics.posterior_ranks import rank_at_posterior
from sbi_pipeline.diagnostics.posterior_sbc import measure_posterior_sbc
from sbi_pipeline.diagnostics.ranks import MEMBERS, normal_scores
from sbi_pipeline.diagnostics.statements import statements
from sbi_pipeline.estimators import Estimator
from sbi_pipeline.sampled_posteriors import Neighbourhood, SampledPosterior
from sbi_pipeline.trained import Posterior
from sbi_pipeline.types import Array, Traits

DRAWS = 200
NORMAL = {"type": "normal", "mean": 0, "sd": 1}
NEAR = 0.1
"""The part of the held-out simulations near which a fault is."""


def prior_of(parameters):
    names = [f"theta_{i}" for i in range(parameters)]
    return priors.build(dict.fromkeys(names, NORMAL), names)


@dataclass
class Linear:
    """A problem with its exact posterior.

    Attributes:
        slope: A, ``(elements, parameters)``.
        noise: Its sd.
    """

    slope: Array
    noise: float

    @classmethod
    def drawn(cls, elements, parameters, rng):
        """One with posteriors half as wide as the prior, about."""
        return cls(rng.normal(size=(elements, parameters)), 0.5 * np.sqrt(elements))

    @property
    def covariance(self):
        precision = self.slope.T @ self.slope / self.noise**2
        return np.linalg.inv(np.eye(len(precision)) + precision)

    @property
    def sd(self):
        return np.sqrt(np.diag(self.covariance))

    def simulate(self, theta, rng):
        return theta @ self.slope.T + self.noise * rng.normal(size=(len(theta), len(self.slope)))

    def mean(self, x):
        return x @ self.slope @ self.covariance / self.noise**2

    def draw(self, mean, width, rng, draws=DRAWS):
        """Draws, ``(m, draws, parameters)``, of posteriors ``width`` times as wide as is right."""
        z = rng.normal(size=(len(mean), draws, mean.shape[1]))
        scatter = z @ np.linalg.cholesky(self.covariance).T
        return mean[:, None] + np.broadcast_to(width, len(mean))[:, None, None] * scatter


def neighbourhood(
    seed,
    *,
    elements=50,
    parameters=2,
    n=1000,
    near=1.0,
    far=1.0,
    shift=0.0,
    at=0.0,
    method="npe",
    quantity="log density",
):
    """Held-out simulations, and an observation.

    Args:
        seed: Of all.
        elements: Of the data.
        parameters: Of theta.
        n: Held-out simulations.
        near: Width of posteriors like that of the observation, over the right one.
        far: That of all others.
        shift: Of the former, in sds.
        at: By how much the observation's posterior mean is beyond all others, in sds of the prior.
        method: That of the estimator.
        quantity: What it ranks of all parameters together.
    """
    rng = np.random.default_rng(seed)
    problem, prior = Linear.drawn(elements, parameters, rng), prior_of(parameters)
    theta = rng.normal(size=(n + 1, parameters))
    mean = problem.mean(problem.simulate(theta, rng))
    mean[0] += at
    distance = ((mean - mean[0]) ** 2).sum(axis=1)
    alike = distance <= np.quantile(distance, NEAR)
    drawn = problem.draw(
        mean + shift * alike[:, None] * problem.sd, np.where(alike, near, far), rng
    )
    pool = np.concatenate([theta[1:, None], drawn[1:]], axis=1)
    data = xr.Dataset(
        {
            "scores": (
                ("simulation", "member", "parameter"),
                normal_scores(drawn[1:], theta[1:], MEMBERS),
            ),
            "said": (("simulation", "statement"), statements(pool, prior)),
            "joint_ranks": (("simulation", "quantity"), np.zeros((n, 1))),
        },
        {"parameter": list(prior.names), "quantity": [quantity]},
        {"draws": DRAWS, "method": method},
    )
    estimator = synthetic.estimator(data, prior=prior)
    return Neighbourhood(estimator, posterior(drawn[0], prior))


def posterior(drawn, prior):
    """The record of a posterior with these draws, ``(draws, parameters)``."""
    columns = {name: (("chain", "draw"), drawn[None, :, i]) for i, name in enumerate(prior.names)}
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset(columns)})
    return SampledPosterior("npe", "event", tree, None)


def near_the_observation(seed, *, n=1000, **fault):
    """The local check of an estimator that is wrong near the observation."""
    found = measure_local_calibration(neighbourhood(seed, n=n, **fault))
    return [synthetic.judged("local_calibration", found, "npe, event")]


class Exact(Estimator):
    """The exact posterior of a linear problem, of another width and place near an observation."""

    traits = Traits(target="posterior")

    def __init__(self, problem, mean_o=None, *, near=1.0, elsewhere=1.0, shift=0.0, reach=1.5):
        super().__init__()
        self.problem, self.mean_o, self.shift = problem, mean_o, shift
        self.near, self.elsewhere = near, elsewhere
        elements, parameters = problem.slope.shape
        self.reach = reach  # in posterior sds
        self.root = torch.as_tensor(np.linalg.cholesky(problem.covariance))
        self.nothing = torch.nn.Parameter(torch.zeros(1))  # which says the device
        self.spec = {"theta_dim": parameters, "x_shape": (elements,), "method": "exact"}

    def _normal(self, x):
        mean = torch.as_tensor(self.problem.mean(x.double().numpy()))
        width = torch.ones(len(mean), 1, dtype=mean.dtype)
        if self.mean_o is not None:
            sd = torch.as_tensor(self.problem.sd)
            far = ((mean - torch.as_tensor(self.mean_o)) / sd).square().mean(1).sqrt()
            alike = (far < self.reach)[:, None]
            mean = mean + self.shift * alike * sd
            width = torch.where(alike, self.near, self.elsewhere).to(mean.dtype)
        return mean, width

    def loss(self, z, x):
        return -self.log_prob(z, x)

    def log_prob(self, z, x):
        mean, width = self._normal(x if x.ndim > 1 else x[None])
        apart = (z.double() - mean) / width
        unit = torch.linalg.solve_triangular(self.root, apart.T, upper=False).T
        scale = self.root.diagonal().log().sum() + z.shape[1] * width.log()[:, 0]
        return -0.5 * unit.square().sum(1) - scale - z.shape[1] / 2 * math.log(2 * math.pi)

    def sample_many(self, n, x):
        mean, width = self._normal(x)
        unit = torch.randn(len(mean), n, mean.shape[1], dtype=mean.dtype)
        return mean[:, None] + width[:, None] * (unit @ self.root.T)


class ExactLikelihood(Exact):
    """The exact likelihood, whose noise is ``near`` times what it is."""

    traits = Traits(target="likelihood")

    def log_prob(self, z, x):
        noise = self.near * self.problem.noise
        expected = z.double() @ torch.as_tensor(self.problem.slope).T
        squared = ((x.double() - expected) / noise).square().sum(1)
        return -0.5 * squared - x.shape[-1] * math.log(noise)


def at_the_posterior(seed, *, elements=50, parameters=2, n=500, cls=Exact, settings=None, **fault):
    """Ranks of posterior SBC of an estimator that is wrong near the observation only."""
    rng = np.random.default_rng(seed)
    problem, prior = Linear.drawn(elements, parameters, rng), prior_of(parameters)
    x_o = problem.simulate(rng.normal(size=(1, parameters)), rng)
    trained = Posterior(cls(problem, problem.mean(x_o)[0], **fault), prior, {"method": "exact"})
    theta = trained.sample(n, x_o[0], seed=seed)
    x = problem.simulate(theta, rng)
    return rank_at_posterior(trained, theta, x, x_o[0], seed=seed, **(settings or {}))


def honest_there(seed, **fault):
    """The check of posterior SBC of the same."""
    found = measure_posterior_sbc(
        sampled_there(at_the_posterior(seed, settings={"draws": 100}, **fault))
    )
    return [synthetic.judged("posterior_sbc", found, "npe, event")]


def sampled_there(ranks):
    """The record of a posterior with these ranks."""
    return SampledPosterior("npe", "event", None, None, sbc=ranks)
