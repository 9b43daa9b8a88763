"""A damped sinusoid in the coloured noise of two gravitational-wave detectors.

    h(s) = A exp(-(s - t0) / tau) cos(2 pi f (s - t0) + phi) for s > t0, and 0 before;

detector 2 sees it later by ``delay``, a stand-in for the direction on the sky. Everything happens
in the frequency domain, on the bins nu_k of a segment of length T, where the noise of each detector
is complex Gaussian and independent from bin to bin:

    h(nu) = A exp(-2 pi i nu t0) / 2 [ exp(i phi) / (1/tau + 2 pi i (nu - f))
                                     + exp(-i phi) / (1/tau + 2 pi i (nu + f)) ].

Data are divided by the amplitude spectral density sqrt(T S(nu) / 4): real and imaginary parts of
the noise are then N(0, 1). S is a fit to the design sensitivity of Advanced LIGO (Sathyaprakash &
Schutz, Living Rev. Relativ. 12, 2009, table 1, https://doi.org/10.12942/lrr-2009-2), with
y = nu / 215 Hz:

    S(nu) = 1e-49 [ y^-4.14 - 5 y^-2 + 111 (1 - y^2 + y^4 / 2) / (1 + y^2 / 2) ] / Hz.

The likelihood of what is wanted, with phase and time marginalised, is a sum on a grid: h is linear
in (cos phi, sin phi), and a shift in time is a phase in each bin, so that four inner products are
all it takes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..options import Positive

Array = NDArray[Any]

BLOCK = 32
"""Rows whose grids of phases and times fit into a processor's cache together."""


class Ringdown:
    """Whitened data, ``(n, 4, bins)``, for (frequency, tau, amplitude, delay, phase, time).

    The four series over frequency are the real and imaginary parts in detectors 1 and 2. Units:
    frequency in Hz; tau, delay and time in ms; amplitude in 1e-21; phase in radians.

    Args:
        length: Length T of the segment, in s.
        lowest: First frequency, in Hz.
        highest: Last frequency, in Hz.
        time_range: Earliest and latest time of arrival that the exact likelihood averages over,
            in ms.
        noise_at_load: Whether the noise is left to be drawn when training reads the data.
    """

    parameters = ("frequency", "tau", "amplitude", "delay", "phase", "time")
    marginal_parameters = parameters[:4]

    def __init__(
        self,
        length: Positive = 0.25,
        lowest: Positive = 40.0,
        highest: Positive = 500.0,
        time_range: tuple[float, float] = (-5.0, 5.0),
        noise_at_load: bool = False,
    ) -> None:
        self.bins = np.arange(np.ceil(lowest * length), np.floor(highest * length) + 1) / length
        self.whitening = 1 / np.sqrt(length * noise_density(self.bins) / 4)
        self.time_range, self.noise_at_load = time_range, noise_at_load
        self.x_shape = (4, len(self.bins))

    def __call__(self, parameters: Array, rng: np.random.Generator) -> Array:
        """Simulate data for parameters, ``(n, 6)``."""
        signal = self.signal(parameters)
        return signal if self.noise_at_load else self.observe(signal, rng)

    def observe(self, x: Array, rng: np.random.Generator) -> Array:
        """Add noise to whitened signals, ``(n, 4, bins)`` or ``(4, bins)``."""
        return np.asarray(x + rng.normal(size=x.shape))

    def signal(self, parameters: Array) -> Array:
        """Return the whitened signal without noise, ``(n, 4, bins)``."""
        cosine, sine = self.quadratures(parameters[:, :4])
        phase, time = parameters[:, 4:].T[..., None, None]
        shifted = np.exp(-2e-3j * np.pi * self.bins * time)
        return as_real((np.cos(phase) * cosine + np.sin(phase) * sine) * shifted)

    def quadratures(self, theta: Array) -> tuple[Array, Array]:
        """Return the complex whitened signals of phases 0 and pi / 2, each ``(n, 2, bins)``."""
        frequency, tau, amplitude, delay = theta.T[..., None]
        rate = 1e3 / tau
        plus = 1 / (rate + 2j * np.pi * (self.bins - frequency))
        minus = 1 / (rate + 2j * np.pi * (self.bins + frequency))
        scale = 0.5e-21 * amplitude * self.whitening
        later = np.exp(-2e-3j * np.pi * self.bins * delay)
        both = np.stack([np.ones_like(later), later], axis=1) * scale[:, None]
        return both * (plus + minus)[:, None], both * 1j * (plus - minus)[:, None]

    def log_likelihood(self, parameters: Array, x: Array) -> Array:
        """Exact log p(x | all six parameters) in nats, ``(n,)``, for one x, ``(4, bins)``."""
        residual = x - self.signal(parameters)
        return -0.5 * np.sum(residual**2, axis=(1, 2)) - 0.5 * x.size * np.log(2 * np.pi)

    def log_marginal_likelihood(
        self, theta: Array, x: Array, phases: int = 64, times: int = 401
    ) -> Array:
        """Exact log p(x | frequency, tau, amplitude, delay) in nats, ``(n,)``, for one x.

        Phase uniform on the circle, time uniform in ``time_range``.

        Args:
            theta: Parameters of interest, ``(n, 4)``.
            x: Data, ``(4, bins)``.
            phases: Points on the circle; the sum over them converges exponentially.
            times: Points in time; the signal-to-noise ratio decides how many are needed.
        """
        data = x[0::2] + 1j * x[1::2]
        grid = np.linspace(*self.time_range, times)
        turn = np.exp(-2e-3j * np.pi * np.outer(self.bins, grid))
        angle = 2 * np.pi * np.arange(phases) / phases
        weight = np.full(times, 1 / (times - 1) / phases)
        weight[[0, -1]] /= 2  # trapezoids
        blocks = np.array_split(theta, -(-len(theta) // BLOCK))
        total = [self._log_mean_ratio(block, data, turn, angle, weight) for block in blocks]
        constant = 0.5 * np.sum(x**2) + 0.5 * x.size * np.log(2 * np.pi)
        return np.asarray(np.concatenate(total) - constant)

    def _log_mean_ratio(
        self, theta: Array, data: Array, turn: Array, angle: Array, weight: Array
    ) -> Array:
        """Log of p(data | theta) over p(data | noise), averaged over a grid, ``(n,)``."""
        cosine, sine = self.quadratures(theta)
        d_cos, d_sin = (
            np.real((data.conj() * one).sum(axis=1) @ turn)[..., None] for one in (cosine, sine)
        )
        cc, ss, cs = (
            np.real(one.conj() * two).sum(axis=(1, 2))[:, None, None]
            for one, two in ((cosine, cosine), (sine, sine), (cosine, sine))
        )
        c, s = np.cos(angle), np.sin(angle)
        fit = d_cos * c + d_sin * s - 0.5 * (cc * c**2 + ss * s**2 + 2 * cs * c * s)
        best = fit.max(axis=(1, 2), keepdims=True)
        mean = np.exp(fit - best).sum(axis=2) @ weight
        return np.asarray(np.log(mean) + best[:, 0, 0])


def noise_density(frequency: Array) -> Array:
    """Power spectral density of the noise, in 1/Hz, at frequencies in Hz."""
    y = frequency / 215
    shape = y**-4.14 - 5 * y**-2 + 111 * (1 - y**2 + y**4 / 2) / (1 + y**2 / 2)
    return np.asarray(1e-49 * shape)


def as_real(x: Array) -> Array:
    """Turn complex data of two detectors, ``(n, 2, bins)``, into real, ``(n, 4, bins)``."""
    return np.stack([x.real, x.imag], axis=2).reshape(len(x), 4, -1)
