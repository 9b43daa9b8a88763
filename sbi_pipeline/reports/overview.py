"""Pages over many fits: the list of campaigns, and the comparison of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ..diagnostics.check import STATUSES
from ..diagnostics.fits import SD_RATIO
from .rendering import embedded, template

MEASURES = {
    "nats": "information gained (nats)",
    "least_nats": "information (nats, at least)",
    "coverage_error": "error of coverage",
    "sd_ratio": "sd / prior sd",
}
"""What fits are compared by: columns of a sweep's table, in words; further ones of parameters."""
UNTOLD = ("campaign", "fit", "method")
"""Columns of a sweep's table that repeat what others say."""


@dataclass(frozen=True)
class Entry:
    """A campaign, or a comparison of some as models, on the index page.

    Attributes:
        name: Its name.
        title: Of its report.
        address: Of its report, relative to the index.
        verdict: As read from ``verdict.json``: ``status``, ``sentence`` and ``checks``.
    """

    name: str
    title: str
    address: str
    verdict: Mapping[str, Any]

    @property
    def counts(self) -> dict[str, int]:
        """Number of checks by status."""
        found = [check["status"] for check in self.verdict["checks"]]
        return {status: found.count(status) for status in STATUSES}


def render_index(
    campaigns: Sequence[Entry], models: Sequence[Entry], sweeps: Mapping[str, str]
) -> str:
    """Return a page that lists campaigns with their verdicts; it links to their reports.

    Args:
        campaigns: Campaigns.
        models: Comparisons of campaigns as models of the same data.
        sweeps: Addresses of the pages of sweeps by name, relative to the index.
    """
    return template("index.html").render(campaigns=campaigns, models=models, sweeps=sweeps)


def render_comparison(sweep: str, table: pd.DataFrame, png: bytes) -> str:
    """Return the page of one sweep.

    Args:
        sweep: Its name.
        table: One row a fit.
        png: The figure.
    """
    return template("comparison.html").render(
        sweep=sweep,
        rows=table.to_dict("records"),
        settings=settings(table),
        measures=measures_of(table),
        image=embedded(png),
        seeds=table["seed"].nunique(),
        over_rounds="observation" in table,
    )


def measures_of(table: pd.DataFrame) -> dict[str, str]:
    """Return what the fits of a sweep are compared by: columns of its table, in words."""
    of_parameters = {
        name: f"sd / prior sd, {name.removeprefix(SD_RATIO)}"
        for name in table
        if name.startswith(SD_RATIO)
    }
    seconds = "training (s)" if not of_parameters else "training, last round (s)"
    known = {**MEASURES, **of_parameters, "training_seconds": seconds}
    return {name: text for name, text in known.items() if name in table}


def settings(table: pd.DataFrame) -> list[str]:
    """Return the columns that say what a fit was made with, as far as they differ in a sweep.

    Numbers of simulations first, then options of the network, the estimator and the seed.
    """
    measured = next(iter(measures_of(table)))
    first = [str(name) for name in table.columns[: table.columns.get_loc(measured)]]
    last = ("estimator", "seed")
    options = [name for name in first if name not in (*last, *UNTOLD, "simulations")]
    told = ["simulations", *options, *last]
    return [name for name in told if table[name].nunique() > 1] or ["estimator"]
