"""Observations: in the shape of the simulator's data, or simulated with a known truth."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import streams
from .observation_files import Wanted, advice, read_observation
from .shapes import fits, fitted_to
from .storage.missing_elements import MissingElements
from .types import Array, Prior, declared_shape

if TYPE_CHECKING:
    import xarray as xr

    from .campaigns.given_rows import Engine

logger = logging.getLogger(__name__)

TRIES = 20
ENDS = ((np.min, np.inf), (np.max, -np.inf))
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def simulate_observation(
    engine: Engine,
    prior: Prior,
    parameters: Mapping[str, float],
    seed: int,
    missing: MissingElements | None = None,
) -> tuple[Array, Array]:
    """Simulate one data set; parameters not given are drawn from the prior.

    Args:
        engine: What simulates.
        prior: Of all its parameters.
        parameters: Those that are given.
        seed: Of the parameters that are drawn.
        missing: What draws which elements are missing.

    Returns:
        The data, ``x_shape``, and all parameters, ``(n_parameters,)``.

    Raises:
        ValueError: The simulator failed on each of several draws.
    """
    known = {name: np.array([value]) for name, value in parameters.items()}
    problem = ""
    for attempt in range(TRIES):
        u = streams.generator(seed, "observe/prior", attempt).random((1, len(prior.names)))
        row = prior.complete(known, u)
        try:
            x = engine.replicate(row, seed=seed, start=attempt).x[0]
        except ValueError as error:
            problem = str(error)
            continue
        said = declared_shape(engine.simulator)
        if said is not None and x.shape != said:
            raise ValueError(f"the simulator says x_shape = {said}, and returned {x.shape}")
        if missing is not None:
            missing.check(x.shape)
            x = missing(x[None], np.array([attempt]), "observe", seed=seed)[0]
        if np.isnan(x).all():
            problem = "all elements were missing"
            continue
        return x, row[0]
    raise ValueError(f"the simulator failed on {TRIES} draws of {TRIES}: {problem}")


def simulate_events(
    engine: Engine,
    prior: Prior,
    parameters: Mapping[str, Any],
    row: Array,
    inferred: Sequence[str],
    events: int,
    seed: int,
    conditions: Sequence[str] = (),
    missing: MissingElements | None = None,
) -> tuple[Array, Array, Array]:
    """Simulate one data set of independent events; each has nuisances of its own.

    Args:
        engine: What simulates.
        prior: Of all its parameters.
        parameters: Those that are given: a number, or one for each event.
        row: All of them, for one event that works: the inferred ones are the same for all events.
        inferred: Their names.
        events: How many.
        seed: Of nuisances and known conditions that are not given, and of the simulations.
        conditions: Names of known conditions.
        missing: What draws which elements of each are missing.

    Returns:
        The events that worked, ``(at most events, *x_shape)``, all parameters, with NaN for
        those that differ from event to event, and the known conditions of the events.
    """
    shared = dict(zip(prior.names, row, strict=True))
    given = {name: shared[name] for name in inferred} | dict(parameters)
    known = {name: np.broadcast_to(value, (events,)) for name, value in given.items()}
    u = streams.generator(seed, "observe/events/prior").random((events, len(prior.names)))
    rows = prior.complete(known, u)
    made = engine.replicate(rows, seed=seed)
    x = made.x
    if missing is not None:
        x = missing(x, np.arange(len(x)), "observe/events", seed=seed)
    columns = [prior.names.index(name) for name in conditions]
    return x, truth_of(given, prior.names), rows[made.worked][:, columns]


def truth_of(given: Mapping[str, Any], names: Sequence[str]) -> Array:
    """Return parameters by name as a row; NaN for those not given, or one for each event."""
    common = {name: value for name, value in given.items() if np.ndim(value) == 0}
    return np.array([common.get(name, np.nan) for name in names], dtype=float)


def join_observations(
    parts: Sequence[tuple[Array, Array | None, Array]],
    events: bool,
    inferred: Collection[str],
    names: Sequence[str],
) -> tuple[Array, Array | None, Array]:
    """Return observations of one source as one.

    Args:
        parts: Data, true parameters, ``(n_parameters,)``, and known conditions of each.
        events: Whether they are sets of events, which become one set; others are stacked.
        inferred: Names of parameters that should be the same for all.
        names: Of all parameters.

    Returns:
        The data, ``(k, *x_shape)``, or ``(events, *x_shape)``; the parameters, NaN where unknown or
        different, None where nobody knows any; the known conditions, ``(k, known)``, or of events.
    """
    data, every, conditions = zip(*parts, strict=True)
    together = np.concatenate if events else np.stack
    x, known, truths = together(data), together(conditions), [t for t in every if t is not None]
    if not truths:
        return x, None, known
    stacked = np.stack(truths)
    low, high = (
        pick(stacked, axis=0, initial=far, where=np.isfinite(stacked)) for pick, far in ENDS
    )
    for name, one, other in zip(names, low, high, strict=True):
        if one < other and name in inferred:
            logger.warning("joined as of one source, with %s from %g to %g", name, one, other)
    return x, np.where(low == high, low, np.nan), known


def events_that_worked(x: Array, gaps: bool) -> Array:
    """Return the events of a set without those that failed: NaN, or only NaN where gaps may be.

    Args:
        x: Events, ``(events, *x_shape)``.
        gaps: Whether elements of an event may be missing.
    """
    missing = np.isnan(x).reshape(len(x), -1)
    return np.asarray(x[~(missing.all(axis=1) if gaps else missing.any(axis=1))])


def event_quantiles(x: Array, axis: int) -> Array:
    """Return `LEVELS` of every column over the events along an axis, there in their place."""
    return np.moveaxis(np.nanquantile(x, LEVELS, axis=axis), 0, axis)


def check_shape(path: str | Path, x_o: Array, x_shape: tuple[int, ...], several: bool) -> Array:
    """Return an observation in the shape of the simulator's data, with ``several`` of events.

    Raises:
        ValueError: It has another shape, also without axes of length one.
    """
    fitted = fitted_to(x_o, x_shape, several)
    if fitted is None:
        raise ValueError(
            f"observation {path} has shape {x_o.shape}; the simulator's data have {x_shape}"
            + (", after an axis of events" if several else "")
            + advice(path, x_o, x_shape)
        )
    return fitted


def fit_shape(table: str, x: Array, x_shape: tuple[int, ...]) -> Array:
    """Return the data of objects of a table, ``(m, *x_shape)``; axes of length one may differ.

    Raises:
        ValueError: An object has another shape.
    """
    if not fits(x.shape[1:], x_shape):
        raise ValueError(
            f"table {table}: an object has data of shape {x.shape[1:]}; the simulator's have "
            f"{x_shape}: name the columns with the data under 'columns', or take another simulator"
        )
    return x.reshape(len(x), *x_shape)


def with_texts(x: xr.DataArray, names: Mapping[str, Any]) -> xr.DataArray:
    """Return data with ``label`` and ``unit``, and for a series with its ``axis``, for figures."""
    texts = {key: names[key] for key in ("label", "unit") if key in names}
    axis = names.get("axis")
    if axis and x.ndim == 1:
        values = axis_values(axis, x.size)
        (dim,) = x.dims
        x = x.assign_coords({dim: (dim, values, {"label": axis.get("label", "")})})
    return x.assign_attrs(texts)


def axis_values(axis: Mapping[str, Any], size: int | None) -> Array:
    """Return the values along a series of data, those given or evenly spaced ones.

    Args:
        axis: What the configuration says of it.
        size: Number of elements of the data; None if it is not known.

    Raises:
        ValueError: Those given are not as many, or cannot be read.
    """
    if "values" not in axis:
        return np.asarray(axis.get("start", 1) + axis.get("step", 1) * np.arange(size or 0))
    given = axis["values"]
    if isinstance(given, str):
        columns = (axis["column"],) if "column" in axis else ()
        given = read_observation(given, Wanted(columns=columns))
    values = np.asarray(given, dtype=float)
    if values.shape != (values.size if size is None else size,):
        raise ValueError(
            f"the axis of the data has values of shape {values.shape}; the data have {size} "
            "elements: wanted one value for each, of a file with several columns that of 'column'"
        )
    return values


def label_observation(
    x: Array,
    truth: Array | None,
    names: tuple[str, ...],
    known: Array | None = None,
    conditions: tuple[str, ...] = (),
) -> dict[str, tuple[tuple[str, ...], Array]]:
    """Return an observation as arrays with the names of their dimensions.

    Args:
        x: The data, ``x_shape`` or ``(events, *x_shape)``.
        truth: True parameters, ``(n_parameters,)``; None where nobody knows them.
        names: Of the parameters.
        known: Known conditions, ``(known,)`` or ``(events, known)``.
        conditions: Their names.
    """
    labelled = {"x": (tuple(f"x_dim_{axis}" for axis in range(x.ndim)), x)}
    if truth is not None:
        labelled |= {
            "truth": (("parameter",), truth),
            "parameter": (("parameter",), np.array(names)),
        }
    if known is not None and conditions:
        labelled |= {
            "known": ((*labelled["x"][0][: known.ndim - 1], "condition"), known),
            "condition": (("condition",), np.array(conditions)),
        }
    return labelled
