"""What other stages made of a campaign, read for its page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from .. import priors
from ..populations import CatalogueParameter, ObservedCatalogue, Population
from ..priors.boxes import BoxedPrior, truncated
from ..rounds import DescribedRound, SimulatedRounds
from ..sampled_posteriors import ObservedData, SampledPosterior
from ..storage.netcdf import read_groups, read_root
from ..subjects import Nuisances, TrainedEstimator
from ..types import Array, Prior
from .files import Keys, check_key, read_dataset
from .rounds import simulated_rows


def read_trained(path: Path, history: Path, calibration: Path, keys: Keys) -> TrainedEstimator:
    """Read one trained estimator, how it was trained and what it says of held-out simulations."""
    name, header = path.parent.name, json.loads(path.read_text())
    data = read_dataset(calibration, keys, f"calibration of {name}")
    told = {"failures": header["failures"], "search": header["search"]}
    told["departure"] = header.get("departure")
    told["masks"] = header.get("masks")
    told["prior"] = truncated(priors.of_header(header), header.get("box"))
    told["left_out"] = header.get("left_out")
    told["unseen"] = _unseen(header)
    told["usual_epochs"] = header.get("usual_epochs")
    told["events_in_box"] = bool(header.get("events") and header.get("box"))
    return TrainedEstimator(name, header["method"], pd.read_csv(history), data, **told)


def network_options(path: Path) -> dict[str, Any]:
    """Return the options that a network got, from the header of its estimator."""
    header = json.loads(path.read_text())
    return {**header["network"], "members": header["members"]}


def read_refined(calibration: Path, prior: Prior | None, keys: Keys) -> TrainedEstimator:
    """Read what a refined posterior says of held-out simulations."""
    name = calibration.parent.name
    data = read_dataset(calibration, keys, f"calibration of {name}")
    return TrainedEstimator(name, str(data.attrs["method"]), None, data, prior=prior)


def _unseen(header: Mapping[str, Any]) -> str:
    """Return what of x a network does not see, with the option that shows it; empty for nothing."""
    network, columns = header["network"], math.prod(header["x_shape"])
    kept = network.get("columns")
    if kept is not None and len(kept) < columns:
        return f"columns: all; it sees {len(kept)} of {columns}"
    return "summaries: null; it sees summaries" if network.get("summaries") else ""


def read_learnt(paths: Sequence[Path], keys: Keys) -> Nuisances | None:
    """Read the ranks of nuisances, if there are any to read."""
    found = [Nuisances(read_dataset(path, keys, "nuisances")) for path in paths]
    return found[0] if found else None


def read_rounds(
    boxes: Sequence[Path],
    earlier: Sequence[Path],
    headers: Sequence[Path],
    listed: Mapping[str, Any],
    observed: Sequence[ObservedData],
    keys: Keys,
) -> SimulatedRounds:
    """Gather the rounds of the one observation they are about."""
    found = [json.loads(path.read_text()) for path in boxes]
    for number, (path, box) in enumerate(zip(boxes, found, strict=True), start=2):
        check_key(box["key"], keys, f"box {number}", path)
    trees = [read_groups(path) for path in earlier]
    whole = priors.of_header(json.loads(headers[0].read_text()))
    (observation,) = observed
    last = {"rows": listed["rows"], "simulated": simulated_rows(listed)}
    made = [*(box["before"] for box in found), last]
    within = [whole, *(BoxedPrior.of(whole, box["faces"]) for box in found)]
    return SimulatedRounds(
        observation=observation.name,
        estimator=earlier[0].parent.parent.name,
        rounds=[
            DescribedRound(number, each["rows"], each["simulated"], prior)
            for number, (each, prior) in enumerate(zip(made, within, strict=True), start=1)
        ],
        boxes=found,
        earlier=trees,
        last=observation.posteriors,
        mass=found[0]["mass"],
    )


def read_observed(
    path: Path,
    posteriors: Sequence[Path],
    keys: Keys,
    edges: Mapping[str, Array | None],
    **told: Any,
) -> ObservedData:
    """Gather the posteriors of one observation.

    ``edges`` are those of held-out posteriors by estimator; ``told`` is the rest of the record.
    """
    name = path.stem
    made = {}
    for folder in posteriors:
        if folder.name == name:
            who = folder.parent.name
            said = f"posterior of {who}, {name}"
            predictive = read_dataset(folder / "predictive.nc", keys, said)
            tree = read_groups(folder / "posterior.nc")
            table = pd.read_csv(folder / "diagnostics.csv")
            known = None if predictive.attrs.get("simulated") == 0 else predictive
            of = who if who in edges else tree.attrs.get("proposal")
            sbc = _posterior_sbc(folder / "posterior_sbc.nc", keys, f"{who}, {name}")
            made[who] = SampledPosterior(who, name, tree, table, known, edges.get(of), sbc)
    return ObservedData(name, read_dataset(path).attrs["source"], made, **told)


def _posterior_sbc(path: Path, keys: Keys, subject: str) -> xr.Dataset | None:
    """Read ranks where a posterior is, if they were asked for."""
    asked = f"posterior SBC of {subject}"
    return read_dataset(path, keys, asked) if asked in keys else None


def read_population(folder: Path, keys: Keys) -> tuple[str, Population]:
    """Read what one estimator says of a catalogue, and where that came from, in words."""
    who, name = folder.parent.name, folder.name
    path = folder / "objects.json"
    facts = json.loads(path.read_text())
    check_key(facts["key"], keys, f"catalogue {who}, {name}", path)
    worst = folder / "worst.nc"
    data = read_root(worst) if worst.exists() else None
    # Names as they stand: 007 is no 7, and NA no missing value.
    texts = {"dtype": {"object": str, "flags": str}, "keep_default_na": False, "na_values": [""]}
    table = folder / "objects.csv"
    listed = pd.read_csv(table, **texts) if table.stat().st_size else pd.DataFrame()
    if len(listed) != facts["objects"]:
        raise ValueError(
            f"{table} lists {len(listed)} objects of {facts['objects']}; delete it and run "
            "snakemake again"
        )
    population = Population(
        name=who,
        catalogue=name,
        table=listed.fillna({"flags": ""}),
        parameters={each: CatalogueParameter(**of) for each, of in facts["parameters"].items()},
        draws=facts["draws"],
        level=facts.get("flagged", Population.level),
        reference=facts.get("reference"),
        least_p=facts.get("least_p"),
        worst=data,
        seconds=facts["seconds"],
        notes=facts["notes"],
    )
    return facts["source"], population


def by_catalogue(found: Sequence[tuple[str, Population]]) -> list[ObservedCatalogue]:
    """Gather what estimators say of the same catalogue."""
    sources = {each.catalogue: source for source, each in found}
    return [
        ObservedCatalogue(
            name, source, {each.name: each for _, each in found if each.catalogue == name}
        )
        for name, source in sources.items()
    ]
