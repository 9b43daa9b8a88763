"""The page of a campaign: `report` gathers what the other stages made, checks it and tells it."""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .. import plots
from ..diagnostics import comparison
from ..reports import assessment, contents
from ..reports import report as page
from ..reports.verdict import to_json
from ..storage import reading
from ..types import Array, Status
from .files import Keys, noise_at_load, read_dataset, read_manifest, write

VERSIONS = (
    "sbi-pipeline",
    "torch",
    "nflows",
    "emcee",
    "arviz",
    "dask",
    "zarr",
    "numpy",
    "snakemake",
)
MAPPED_ROWS = 200_000
CLASSIFIED = 1_000
"""Draws of each posterior given to a classifier; a pair takes about a second."""


def report(
    *,
    simulations: Path,
    observations: Sequence[Path],
    headers: Sequence[Path],
    histories: Sequence[Path],
    calibrations: Sequence[Path],
    posteriors: Sequence[Path],
    diagnostics: Sequence[Path],
    predictives: Sequence[Path],
    report: Path,
    verdict: Path,
    figures: Path,
    campaign: str,
    title: str,
    question: str,
    simulator: str,
    parameters: Sequence[Mapping[str, str]],
    configuration: str,
    inputs: Keys,
    thresholds: Mapping[str, Mapping[str, Any]] | None = None,
    noise: Mapping[str, Any] | None = None,
) -> None:
    """Check everything and tell it on one page.

    Reads: all that was made of a campaign. Writes: ``report``, ``verdict``, and every figure as
    PNG and PDF in the folder ``figures``.
    """
    listed = read_manifest(simulations, inputs, "manifest")
    trained = [
        _estimator(*files, inputs) for files in zip(headers, histories, calibrations, strict=True)
    ]
    observed = [
        _observation(path, posteriors, diagnostics, predictives, inputs, place < contents.MAX_SHOWN)
        for place, path in enumerate(observations)
    ]
    inferred = [p["name"] for p in parameters if p["role"] == "inferred"]
    reader = reading.open_campaign(simulations, inferred, noise_at_load(noise))
    seen = reader.collect({"train": assessment.REFERENCE_ROWS, "test": _calibrated(trained)})
    failed = _failed(reader) if any(listed["failures"].values()) else None
    ask = assessment.asker(thresholds or {})
    found = [
        *assessment.of_simulations(listed["failures"], listed["rows"], failed, ask),
        *itertools.chain(*(assessment.of_estimator(each, ask) for each in trained)),
        *assessment.of_neighbourhood(trained, observed, seen["test"], ask),
        *itertools.chain(
            *(assessment.of_observation(each, seen["train"].x, inferred, ask) for each in observed)
        ),
        *assessment.of_events(trained, observed, seen["train"].x.ndim - 1, ask),
    ]
    told = contents.Report(
        campaign=campaign,
        title=title,
        question=question,
        simulator=simulator,
        parameters=[contents.Parameter(**each) for each in parameters],  # type: ignore[arg-type]
        rows=listed["rows"],
        failures=listed["failures"],
        checks=found,
        estimators=trained,
        observations=observed,
        config_yaml=configuration,
        versions=_versions(),
        keys={"simulations": listed["simulation_key"], **inputs},
        timings=_timings(listed, trained, observed),
        failed_theta=failed,
        errors=listed["examples"],
        epilogue="Save the configuration below as config/config.yaml and run snakemake.",
    )
    figures.mkdir(parents=True, exist_ok=True)
    images = {}
    for stem, figure in page.figures(told):
        plots.save(figure, figures, stem)
        images[stem] = (figures / f"{stem}.png").read_bytes()
    write(verdict, to_json(found) + "\n")
    write(report, page.render(told, images))


def _estimator(path: Path, history: Path, calibration: Path, keys: Keys) -> contents.Estimator:
    name, header = path.parent.name, json.loads(path.read_text())
    data = read_dataset(calibration, keys, f"{name}/calibrate")
    told = {"failures": header.get("failures", {}), "search": header.get("search", [])}
    return contents.Estimator(name, header["method"], pd.read_csv(history), data, **told)


