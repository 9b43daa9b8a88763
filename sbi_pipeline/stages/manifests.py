"""Which rows a campaign takes: `manifest` lists them, and how they are split and weighed."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..model import Model
from ..priors.boxes import BoxedPrior, Faces
from ..priors.departure import Departure
from ..sidecars import write_text
from ..storage.manifest import join_receipts, join_stocks, receipt_names, rows_within
from ..storage.parameters import Parameters, refuse_twice
from ..storage.weights import Weighing
from ..types import Array
from .files import Keys, check_key

logger = logging.getLogger(__name__)

FEWEST_TRUTHS = 20  # below which calibration says nothing


def manifest(
    *,
    receipts: Sequence[Path],
    simulations: Path,
    store: str,
    rows: int,
    split: Mapping[str, float],
    seed: int,
    key: str,
    source: Mapping[str, Any] | None = None,
    within: Faces | None = None,
    reused: Sequence[Mapping[str, Any]] = (),
    box: Faces | None = None,
    model: Model | None = None,
    density: Mapping[str, Any] | None = None,
    inputs: Keys | None = None,
) -> None:
    """List the simulations of a campaign and how they are split.

    Those of other campaigns, ``reused``, have each their own ``store``, ``rows``, ``seed`` and
    ``block_size``, and ``source`` if that is not the prior. With ``box``, only the rows within that
    box of the prior of ``model`` count, and of some only those ``within`` another one as well. Of
    existing simulations the rows within the prior count, weighed by their ``density``.

    Reads: receipts. Writes: ``simulations``, as JSON.
    """
    own: dict[str, Any] = {"store": store, "rows": rows}
    own |= {key: each for key, each in {"source": source, "within": within}.items() if each}
    found = []
    for name, stock in zip(receipt_names(len(reused)), [own, *reused], strict=True):
        folder = Path(stock["store"]).name
        listed = [each for each in receipts if not reused or each.parent.name == folder]
        told = {"store": stock["store"], "split": {"seed": seed, **split}}
        joined = join_receipts(listed, rows=stock["rows"], key=key, **told)
        check_key(joined["simulation_key"], inputs, name, listed[0])
        if box is not None and model is not None:
            prior = model.build_prior().keep(tuple(joined["parameters"]))
            every = [box] if stock.get("within") is None else [box, stock["within"]]
            boxes = [BoxedPrior.of(prior, faces) for faces in every]
            joined = rows_within(joined, listed, partial(_contained, boxes))
        if density is not None:
            joined = weighed(joined, listed, density)
        found.append({**joined, **stock})
    made = join_stocks(found[0], found[1:]) | ({} if box is None else {"box": dict(box)})
    write_text(simulations, json.dumps(made, indent=1) + "\n")
    if failures := made["failures"]:
        logger.warning("failed simulations: %s", failures)


def weighed(
    joined: Mapping[str, Any], receipts: Sequence[Path], density: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the record of existing simulations with what is to be known of their weights.

    Raises:
        ValueError: Rows lie where nothing was to be drawn, most lie outside the prior, or some are
            there twice.
    """
    weighing = Weighing.of(density, joined["parameters"])
    every = Parameters.read(receipts, joined["rows"])
    refuse_twice(every)
    told = weighing.look(every.theta)
    logger.info(
        "%d rows, %d outside the prior, effectively %.0f; %s",
        *(joined["rows"], told["outside"], told["effective"]),
        Departure(**told["departure"]),
    )
    made = {**joined, "weights": {**density, **told}}
    weighing = Weighing.of(made["weights"], joined["parameters"])
    refuse_few_held_out(weighing, joined["rows"] - told["outside"], joined["split"]["test"])
    if not told["outside"]:
        return made
    return {**rows_within(made, receipts, weighing.inside), "weights": made["weights"]}


def refuse_few_held_out(weighing: Weighing, rows: int, fraction: float) -> None:
    """Refuse weights that leave too few rows to calibrate with.

    Raises:
        ValueError: They do.
    """
    held_out = weighing.share(fraction) * rows
    if held_out < FEWEST_TRUTHS:
        raise ValueError(
            f"about {held_out:.0f} of {rows} rows can be held out such that they follow the "
            f"priors; at least {FEWEST_TRUTHS} are wanted: raise split.test, or add simulations "
            "where the priors are"
        )


def _contained(boxes: Sequence[BoxedPrior], parameters: Array) -> Array:
    """Return which parameters lie in all of some boxes, ``(n,)``."""
    return np.all([each.contains(parameters) for each in boxes], axis=0)
