"""What posteriors say and predict: `diagnose`."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from .. import observations, predictions
from ..campaigns.given_rows import AllFailed, Engine
from ..campaigns.settings import Effort, Limits
from ..diagnostics.convergence import summary
from ..event_predictions import (
    Selected,
    TriedEvents,
    events_to_score,
    predicted_events,
    try_events,
)
from ..model import Model
from ..nuisances import NuisancePosterior, load_nuisances
from ..storage.netcdf import read_groups
from ..types import Array, Prior
from .files import Keys, check_key, conditions_named, one_by_one, read_dataset, write_dataset
from .simulations import effort_of

logger = logging.getLogger(__name__)

JOINED = "each of the observations that are joined has its own"
"""Why nuisances of predictions are of their prior."""


@dataclass(frozen=True)
class ToDiagnose:
    """A posterior of which is told what it says and predicts.

    Attributes:
        posterior: The posterior.
        observation: Its observation.
        diagnostics: Table of its summary, written.
        predictive: Predictions, written.
        key: Of what is written.
        inputs: Keys of what is read.
    """

    posterior: Path
    observation: Path
    diagnostics: Path
    predictive: Path
    key: str
    inputs: Keys | None = None


def diagnose(
    *,
    each: Sequence[ToDiagnose],
    model: Model,
    ledgers: Path,
    nuisances: Sequence[Path] = (),
    estimators: Sequence[Path] = (),
    from_prior: str = "",
    predictive_draws: int | Literal["auto"] = "auto",
    data: Mapping[str, Any] | None = None,
    several: bool = False,
    seed: int = 1,
    limits: Limits | None = None,
    effort: Effort | None = None,
    block_size: int | None = None,
    threads: int = 1,
) -> Iterator[ToDiagnose]:
    """Summarise posteriors and simulate what they predict.

    Nuisances are drawn from what `learn_nuisances` made, the one file of ``nuisances``; without
    one, from their prior, for a reason ``from_prior`` where it is not by choice. Of ``several``
    events, selected as those observed, what is predicted are the quantiles of their columns. Dear
    simulations grow in a folder of ``ledgers``, from which a killed run goes on; with "auto" there
    are fewer. Predicted events are scored by what multiplied those observed, the one file of
    ``estimators``.

    Reads: ``posterior``, ``observation``, ``nuisances``, ``estimators``. Writes: ``diagnostics``,
    ``predictive``.
    """
    prior, spent = model.build_prior(), effort_of(effort, threads)
    guard, inputs = limits or Limits(), each[0].inputs
    known, problem = read_nuisances(nuisances, prior, inputs) if predictive_draws else (None, "")
    told = {"nuisances": "posterior" if known else "prior", "from_prior": problem or from_prior}
    with Engine(model, "predictive/simulate", guard, spent, block_size) as engine:
        predictor = predictions.Predictor(engine, prior, predictive_draws, seed, ledgers, known)

        def work(one: ToDiagnose) -> None:
            tree = read_groups(one.posterior)
            check_key(tree.attrs["key"], one.inputs, "posterior", one.posterior)
            observed = read_dataset(one.observation, one.inputs, "observation")
            joined = int(observed.attrs.get("joined", 0))
            summary(tree, _truth(observed, model)).to_csv(one.diagnostics, index=False)
            name = "-".join(["predictive", *one.posterior.parts[-4:-1]])
            ledger = f"{name}-{one.key}"  # another simulator's rows are not gone on with
            draws, x_o = tree["posterior"].to_dataset(), observed["x"]
            values, under = x_o.to_numpy(), conditions_named(observed)
            try:
                if predictive_draws == 0:
                    predicted = xr.Dataset(attrs={"simulated": 0})
                elif several:
                    own = tree.attrs
                    selected = Selected(len(x_o), own.get("tried"), own.get("chance", 1.0))
                    tried = try_events(predictor, draws, ledger, selected, under)
                    predicted = predicted_events(tried, x_o, selected)
                    for path in estimators:
                        own_scores = score(path, one.inputs, tried, selected, model, seed)
                        predicted = predicted.assign(own_scores)
                elif joined:
                    plain = replace(predictor, nuisances=None)
                    made = plain.simulate(draws, values, ledger, joined, under)
                    predicted = predictions.predicted_jointly(made, x_o, data or {})
                else:
                    shown = observations.with_texts(x_o, data or {})
                    made = predictor.simulate(draws, values, ledger, known=under)
                    predicted = predictions.predicted(made, shown, prior.names)
            except AllFailed as error:  # that of one observation is no reason to tell of no other
                logger.warning("%s: nothing was predicted: %s", one.posterior.parent.name, error)
                predicted = xr.Dataset(attrs={"problem": str(error)})
            each_its_own = joined and known is not None
            words = {**told, "nuisances": "prior", "from_prior": JOINED} if each_its_own else told
            write_dataset(one.predictive, predicted.assign_attrs(key=one.key, **words))
            predictor.forget(name)

        yield from one_by_one(each, work, lambda one: one.posterior.parent.name)


def score(
    path: Path,
    inputs: Keys | None,
    tried: TriedEvents,
    selected: Selected,
    model: Model,
    seed: int,
) -> dict[str, tuple[tuple[str, ...], Array]]:
    """Return scores of events that were predicted, as variables of their file.

    Args:
        path: The estimator.
        inputs: Keys of what is read.
        tried: The events.
        selected: How events are selected.
        model: What simulated them.
        seed: Of the choice of those that are scored.
    """
    # Torch takes seconds, which what is no set of events saves.
    from ..diagnostics.scores import how_many_are_scored, score_events  # noqa: PLC0415
    from ..trained import load  # noqa: PLC0415

    trained = load(path)
    check_key(trained.header["key"], inputs, "estimators", path)
    events = selected.per_round
    some = events_to_score(tried, selected, how_many_are_scored(events), seed)
    theta, known = (
        tried.made.parameters[some][:, [model.parameters.index(name) for name in names]]
        for names in (trained.names, trained.conditions.names)
    )
    shown = trained.conditions.beside(tried.made.or_nan()[some], known)
    counted, worked = selected.tried is not None, tried.made.worked[some]
    found = score_events(trained, theta, shown, worked, events, counted=counted)
    dims = ("event", "direction", "other_direction")
    return {
        "event_score": (dims[:2], found.score.astype(np.float32)),
        "event_curvature": (dims, found.curvature.astype(np.float32)),
        "event_prior": (dims[1:], found.prior),
    }


def read_nuisances(
    paths: Sequence[Path], prior: Prior, inputs: Keys | None
) -> tuple[NuisancePosterior | None, str]:
    """Read what was learnt of the nuisances; without it, why there is none."""
    for path in paths:
        found, header = load_nuisances(path, prior)
        check_key(header["key"], inputs, "nuisances", path)
        return found, header["problem"]
    return None, ""


def _truth(observed: xr.Dataset, model: Model) -> dict[str, float]:
    """Return known parameters by name."""
    if "truth" not in observed:
        return {}
    return dict(zip(model.parameters, observed["truth"].to_numpy().tolist(), strict=True))
