"""The page of a campaign: `report` gathers what the other stages made, checks it and tells it."""

from __future__ import annotations

import itertools
import json
import math
import multiprocessing
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .. import priors, provenance
from ..diagnostics.typicality import share_missing
from ..plots import style
from ..populations import CatalogueParameter, ObservedCatalogue, Population
from ..priors.boxes import BoxedPrior, truncated
from ..reports import assessment, citation, contents
from ..reports import report as page
from ..reports.recommendation import Recommendation
from ..reports.verdict import to_json
from ..rounds import DescribedRound, SimulatedRounds
from ..sampled_posteriors import ObservedData, SampledPosterior
from ..sidecars import write_text
from ..storage import reading
from ..storage.manifest import stocks_of
from ..storage.missing_elements import MissingElements
from ..storage.noise import Noise
from ..subjects import (
    Nuisances,
    SimulatedRows,
    TrainedEstimator,
    beside_each_other,
    calibrations,
)
from ..types import Array, Outcome, Prior
from .files import Keys, check_key, read_dataset, read_manifest
from .rounds import simulated_rows

MAPPED_ROWS = 200_000


def report(
    *,
    simulations: Path,
    observations: Sequence[Path],
    headers: Sequence[Path],
    histories: Sequence[Path],
    calibrations: Sequence[Path],
    posteriors: Sequence[Path],
    report: Path,
    verdict: Path,
    figures: Path,
    recommended: Path,
    campaign: str,
    title: str,
    question: str,
    simulator: str,
    parameters: Sequence[Mapping[str, str]],
    configuration: str,
    inputs: Keys,
    refined_calibrations: Sequence[Path] = (),
    nuisance_ranks: Sequence[Path] = (),
    boxes: Sequence[Path] = (),
    rounds: Sequence[Path] = (),
    thresholds: Mapping[str, Mapping[str, Any]] | None = None,
    noise: Noise | None = None,
    missing: MissingElements | None = None,
    catalogues: Sequence[Path] = (),
    selection: str = "",
    threads: int = 1,
) -> None:
    """Check everything and tell it on one page.

    ``posteriors`` are the folders of posteriors; ``catalogues`` those of what an estimator says of
    a catalogue; ``rounds`` the posteriors that ``boxes`` were made of; ``selection`` is what is
    said of how events were selected.

    Reads: all that was made of a campaign. Writes: ``report``, ``verdict``, every figure as PNG and
    PDF in the folder ``figures``, and in ``recommended`` the posterior to take of every observation
    that has one.
    """
    listed = read_manifest(simulations, inputs, "manifest")
    files = zip(headers, histories, calibrations, strict=True)
    alone = [_estimator(*each, inputs) for each in files]
    refined = [_refined(path, alone[0].prior, inputs) for path in refined_calibrations]
    asked = beside_each_other([*alone, *refined])
    trained = asked[: len(alone)]
    inferred = [p["name"] for p in parameters if p["role"] == "inferred"]
    conditions = [p["name"] for p in parameters if p["role"] == "known"]
    reader = reading.open_campaign(simulations, inferred, noise, conditions, missing)
    seen = reader.collect({"train": assessment.REFERENCE_ROWS, "test": _calibrated(asked)})
    compared = seen["train"].x
    if reader.missing is not None and not reader.missing.rows:
        # Without the gaps that are drawn: an observation is compared in the elements that it has.
        whole = replace(reader, missing=None)
        compared = whole.collect({"train": assessment.REFERENCE_ROWS})["train"].x
    observed = [
        _observation(
            path,
            posteriors,
            inputs,
            {each.name: each.edges for each in asked},
            simulated=compared,
            missing=None if missing is None else share_missing(seen["train"].x),
            simulated_known=seen["train"].known,
            conditions=conditions,
            inferred=inferred,
            detailed=place < contents.MAX_SHOWN,
        )
        for place, path in enumerate(observations)
    ]
    failed = _failed(reader) if any(listed["failures"].values()) else None
    weights = listed.get("weights")
    simulated = SimulatedRows(listed["rows"], listed["failures"], failed, weights, selection)
    surveyed = _catalogues([read_population(folder, inputs) for folder in catalogues])
    learnt = _nuisances(nuisance_ranks, inputs)
    chain = _rounds(boxes, rounds, headers, listed, observed, inputs) if boxes else None
    subjects = assessment.subjects_of(
        simulated, asked, observed, seen["test"], surveyed, learnt, chain, conditions
    )
    told = contents.Report(
        campaign=campaign,
        title=title,
        question=question,
        simulator=simulator,
        parameters=[contents.DescribedParameter(**each) for each in parameters],  # type: ignore[arg-type]
        simulations=simulated,
        estimators=trained,
        observations=observed,
        findings=list(assessment.assess(subjects, thresholds or {})),
        config_yaml=configuration,
        versions={**provenance.versions(), **provenance.commits()},
        keys={"simulations": listed["simulation_key"], **inputs},
        timings=_timings(listed, asked, learnt, observed, surveyed),
        errors=listed["examples"],
        epilogue="Save the configuration below as config/config.yaml and run snakemake.",
        catalogues=surveyed,
        rounds=chain,
        refined=asked[len(trained) :],
        networks={path.parent.name: _network(path) for path in headers},
    )
    figures.mkdir(parents=True, exist_ok=True)
    shared_out(lambda first: save_figures(told, figures, first, threads), threads)
    images = {path.stem: path.read_bytes() for path in figures.glob("*.png")}
    keep_recommended(told.recommendations, posteriors, recommended)
    methods = {"paragraph": citation.paragraph(told), "version": citation.own_version(told)}
    write_text(verdict, to_json(told.checks, told.recommendations, methods) + "\n")
    write_text(report, page.render(told, images))


