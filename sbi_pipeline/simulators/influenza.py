"""Influenza in a boarding school: SIR equations and over-dispersed counts of boys in bed.

With N boys, ``i0`` of them infected at time 0 and nobody immune,

    dS/dt = -beta S I / N,    dI/dt = beta S I / N - gamma I,

and the number in bed on day t = 1 ... 14 is negative-binomial with mean mu = I(t) and variance
mu + phi mu^2. The outbreak of 1978: British Medical Journal, 4 March 1978, p. 587.
(Kermack & McKendrick, A contribution to the mathematical theory of epidemics, Proc. R. Soc. A
115, 1927, https://doi.org/10.1098/rspa.1927.0118.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ..options import Count

Array = NDArray[Any]


class Influenza:
    """Daily counts of boys in bed, ``(n, days)`` whole numbers, for (beta, gamma, phi, i0).

    Args:
        boys: Number of boys in the school.
        days: Number of daily counts; the first is on day 1.
        steps_per_day: Steps of the Runge-Kutta integrator in a day. With 20, I(t) is within
            2e-4 N of its limit over the default prior.
    """

    parameters = ("beta", "gamma", "phi", "i0")

    def __init__(self, boys: Count = 763, days: Count = 14, steps_per_day: Count = 20) -> None:
        self.boys = boys
        self.days = days
        self.x_shape = (days,)
        self.steps_per_day = steps_per_day

    def __call__(self, parameters: Array, rng: np.random.Generator) -> Array:
        """Simulate counts, ``(n, days)`` int64, for parameters, ``(n, 4)``."""
        beta, gamma, phi, i0 = parameters.T
        mean = self.infected(beta, gamma, i0)
        rate = rng.gamma(1 / phi[:, None], phi[:, None] * mean)
        return rng.poisson(rate)

    def infected(self, beta: Array, gamma: Array, i0: Array) -> Array:
        """Integrate the SIR equations; I(t) on days 1 ... days, ``(n, days)``, in boys."""
        step = 1 / self.steps_per_day
        state = np.stack([self.boys - i0, i0])

        def slope(state: Array) -> Array:
            infections = beta * state[0] * state[1] / self.boys
            return np.stack([-infections, infections - gamma * state[1]])

        days = []
        for _ in range(self.days):
            for _ in range(self.steps_per_day):
                k1 = slope(state)
                k2 = slope(state + step / 2 * k1)
                k3 = slope(state + step / 2 * k2)
                k4 = slope(state + step * k3)
                state = state + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            days.append(state[1])
        return np.maximum(np.stack(days, axis=1), 1e-10)

    def log_likelihood(self, parameters: Array, x: Array) -> Array:
        """Exact log p(x | beta, gamma, phi, i0) in nats, ``(n,)``, for one ``x``, ``(days,)``."""
        beta, gamma, phi, i0 = parameters.T
        mean = self.infected(beta, gamma, i0)
        size = 1 / phi[:, None]
        return np.sum(
            special.gammaln(x + size)
            - special.gammaln(size)
            - special.gammaln(x + 1)
            + special.xlog1py(-size, mean / size)
            + special.xlogy(x, mean / (mean + size)),
            axis=1,
        )
