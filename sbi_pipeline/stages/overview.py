"""Pages over campaigns: `compare` the fits of a sweep, `index` all pages, `judge` the verdicts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from .. import priors
from ..diagnostics.fits import held_out_measures, posterior_measures, training_measures
from ..plots import style
from ..plots.sweeps import sweep_curves
from ..reports import overview
from ..rounds import parameter_draws
from ..sidecars import renamed_into, write_text
from .files import Keys, check_key, read_dataset

GROUPS = ("posterior", "prior")
"""Of a posterior file, those with draws."""


def compare(
    *,
    histories: Sequence[Path],
    comparison: Path,
    table: Path,
    figure: Path,
    image: Path,
    sweep: str,
    members: Sequence[Mapping[str, Any]],
    calibrations: Sequence[Path] = (),
    headers: Sequence[Path] = (),
    posteriors: Sequence[Path] = (),
    inputs: Keys | None = None,
) -> None:
    """Compare the fits of a sweep.

    Reads: ``histories`` of all fits, and their ``calibrations``, or in a sweep over rounds their
    ``headers`` and the ``posteriors`` of observations. Writes: ``table``, a row a fit, or a
    posterior; its ``figure`` against what was varied, as PDF, and as ``image``; the page
    ``comparison``.
    """
    if posteriors:
        told = zip(headers, posteriors, members, strict=True)
        found = [_at_observation(*each, inputs) for each in told]
    else:
        known = zip(calibrations, members, strict=True)
        found = [held_out_measures(_calibration(*each, inputs)) for each in known]
    rows = [
        {**member, **measured, **training_measures(pd.read_csv(history))}
        for member, measured, history in zip(members, found, histories, strict=True)
    ]
    fits = pd.DataFrame(rows)
    with renamed_into(table) as partial:
        fits.to_csv(partial, index=False)
    drawn = sweep_curves(fits, overview.settings(fits), overview.measures_of(fits))
    style.save_figure(drawn, figure.parent, figure.stem)
    write_text(comparison, overview.render_comparison(sweep, fits, image.read_bytes()))


def _calibration(path: Path, member: Mapping[str, Any], inputs: Keys | None) -> xr.Dataset:
    return read_dataset(path, inputs, f"{member['campaign']}/{member['fit']}")


def _at_observation(
    header: Path, posterior: Path, member: Mapping[str, Any], inputs: Keys | None
) -> dict[str, float]:
    prior = priors.of_header(json.loads(header.read_text()))
    who = "/".join(member[each] for each in ("campaign", "fit", "observation"))
    with xr.open_datatree(posterior, engine="h5netcdf") as tree:
        check_key(tree.attrs["key"], inputs, who, posterior)
        theta, drawn = (parameter_draws(tree, prior.names, group) for group in GROUPS)
    return posterior_measures(theta, drawn, prior)


def index(
    *,
    verdicts: Sequence[Path],
    comparisons: Sequence[Path],
    index: Path,
    titles: Mapping[str, str],
    compared: Mapping[str, str] | None = None,
) -> None:
    """List campaigns and comparisons of models with their verdicts, and sweeps, on one page.

    Reads: ``verdict.json`` of each campaign, with its title among ``titles``, and of each
    comparison, with its title among those ``compared``; ``comparisons`` of sweeps, to link to them.
    Writes: ``index``.
    """
    named = {**titles, **(compared or {})}
    entries = [
        overview.Entry(
            name=path.parent.name,
            title=named[path.parent.name],
            address=f"{path.parent.name}/report.html",
            verdict=json.loads(path.read_text()),
        )
        for path in verdicts
    ]
    addresses = {path.parent.name: f"{path.parent.name}/{path.name}" for path in comparisons}
    campaigns = [each for each in entries if each.name in titles]
    models = [each for each in entries if each.name not in titles]
    write_text(index, overview.render_index(campaigns, models, addresses))


def judge(*, verdicts: Sequence[Path], index: Path, accepted: Path) -> None:
    """Accept the verdicts, or fail; ``strict: true`` asks for it, and then it comes last.

    Reads: ``verdict.json`` of each campaign and each comparison; ``index``, so that all pages are
    there before it fails. Writes: ``accepted``, the status of each.

    Raises:
        ValueError: A verdict is "fail".
    """
    found = {path.parent.name: json.loads(path.read_text()) for path in verdicts}
    if bad := [name for name, verdict in found.items() if verdict["status"] == "fail"]:
        sentences = " ".join(f"{name}: {found[name]['sentence']}" for name in bad)
        raise ValueError(f"strict, and {len(bad)} of {len(found)} verdicts failed. {sentences}")
    statuses = {name: verdict["status"] for name, verdict in found.items()}
    write_text(accepted, json.dumps(statuses, indent=2) + "\n")
