"""What posteriors say and predict: `diagnose`."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import xarray as xr

from .. import observations, predictions
from ..campaigns.given_rows import AllFailed, Engine
from ..campaigns.settings import Effort, Limits
from ..diagnostics.convergence import summary
from ..model import Model
from ..nuisances import NuisancePosterior, load_nuisances
from ..types import Prior
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
    events what is predicted are the quantiles of their columns. Dear simulations grow in a folder
    of ``ledgers``, from which a killed run goes on; with "auto" there are fewer.

    Reads: ``posterior``, ``observation``, ``nuisances``. Writes: ``diagnostics``, ``predictive``.
    """
    prior, spent = model.build_prior(), effort_of(effort, threads)
    guard, inputs = limits or Limits(), each[0].inputs
    known, problem = read_nuisances(nuisances, prior, inputs) if predictive_draws else (None, "")
    told = {"nuisances": "posterior" if known else "prior", "from_prior": problem or from_prior}
    with Engine(model, "predictive/simulate", guard, spent, block_size) as engine:
        predictor = predictions.Predictor(engine, prior, predictive_draws, seed, ledgers, known)

        def work(one: ToDiagnose) -> None:
            with xr.open_datatree(one.posterior, engine="h5netcdf") as tree:
                check_key(tree.attrs["key"], one.inputs, "posterior", one.posterior)
                tree.load()
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
                    made = predictor.simulate(draws, values, ledger, len(x_o), under)
                    predicted = predictions.predicted_events(made, x_o)
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
            own = joined and known is not None  # nuisances
            words = {**told, "nuisances": "prior", "from_prior": JOINED} if own else told
            write_dataset(one.predictive, predicted.assign_attrs(key=one.key, **words))
            predictor.forget(name)

        yield from one_by_one(each, work, lambda one: one.posterior.parent.name)


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
