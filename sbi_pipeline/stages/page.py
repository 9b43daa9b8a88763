"""The pages: `report` gathers what the other stages made, checks it and tells it; `index` lists."""

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

from .. import checks, plots, reading
from .. import estimators as estimators_module
from .. import report as page
from ..checks import Check
from ..diagnostics import calibration as calibrated
from ..diagnostics import comparison
from ..diagnostics import predictive as predicted
from ..diagnostics.failures import prior_shift
from ..types import Array, Status
from ..verdict import to_json
from .files import noise_at_load, read_dataset, read_manifest, write

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
REFERENCE_ROWS = 2_000
NEAREST = 100

Thresholds = Mapping[str, Mapping[str, Any]]


def report(
    *,
    simulations: Path,
    observations: Sequence[Path],
    estimators: Sequence[Path],
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
    keys: Mapping[str, str],
    thresholds: Thresholds | None = None,
    noise: Mapping[str, Any] | None = None,
) -> None:
    """Check everything and tell it on one page.

    Reads: all that was made of a campaign. Writes: ``report``, ``verdict``, and every figure as
    PNG and PDF in the folder ``figures``.
    """
    listed = read_manifest(simulations, keys["manifest"])
    trained = [
        _estimator(*files, keys) for files in zip(estimators, histories, calibrations, strict=True)
    ]
    observed = [
        _observation(path, posteriors, diagnostics, predictives, keys) for path in observations
    ]
    inferred = [p["name"] for p in parameters if p["role"] == "inferred"]
    reader = reading.open_campaign(simulations, inferred, noise_at_load(noise))
    seen = reader.collect({"train": REFERENCE_ROWS, "test": _calibrated(trained)})
    thresholds = thresholds or {}
    failed = _failed(reader) if any(listed["failures"].values()) else None
    found = [
        checks.failures(listed["failures"], listed["rows"], **thresholds.get("failures", {})),
        *_lost_prior(failed, thresholds),
        *itertools.chain(*(_estimator_checks(each, thresholds) for each in trained)),
        *_local_checks(trained, observed, seen["test"], thresholds),
        *itertools.chain(
            *(_observation_checks(each, seen["train"].x, thresholds) for each in observed)
        ),
    ]
    told = page.Report(
        campaign=campaign,
        title=title,
        question=question,
        simulator=simulator,
        parameters=[page.Parameter(**each) for each in parameters],  # type: ignore[arg-type]
        rows=listed["rows"],
        failures=listed["failures"],
        checks=found,
        estimators=trained,
        observations=observed,
        config_yaml=configuration,
        versions=_versions(),
        keys={"simulations": listed["simulation_key"], **keys},
        timings=_timings(listed, trained, observed),
        failed_theta=failed,
        epilogue="Save the configuration below as config/config.yaml and run snakemake.",
    )
    figures.mkdir(parents=True, exist_ok=True)
    images = {}
    for stem, figure in page.figures(told):
        plots.save(figure, figures, stem)
        images[stem] = (figures / f"{stem}.png").read_bytes()
    write(verdict, to_json(found) + "\n")
    write(report, page.render(told, images))


def index(*, specs: Sequence[Path], verdicts: Sequence[Path], index: Path) -> None:
    """List campaigns with their verdicts on one page.

    Reads: ``report.spec.json`` and ``verdict.json`` of each. Writes: ``index``.
    """
    entries = [
        page.Entry(
            campaign=path.parent.name,
            title=json.loads(spec.read_text())["title"],
            address=f"{path.parent.name}/report.html",
            verdict=json.loads(path.read_text()),
        )
        for spec, path in zip(specs, verdicts, strict=True)
    ]
    write(index, page.render_index(entries))


def _estimator(
    model: Path, history: Path, calibration: Path, keys: Mapping[str, str]
) -> page.Estimator:
    name = model.parent.name
    _, header = estimators_module.load(model)
    data = read_dataset(calibration, keys[f"{name}/calibrate"])
    return page.Estimator(name, header["method"], pd.read_csv(history), data)


