"""Does a network's own summary of the data see faults that the checks of the observation do not?

    python benchmarks/learnt_summary.py [ESTIMATOR]

Schmitt, Bürkner, Köthe, Radev (Detecting model misspecification in amortized Bayesian inference
with neural networks, 2021, https://arxiv.org/abs/2112.08866) look for misspecification in the space
of a learnt summary. Here it is that of NPE with an embedding, trained on 4 000 simulations as ever.
ESTIMATOR is one of the simulator `moons` (`config/studies/moons.yaml`). What it tells of an
observation is ranked among what it tells of 1 000 held-out simulations, by distance from the bulk
and by local density together. Prints how many of 20 observations have p <= 0.005 by this, and how
many of 8 by `in distribution` among the same simulations, and by `predictive` among 1 000 data sets
of one draw of the posterior; of 100 observations with nothing wrong whether the first p-value is
uniform.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import informed_problems
import numpy as np
import torch
from scipy import stats

import sbi_pipeline
from sbi_pipeline.diagnostics.descriptors import descriptor_features
from sbi_pipeline.diagnostics.in_distribution import in_distribution
from sbi_pipeline.diagnostics.predictive import typicality
from sbi_pipeline.diagnostics.typicality import local_density, mahalanobis, rank_among, upper
from sbi_pipeline.simulators.moons import Moons

HELD_OUT, DRAWS, ROWS = 1000, 1000, 4000
TRUTHS, OBSERVATIONS, FEWER = 100, 20, 8
FOUND = 0.005
blob, flare, wave = (informed_problems.Blob(), informed_problems.Flare(), informed_problems.Wave())
points = informed_problems.Points()


def blobs(u, rng, *, noise=1.0, width=3.0, second=False, hot=0.0, slope=0.0):
    def shapes(u):
        at = 4 + 24 * u[..., None]
        each = np.exp(-0.5 * ((blob.pixels - at) / width) ** 2)
        return each[:, 1, :, None] * each[:, 0, None]

    bright = rng.uniform(1.5, 4.5, size=(len(u), 1, 1))
    x = bright * shapes(u) + noise * rng.normal(size=(len(u), 32, 32))
    x += second * bright * shapes(rng.uniform(size=u.shape)) + slope * (blob.pixels / 15.5 - 1)
    x[np.arange(len(u)), *rng.integers(32, size=(2, len(u)))] += hot
    return x


def flares(u, rng, *, noise=1.0, second=False, turned=False, glitch=0.0):
    high = rng.uniform(2, 8, size=(len(u), 1))
    shape = flare._shape(u) + second * flare._shape(rng.uniform(size=u.shape))
    x = high * (shape[:, ::-1] if turned else shape) + noise * rng.normal(size=(len(u), 60))
    x[np.arange(len(u)), rng.integers(60, size=len(u))] += glitch
    return x


def waves(u, rng, *, noise=1.0, square=False, chirp=0.0, glitch=0.0):
    times = wave.times * (1 + chirp * wave.times)
    shape = np.sin(2 * np.pi * ((1 + 3 * u[:, :1]) * times + u[:, 1:] / 2))
    x = rng.uniform(1, 3, size=(len(u), 1)) * (np.sign(shape) if square else shape)
    burst = np.exp(-np.abs(wave.times - rng.uniform(size=(len(u), 1))) / 0.03)
    return x + glitch * burst + noise * rng.normal(size=x.shape)


def heavy_points(u, rng, *, background=0.0, law="student"):
    centre, spread = points._scales(u)
    size = len(u), 40
    laws = {
        "student": lambda: rng.standard_t(3, size=size),
        "normal": lambda: rng.normal(size=size),
        "two clumps": lambda: rng.choice([-2, 2], size) + 0.3 * rng.normal(size=size),
        "skewed": lambda: 1.5 * rng.exponential(size=size) - 1,
    }
    x = centre + spread * laws[law]()
    return np.where(rng.random(size) < background, rng.uniform(-8, 8, size), x)[..., None]


def moons(theta, rng, *, shuffled=False, background=0.0, clump=0.0):
    x = Moons(200)(theta, rng)
    if shuffled:
        x[..., 1] = rng.permuted(x[..., 1], axis=1)
    low, high = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
    where = rng.random(x.shape[:2])[..., None]
    x = np.where(where < background, low + (high - low) * rng.random(x.shape), x)
    return np.where(where < clump, [0.5, 1] + 0.1 * rng.normal(size=x.shape), x)


def of_moons(n, rng):
    sigma, t = np.exp(rng.normal(-3, 0.7, n)), np.abs(2 * rng.normal(size=n))
    return np.column_stack([rng.random(n), sigma, t])


@dataclass(frozen=True)
class Asked:
    """A trained network, what simulates for it, ``(theta, rng, **fault)``, and its prior."""

    posterior: object
    simulate: object
    prior: object

    def summaries(self, x):
        """What the network tells of data sets, ``(n, elements)``."""
        with torch.inference_mode():
            parts = np.array_split(x.astype(np.float32), -(-len(x) // 250))
            told = [self.posterior.estimator.conditioner(torch.as_tensor(each)) for each in parts]
        return torch.cat(told).double().numpy()


def by_summary(held_out, one):
    pooled = np.concatenate([one[None], held_out])
    features = descriptor_features(pooled)(pooled)
    surprises = {
        "distance": upper(mahalanobis(features)),
        "local density": upper(local_density(features, 20)),
    }
    return rank_among(pooled, surprises).p_value


def found(asked, faults):
    """Print a row of the table for each fault."""
    rng = np.random.default_rng(11)
    held_out = asked.simulate(asked.prior(HELD_OUT, rng), rng)
    told, data = asked.summaries(held_out), asked.simulate.__name__
    good = asked.summaries(asked.simulate(asked.prior(TRUTHS, rng), rng))
    p = [by_summary(told, each) for each in good]
    uniform = stats.kstest(p, "uniform").pvalue
    print(f"| {data} | none | {counted(p)} (KS p {uniform:.2g}) | | |", flush=True)
    for fault in faults:
        x = asked.simulate(asked.prior(OBSERVATIONS, rng), rng, **fault)
        p = [
            [by_summary(told, each) for each in asked.summaries(x)],
            [in_distribution(held_out, each).p_value for each in x[:FEWER]],
            [predictive(asked, each, seed) for seed, each in enumerate(x[:FEWER])],
        ]
        said = ", ".join(f"{key} {value}" for key, value in fault.items())
        print(f"| {data} | {said} | {' | '.join(counted(each) for each in p)} |", flush=True)


def counted(p):
    return f"{np.sum(np.array(p) <= FOUND)} of {len(p)}"


def predictive(asked, x_o, seed):
    theta = asked.posterior.sample(1, x_o, seed=seed)
    rng = np.random.default_rng(seed)
    return typicality(asked.simulate(np.tile(theta, (DRAWS, 1)), rng), x_o).p_value


def main(estimator):
    torch.set_num_threads(1)
    print("| data | fault | learnt summary | in distribution | predictive |\n|---|---|---|---|---|")
    if estimator:
        faults = {"shuffled": True}, {"background": 0.3}, {"clump": 0.3}
        found(Asked(sbi_pipeline.load(estimator), moons, of_moons), faults)
    problems = {
        heavy_points: (
            points,
            ({"background": 0.3}, {"law": "normal"}, {"law": "two clumps"}, {"law": "skewed"}),
        ),
        flares: (flare, ({"noise": 1.3}, {"second": True}, {"turned": True}, {"glitch": 8})),
        waves: (wave, ({"noise": 1.3}, {"square": True}, {"chirp": 0.6}, {"glitch": 5})),
        blobs: (
            blob,
            ({"noise": 1.3}, {"second": True}, {"width": 4.5}, {"hot": 15}, {"slope": 0.5}),
        ),
    }
    for simulate, (problem, faults) in problems.items():
        posterior = informed_problems.trained(problem, ROWS).posterior
        dim = len(problem.names)
        found(Asked(posterior, simulate, lambda n, rng, dim=dim: rng.random((n, dim))), faults)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
