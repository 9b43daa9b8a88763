"""The classifier of a comparison: trained on the rows of all campaigns, recalibrated, asked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
from scipy import special

from .. import estimators
from ..conditions import Conditions
from ..estimators.classifier import Classifier
from ..options import INTERNAL, Passes
from ..storage.reading import Reader, View
from ..training import sources
from ..training.fit import check_sizes, fit_source
from ..training.learning import Memory
from ..training.sources import Training
from ..training.watching import watching
from ..types import Array
from .calibration import Recalibration, fit_recalibration
from .rows import ModelRows, model_numbers

METHOD = f"{Classifier.__module__}:{Classifier.__name__}"
CALIBRATED, HELD_OUT = 20_000, 20_000
"""Rows of each part that it is recalibrated by, and others that it is judged by, at most."""
AT_ONCE = 5_000
SURELY = math.log(10)
"""Log of how many rows contradict odds, up to which these are those of rows and not of a fit."""


@dataclass(frozen=True)
class ModelOdds:
    """Log evidences of models up to a constant that they share, of n data sets.

    Attributes:
        log_evidence: ``(n, models)``, with the mean 0 over models.
        covariance: Of their errors, ``(n, models, models)``.
        of_rows: The part of it that comes of how few rows there are, ``(n, models, models)``.
    """

    log_evidence: Array
    covariance: Array
    of_rows: Array

    @classmethod
    def joined(cls, some: Sequence[ModelOdds]) -> ModelOdds:
        """Return the odds of data sets one after the other."""
        return cls(
            np.concatenate([each.log_evidence for each in some]),
            np.concatenate([each.covariance for each in some]),
            np.concatenate([each.of_rows for each in some]),
        )

    @property
    def from_rows(self) -> Array:
        """Variance of each log evidence that comes of how few rows there are, ``(n, models)``.

        Of errors that know nothing of each other, whose differences scatter like these, about.
        """
        models = self.log_evidence.shape[1]
        variance = np.diagonal(self.of_rows, axis1=1, axis2=2)
        return np.asarray(variance * models / (models - 1))

    def log_bayes_factor(self, one: int, other: int) -> tuple[Array, Array]:
        """Return the log Bayes factors of one model over another, and their errors, ``(n,)``."""
        value = self.log_evidence[:, one] - self.log_evidence[:, other]
        c = self.covariance
        variance = c[:, one, one] + c[:, other, other] - 2 * c[:, one, other]
        return value, np.sqrt(np.maximum(variance, 0))


@dataclass(frozen=True)
class CalibratedClassifier:
    """A trained classifier with what recalibrates it, and what its rows were.

    Attributes:
        estimator: The classifier.
        recalibration: Of its log odds, as frequent as models are among its rows.
        log_frequency: Of models among the training rows, ``(models,)``.
        log_valid: Log of how often a simulation of each model works, ``(models,)``.
        log_valid_error: Standard errors of these.
        most: Log of the number of training rows of the model that has the fewest: odds beyond are
            those of a fit, and no rows contradict them.
    """

    estimator: Classifier
    recalibration: Recalibration
    log_frequency: Array
    log_valid: Array
    log_valid_error: Array
    most: float

    def odds(self, x: Array) -> ModelOdds:
        """Return log evidences of data sets as shown, ``(n, *shown_shape)``, up to a constant.

        The evidence of an observation holds the chance that a simulation works. Of a model that is
        less likely than the best by more than a tenth of what rows can tell, the error has the
        excess added: there the network extrapolates, and that its members do so alike says nothing.
        """
        each = logits_of(self.estimator, x)
        logits = each.mean(axis=0)
        log_evidence = self.recalibration(logits) - self.log_frequency + self.log_valid
        half = self.recalibration.scale * (each[0::2] - each[1::2]) / 2
        pairs = len(half)
        # Errors from few pairs vary: as those of Student's t with so many degrees of freedom.
        scatter = np.einsum("pni,pnj->nij", half, half) / (pairs - 2)
        of_rows = scatter + self.recalibration.errors(logits)
        beyond = log_evidence.max(axis=1, keepdims=True) - log_evidence - (self.most - SURELY)
        each_alone = self.log_valid_error**2 + np.maximum(beyond, 0) ** 2
        return ModelOdds(
            log_evidence - log_evidence.mean(axis=1, keepdims=True),
            of_rows + each_alone[:, :, None] * np.eye(each_alone.shape[1]),
            of_rows,
        )

    def log_p_of_rows(self, x: Array) -> Array:
        """Return log probabilities of models as frequent as among the rows, ``(n, models)``.

        Held-out rows, which worked, are judged by these.

        Args:
            x: Data sets as shown, ``(n, *shown_shape)``.
        """
        logits = logits_of(self.estimator, x).mean(axis=0)
        return np.asarray(special.log_softmax(self.recalibration(logits), axis=1))


def learn_classifier(
    readers: Sequence[Reader],
    network: Mapping[str, Any],
    *,
    labels: Annotated[Sequence[str], INTERNAL],
    conditions: Annotated[Conditions, INTERNAL],
    seed: Annotated[int, INTERNAL],
    checkpoint: Annotated[Path, INTERNAL],
    boards: Annotated[Path, INTERNAL],
    threads: Annotated[int, INTERNAL] = 1,
    memory: Memory = sources.MEMORY,
    tensorboard: bool = False,
    **fitting: Annotated[Any, Passes(fit_source, given=3)],
) -> tuple[CalibratedClassifier, pd.DataFrame]:
    """Train a classifier of models on rows of their campaigns, and recalibrate it.

    Args:
        readers: Of the campaigns.
        network: Options of `build_classifier`.
        labels: Of the models.
        conditions: Known conditions that data are shown with.
        seed: Of weights, batches and all noise.
        checkpoint: The state while it lasts, from which a killed training goes on.
        boards: Folder of what TensorBoard reads.
        threads: Number of CPU threads.
        memory: Bytes of training rows above which they are read from disk in every epoch, a
            number or such as ``2 GB``.
        tensorboard: Whether losses are written for TensorBoard as it trains.
        **fitting: Options of `training.fit.fit_source`.

    Returns:
        The classifier, and a row for each epoch.

    Raises:
        ValueError: See `sources.prepare`, `estimators.build` and `fit.fit_source`.
    """
    joined = ModelRows.of(readers, labels, seed)
    counts = [each.counts() for each in readers]
    check_models(labels, counts)
    rows = sources.prepare(joined, lambda z: z, memory=memory, seed=seed, conditions=conditions)
    gaps, known = joined.missing is not None, len(conditions.names)
    made = build_classifier(rows, known, seed=seed, gaps=gaps, **network)
    with watching(boards / checkpoint.stem if tensorboard else None) as watch:
        history = fit_source(
            made,
            rows.source,
            rows.held_out,
            seed=seed,
            threads=threads,
            checkpoint=checkpoint,
            watch=watch,
            **fitting,
        )
    trained = np.array([count["train"] for count in counts], dtype=float)
    simulated = np.array([each.rows for each in readers])
    worked = simulated - np.array([count["failed"] for count in counts])
    return CalibratedClassifier(
        estimator=made,
        recalibration=recalibrated(made, joined, conditions),
        log_frequency=np.log(trained / trained.sum()),
        log_valid=np.log(worked / simulated),
        log_valid_error=np.sqrt(np.maximum(1 / worked - 1 / simulated, 0)),
        most=float(np.log(trained.min())),
    ), history


def build_classifier(
    rows: Training,
    conditions: int,
    *,
    seed: Annotated[int, INTERNAL],
    gaps: Annotated[bool, INTERNAL] = False,
    **network: Annotated[Any, Passes(Classifier, given=2)],
) -> Classifier:
    """Build an untrained classifier.

    Args:
        rows: What it is to be trained on.
        conditions: Number of known conditions of each data set.
        seed: Of the initial weights.
        gaps: Whether elements of data may be missing.
        **network: Options of `estimators.classifier.Classifier`.

    Raises:
        ValueError: See `estimators.build`.
    """
    made = estimators.build(
        METHOD,
        *rows.sample,
        seed=seed,
        rows=rows.source.rows,
        conditions=conditions,
        x_shape=rows.x_shape,
        gaps=gaps,
        **network,
    )
    assert isinstance(made, Classifier)
    return made


def recalibrated(made: Classifier, reader: ModelRows, conditions: Conditions) -> Recalibration:
    """Return what recalibrates a trained classifier.

    By validation rows, and by training rows as the members see them that did not learn from them:
    half of each pair, so their mean is noisier than that of all, and the scale a little too small.
    """
    views = reader.collect({"train": CALIBRATED, "validation": CALIBRATED})
    logits, models = [], []
    for part, view in views.items():
        x = torch.as_tensor(conditions.beside(view.x, view.known))
        z = torch.as_tensor(view.theta, dtype=torch.float32)
        with torch.inference_mode():
            pieces = zip(z.split(AT_ONCE), x.split(AT_ONCE), strict=True)
            told = [
                made.logits_of_others(*each) if part == "train" else made.logits(each[1]).mean(0)
                for each in pieces
            ]
        logits.append(torch.cat(told).double().numpy())
        models.append(model_numbers(view.theta))
    return fit_recalibration(np.concatenate(logits), np.concatenate(models))


def logits_of(estimator: Classifier, x: Array) -> Array:
    """Return what members say of data sets as shown, ``(members, n, models)``, in double."""
    with torch.inference_mode():
        parts = [
            estimator.logits(torch.as_tensor(x[first : first + AT_ONCE])).double().numpy()
            for first in range(0, len(x), AT_ONCE)
        ]
    return np.concatenate(parts, axis=1)


def save_classifier(path: Path, made: CalibratedClassifier, header: Mapping[str, Any]) -> None:
    """Write a classifier with what recalibrates it, whole or not at all."""
    told = {
        "scale": made.recalibration.scale,
        "shifts": made.recalibration.shifts.tolist(),
        "covariance": made.recalibration.covariance.tolist(),
        "log_frequency": made.log_frequency.tolist(),
        "log_valid": made.log_valid.tolist(),
        "log_valid_error": made.log_valid_error.tolist(),
        "most": made.most,
    }
    estimators.save_estimator(path, made.estimator, {**header, "odds": told})


def load_classifier(path: Path) -> tuple[CalibratedClassifier, dict[str, Any]]:
    """Read what `save_classifier` wrote, and its header."""
    estimator, header = estimators.load_estimator(path)
    assert isinstance(estimator, Classifier)
    told = header["odds"]
    arrays = ("log_frequency", "log_valid", "log_valid_error")
    recalibration = Recalibration(
        told["scale"], np.array(told["shifts"]), np.array(told["covariance"])
    )
    return CalibratedClassifier(
        estimator=estimator,
        recalibration=recalibration,
        **{name: np.array(told[name]) for name in arrays},
        most=told["most"],
    ), header


def held_out_rows(reader: ModelRows, conditions: Conditions) -> tuple[Array, Array, View]:
    """Return data as shown and models of rows that nothing was fitted to, and the rows."""
    view = reader.collect({"test": HELD_OUT})["test"]
    return conditions.beside(view.x, view.known), model_numbers(view.theta), view


def check_models(labels: Sequence[str], counts: Sequence[Mapping[str, int]]) -> None:
    """Refuse a model with next to no rows that worked.

    Args:
        labels: Of the models.
        counts: Rows of each part, by model.

    Raises:
        ValueError: With its label.
    """
    for label, count in zip(labels, counts, strict=True):
        try:
            check_sizes(count["train"], count["validation"])
        except ValueError as error:
            raise ValueError(f"model {label}: {error}") from error
