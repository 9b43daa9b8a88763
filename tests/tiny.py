"""A simulator as a user writes one, in a module of their own."""

import numpy as np


class Tiny:
    parameters = ("slope", "offset", "scatter")
    x_shape = (4,)

    def __call__(self, parameters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        slope, offset, scatter = parameters.T
        time = np.linspace(0, 1, 4)
        line = offset[:, None] + slope[:, None] * time
        return line + scatter[:, None] * rng.normal(size=line.shape)
