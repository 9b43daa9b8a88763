"""A joint prior as a user would write it: uniform on the unit disc."""

import numpy as np
from scipy import special


class Disc:
    names = ("right", "up")

    def from_uniform(self, u: np.ndarray) -> np.ndarray:
        radius, angle = np.sqrt(u[:, 0]), 2 * np.pi * u[:, 1]
        return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)

    def from_normal(self, z: np.ndarray) -> np.ndarray:
        return self.from_uniform(special.ndtr(z))

    def to_normal(self, parameters: np.ndarray) -> np.ndarray:
        right, up = parameters.T
        angle = np.mod(np.arctan2(up, right), 2 * np.pi) / (2 * np.pi)
        return special.ndtri(np.stack([right**2 + up**2, angle], axis=1))

    def log_prob(self, parameters: np.ndarray) -> np.ndarray:
        inside = np.hypot(*parameters.T) < 1
        return np.where(inside, -np.log(np.pi), -np.inf)

    def keep(self, names: tuple[str, ...]) -> "Disc":
        if names != self.names:
            raise ValueError("the two coordinates belong together")
        return self

    def complete(self, known: dict[str, np.ndarray], u: np.ndarray) -> np.ndarray:
        values = self.from_uniform(u)
        for column, name in enumerate(self.names):
            values[:, column] = known.get(name, values[:, column])
        return values
