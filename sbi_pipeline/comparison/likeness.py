"""Which held-out rows are like an observation? Those that the classifier sees as it sees that."""

from __future__ import annotations

import numpy as np
import torch

from ..estimators.classifier import Classifier
from ..types import Array
from .classifier import AT_ONCE, CalibratedClassifier, logits_of

SHARE, FEWEST = 0.1, 100
"""Of the held-out rows that are like it, and how many at least."""
DIRECTIONS = 8


class Likeness:
    """Held-out rows by the odds that they get, and as a network is shown them, in few directions.

    Half of a squared distance is that of the odds. The other half is in the directions along which
    means of models differ most, and then those of the largest scatter. All are in units of the
    scatter.

    Args:
        made: The classifier.
        x: Held-out rows as shown, ``(n, *shown_shape)``.
        models: Their models as ones and zeros, ``(n, models)``.
    """

    def __init__(self, made: CalibratedClassifier, x: Array, models: Array) -> None:
        self.estimator = made.estimator
        seen = _seen(self.estimator, x)
        self.centre, self.scale = seen.mean(axis=0), seen.std(axis=0) + 1e-9
        white = (seen - self.centre) / self.scale
        between = models.T @ white / np.maximum(models.sum(axis=0)[:, None], 1)
        apart = np.linalg.svd(between - between.mean(axis=0), full_matrices=False)[2]
        apart = apart[: models.shape[1] - 1]
        rest = white - white @ apart.T @ apart
        spread = np.linalg.svd(rest.T @ rest, hermitian=True)[0].T
        self.directions = np.concatenate([apart, spread])[:DIRECTIONS]
        projected = white @ self.directions.T
        self.widths = projected.std(axis=0) + 1e-9
        odds = _odds(self.estimator, x)
        self.odds_widths = (odds.std(axis=0) + 1e-9) * np.sqrt(odds.shape[1] / DIRECTIONS)
        self.rows = np.hstack([odds / self.odds_widths, projected / self.widths])

    def nearest(self, shown: Array) -> Array:
        """Return the places of the rows most like one data set as shown, ``(k,)``."""
        white = (_seen(self.estimator, shown[None]) - self.centre) / self.scale
        odds = _odds(self.estimator, shown[None]) / self.odds_widths
        own = np.hstack([odds, white @ self.directions.T / self.widths])
        count = min(len(self.rows), max(FEWEST, int(SHARE * len(self.rows))))
        return np.argsort(np.sum((self.rows - own) ** 2, axis=1), kind="stable")[:count]


def _seen(estimator: Classifier, x: Array) -> Array:
    """Return what the first network is told of data sets, ``(n, features)``."""
    with torch.inference_mode():
        parts = [
            estimator.context(torch.as_tensor(x[first : first + AT_ONCE])).double().numpy()
            for first in range(0, len(x), AT_ONCE)
        ]
    return np.concatenate(parts)


def _odds(estimator: Classifier, x: Array) -> Array:
    """Return log odds over the first model, ``(n, models - 1)``; large ones count little more."""
    logits = logits_of(estimator, x).mean(axis=0)
    return np.asarray(2 * np.arcsinh((logits[:, 1:] - logits[:, :1]) / 2))