def _observation(
    path: Path,
    posteriors: Sequence[Path],
    diagnostics: Sequence[Path],
    predictives: Sequence[Path],
    keys: Keys,
    classify: bool,
) -> contents.Observation:
    """Gather the posteriors of one observation, and compare them pair by pair.

    ``classify`` asks for C2ST too, which takes a second a pair: too long for hundreds.
    """
    name = path.stem
    made = {}
    for files in zip(posteriors, diagnostics, predictives, strict=True):
        folder = files[0].parent
        if folder.name == name:
            predictive = read_dataset(files[2], keys, f"{folder.parent.name}/{name}")
            with xr.open_datatree(files[0], engine="h5netcdf") as tree:
                table = pd.read_csv(files[1])
                made[folder.parent.name] = contents.Posterior(tree.load(), table, predictive)
    pairs = list(_independent(made))
    comparisons = {
        f"{a} and {b}": comparison.compare_marginals(
            one.columns, other.columns, effective=(one.effective, other.effective)
        )
        for (a, one), (b, other) in pairs
    }
    classified = pairs if classify else []
    accuracies = {f"{a} and {b}": _accuracy(one, other) for (a, one), (b, other) in classified}
    source = read_dataset(path).attrs["source"]
    return contents.Observation(name, source, made, comparisons, accuracies)


def _independent(
    made: Mapping[str, contents.Posterior],
) -> Iterator[tuple[tuple[str, contents.Posterior], tuple[str, contents.Posterior]]]:
    """Pair posteriors, but for one refined and its own proposal: those are meant to differ.

    What the proposal missed shows in the weights.
    """
    for one, other in itertools.combinations(made.items(), 2):
        proposals = [each.tree.attrs.get("proposal") for _, each in (one, other)]
        if one[0] != proposals[1] and other[0] != proposals[0]:
            yield one, other


def _accuracy(one: contents.Posterior, other: contents.Posterior) -> tuple[float, int]:
    """Return how well a classifier tells two posteriors apart, and from how many draws."""
    effective = [*one.effective.values(), *other.effective.values()]
    size = max(20, int(np.nanmin([CLASSIFIED, *effective])))
    a, b = (np.stack(list(each.columns.values()), axis=1) for each in (one, other))
    return comparison.c2st(a, b, n=size), size


def _calibrated(trained: Sequence[contents.Estimator]) -> int:
    """Return how many held-out simulations the estimators were asked about, at most."""
    data = [each.calibration for each in trained if each.calibration is not None]
    return max((each.sizes["simulation"] for each in data), default=0)


def _failed(reader: reading.Reader) -> tuple[dict[str, Array], Array] | None:
    """Return parameters of the first rows and why each failed, if any did, for a map."""
    _, theta, status = zip(*reader.outcomes(MAPPED_ROWS), strict=True)
    reasons = [Status(code).label if code else "" for code in np.concatenate(status)]
    if not any(reasons):
        return None
    columns = np.concatenate(theta).T
    return dict(zip(reader.stored, columns, strict=True)), np.array(reasons)


def _versions() -> dict[str, str]:
    found = {name: importlib.metadata.version(name) for name in VERSIONS}
    return {"python": platform.python_version(), **found}


def _timings(
    listed: Mapping[str, Any],
    trained: Sequence[contents.Estimator],
    observed: Sequence[contents.Observation],
) -> dict[str, float]:
    """Return seconds of work by stage."""
    timings = {"simulate": float(sum(shard["seconds"] for shard in listed["shards"]))}
    for each in trained:
        timings[f"train {each.name}"] = float(each.history["seconds"].iloc[-1])
        if each.calibration is not None:
            timings[f"calibrate {each.name}"] = float(each.calibration.attrs["seconds"])
    for observation in observed:
        for who, posterior in observation.posteriors.items():
            seconds = posterior.tree["sample_stats"].attrs["seconds"]
            timings[f"sample {who}, {observation.name}"] = float(seconds)
    return timings
