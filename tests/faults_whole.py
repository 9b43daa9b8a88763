"""Sets, series and images that the simulator could not have made, though each element could be.

An observation is put among simulations of the prior and among data of one draw of its posterior. Of
data with nothing wrong their own parameters are such a draw; of others the most probable ones,
which make up for the fault as far as the model lets them.
"""

import numpy as np
import synthetic
from scipy import optimize

from sbi_pipeline.diagnostics.in_distribution import in_distribution
from sbi_pipeline.diagnostics.predictive import typicality
from sbi_pipeline.simulators.moons import Moons

SIMULATIONS, DRAWS = 500, 1000
TIMES = np.linspace(0, 1, 120)
ROWS, COLUMNS = np.mgrid[:32, :32]


def _compared(simulate, prior, x_o, one, rng):
    """Both checks of an observation, of which ``one`` is a draw of the posterior, ``(dim,)``."""
    simulations = simulate(prior(SIMULATIONS, rng), rng)
    replicates = simulate(np.tile(one, (DRAWS, 1)), rng)
    return [
        synthetic.judged("predictive", typicality(replicates, x_o), "npe"),
        synthetic.judged("in_distribution", in_distribution(simulations, x_o), "event"),
    ]


def _fitted(lost, start):
    """The parameters at which what is lost is least, ``(dim,)``."""
    return optimize.minimize(lost, start, method="Nelder-Mead", options={"maxfev": 400}).x


def of_moons(seed, *, shuffled=False, background=0.0, points=200):
    """A set of points on two half circles."""
    rng, moons = np.random.default_rng(seed), Moons(points)
    one = np.array([0.3, 0.06, 2.0])
    x_o = moons(one[None], rng)[0]
    if shuffled:
        x_o[:, 1] = rng.permutation(x_o[:, 1])
    low, high = x_o.min(axis=0), x_o.max(axis=0)
    others = rng.random(points) < background
    x_o[others] = (low + (high - low) * rng.random((points, 2)))[others]

    def prior(n, rng):
        sigma, t = np.exp(rng.normal(-3, 0.7, n)), np.abs(2 * rng.normal(size=n))
        return np.column_stack([rng.random(n), sigma, t])

    def lost(u):
        theta = np.array([[1 / (1 + np.exp(-u[0])), np.exp(u[1]), np.exp(u[2])]])
        return -moons.log_likelihood(theta, x_o)[0]

    if shuffled or background:
        u = _fitted(lost, np.array([np.log(3 / 7), np.log(0.2), np.log(2)]))
        one = np.array([1 / (1 + np.exp(-u[0])), np.exp(u[1]), np.exp(u[2])])
    return _compared(moons, prior, x_o, one, rng)


def of_waves(seed, *, correlation=0.0):
    """A wave in white noise, which may be correlated in the observation."""
    rng = np.random.default_rng(seed)

    def mean(theta):
        return theta[:, :1] * np.sin(2 * np.pi * theta[:, 1:2] * TIMES + theta[:, 2:])

    def simulate(theta, rng):
        return mean(theta) + rng.normal(size=(len(theta), TIMES.size))

    def prior(n, rng):
        return rng.uniform([0, 1, 0], [5, 5, 2 * np.pi], (n, 3))

    one = prior(1, rng)[0]
    noise = rng.normal(size=TIMES.size)
    for i in range(1, TIMES.size):
        noise[i] = correlation * noise[i - 1] + np.sqrt(1 - correlation**2) * noise[i]
    x_o = mean(one[None])[0] + noise
    if correlation:
        one = _fitted(lambda theta: ((x_o - mean(theta[None])[0]) ** 2).sum(), one)
    return _compared(simulate, prior, x_o, one, rng)


def of_images(seed, *, gradient=0.0, background=0.0):
    """A blob in white noise, which may lie on a slope or on a level that the simulator lacks."""
    rng = np.random.default_rng(seed)

    def mean(theta):
        row, column, height = theta.T[..., None, None]
        return height * np.exp(-((COLUMNS - column) ** 2 + (ROWS - row) ** 2) / 18)

    def simulate(theta, rng):
        return mean(theta) + rng.normal(size=(len(theta), *ROWS.shape))

    def prior(n, rng):
        return rng.uniform([8, 8, 2], [24, 24, 10], (n, 3))

    one = prior(1, rng)[0]
    x_o = simulate(one[None], rng)[0] + gradient * (COLUMNS / 15.5 - 1) + background
    if gradient or background:
        one = _fitted(lambda theta: ((x_o - mean(theta[None])[0]) ** 2).sum(), one)
    return _compared(simulate, prior, x_o, one, rng)


FAULTS = {
    "x and y of a set shuffled": (of_moons, {"shuffled": True}, {"predictive"}),
    "30 % background in a set": (of_moons, {"background": 0.3}, {"predictive"}),
    "noise of a series correlated by 0.6": (of_waves, {"correlation": 0.6}, {"predictive"}),
    "a gradient in an image": (of_images, {"gradient": 0.5}, {"predictive"}),
    "a background in an image": (of_images, {"background": 0.3}, {"predictive"}),
}
TRUTHS = {"set": of_moons, "series": of_waves, "image": of_images}
