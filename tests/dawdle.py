"""A simulator that takes time and memory as the environment says, which is no part of its key."""

import os
import time

import numpy as np


class Dawdle:
    parameters = ("place", "scatter")
    vectorised = False

    def __init__(self) -> None:
        self.hoard: np.ndarray | None = None

    def __call__(self, parameters: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if self.hoard is None:
            self.hoard = np.ones((int(os.environ.get("HOARD", "0")), 131072))
            if len(self.hoard):
                time.sleep(8)  # Slurm looks every three seconds
        time.sleep(float(os.environ.get("DAWDLE", "0")))
        place, scatter = parameters
        return place + scatter * rng.normal(size=3)
