"""Counts of a radioactive source in twelve intervals, over a background that is not known."""

import numpy as np


class Decay:
    """Counts in intervals of ``interval`` seconds; activity and background in 1/s."""

    parameters = ("rate", "activity", "background")

    def __init__(self, interval: float = 2.0) -> None:
        self.edges = interval * np.arange(13)

    def __call__(self, parameters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return counts, ``(n, 12)``, for parameters, ``(n, 3)``."""
        rate, activity, background = parameters[:, :, None].transpose(1, 0, 2)
        left = np.exp(-rate * self.edges)  # share of nuclei that are left, (n, 13)
        decays = activity / rate * (left[:, :-1] - left[:, 1:])
        return rng.poisson(decays + background * np.diff(self.edges))
