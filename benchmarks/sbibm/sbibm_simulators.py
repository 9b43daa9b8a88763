"""The ten tasks of the sbibm benchmark, vectorised, and the one prior that is not a product.

Lueckmann, Boelts, Greenberg, Gonçalves & Macke, Benchmarking simulation-based inference, AISTATS
2021, https://arxiv.org/abs/2101.04653. The two differential equations are integrated by Runge and
Kutta's method of fourth order with steps so small that halving them changes nothing that the noise
would show.
"""

import numpy as np
from scipy import special

TEN = tuple(f"theta_{i + 1}" for i in range(10))


def logistic(t):
    return special.expit(t)


class GaussianLinear:
    """theta plus normal noise of variance 0.1; the uniform variant differs in its prior."""

    parameters = TEN

    def __call__(self, theta, rng):
        return theta + np.sqrt(0.1) * rng.standard_normal(theta.shape)


class GaussianMixture:
    """theta plus noise of standard deviation 1 or 0.1, a fair coin for each simulation."""

    parameters = TEN[:2]

    def __call__(self, theta, rng):
        sd = np.where(rng.random((len(theta), 1)) < 0.5, 1.0, 0.1)
        return theta + sd * rng.standard_normal(theta.shape)


class SLCP:
    """Simple likelihood, complex posterior: four points of a normal with five parameters."""

    parameters = TEN[:5]

    def __call__(self, theta, rng):
        s1, s2, rho = theta[:, 2] ** 2, theta[:, 3] ** 2, np.tanh(theta[:, 4])
        first = np.sqrt(s1**2 + 1e-6)
        across = rho * s1 * s2 / first
        second = np.sqrt(np.maximum(s2**2 + 1e-6 - across**2, 0))
        noise = rng.standard_normal((len(theta), 4, 2))
        one = theta[:, :1] + first[:, None] * noise[..., 0]
        two = theta[:, 1:2] + across[:, None] * noise[..., 0] + second[:, None] * noise[..., 1]
        return np.stack([one, two], axis=-1).reshape(len(theta), 8)


class SLCPDistractors(SLCP):
    """The same eight numbers among 92 that say nothing: a mixture of Student t with df 2.

    Args:
        constants: An .npz file with ``permutation_idx``, ``distractor_loc`` and
            ``distractor_scale_tril``.
    """

    def __init__(self, constants):
        arrays = np.load(constants)
        self.order = arrays["permutation_idx"]
        self.location, self.scale = arrays["distractor_loc"], arrays["distractor_scale_tril"]

    def __call__(self, theta, rng):
        n, dim = len(theta), self.location.shape[1]
        which = rng.integers(len(self.location), size=n)
        z = rng.standard_normal((n, dim)) * np.sqrt(2 / rng.chisquare(2, (n, 1)))
        noise = np.empty((n, dim))
        for k in range(len(self.location)):
            rows = which == k
            noise[rows] = self.location[k] + z[rows] @ self.scale[k].T
        return np.concatenate([super().__call__(theta, rng), noise], axis=1)[:, self.order]


class BernoulliGLM:
    """A hundred spikes or none of a neuron under a known stimulus.

    Args:
        constants: An .npz file with the ``design_matrix``, ``(100, 10)``.
        raw: Return the spikes rather than their sufficient summary.
    """

    parameters = TEN

    def __init__(self, constants, raw=False):
        self.design, self.raw = np.load(constants)["design_matrix"].astype(float), raw

    def __call__(self, theta, rng):
        spikes = rng.random((len(theta), len(self.design))) < logistic(theta @ self.design.T)
        return spikes.astype(np.int8) if self.raw else spikes @ self.design


class SmoothFilters:
    """Normal prior of the Bernoulli GLM: an offset, and a filter with small second differences."""

    names = TEN

    def __init__(self):
        differences = np.eye(9) - np.eye(9, k=-1)
        smooth = differences @ differences + np.diag(np.sqrt(np.arange(9) / 9))
        precision = np.zeros((10, 10))
        precision[0, 0], precision[1:, 1:] = 0.5, smooth.T @ smooth
        self.root = np.linalg.cholesky(np.linalg.inv(precision))

    def from_uniform(self, u):
        return self.from_normal(special.ndtri(u))

    def from_normal(self, z):
        return z @ self.root.T

    def to_normal(self, parameters):
        return np.linalg.solve(self.root, parameters.T).T

    def log_prob(self, parameters):
        z = self.to_normal(parameters)
        return -0.5 * (z**2 + np.log(2 * np.pi)).sum(axis=1) - np.log(np.diag(self.root)).sum()

    def keep(self, names):
        if tuple(names) != self.names:
            raise ValueError("the ten parameters belong together")
        return self

    def complete(self, known, u):
        values = self.from_uniform(u)
        for column, name in enumerate(self.names):
            values[:, column] = known.get(name, values[:, column])
        return values


def runge_kutta(rate, state, steps, step):
    """Return the state after so many steps of dstate/dt = rate(state)."""
    for _ in range(steps):
        k1 = rate(state)
        k2 = rate(state + 0.5 * step * k1)
        k3 = rate(state + 0.5 * step * k2)
        k4 = rate(state + step * k3)
        state = state + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return state


class SIR:
    """Ten binomial counts of the infected of an epidemic."""

    parameters = ("contact", "recovery")

    def __init__(self, steps_a_day=4):
        self.steps = steps_a_day

    def infected(self, theta):
        """Return the share of the infected on days 0, 17, ..., 153, ``(n, 10)``."""
        contact, recovery = theta.T
        population = 1e6

        def rate(state):
            new = contact * state[0] * state[1]
            return np.stack([-new, new - recovery * state[1]])

        state = np.stack([np.full(len(theta), 1 - 1 / population), np.full(len(theta), 1e-6)])
        shares = [state[1]]
        for _ in range(9):
            state = runge_kutta(rate, state, 17 * self.steps, 1 / self.steps)
            shares.append(state[1])
        return np.clip(np.stack(shares, axis=1), 0, 1)

    def __call__(self, theta, rng):
        return rng.binomial(1000, self.infected(theta))


class LotkaVolterra:
    """Ten noisy counts each of prey and predators.

    Integrated as logarithms, which cannot turn negative.
    """

    parameters = ("alpha", "beta", "gamma", "delta")

    def __init__(self, steps_a_unit=100):
        self.steps = steps_a_unit

    def log_populations(self, theta):
        """Return log prey and log predators at times 0, 2.1, ..., 18.9, ``(n, 20)``."""
        alpha, beta, gamma, delta = theta.T

        def rate(state):
            prey, predators = np.exp(state)
            return np.stack([alpha - beta * predators, delta * prey - gamma])

        state = np.stack([np.full(len(theta), np.log(30.0)), np.zeros(len(theta))])
        logs = [state]
        for _ in range(9):
            state = runge_kutta(rate, state, round(2.1 * self.steps), 1 / self.steps)
            logs.append(state)
        return np.concatenate(np.stack(logs, axis=-1), axis=-1)

    def __call__(self, theta, rng):
        with np.errstate(over="ignore", invalid="ignore"):
            logs = np.clip(self.log_populations(theta), np.log(1e-10), np.log(1e4))
        return np.exp(logs + 0.1 * rng.standard_normal(logs.shape))
