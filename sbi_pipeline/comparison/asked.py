"""What a comparison is judged by: its classifier, and each observation, as loaded records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..types import Array
from .probabilities import ComparedModels
from .weighed import Evidence

EXACT = "exact"
TRUSTED_K, FEWEST_EFFECTIVE = 0.7, 100.0
"""Of weights, beyond which an evidence is not believed."""


@dataclass(frozen=True)
class AskedClassifier:
    """A classifier of models, with what it says of rows that nothing was fitted to.

    Attributes:
        labels: Of the models.
        log_p: Log probabilities, as frequent as models are among the rows, ``(n, models)``.
        model: Which model made each row, ``(n,)``.
    """

    kind: ClassVar[str] = "a classifier of models"

    labels: Sequence[str]
    log_p: Array
    model: Array

    @property
    def title(self) -> str:
        """How it is called beside its checks."""
        return "classifier"

    @property
    def names(self) -> Mapping[str, str]:
        """Of nothing in the configuration."""
        return {}


@dataclass(frozen=True)
class AskedObservation:
    """An observation under several models.

    Attributes:
        name: Its name.
        labels: Of the models.
        x: Its data, ``x_shape``.
        evidences: By way, then by model; a way may have some models only.
        by_evidence: Models compared by the evidence that is believed of each; None where two have
            none.
        by_classifier: Models compared by the classifier.
        taken: The way whose evidence is believed, by model.
        simulated: Data sets of each model that it was not trained on, ``(m, *x_shape)`` each.
        simulated_known: Known conditions, of the observation and of these, ``(1 + m, known)`` each;
            None for none.
        missing: Shares that are missing, of the observation and of these, ``(1 + m,)`` each; None
            where nothing is.
        near: Log probabilities of held-out rows that are like it, ``(n, models)``.
        near_model: Which model made these, ``(n,)``.
    """

    kind: ClassVar[str] = "an observation under several models"

    name: str
    labels: Sequence[str]
    x: Array
    evidences: Mapping[str, Mapping[str, Evidence]]
    by_evidence: ComparedModels | None
    by_classifier: ComparedModels
    taken: Mapping[str, str]
    simulated: Sequence[Array]
    simulated_known: Sequence[Array] | None
    missing: Sequence[Array] | None
    near: Array
    near_model: Array

    @property
    def title(self) -> str:
        """How it is called beside its checks."""
        return self.name

    @property
    def names(self) -> Mapping[str, str]:
        """Of its entry in the configuration."""
        return {"observation": self.name}

    @property
    def compared(self) -> ComparedModels:
        """Models as they are best compared: by evidence where there is one of each."""
        believed = self.by_evidence
        if believed is not None and np.isfinite(believed.log_evidence).all():
            return believed
        return self.by_classifier


def is_believed(evidence: Evidence) -> bool:
    """Say whether an evidence is believed, by its weights."""
    good = evidence.tail < TRUSTED_K and evidence.effective >= FEWEST_EFFECTIVE
    return not evidence.problem and good


def by_evidence(
    labels: Sequence[str],
    evidences: Mapping[str, Mapping[str, Evidence]],
    log_odds: Array,
    from_rows: Array,
) -> tuple[ComparedModels | None, dict[str, str]]:
    """Return models compared by their evidences, and by which way each is.

    A way that all models have, believed of each, comes before others, ``exact`` first; else each
    model has its first that is believed.

    What a likelihood learnt is off by what its rows leave open. Networks that all saw all rows do
    not scatter by that, so its error is taken to be no smaller than the classifier's, which learnt
    from as many rows.

    Args:
        labels: Of the models.
        evidences: By way, then by model.
        log_odds: Of the models, ``(models,)``.
        from_rows: Variance of the classifier's log evidences, see `classifier.ModelOdds`,
            ``(models,)``.
    """
    believed = {
        way: {label: each for label, each in of.items() if is_believed(each)}
        for way, of in sorted(evidences.items(), key=lambda item: (item[0] != EXACT, item[0]))
    }
    common = [way for way, of in believed.items() if set(of) == set(labels)]
    taken = {}
    for label in labels:
        ways = common or [way for way, of in believed.items() if label in of]
        if ways:
            taken[label] = ways[0]
    if len(taken) < 2:
        return None, taken
    found = [evidences[taken[label]][label] if label in taken else None for label in labels]
    value = np.array([np.nan if each is None else each.log_evidence for each in found])
    of_draws = np.array([0.0 if each is None else each.error for each in found])
    of_networks = np.array([0.0 if each is None else each.network_error for each in found])
    learnt = np.array([taken.get(label, EXACT) != EXACT for label in labels])
    of_learning = learnt * np.maximum(np.nan_to_num(of_networks) ** 2, from_rows)
    return ComparedModels(labels, value, np.diag(of_draws**2 + of_learning), log_odds), taken
