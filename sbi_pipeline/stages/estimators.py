"""Estimators: `train`."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from .. import estimators as estimators_module
from .. import priors as priors_module
from ..choosing import learn_campaign
from ..conditions import conditions_in
from ..priors.boxes import truncated
from ..priors.departure import WOULD_LEARN, Departure, departure_from, rows_to_compare
from ..sidecars import write_text
from ..storage import reading
from ..storage.manifest import stocks_of
from ..storage.missing_elements import MissingElements
from ..storage.noise import Noise
from ..training.search import forget
from ..types import Prior
from .files import Keys, read_manifest

logger = logging.getLogger(__name__)

WHAT_WAS_DECLARED = "density that they were said to be drawn from, priors or 'drawn_from'"


def train(
    *,
    simulations: Path,
    estimator: Path,
    header: Path,
    history: Path,
    method: str,
    inferred_parameters: Sequence[str],
    parameters: Sequence[str],
    priors: Mapping[str, Any] | str,
    seed: int,
    key: str,
    known_parameters: Sequence[str] = (),
    inputs: Keys | None = None,
    network: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    noise: Noise | None = None,
    missing: MissingElements | None = None,
    events: bool = False,
    threads: int = 1,
) -> None:
    """Fit one estimator to one campaign; nuisance parameters are dropped, which marginalises them.

    Reads: ``simulations``, a manifest. Writes: ``estimator``; what it says of itself, as JSON, in
    ``header``; ``history``; a checkpoint beside them while it runs, from which a killed training
    goes on.
    """
    torch.set_num_threads(threads)
    listed = read_manifest(simulations, inputs)
    joint = priors_module.build(priors, parameters)
    departure = check_departure(simulations, listed, joint, method)
    box = listed.get("box")
    prior = truncated(joint.keep(tuple(inferred_parameters)), box)
    reader = reading.open_campaign(
        simulations, inferred_parameters, noise, known_parameters, missing
    )
    if events and reader.weighing is not None:
        check_failures(listed, method)
    checkpoint = estimator.with_name(f"train-{key}.checkpoint")
    options = training or {}
    learnt = learn_campaign(
        reader,
        prior,
        method,
        network or {},
        seed=seed,
        checkpoint=checkpoint,
        boards=estimator.with_name("tensorboard"),
        threads=threads,
        conditions=conditions_in(joint, known_parameters),
        follows=departure is None or not departure.is_certain,
        **options,
    )
    told = {
        "key": key,
        "parameters": list(parameters),
        "inferred_parameters": list(inferred_parameters),
        **({"known_parameters": list(known_parameters)} if known_parameters else {}),
        "priors": priors,
        "events": events,
        "training_rows": learnt.rows,
        "usual_epochs": learnt.usual_epochs,
        "search": learnt.searched,
        "failures": learnt.failures,
        **left_out(network or {}, learnt.estimator.spec),
        **({} if departure is None else {"departure": asdict(departure)}),
        **({"box": box} if box else {}),
        **({} if learnt.masks is None else {"masks": asdict(learnt.masks)}),
    }
    estimators_module.save_estimator(estimator, learnt.estimator, told)
    whole = {**told, **learnt.estimator.spec}
    write_text(header, json.dumps(whole, indent=1) + "\n")
    learnt.history.to_csv(history, index=False)
    forget(checkpoint)
    checkpoint.unlink(missing_ok=True)


def check_failures(listed: Mapping[str, Any], method: str) -> None:
    """Refuse ratios of events that hold the chance to work, as those of weighted rows do.

    Args:
        listed: What the manifest says.
        method: What is to be trained.

    Raises:
        ValueError: Some simulations failed, and the method learns a ratio.
    """
    failed = sum(listed["failures"].values())
    if failed and estimators_module.traits(method).target == "ratio":
        raise ValueError(
            f"{failed} existing simulations failed, which were drawn from another density than the "
            f"prior: of events {method} would count the chance to work with every one; take nle, "
            "or leave these rows out of the files"
        )


def left_out(asked: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return how many columns of x were left out unasked, and of how many; nothing for none."""
    kept, columns = spec["network"].get("columns"), math.prod(spec["x_shape"])
    if asked.get("columns", "auto") != "auto" or kept is None or len(kept) == columns:
        return {}
    return {"left_out": {"columns": columns - len(kept), "of": columns}}


def check_departure(
    simulations: Path, listed: Mapping[str, Any], prior: Prior, method: str
) -> Departure | None:
    """Refuse rows that do not follow the prior, where a method learns the prior of its rows.

    Args:
        simulations: The manifest.
        listed: What it says.
        prior: Of all parameters.
        method: What is to be trained.

    Returns:
        What differs most; None where all rows are draws of the prior.

    Raises:
        ValueError: They do not, and the method learns a posterior.
    """
    found = departure_of_rows(simulations, listed, prior)
    if found is None:
        return None
    drawn_from = "prior" if "weights" not in listed else WHAT_WAS_DECLARED
    text = f"{simulations} has rows that do not follow the {drawn_from} ({found})"
    if found.is_certain and estimators_module.traits(method).draws:
        raise ValueError(f"{text}, and {method} {WOULD_LEARN}")
    if found.is_certain:
        logger.warning("%s: %s is right all the same", text, method)
    return found


def departure_of_rows(
    simulations: Path, listed: Mapping[str, Any], prior: Prior
) -> Departure | None:
    """Return how the rows of a campaign differ from the prior; None where all are its draws.

    Args:
        simulations: The manifest.
        listed: What it says.
        prior: Of all parameters.
    """
    if "weights" in listed:
        return Departure(**listed["weights"]["departure"])
    if not any("table" in (stock.source or {}) for stock in stocks_of(listed)):
        return None
    reader = reading.open_campaign(simulations)
    drawn_from = prior.keep(reader.names)
    return departure_from(drawn_from, reader.some_parameters(rows_to_compare(drawn_from)))
