"""Posteriors: `sample` and `diagnose`."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from .. import observations, registry, samplers, streams
from .. import priors as priors_module
from ..diagnostics.convergence import summary
from ..estimators import Estimator
from ..trained import load
from ..types import Array, Prior
from .files import expect, read_dataset, write_dataset

logger = logging.getLogger(__name__)

PRIOR_DRAWS = 4000
FEWEST_SETS, MOST_EVENTS = 100, 50_000
"""Of a predictive of several events: sets at least, and events in all about."""


def sample(
    *,
    estimator: Path,
    observation: Path,
    posterior: Path,
    key: str,
    proposals: Sequence[Path] = (),
    estimator_key: str | None = None,
    observation_key: str | None = None,
    proposal_key: str | None = None,
    sampler: Mapping[str, Any] | None = None,
    derived: Mapping[str, str] | None = None,
    texts: Mapping[str, Mapping[str, str]] | None = None,
    names: Mapping[str, str] | None = None,
    seed: int = 1,
    threads: int = 1,
) -> None:
    """Draw from the posterior of one observation.

    Reads: ``estimator``, ``observation``, and in ``proposals`` an estimator that MCMC proposes
    from, if any. Writes: ``posterior``, an ArviZ file; the chain beside it while it grows, from
    which a killed run goes on.
    """
    torch.set_num_threads(threads)
    trained = load(estimator)
    expect(trained.header["key"], estimator_key, estimator)
    observed = read_dataset(observation, observation_key)
    x_o = observed["x"].to_numpy()
    options = {"draws": 10_000, **(sampler or {})}
    options.pop("proposal", None)
    chain = posterior.with_name(f"sample-{key}.chain")
    drawn = samplers.draw(
        trained.estimator,
        x_o[None],
        options.pop("draws"),
        seed=seed,
        prior=trained.prior,
        events=trained.events,
        proposal=_proposal(proposals, proposal_key),
        folder=chain,
        **options,
    )
    if not drawn.converged.all():
        logger.warning("%s", drawn.facts["statement"])
    attrs = {"key": key, "method": trained.header["method"], **(names or {})}
    tree = labelled(drawn, trained.prior, x_o, attrs, seed=seed, derived=derived, texts=texts)
    if trained.events and trained.estimator.traits.target == "likelihood":
        group = samplers.log_likelihood(drawn, 0, trained.estimator, x_o)
        tree["log_likelihood"] = xr.DataTree(group)
    write_dataset(posterior, tree)
    shutil.rmtree(chain, ignore_errors=True)


def labelled(
    drawn: samplers.Draws,
    prior: Prior,
    x_o: Array,
    attrs: Mapping[str, str],
    *,
    seed: int,
    derived: Mapping[str, str] | None,
    texts: Mapping[str, Mapping[str, str]] | None,
) -> xr.DataTree:
    """Return draws of one posterior in ArviZ's schema, with draws from the prior beside them."""
    u = streams.uniforms(seed, "prior draws", 0, PRIOR_DRAWS, len(prior.names))
    return samplers.labelled(
        drawn,
        0,
        prior,
        x_o=x_o,
        prior_draws=prior.from_uniform(u),
        derived=derived or {},
        texts=texts or {},
        attrs=attrs,
    )


def _proposal(paths: Sequence[Path], key: str | None) -> Estimator | None:
    """Read the estimator that MCMC proposes from, if there is one."""
    for path in paths:
        trained = load(path)
        expect(trained.header["key"], key, path)
        return trained.estimator
    return None


def diagnose(
    *,
    posterior: Path,
    observation: Path,
    diagnostics: Path,
    predictive: Path,
    simulator: str,
    options: Mapping[str, Any],
    parameters: Sequence[str],
    priors: Mapping[str, Any] | str,
    key: str,
    posterior_key: str | None = None,
    predictive_draws: int = 1000,
    data: Mapping[str, Any] | None = None,
    several: bool = False,
    seed: int = 1,
) -> None:
    """Summarise a posterior and simulate what it predicts; nuisances come from their prior.

    Of ``several`` events what is predicted are the quantiles of their columns.

    Reads: ``posterior``, ``observation``. Writes: ``diagnostics``, ``predictive``.
    """
    with xr.open_datatree(posterior, engine="h5netcdf") as tree:
        expect(tree.attrs["key"], posterior_key, posterior)
        tree.load()
    observed = read_dataset(observation)
    truth = {}
    if "truth" in observed:
        truth = dict(zip(parameters, observed["truth"].to_numpy().tolist(), strict=True))
    summary(tree, truth).to_csv(diagnostics, index=False)
    prior = priors_module.build(priors, parameters)
    made = registry.load(simulator, registry.SIMULATORS)(**options)
    draws, rng = tree["posterior"].to_dataset(), streams.generator(seed, "predictive/simulate")
    if several:
        events = len(observed["x"])
        sets = min(predictive_draws, max(FEWEST_SETS, MOST_EVENTS // events))
        rows = _completed(draws, prior, sets, seed, events)
        x = observations.call(made, rows, rng).reshape(sets, events, *observed["x"].shape[1:])
        x = observations.quantiles(x, axis=1)
        dims = ("quantile", *observed["x"].dims[1:])
        x_o = xr.DataArray(observations.quantiles(observed["x"].to_numpy(), axis=0), dims=dims)
    else:
        rows = _completed(draws, prior, predictive_draws, seed)
        x = observations.replicate(made, rows, rng)
        x_o = observations.named(observed["x"], data or {})
    predicted = xr.Dataset({"x": (("draw", *x_o.dims), x), "x_o": x_o}, attrs={"key": key})
    write_dataset(predictive, predicted)


def _completed(draws: xr.Dataset, prior: Prior, n: int, seed: int, events: int = 1) -> Array:
    """Return ``n`` posterior draws with the nuisances drawn from their prior, ``(n, dim)``.

    With ``events``, each draw comes so many times, each time with other nuisances.
    """
    theta = {name: draws[name].to_numpy().ravel() for name in prior.names if name in draws}
    total = len(next(iter(theta.values())))
    pick = np.repeat(np.resize(samplers.some(total, min(n, total)), n), events)
    u = streams.uniforms(seed, "predictive/prior", 0, len(pick), len(prior.names))
    return prior.complete({name: values[pick] for name, values in theta.items()}, u)
