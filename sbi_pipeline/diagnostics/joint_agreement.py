"""C2ST: can a classifier tell two joint posteriors apart?

References:
    Lopez-Paz, Oquab, Revisiting classifier two-sample tests, 2017,
        https://arxiv.org/abs/1610.06545
    Lueckmann, Boelts, Greenberg, Gonçalves, Macke, Benchmarking simulation-based inference, 2021,
        https://arxiv.org/abs/2101.04653
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..sampled_posteriors import PosteriorPair
from ..types import Array
from .check import Check, WarnFail, above
from .diagnostic import Diagnostic

CLASSIFIED = 1_000
"""Draws of each posterior given to a classifier; a pair takes seconds at most."""
UNITS = 100
"""Of each layer of a classifier on a page, at most: those of ten parameters."""


@dataclass(frozen=True)
class Classified:
    """How well a classifier tells two posteriors apart.

    Attributes:
        accuracy: As made by `c2st`.
        draws: Draws of each it was given.
    """

    accuracy: float
    draws: int


def c2st(a: Array, b: Array, n: int = 2000, seed: int = 0, most_units: int | None = None) -> float:
    """Return the cross-validated accuracy of a classifier that tells ``a`` from ``b``.

    0.5: cannot be told apart, 1: disjoint. As in the sbibm benchmark: z-scored by the reference
    ``b``, two hidden layers of 10 dim ReLU units, Adam, five shuffled folds.

    Args:
        a: Draws, ``(n_a, dim)``.
        b: Reference draws, ``(n_b, dim)``.
        n: At most so many draws of each are used; differences below 0.02 are noise at 2 000.
        seed: Seed of the choice of draws, the folds and the classifier.
        most_units: Of each layer; None for those of the benchmark, whatever the dimension.

    Raises:
        ValueError: The draws differ in dimension.
    """
    # Takes half a second, which pages that compare nothing do without.
    from sklearn.model_selection import KFold, cross_val_score  # noqa: PLC0415
    from sklearn.neural_network import MLPClassifier  # noqa: PLC0415

    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"c2st got draws of shape {a.shape} and {b.shape}; wanted (n, dim) twice")
    rng = np.random.default_rng(seed)
    size = min(n, len(a), len(b))
    one, other = (rng.permutation(draws)[:size] for draws in (a, b))
    mean, sd = b.mean(axis=0), b.std(axis=0)
    features = (np.concatenate([one, other]) - mean) / np.where(sd > 0, sd, 1.0)
    labels = np.repeat([0, 1], size)
    units = 10 * a.shape[1]
    if most_units is not None:
        units = min(units, most_units)
    classifier = MLPClassifier((units, units), max_iter=10_000, random_state=seed)
    folds = KFold(5, shuffle=True, random_state=seed)
    return float(cross_val_score(classifier, features, labels, cv=folds).mean())


def measure_joint_agreement(asked: PosteriorPair) -> Classified | None:
    """Let a classifier tell a pair apart; None where one is of margins, or it takes too long."""
    if not (asked.detailed and asked.one.joint and asked.other.joint):
        return None
    pair = asked.one, asked.other
    effective = [size for each in pair for size in each.effective.values()]
    size = max(20, int(np.nanmin([CLASSIFIED, *effective])))
    a, b = (np.stack(list(each.columns.values()), axis=1) for each in pair)
    return Classified(c2st(a, b, n=size, most_units=UNITS), size)


def judge_joint_agreement(found: Classified, subject: str, *, c2st: WarnFail = (0.6, 0.7)) -> Check:
    """Judge whether a classifier can tell two estimators' joint posteriors apart.

    Args:
        found: How well they can be told apart.
        subject: The two estimators and the observation.
        c2st: Accuracy, between 0.5 and 1: warn above, fail above. 0.6 is a shift of 0.5 sd.
    """
    accuracy, draws = found.accuracy, found.draws
    # Every draw is classified once, by a fold that has not seen it: the scatter is that of a coin.
    chance = 0.5 + 1.645 * 0.5 / math.sqrt(2 * draws)
    judged = above(accuracy if accuracy > chance else 0.5, c2st, "joint_agreement")
    return judged.check(
        name="joint agreement",
        subject=subject,
        quantity=f"C2ST: accuracy of a classifier of {draws} draws of each",
        value=accuracy,
        chance=f"below {chance:.2g} in 95 % of cases",
        good="Nor can their joint posteriors be told apart.",
        bad="Their joint posteriors differ, perhaps only in correlations: believe the better "
        "calibrated one, or train both on more.",
    )


JOINT_AGREEMENT = Diagnostic(
    of=PosteriorPair,
    measure=measure_joint_agreement,
    judge=judge_joint_agreement,
    checks=("joint agreement",),
    value="C2ST: accuracy of a classifier of their draws",
    chance="coin",
)
