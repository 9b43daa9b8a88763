"""Rounds: `truncate` finds the box of the prior in which the next round simulates."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .. import priors
from ..priors.boxes import BoxedPrior, holds, truncated
from ..priors.reach import reachable
from ..rounds import parameter_draws
from ..sidecars import write_text
from ..storage import reading
from ..storage.manifest import Stock, stocks_of
from ..truncation import ALL_THE_SAME, Box, Calibration, next_box
from ..types import Array, Prior
from .files import Keys, check_key, read_dataset, read_manifest

logger = logging.getLogger(__name__)


def truncate(
    *,
    simulations: Path,
    header: Path,
    calibration: Path,
    observation: Path,
    posterior: Path,
    box: Path,
    mass: float,
    widening: float,
    key: str,
    axes: str = "parameters",
    before: Sequence[Path] = (),
    inputs: Keys | None = None,
) -> None:
    """Find the box of the prior that holds a posterior.

    Reads: ``simulations``, the manifest of the round; ``header`` of its estimator, its
    ``calibration``, and ``posterior`` of the ``observation``. Writes: ``box``, as JSON: its faces,
    how much of the prior it holds, and how many rows of this round and those before lie within it;
    ``before`` is the box that this round has simulated in, if it was one. Its ``axes`` are those
    of the parameters, or ``principal`` ones of the posterior.
    """
    listed = read_manifest(simulations, inputs)
    told = json.loads(header.read_text())
    check_key(told["key"], inputs, "estimator", header)
    whole = priors.of_header(told)
    prior = truncated(whole, told.get("box"))
    with xr.open_datatree(posterior, engine="h5netcdf") as tree:
        check_key(tree.attrs["key"], inputs, "posterior", posterior)
        theta = parameter_draws(tree, whole.names)
    settled, oblique = _settled(before, inputs), axes == "principal"
    found = next_box(
        prior,
        theta,
        _calibration(read_dataset(calibration, inputs, "calibration"), prior),
        settled,
        oblique=oblique,
        mass=mass,
        widening=widening,
        members=told["members"],
    )
    if oblique and not found.beyond:  # other axes, of which no wider box has shown anything
        settled = {}
    inner = BoxedPrior.of(whole, found.faces)
    reader = reading.open_campaign(simulations)
    joint = priors.build(told["priors"], told["parameters"]).keep(reader.stored)
    counted = count_within(reader, listed, joint, found)
    made = {
        "key": key,
        "mass": mass,
        **asdict(found),
        "volume": inner.volume,
        "values": _values(inner, theta),
        "settled": settled,
        **counted,
        "before": {"rows": reader.rows, "simulated": simulated_rows(listed)},
        "information": _information(whole, theta),
    }
    write_text(box, json.dumps(made, indent=1) + "\n")
    logger.info(
        "the box holds %.3g of the prior, %.3g of that of this round, and %d of its %d rows",
        inner.volume,
        found.ratio,
        counted["rows"],
        reader.rows,
    )
    if found.beyond:
        names = ", ".join(found.beyond)
        logger.warning("the posterior of %s leans on a face of its box: the next is wider", names)
    if found.lost:
        names = ", ".join(found.lost)
        logger.warning("the posterior of %s lies at an end: the next box is not cut there", names)
    truth = _truth(read_dataset(observation, inputs, "observation"), whole)
    if truth is not None and not inner.contains(truth[None]).all():
        logger.warning("the truth lies outside the box: the estimator of this round is too sure")


def simulated_rows(listed: Mapping[str, Any]) -> int:
    """Return how many rows a round has simulated itself, from its manifest."""
    first = stocks_of(listed)[0]
    return first.rows if (first.source or {}).get("box") == listed.get("box") else 0


def _truth(observed: xr.Dataset, prior: Prior) -> Array | None:
    """Return the known parameters of an observation, ``(dim,)``; None unless all are known."""
    if "truth" not in observed:
        return None
    truth = observed["truth"].sel(parameter=list(prior.names)).to_numpy()
    return truth if np.isfinite(truth).all() else None


def _calibration(data: xr.Dataset, prior: Prior) -> Calibration:
    mean, ranks, pulls = (data[name].to_numpy() for name in ("mean", "ranks", "pulls"))
    kept: dict[str, Array] = {}
    if "draws" in data:
        kept["drawn"] = data["draws"].to_numpy().astype(float)
        kept["truth"] = reachable(prior.to_normal(data["truth"].to_numpy()))
    # A posterior whose draws are all the same, of a chain that was stuck, has no pull.
    return Calibration(mean, ranks, int(data.attrs["draws"]), np.nan_to_num(pulls), **kept)


def _settled(before: Sequence[Path], keys: Keys | None) -> dict[str, tuple[bool, bool]]:
    """Return sides on which a wider box has shown nothing: those that the one before moved out."""
    settled: dict[str, tuple[bool, bool]] = {}
    for path in before:
        box = json.loads(path.read_text())
        check_key(box["key"], keys, "before", path)
        for known in (box["settled"], box["beyond"]):
            for name, (low, high) in known.items():
                own = settled.get(name, (False, False))
                settled[name] = (own[0] or low, own[1] or high)
    return settled


def count_within(
    reader: reading.Reader, listed: Mapping[str, Any], prior: Prior, box: Box
) -> dict[str, int]:
    """Return how many rows lie within a box, failed ones counted.

    Of a box that reaches beyond that of the round, all ``rows`` of the round do; those of earlier
    rounds that lie ``outside`` the round's box count where their own box holds the new one.

    Args:
        reader: Of the round.
        listed: Its manifest.
        prior: The whole one, of the parameters that are stored.
        box: The new box.
    """
    inner = BoxedPrior.of(prior, box.faces)
    if not box.beyond:
        rows = sum(int(inner.contains(block.outcomes()[0]).sum()) for block in reader.blocks)
        return {"rows": rows, "outside": 0}
    own, outside = BoxedPrior.of(prior, listed["box"]), 0
    holding = [_holds(stock, box) for stock in stocks_of(listed)]
    for block in reader.blocks:
        if holding[block.stock]:
            theta = replace(block, inside=None).outcomes()[0]
            outside += int((inner.contains(theta) & ~own.contains(theta)).sum())
    return {"rows": reader.rows, "outside": outside}


def _holds(stock: Stock, box: Box) -> bool:
    """Say whether rows were simulated, and are taken, from all of a box."""
    return stock.within is None and holds((stock.source or {"box": {}})["box"], box.faces)


def _values(prior: BoxedPrior, theta: Array) -> dict[str, list[float | None]]:
    """Return the faces of a box in the parameters' own units, others at medians of a posterior.

    None is infinite. Of a joint prior of the user's own, which is cut in coordinates of its own,
    there are none.
    """
    if not isinstance(prior.whole, priors.NamedPrior):
        return {}
    values = prior.face_values(np.median(theta, axis=0))
    return {
        name: [each if np.isfinite(each) else None for each in ends]
        for name, ends in values.items()
    }


def _information(prior: Prior, theta: Array) -> float:
    """Return the information of a posterior over the prior, in nats, as if it were normal."""
    covariance = np.atleast_2d(np.cov(reachable(prior.to_normal(theta)).T))
    covariance += ALL_THE_SAME**2 * np.eye(len(covariance))
    return float(-0.5 * np.linalg.slogdet(covariance)[1])
