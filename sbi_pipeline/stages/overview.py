"""Pages over campaigns: `compare` the fits of a sweep, `index` all pages, `judge` the verdicts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from ..diagnostics.fits import measures
from ..plots import style
from ..plots.sweeps import sweep_curves
from ..reports import overview
from ..sidecars import write_text
from .files import Keys, read_dataset


def compare(
    *,
    histories: Sequence[Path],
    calibrations: Sequence[Path],
    comparison: Path,
    table: Path,
    figure: Path,
    image: Path,
    sweep: str,
    members: Sequence[Mapping[str, Any]],
    inputs: Keys | None = None,
) -> None:
    """Compare the fits of a sweep.

    Reads: ``histories`` and ``calibrations`` of all fits. Writes: ``table``, a row a fit; its
    ``figure`` against what was varied, as PDF, and as ``image``; the page ``comparison``.
    """
    rows = [
        {**member, **measures(pd.read_csv(history), _calibration(calibration, member, inputs))}
        for member, history, calibration in zip(members, histories, calibrations, strict=True)
    ]
    fits = pd.DataFrame(rows)
    partial = table.with_name(f"{table.name}.partial")
    fits.to_csv(partial, index=False)
    partial.replace(table)
    drawn = sweep_curves(fits, overview.settings(fits), overview.MEASURES)
    style.save_figure(drawn, figure.parent, figure.stem)
    write_text(comparison, overview.render_comparison(sweep, fits, image.read_bytes()))


def _calibration(path: Path, member: Mapping[str, Any], inputs: Keys | None) -> xr.Dataset:
    return read_dataset(path, inputs, f"{member['campaign']}/{member['fit']}")


def index(
    *,
    verdicts: Sequence[Path],
    comparisons: Sequence[Path],
    index: Path,
    titles: Mapping[str, str],
) -> None:
    """List campaigns with their verdicts, and sweeps, on one page.

    Reads: ``verdict.json`` of each; ``comparisons``, to link to them. Writes: ``index``.
    """
    entries = [
        overview.Entry(
            campaign=path.parent.name,
            title=titles[path.parent.name],
            address=f"{path.parent.name}/report.html",
            verdict=json.loads(path.read_text()),
        )
        for path in verdicts
    ]
    addresses = {path.parent.name: f"{path.parent.name}/{path.name}" for path in comparisons}
    write_text(index, overview.render_index(entries, addresses))


def judge(*, verdicts: Sequence[Path], index: Path, accepted: Path) -> None:
    """Accept the verdicts, or fail; ``strict: true`` asks for it, and then it comes last.

    Reads: ``verdict.json`` of each campaign; ``index``, so that all pages are there before it
    fails. Writes: ``accepted``, the status of each.

    Raises:
        ValueError: A verdict is "fail".
    """
    found = {path.parent.name: json.loads(path.read_text()) for path in verdicts}
    if bad := [name for name, verdict in found.items() if verdict["status"] == "fail"]:
        sentences = " ".join(f"{name}: {found[name]['sentence']}" for name in bad)
        raise ValueError(f"strict, and {len(bad)} of {len(found)} verdicts failed. {sentences}")
    statuses = {name: verdict["status"] for name, verdict in found.items()}
    write_text(accepted, json.dumps(statuses, indent=2) + "\n")
