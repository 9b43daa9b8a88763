"""Refinement: `refine` reweights the draws of a posterior."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from arviz_stats.base import array_stats

from .. import priors as priors_module
from .. import streams
from ..model import Model
from ..priors.supports import check_covers
from ..recalibration import Correction, corrected_draws
from ..refinement import Proposed, estimated_likelihood, exact_likelihood, refined
from ..samplers import Draws
from ..samplers.direct import CHAINS, in_chains
from ..trained import Posterior, load
from ..types import Prior
from .files import (
    Keys,
    check_key,
    conditions_named,
    data_of,
    known_of,
    one_by_one,
    read_dataset,
    write_dataset,
)
from .posteriors import labelled_posterior

logger = logging.getLogger(__name__)

OF_EVENTS = ("selection", "tried", "chance")
"""What a posterior file says of how events were selected, see `posteriors.sample`."""


@dataclass(frozen=True)
class ToRefine:
    """A posterior whose draws are reweighted.

    Attributes:
        proposal: The posterior.
        observation: Its observation.
        posterior: The refined one, written.
        key: Its key.
        inputs: Keys of what is read.
        names: What the file says of itself.
    """

    proposal: Path
    observation: Path
    posterior: Path
    key: str
    inputs: Keys | None = None
    names: Mapping[str, str] = field(default_factory=dict)


def refine(
    *,
    each: Sequence[ToRefine],
    model: Model,
    likelihoods: Sequence[Path] = (),
    corrections: Sequence[Path] = (),
    exact: bool = False,
    nuisance_draws: int = 64,
    new_priors: Mapping[str, Any] | None = None,
    derived: Mapping[str, str] | None = None,
    texts: Mapping[str, Mapping[str, str]] | None = None,
    seed: int = 1,
    threads: int = 1,
) -> Iterator[ToRefine]:
    """Reweight draws of posteriors by a likelihood, to another prior, or both; or move them.

    The likelihood is an estimator's, or with ``exact`` the simulator's own, averaged over
    ``nuisance_draws`` draws of the nuisances.

    Reads: ``proposal``, a posterior; ``observation``; in ``likelihoods`` an estimator, if any; in
    ``corrections`` how draws are moved instead, if they are. Writes: ``posterior``, resampled by
    weight or moved.

    Raises:
        ValueError: The draws have no normalised density, the new prior is wider, or the weights
            make no sense.
    """
    torch.set_num_threads(threads)
    whole = model.build_prior()
    trained = [_trained(path, each[0].inputs) for path in likelihoods]
    fits = [read_dataset(path, each[0].inputs, "corrections") for path in corrections]

    def work(one: ToRefine) -> None:
        began, rng = time.monotonic(), streams.generator(seed, "refine")
        given = _read(one.proposal, one.inputs)
        observed = read_dataset(one.observation, one.inputs, "observation")
        x_o, under = data_of(observed), conditions_named(observed)
        prior = whole.keep(given.names)
        target = _changed(model, prior, new_priors or {})
        log_likelihood, normalised = None, exact
        if exact:
            simulator = model.build_simulator()
            log_likelihood = exact_likelihood(
                simulator, whole, given.columns, x_o, nuisance_draws, rng, under
            )
        for learnt in trained:
            log_likelihood = estimated_likelihood(learnt, given.theta, x_o, known_of(observed))
            normalised = learnt.estimator.traits.target == "likelihood"
        told: dict[str, Any] = {}
        if fits:
            drawn, told = _moved(given, prior, fits[0])
        else:
            drawn = refined(given, prior, target, log_likelihood, rng, normalised=normalised)
        facts = {**drawn.facts, "seconds": time.monotonic() - began}
        logger.info("refined: %s", {**facts, **told})
        drawn = dataclasses.replace(drawn, facts=facts)
        attrs = {
            **{"key": one.key, "method": "reweighted", "proposal": given.who, **one.names},
            **given.selection,
            "likelihood": "exact" if exact else "".join(path.parent.name for path in likelihoods),
            "new_priors": ", ".join(new_priors or {}),
            **told,
        }
        tree = labelled_posterior(
            drawn, 0, target, x_o, attrs, seed=seed, derived=derived, texts=texts, known=under
        )
        write_dataset(one.posterior, tree)

    yield from one_by_one(each, work, lambda one: one.observation.stem)


def _moved(given: Proposed, prior: Prior, fit: xr.Dataset) -> tuple[Draws, dict[str, Any]]:
    """Return draws moved by a correction, and what the file says of it."""
    of = fit.sel(parameter=list(given.names))
    pairs = zip(of["shift"].to_numpy().tolist(), of["scale"].to_numpy().tolist(), strict=True)
    z = prior.to_normal(given.theta[: len(given.theta) // CHAINS * CHAINS])
    drawn = in_chains(corrected_draws(z, [Correction(*each) for each in pairs])[None])
    told = {
        "method": "recalibrated",
        "recalibrated_from": given.who,
        "shift": of["shift"].to_numpy(),
        "scale": of["scale"].to_numpy(),
        "fitted": int(fit.attrs["fitted"]),
        "judged": fit.sizes["simulation"],
    }
    return dataclasses.replace(drawn, sampler="moved"), told


def _changed(model: Model, prior: Prior, new: Mapping[str, Any]) -> Prior:
    """Return the prior of the inferred parameters with some entries changed."""
    if not new or isinstance(model.priors, str):
        return prior
    changed = priors_module.build({**model.priors, **new}, model.parameters)
    target = changed.keep(prior.names)
    check_covers(prior, target)
    return target


def _trained(path: Path, inputs: Keys | None) -> Posterior:
    trained = load(path)
    check_key(trained.header["key"], inputs, "likelihoods", path)
    return trained


def _read(path: Path, inputs: Keys | None) -> Proposed:
    """Read a posterior that is to be reweighted."""
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        check_key(tree.attrs["key"], inputs, "proposal", path)
        group, drawn = tree["posterior"], tree["sample_stats"]
        names = tuple(str(name) for name, v in group.data_vars.items() if "derived" not in v.attrs)
        theta = np.stack([group[name].to_numpy().ravel() for name in names], axis=1)
        sizes = [float(array_stats.ess(group[name].to_numpy())) for name in names]
        return Proposed(
            who=str(tree.attrs.get("estimator", "")),
            names=names,
            theta=theta,
            log_prob=drawn["lp"].to_numpy().ravel(),
            normalised=bool(drawn.attrs["normalised"]),
            selection={key: tree.attrs[key] for key in OF_EVENTS if key in tree.attrs},
            share=1.0 if drawn.attrs["independent"] else min(1.0, min(sizes) / len(theta)),
        )
