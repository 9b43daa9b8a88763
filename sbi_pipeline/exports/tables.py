"""Draws as a table, a row each: CSV, Parquet, and CSV as ChainConsumer wants it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from .draws import DENSITY, WEIGHT, ExportedPosterior
from .labels import text_with_unit


def table_of_draws(posterior: ExportedPosterior) -> pd.DataFrame:
    """Return parameters, derived ones last, ``log_posterior`` where it is known, and ``weight``."""
    table = pd.DataFrame(dict(posterior.draws))
    if posterior.log_posterior is not None:
        table[DENSITY] = posterior.log_posterior
    table[WEIGHT] = posterior.weight
    return table


def write_csv(posterior: ExportedPosterior, out: Path) -> list[str]:
    """Write a CSV file with the names of the configuration as columns."""
    table_of_draws(posterior).to_csv(out, index=False)
    return []


def write_parquet(posterior: ExportedPosterior, out: Path) -> list[str]:
    """Write a Parquet file with the same columns."""
    table_of_draws(posterior).to_parquet(out, engine="pyarrow", index=False)
    return []


def write_chainconsumer(posterior: ExportedPosterior, out: Path) -> list[str]:
    """Write a CSV file whose columns are called as ChainConsumer is to label them.

    It takes ``weight`` and ``log_posterior`` for what they are.
    """
    shown = {name: text_with_unit(name, of) for name, of in posterior.columns.items()}
    if len(set(shown.values())) < len(shown):  # two parameters of one label
        shown = {name: name for name in shown}
    table_of_draws(posterior).rename(columns=shown).to_csv(out, index=False)
    return [f'read it with Chain(samples=pandas.read_csv("{out}"), name="{posterior.title}")']
