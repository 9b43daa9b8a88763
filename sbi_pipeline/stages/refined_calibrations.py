"""Calibration of refined posteriors: `calibrate_refined` weighs, `recalibrate` corrects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import streams
from ..diagnostics.weighted_ranks import DEFAULT_SIMULATIONS, LogTarget, rank_by_weight
from ..model import Model
from ..posterior import log_normal, log_posterior
from ..recalibration import corrected_calibration
from ..refinement import exact_at_truth, exact_likelihood, knows_marginal
from ..storage import reading
from ..storage.missing_elements import MissingElements
from ..storage.noise import Noise
from ..trained import Posterior, load
from ..types import Array
from .files import Keys, check_key, read_dataset, read_manifest, write_dataset


def calibrate_refined(
    *,
    simulations: Path,
    estimator: Path,
    likelihoods: Sequence[Path] = (),
    calibration: Path,
    key: str,
    model: Model,
    inputs: Keys | None = None,
    exact: bool = False,
    nuisance_draws: int = 64,
    calibration_options: Mapping[str, Any] | None = None,
    noise: Noise | None = None,
    missing: MissingElements | None = None,
    threads: int = 1,
) -> None:
    """Ask a refined posterior about held-out simulations: draws of its proposal, by weight.

    Arguments are those of `refine` and `calibrate`; ``estimator`` is the proposal.

    Reads: ``simulations``, ``estimator``, in ``likelihoods`` an estimator, if any. Writes:
    ``calibration``, as `calibrate` does, and how many draws of each posterior count.
    """
    torch.set_num_threads(threads)
    listed = read_manifest(simulations, inputs)
    proposal = load(estimator)
    check_key(proposal.header["key"], inputs, "estimator", estimator)
    options, conditions = dict(calibration_options or {}), proposal.conditions
    wanted = options.get("simulations") or DEFAULT_SIMULATIONS
    whole = set(model.parameters) <= set(listed["parameters"])  # nuisances may not be stored
    names = model.parameters if whole else proposal.names
    reader = reading.open_campaign(simulations, names, noise, conditions.names, missing)
    test = reader.collect({"test": wanted})["test"]
    theta = test.theta[:, [names.index(name) for name in proposal.names]]
    shown, seed = conditions.beside(test.x, test.known), listed["split"]["seed"]
    if exact:
        target = _exact_target(model, proposal, test, nuisance_draws, seed)
    for path in likelihoods:
        likelihood = load(path)
        check_key(likelihood.header["key"], inputs, "likelihoods", path)
        target = _estimated_target(likelihood, shown)
    data = rank_by_weight(proposal, target, theta, shown, seed=seed, **options)
    write_dataset(calibration, data.assign_attrs(key=key, method="reweighted"))


def recalibrate(
    *, calibrations: Path, calibration: Path, key: str, inputs: Keys | None = None, seed: int = 1
) -> None:
    """Fit a correction to most of the held-out ranks of an estimator, and apply it to the others.

    Reads: ``calibrations``, the calibration of the estimator. Writes: ``calibration``, that of the
    corrected posterior, with the correction.
    """
    data = read_dataset(calibrations, inputs, "calibrations")
    made = corrected_calibration(data, seed)
    write_dataset(calibration, made.assign_attrs(key=key, method="recalibrated"))


def _estimated_target(likelihood: Posterior, x: Array) -> LogTarget:
    """Return the posterior density that an estimator's likelihood gives, in normal space."""
    return lambda z, rows: log_posterior(likelihood.estimator, x[rows])(z)


def _exact_target(
    model: Model, proposal: Posterior, test: reading.View, draws: int, seed: int
) -> LogTarget:
    """Return the posterior density that the simulator's own likelihood gives, in normal space."""
    simulator, whole = model.build_simulator(), model.build_prior()
    prior, rng = proposal.prior, streams.generator(seed, "calibrate_refined")

    def of_one(z: Array, row: int) -> Array:
        known = dict(zip(proposal.conditions.names, test.known[row], strict=True))
        columns = dict(zip(prior.names, prior.from_normal(z).T, strict=True))
        x = test.x[row]
        found = exact_likelihood(simulator, whole, columns, x, draws, rng, known)
        names = [*columns, *known]
        averaged = len(names) < len(whole.names) and not knows_marginal(simulator, names)
        if averaged and len(test.names) == len(whole.names):
            truth = dict(zip(test.names, test.theta[row].tolist(), strict=True))
            found[0] = exact_at_truth(simulator, whole, truth, names, x, draws, rng)
        return np.asarray(found + log_normal(z))

    def of_many(z: Array, rows: Array) -> Array:
        return np.stack([of_one(each, int(row)) for each, row in zip(z, rows, strict=True)])

    return of_many
