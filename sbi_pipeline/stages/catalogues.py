"""Catalogues: `collect` reads a table of objects, `tabulate` lists what was inferred of them."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from .. import catalogues, observations, summaries
from ..campaigns.given_rows import Engine
from ..campaigns.settings import Limits
from ..conditions import conditions_in
from ..fingerprint import digest, of_array
from ..model import Model
from ..priors import reference_draws
from ..priors.circles import periods_of
from ..sidecars import renamed_into, write_text
from ..storage import collected
from ..storage import draws as storage
from ..storage.missing_elements import MissingElements
from ..types import Array
from .files import Keys, check_key, write_dataset
from .observations import check_network_suits, one_data_set

logger = logging.getLogger(__name__)

AT_ONCE = 1_000
"""Objects that are read at once."""


def collect(
    *,
    catalogue: Path,
    layout: catalogues.Layout,
    model: Model,
    key: str,
    known_parameters: Sequence[str] = (),
    networks: Sequence[Mapping[str, Any]] = (),
    limits: Limits | None = None,
    missing: MissingElements | None = None,
    x_shape: Sequence[int] | None = None,
) -> None:
    """Read a table of objects and hold it against one simulation and the prior.

    ``networks`` are held against the data as by `observe`; ``x_shape`` is as there.

    Writes: ``catalogue``, a netCDF file: data, names, known truths and conditions of the objects.
    """
    prior = model.build_prior()
    with Engine(model, "observe/simulate", limits or Limits()) as engine:
        x, _ = one_data_set(engine, prior, {}, 0, x_shape, missing)
    for network in networks:
        check_network_suits(x.shape, **network)
    table = catalogues.open_catalogue(layout)
    catalogues.check_objects(table)
    catalogues.check_against_prior(table, prior)
    catalogues.check_conditions(table, conditions_in(prior, known_parameters))
    starts = range(0, len(table), AT_ONCE)
    ends = (min(first + AT_ONCE, len(table)) for first in starts)
    gaps = missing is not None
    data = (table.data(*each, gaps=gaps) for each in zip(starts, ends, strict=True))
    fitted = (observations.fit_shape(layout.table, each, x.shape) for each in data)
    attrs = {"source": f"table {layout.table}", "key": key}
    collected.write(catalogue, table.names, table.truths, x.shape, fitted, attrs, table.known)


def tabulate(
    *,
    catalogue: Path,
    receipts: Sequence[Path],
    table: Path,
    parquet: Path,
    worst: Path,
    facts: Path,
    store: Path,
    model: Model,
    inferred_parameters: Sequence[str],
    key: str,
    derived: Mapping[str, str] | None = None,
    texts: Mapping[str, Mapping[str, str]] | None = None,
    data: Mapping[str, Any] | None = None,
    inputs: Keys | None = None,
) -> None:
    """List the objects of a catalogue, a row each, as CSV and as Parquet.

    Reads: ``catalogue``, ``receipts``, and the ``store`` of draws. Writes: ``table``,
    ``parquet``; in ``worst`` the objects that look least like what was predicted for them, and in
    ``facts`` what the page tells of all.

    Raises:
        ValueError: The store was made with another estimator or other options, or lacks objects.
    """
    derived, parts = derived or {}, [json.loads(each.read_text()) for each in receipts]
    drawn = storage.DrawStore(store)
    with collected.opened(catalogue) as known:
        check_key(known.key, inputs, "catalogue", catalogue)
        _check_store(drawn, parts, known)
        truths = summaries.with_derived_truths(known.truths, derived)
        summary, shown = drawn.summary(), dict(drawn.worst())
        rows = summaries.rows(known.names, summary, truths, known.known)
        of = [which for which in summaries.worst(summary) if which in shown]
        x = [known.data(slice(which, which + 1))[0] for which in of]
        source = known.source
    _write_table(rows, table, parquet)
    names, predicted = [known.names[which] for which in of], [shown[which] for which in of]
    write_dataset(worst, _labelled(names, x, predicted, drawn.form, data or {}))
    prior = model.build_prior().keep(tuple(inferred_parameters))
    periods = periods_of(prior)
    from_prior = summaries.with_derived(
        dict(zip(prior.names, reference_draws(prior, seed=1).T, strict=True)), derived
    )
    told = {
        "key": key,
        "source": source,
        "objects": len(rows["object"]),
        "draws": drawn.form.draws,
        "flagged": summaries.FLAGGED,
        "reference": parts[0]["reference"],
        "least_p": parts[0]["least_p"],
        "seconds": sum(part["seconds"] for part in parts),
        "notes": sorted({problem for part in parts for problem in part["problems"]}),
        "parameters": {
            name: {
                "label": name,
                "unit": "",
                **(texts or {}).get(name, {}),
                "prior_mean": float(values.mean()),
                "prior_sd": float(values.std(ddof=1)),
                "derived": name in derived,
                **({"period": periods[name][1] - periods[name][0]} if name in periods else {}),
            }
            for name, values in from_prior.items()
        },
    }
    write_text(facts, json.dumps(told, indent=1) + "\n")
    shutil.rmtree(table.with_name("work"), ignore_errors=True)


def _check_store(
    store: storage.DrawStore, parts: Sequence[Mapping[str, Any]], known: collected.Collected
) -> None:
    """Refuse a store that holds no draws of these objects by this estimator."""
    recipes = {part["recipe"] for part in parts}
    if recipes != {store.form.recipe}:
        raise ValueError(
            f"{store.path} was made with another estimator or other options than its receipts say; "
            "delete it and run snakemake again"
        )
    size = store.form.block
    for number, found in enumerate(store.made()):
        rows = slice(number * size, min((number + 1) * size, store.objects))
        if store.objects != len(known.names) or found != block_key(
            store.form.recipe, number, known, rows
        ):
            raise ValueError(
                f"{store.path} lacks objects {rows.start} to {rows.stop} of {len(known.names)}; "
                "delete it and run snakemake again"
            )


def _write_table(rows: pd.DataFrame, table: Path, parquet: Path) -> None:
    for path, write in ((table, rows.to_csv), (parquet, rows.to_parquet)):
        with renamed_into(path) as partial:
            write(partial, index=False)


def _labelled(
    names: Sequence[str],
    x: Sequence[Array],
    predicted: Sequence[Array],
    form: storage.Form,
    data: Mapping[str, Any],
) -> xr.Dataset:
    """Return objects with quantiles of what is predicted for them, and texts for figures."""
    dims = [f"x_dim_{axis}" for axis in range(len(form.x_shape))]
    shape, levels = form.x_shape, len(form.levels)
    blank = observations.with_texts(xr.DataArray(np.zeros(shape), dims=dims), data)
    values = (
        np.reshape(x, (len(names), *shape)),
        np.reshape(predicted, (len(names), levels, *shape)),
    )
    return xr.Dataset(
        {
            "x": (("object", *dims), values[0], blank.attrs),
            "predicted": (("object", "level", *dims), values[1]),
        },
        {**blank.coords, "object": list(names), "level": list(form.levels)},
    )


def block_key(recipe: str, number: int, known: collected.Collected, rows: slice) -> int:
    """Return what tells whether a block is still what would be made, not 0."""
    truths = {name: of_array(values[rows]) for name, values in known.truths.items()}
    content = [recipe, number, of_array(known.data(rows)), truths]
    if known.known:
        content.append({name: of_array(values[rows]) for name, values in known.known.items()})
    return int(digest(content), 16) or 1
