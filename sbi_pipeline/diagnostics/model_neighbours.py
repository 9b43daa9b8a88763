"""Is a classifier of models right near the observation?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from ..comparison.asked import AskedObservation
from .check import Check, WarnFail, significant
from .diagnostic import Diagnostic


@dataclass(frozen=True)
class Neighbours:
    """Held-out rows like an observation: what was said of them, and what was so.

    Attributes:
        label: The model that differs most from what was said.
        said: Its mean probability.
        happened: How often it was that model.
        z: The difference, in standard errors that chance gives.
        models: How many there are.
        rows: How many rows.
    """

    label: str
    said: float
    happened: float
    z: float
    models: int
    rows: int


def measure_neighbours(asked: AskedObservation) -> Neighbours | None:
    """Compare what was said of rows like the observation with what was so."""
    if not len(asked.near):
        return None
    p = np.exp(asked.near)
    was = np.eye(len(asked.labels))[asked.near_model]
    scatter = np.sqrt(np.maximum(np.sum(p * (1 - p), axis=0), 1e-9))
    z = (was - p).sum(axis=0) / np.maximum(scatter, 0.5)
    at = int(np.abs(z).argmax())
    return Neighbours(
        label=asked.labels[at],
        said=float(p[:, at].mean()),
        happened=float(was[:, at].mean()),
        z=float(z[at]),
        models=len(asked.labels),
        rows=len(p),
    )


def judge_neighbours(
    found: Neighbours,
    subject: str,
    *,
    p: WarnFail = (0.005, 0.001),
    difference: WarnFail = (0.05, 0.15),
) -> Check:
    """Judge whether the classifier is right near the observation.

    Args:
        found: Rows like it.
        subject: The observation.
        p: P-value: warn below, fail below.
        difference: Of the probability said and how often it was so: warn above, fail above.
    """
    looked_at = 1 if found.models == 2 else found.models  # one of two says what the other does
    p_value = float(min(1.0, 2 * looked_at * stats.norm.sf(abs(found.z))))
    apart = found.happened - found.said
    judged = significant(p_value, abs(apart), p, difference, "model neighbours")
    return judged.check(
        name="odds near the observation",
        subject=subject,
        quantity=f"p-value of the share that {found.label} made of the {found.rows} held-out "
        f"simulations most like it: {found.happened:.3f}, where {found.said:.3f} was said",
        value=p_value,
        chance="uniform between 0 and 1",
        good="Among simulations like the observation the classifier is right.",
        bad="Among simulations like the observation the classifier is wrong about how often "
        f"{found.label} made them; simulate more, or believe the evidences.",
    )


MODEL_NEIGHBOURS = Diagnostic(
    of=AskedObservation,
    measure=measure_neighbours,
    judge=judge_neighbours,
    checks=("odds near the observation",),
    value="p-value among held-out simulations like it",
    chance="normal",
)
