"""The classifier of a comparison of models: `classify`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from .. import priors as priors_module
from ..comparison.classifier import (
    held_out_rows,
    learn_classifier,
    save_classifier,
)
from ..comparison.rows import ModelRows
from ..conditions import Conditions, conditions_in
from ..storage import reading
from ..storage.missing_elements import MissingElements
from ..storage.noise import Noise
from .files import Keys, read_manifest, write_dataset


def classify(
    *,
    simulations: Sequence[Path],
    classifier: Path,
    calibration: Path,
    history: Path,
    models: Sequence[Mapping[str, Any]],
    seed: int,
    key: str,
    inputs: Keys | None = None,
    network: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    threads: int = 1,
) -> None:
    """Train a classifier of which model made a row, and recalibrate it.

    ``models`` hold the label of each model, and what its rows are, as `train` is told of them.

    Reads: ``simulations``, a manifest of each model. Writes: ``classifier``; in ``calibration``
    what it says of rows that nothing was fitted to; ``history``; a checkpoint beside them while it
    runs, from which a killed training goes on.
    """
    torch.set_num_threads(threads)
    reader, conditions = joined_rows(simulations, models, seed, inputs)
    checkpoint = classifier.with_name(f"classify-{key}.checkpoint")
    labels, began = labels_of(models), time.monotonic()
    made, epochs = learn_classifier(
        reader.readers,
        network or {},
        labels=labels,
        conditions=conditions,
        seed=seed,
        checkpoint=checkpoint,
        boards=classifier.with_name("tensorboard"),
        threads=threads,
        **(training or {}),
    )
    x, model, _ = held_out_rows(reader, conditions)
    log_p = made.log_p_of_rows(x)
    save_classifier(classifier, made, {"key": key, "models": labels})
    told = xr.Dataset(
        {"log_p": (("row", "model"), log_p), "made_by": ("row", model)},
        {"model": labels},
        {"key": key, "seconds": time.monotonic() - began},
    )
    write_dataset(calibration, told)
    epochs.to_csv(history, index=False)
    checkpoint.unlink(missing_ok=True)


def joined_rows(
    simulations: Sequence[Path],
    models: Sequence[Mapping[str, Any]],
    seed: int,
    inputs: Keys | None,
) -> tuple[ModelRows, Conditions]:
    """Return the rows of all models, and the known conditions that they have in common.

    Raises:
        ValueError: Data of models have different shapes, or rows are weighted.
    """
    readers = []
    for path, model in zip(simulations, models, strict=True):
        read_manifest(path, inputs, f"simulations of {model['model']}")
        readers.append(_reader(path, model))
    shapes = {each.x_shape for each in readers}
    if len(shapes) > 1:
        told = " and ".join(str(shape) for shape in sorted(shapes))
        raise ValueError(f"data of the models have shapes {told}; wanted one and the same")
    for reader, model in zip(readers, models, strict=True):
        if reader.weighing is not None:
            raise ValueError(f"rows of {model['model']} are weighted; wanted draws of the prior")
    first = models[0]
    joint = priors_module.build(first["priors"], first["parameters"])
    conditions = conditions_in(joint, first.get("known_parameters", ()))
    return ModelRows.of(readers, labels_of(models), seed), conditions


def _reader(path: Path, model: Mapping[str, Any]) -> reading.Reader:
    noise, missing = model.get("noise"), model.get("missing")
    return reading.open_campaign(
        path,
        model["inferred_parameters"],
        None if noise is None else Noise(**noise),
        model.get("known_parameters", ()),
        None if missing is None else MissingElements(**missing),
    )


def labels_of(models: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what models are called."""
    return [str(each["model"]) for each in models]