def _observation(
    path: Path,
    posteriors: Sequence[Path],
    diagnostics: Sequence[Path],
    predictives: Sequence[Path],
    keys: Mapping[str, str],
) -> page.Observation:
    """Gather the posteriors of one observation, and compare them pair by pair."""
    name = path.stem
    made = {}
    for files in zip(posteriors, diagnostics, predictives, strict=True):
        folder = files[0].parent
        if folder.name == name:
            predictive = read_dataset(files[2], keys[f"{folder.parent.name}/{name}"])
            with xr.open_datatree(files[0], engine="h5netcdf") as tree:
                table = pd.read_csv(files[1])
                made[folder.parent.name] = page.Posterior(tree.load(), table, predictive)
    draws = {who: _inferred(each.tree) for who, each in made.items()}
    sizes = {
        who: dict(zip(each.summary["parameter"], each.summary["ess_bulk"], strict=True))
        for who, each in made.items()
    }
    pairs = {
        f"{a} and {b}": comparison.compare_marginals(
            draws[a], draws[b], effective=(sizes[a], sizes[b])
        )
        for a, b in itertools.combinations(made, 2)
    }
    return page.Observation(name, read_dataset(path).attrs["source"], made, pairs)


def _inferred(tree: xr.DataTree) -> dict[str, Array]:
    return {
        str(name): values.to_numpy().ravel()
        for name, values in tree["posterior"].data_vars.items()
        if "derived" not in values.attrs
    }


def _lost_prior(
    failed: tuple[Mapping[str, Array], Array] | None, thresholds: Thresholds
) -> Iterator[Check]:
    if failed is not None:
        shifts = prior_shift(failed[0], failed[1] != "")
        yield checks.lost_prior(shifts, **thresholds.get("lost_prior", {}))


def _estimator_checks(each: page.Estimator, thresholds: Thresholds) -> Iterator[Check]:
    yield checks.training(each.history, each.name, **thresholds.get("training", {}))
    if each.calibration is not None:
        for check in (checks.calibration, checks.coverage):
            yield check(each.calibration, each.name, **thresholds.get(check.__name__, {}))
        information = calibrated.information(each.calibration)
        yield checks.information(information, each.name, **thresholds.get("information", {}))
        yield checks.parameter_order(each.calibration, each.name)


def _calibrated(trained: Sequence[page.Estimator]) -> int:
    """Return how many held-out simulations the estimators were asked about, at most."""
    data = [each.calibration for each in trained if each.calibration is not None]
    return max((each.sizes["simulation"] for each in data), default=0)


def _local_checks(
    trained: Sequence[page.Estimator],
    observed: Sequence[page.Observation],
    held_out: reading.View,
    thresholds: Thresholds,
) -> Iterator[Check]:
    """Check each estimator on the held-out simulations most like each observation."""
    for estimator, observation in itertools.product(trained, observed):
        data, posterior = estimator.calibration, observation.posteriors.get(estimator.name)
        if data is None or posterior is None:
            continue
        rows = data.sizes["simulation"]
        theta, x = held_out.theta[:rows], held_out.x[:rows]
        if not np.array_equal(theta, data["truth"]):
            raise ValueError(
                f"calibration of {estimator.name} has other truths than the held-out simulations; "
                "delete it and run snakemake again"
            )
        x_o = posterior.tree["observed_data"]["x"].to_numpy()
        near = predicted.nearest(x, x_o, min(NEAREST, rows // 3))
        yield checks.local_calibration(
            data.isel(simulation=near),
            f"{estimator.name}, {observation.name}",
            **thresholds.get("local_calibration", {}),
        )


def _observation_checks(
    each: page.Observation, simulated: Array, thresholds: Thresholds
) -> Iterator[Check]:
    for who, posterior in each.posteriors.items():
        subject = f"{who}, {each.name}"
        facts = posterior.tree["sample_stats"].attrs
        yield from checks.sampling(
            posterior.summary,
            subject,
            sampler=facts["sampler"],
            steps=facts.get("steps"),
            stopped=str(facts.get("stopped", "converged")),
            **thresholds.get("sampling", {}),
        )
        limits = thresholds.get("prior_edge", {})
        yield checks.prior_edge(posterior.summary, subject, **limits)
        if posterior.predictive is not None:
            x, x_o = (posterior.predictive[name].to_numpy() for name in ("x", "x_o"))
            typical = predicted.typicality(x, x_o)
            yield checks.predictive(typical, subject, **thresholds.get("predictive", {}))
    for pair, table in each.comparisons.items():
        yield checks.agreement(table, f"{pair}, {each.name}", **thresholds.get("agreement", {}))
    if each.posteriors:
        first = next(iter(each.posteriors.values()))
        x_o = first.tree["observed_data"]["x"].to_numpy()
        typical = predicted.in_distribution(simulated, x_o)
        limits = thresholds.get("in_distribution", {})
        yield checks.in_distribution(typical, each.name, **limits)


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
    trained: Sequence[page.Estimator],
    observed: Sequence[page.Observation],
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