def keep_recommended(
    recommendations: Mapping[str, Recommendation], posteriors: Sequence[Path], folder: Path
) -> None:
    """Copy the posterior to take of each observation to one place, if there is one to take.

    Args:
        recommendations: By observation.
        posteriors: Folders of posteriors, ``{estimator}/{observation}``.
        folder: Takes ``{observation}.nc``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for each in posteriors:
        told = recommendations.get(each.name)
        if told is not None and told.posterior == each.parent.name:
            shutil.copyfile(each / "posterior.nc", folder / f"{each.name}.nc")


def save_figures(told: contents.Report, folder: Path, first: int, step: int) -> None:
    """Draw figures of a page from the first on, every ``step``-th, and write them to a folder."""
    for stem, figure in page.figures(told, first, step):
        style.save_figure(figure, folder, stem)


def shared_out(work: Callable[[int], None], workers: int) -> None:
    """Do work that falls into parts in processes of their own, which begin with what this one has.

    Args:
        work: Takes the number of a part.
        workers: How many parts.

    Raises:
        RuntimeError: One of them failed; its traceback is on the terminal.
    """
    if sys.platform != "linux":  # elsewhere a copy of a process that draws may hang
        for part in range(workers):
            work(part)
        return
    copy = multiprocessing.get_context("fork")
    others = [copy.Process(target=work, args=(part,)) for part in range(1, workers)]
    for each in others:
        each.start()
    work(0)
    for each in others:
        each.join()
    if any(each.exitcode for each in others):
        raise RuntimeError("a figure could not be drawn")


def _estimator(path: Path, history: Path, calibration: Path, keys: Keys) -> TrainedEstimator:
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


def _network(path: Path) -> dict[str, Any]:
    """Return the options that a network got, from the header of its estimator."""
    header = json.loads(path.read_text())
    return {**header["network"], "members": header["members"]}


def _refined(calibration: Path, prior: Prior | None, keys: Keys) -> TrainedEstimator:
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


def _nuisances(paths: Sequence[Path], keys: Keys) -> Nuisances | None:
    """Read the ranks of nuisances, if there are any to read."""
    found = [Nuisances(read_dataset(path, keys, "nuisances")) for path in paths]
    return found[0] if found else None


def _rounds(
    boxes: Sequence[Path],
    earlier: Sequence[Path],
    headers: Sequence[Path],
    listed: Mapping[str, Any],
    observed: Sequence[ObservedData],
    keys: Keys,
) -> SimulatedRounds:
    """Gather the rounds of the one observation they are about."""
    found, trees = [json.loads(path.read_text()) for path in boxes], []
    for number, (path, box) in enumerate(zip(boxes, found, strict=True), start=2):
        check_key(box["key"], keys, f"box {number}", path)
    for path in earlier:
        with xr.open_datatree(path, engine="h5netcdf") as tree:
            trees.append(tree.load())
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


def _observation(
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
            with xr.open_datatree(folder / "posterior.nc", engine="h5netcdf") as tree:
                table = pd.read_csv(folder / "diagnostics.csv")
                known = None if predictive.attrs.get("simulated") == 0 else predictive
                of = who if who in edges else tree.attrs.get("proposal")
                sbc = _posterior_sbc(folder / "posterior_sbc.nc", keys, f"{who}, {name}")
                made[who] = SampledPosterior(
                    who, name, tree.load(), table, known, edges.get(of), sbc
                )
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
    worst, data = folder / "worst.nc", None
    if worst.exists():
        with xr.open_dataset(worst, engine="h5netcdf") as opened:
            data = opened.load()
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


def _catalogues(found: Sequence[tuple[str, Population]]) -> list[ObservedCatalogue]:
    """Gather what estimators say of the same catalogue."""
    sources = {each.catalogue: source for source, each in found}
    return [
        ObservedCatalogue(
            name, source, {each.name: each for _, each in found if each.catalogue == name}
        )
        for name, source in sources.items()
    ]


def _calibrated(trained: Sequence[TrainedEstimator]) -> int:
    """Return how many held-out simulations the estimators were asked about, at most."""
    sizes = (data.sizes["simulation"] for data in calibrations(trained).values())
    return max(sizes, default=0)


def _failed(reader: reading.Reader) -> tuple[dict[str, Array], Array] | None:
    """Return parameters of the first rows and why each failed, if any did, for a map."""
    theta, status = reader.outcomes(MAPPED_ROWS)
    reasons = [Outcome(code).label if code else "" for code in status]
    if not any(reasons):
        return None
    return dict(zip(reader.stored, theta.T, strict=True)), np.array(reasons)


def _timings(
    listed: Mapping[str, Any],
    trained: Sequence[TrainedEstimator],
    learnt: Nuisances | None,
    observed: Sequence[ObservedData],
    surveyed: Sequence[ObservedCatalogue],
) -> dict[str, float]:
    """Return seconds of work by stage."""
    shards = itertools.chain.from_iterable(stock.shards for stock in stocks_of(listed))
    timings = {"simulate": float(sum(shard["seconds"] for shard in shards))}
    for each in trained:
        if each.history is not None:
            timings[f"train {each.name}"] = float(each.history["seconds"].iloc[-1])
        if each.calibration is not None:
            timings[f"calibrate {each.name}"] = float(each.calibration.attrs["seconds"])
    if learnt is not None:
        timings["learn nuisances"] = float(learnt.ranks.attrs["seconds"])
    for observation in observed:
        for who, posterior in observation.posteriors.items():
            seconds = posterior.tree["sample_stats"].attrs["seconds"]
            timings[f"sample {who}, {observation.name}"] = float(seconds)
    for catalogue in surveyed:
        for who, population in catalogue.populations.items():
            timings[f"catalogue {who}, {catalogue.name}"] = population.seconds
    return timings
