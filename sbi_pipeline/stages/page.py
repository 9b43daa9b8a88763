"""The page of a campaign: `report` gathers what the other stages made, checks it and tells it."""

from __future__ import annotations

import functools
import itertools
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import provenance
from ..diagnostics.typicality import share_missing
from ..plots import style
from ..populations import ObservedCatalogue
from ..reports import assessment, citation, contents
from ..reports import report as page
from ..reports.pictures import Picture, look_of, pictures
from ..reports.recommendation import Recommendation
from ..reports.sharing import helpers
from ..reports.verdict import to_json
from ..sampled_posteriors import ObservedData
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
from ..types import Array, Outcome
from .files import Keys, read_manifest
from .results import (
    by_catalogue,
    network_options,
    read_learnt,
    read_observed,
    read_population,
    read_refined,
    read_rounds,
    read_trained,
)

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
    corner: Sequence[str] = (),
    threads: int = 1,
) -> None:
    """Check everything and tell it on one page.

    ``posteriors`` are the folders of posteriors; ``catalogues`` those of what an estimator says of
    a catalogue; ``rounds`` the posteriors that ``boxes`` were made of; ``selection`` is what is
    said of how events were selected; ``corner`` names the parameters that corner plots show, where
    not those that matter most.

    Reads: all that was made of a campaign. Writes: ``report``, ``verdict``, every figure as PNG,
    PDF and, where that is small, SVG in the folder ``figures``, and in ``recommended`` the
    posterior to take of every observation that has one.
    """
    with helpers(threads) as share:
        listed = read_manifest(simulations, inputs, "manifest")
        files = zip(headers, histories, calibrations, strict=True)
        alone = [read_trained(*each, inputs) for each in files]
        refined = [read_refined(path, alone[0].prior, inputs) for path in refined_calibrations]
        asked = beside_each_other([*alone, *refined])
        trained = asked[: len(alone)]
        inferred = [p["name"] for p in parameters if p["role"] == "inferred"]
        conditions = [p["name"] for p in parameters if p["role"] == "known"]
        reader = reading.open_campaign(simulations, inferred, noise, conditions, missing)
        seen = reader.collect({"train": assessment.REFERENCE_ROWS, "test": _calibrated(asked)})
        compared = seen["train"].x
        if reader.missing is not None and not reader.missing.rows:
            # Without the gaps that are drawn: an observation is compared in what it has.
            whole = replace(reader, missing=None)
            compared = whole.collect({"train": assessment.REFERENCE_ROWS})["train"].x
        observed = [
            read_observed(
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
        surveyed = by_catalogue([read_population(folder, inputs) for folder in catalogues])
        learnt = read_learnt(nuisance_ranks, inputs)
        chain = read_rounds(boxes, rounds, headers, listed, observed, inputs) if boxes else None
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
            findings=list(assessment.assess(subjects, thresholds or {}, share)),
            config_yaml=configuration,
            versions={**provenance.versions(), **provenance.commits()},
            keys={"simulations": listed["simulation_key"], **inputs},
            timings=_timings(listed, asked, learnt, observed, surveyed),
            errors=listed["examples"],
            epilogue="Save the configuration below as config/config.yaml and run snakemake.",
            catalogues=surveyed,
            rounds=chain,
            refined=asked[len(trained) :],
            corner=corner,
            networks={path.parent.name: network_options(path) for path in headers},
        )
        figures.mkdir(parents=True, exist_ok=True)
        look = look_of(told)
        drawings = [functools.partial(save_picture, each, look, figures) for each in pictures(told)]
        share(drawings)
        kinds = (".png", ".svg")  # an SVG is taken where there is one
        images = {
            p.stem: p.read_bytes() for kind in kinds for p in sorted(figures.glob(f"*{kind}"))
        }
    keep_recommended(told.recommendations, posteriors, recommended)
    methods = {
        "paragraph": citation.paragraph(told),
        "version": citation.own_version(told.versions),
    }
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


def save_picture(picture: Picture, look: style.Look, folder: Path) -> None:
    """Draw a figure, if there is something to see, and write it to a folder."""
    figure = picture.draw(look)
    if figure is not None:
        style.save_figure(figure, folder, picture.stem)
        style.save_small_vector(figure, folder, picture.stem)


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
