"""Posteriors: `sample`."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from .. import samplers, streams
from ..estimators import Estimator
from ..trained import load
from ..types import Array, Prior
from .files import Keys, check_key, read_dataset, write_dataset

logger = logging.getLogger(__name__)

PRIOR_DRAWS = 4000


def sample(
    *,
    estimator: Path,
    observation: Path,
    posterior: Path,
    key: str,
    inputs: Keys | None = None,
    proposals: Sequence[Path] = (),
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
    check_key(trained.header["key"], inputs, "estimator", estimator)
    x_o = read_dataset(observation, inputs, "observation")["x"].to_numpy()
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
        proposal=_proposal(proposals, inputs),
        folder=chain,
        **options,
    )
    if not drawn.converged.all():
        logger.warning("%s", drawn.facts.get("statement", f"{drawn.sampler} has not converged"))
    attrs = {"key": key, "method": trained.header["method"], **(names or {})}
    tree = labelled_posterior(
        drawn, trained.prior, x_o, attrs, seed=seed, derived=derived, texts=texts
    )
    if trained.events and trained.estimator.traits.target == "likelihood":
        group = samplers.log_likelihood(drawn, 0, trained.estimator, x_o)
        tree["log_likelihood"] = xr.DataTree(group)
    write_dataset(posterior, tree)
    shutil.rmtree(chain, ignore_errors=True)


def labelled_posterior(
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


def _proposal(paths: Sequence[Path], inputs: Keys | None) -> Estimator | None:
    """Read the estimator that MCMC proposes from, if there is one."""
    for path in paths:
        trained = load(path)
        check_key(trained.header["key"], inputs, "proposals", path)
        return trained.estimator
    return None
