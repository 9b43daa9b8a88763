"""Observations: read from a file, or simulated with a known truth."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import streams
from .storage import noise
from .types import Array, Prior, Simulator, declared_shape, is_vectorised

if TYPE_CHECKING:
    import xarray as xr

TRIES = 20
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)

log = logging.getLogger(__name__)


def read_observation(path: str | Path) -> Array:
    """Read one data set from a .csv, .txt, .npy or .npz file.

    A text file may begin with comments (``#``) and a line of column names; one column is read as a
    vector. An .npz file holds one array.

    Raises:
        ValueError: No such file, not real numbers, or values that are NaN or infinite.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"observation {path}: no such file (looked in {Path.cwd()})")
    try:
        x = np.squeeze(_values(path))
    except Exception as error:
        raise ValueError(f"observation {path} could not be read: {error}") from error
    if not np.issubdtype(x.dtype, np.number):
        raise ValueError(f"observation {path} holds {x.dtype}; wanted numbers")
    if np.iscomplexobj(x):
        raise ValueError(
            f"observation {path} is complex; wanted real numbers: stack real and imaginary part"
        )
    if not x.size:
        raise ValueError(f"observation {path} is empty")
    if not np.isfinite(x).all():
        where = tuple(int(axis[0]) for axis in np.nonzero(~np.isfinite(x)))
        raise ValueError(f"observation {path} is NaN or infinite, first at index {where}")
    return x


def _values(path: Path) -> Array:
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            (name,) = arrays.files
            return arrays[name]
    text = path.read_text()
    first = next((line for line in text.splitlines() if line and line[0] != "#"), None)
    if first is None:
        raise ValueError("it is empty")
    separator = "," if "," in first else r"\s+"
    numbers = all(_is_number(entry) for entry in first.replace(",", " ").split())
    header = None if numbers else 0
    import pandas as pd  # noqa: PLC0415 - needed for text files alone

    return pd.read_csv(path, sep=separator, comment="#", header=header).to_numpy()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def simulate_observation(
    simulator: Simulator, prior: Prior, parameters: Mapping[str, float], seed: int
) -> tuple[Array, Array]:
    """Simulate one data set; parameters not given are drawn from the prior.

    Returns:
        The data, ``x_shape``, and all parameters, ``(n_parameters,)``.

    Raises:
        ValueError: The simulator failed on each of several draws.
    """
    known = {name: np.array([value]) for name, value in parameters.items()}
    for attempt in range(TRIES):
        u = streams.generator(seed, "observe/prior", attempt).random((1, len(prior.names)))
        row = prior.complete(known, u)
        try:
            x = call_simulator(
                simulator, row, streams.generator(seed, "observe/simulate", attempt)
            )[0]
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            continue
        if np.isfinite(x).all():
            return x, row[0]
        problem = "it returned NaN or infinite values"
    values = ", ".join(f"{n} = {v:.6g}" for n, v in zip(prior.names, row[0], strict=True))
    raise ValueError(f"the simulator failed on {TRIES} draws of {TRIES}, at {values}: {problem}")


def simulate_events(
    simulator: Simulator,
    prior: Prior,
    parameters: Mapping[str, float],
    inferred: Sequence[str],
    events: int,
    seed: int,
) -> tuple[Array, Array]:
    """Simulate one data set of independent events; each has nuisances of its own.

    Parameters not given are drawn from the prior, the inferred ones once for all events.

    Returns:
        The events that worked, ``(at most events, *x_shape)``, and all parameters, with NaN for
        those that differ from event to event.
    """
    _, row = simulate_observation(simulator, prior, parameters, seed)
    shared = {
        name: value
        for name, value in zip(prior.names, row, strict=True)
        if name in inferred or name in parameters
    }
    known = {name: np.full(events, value) for name, value in shared.items()}
    u = streams.generator(seed, "observe/events/prior").random((events, len(prior.names)))
    rng = streams.generator(seed, "observe/events/simulate")
    x = simulate_replicates(simulator, prior.complete(known, u), rng)
    return x, np.array([shared.get(name, np.nan) for name in prior.names])


def event_quantiles(x: Array, axis: int) -> Array:
    """Return `LEVELS` of every column over the events along an axis, there in their place."""
    return np.moveaxis(np.nanquantile(x, LEVELS, axis=axis), 0, axis)


def call_simulator(simulator: Simulator, parameters: Array, rng: np.random.Generator) -> Array:
    """Simulate ``(n, *x_shape)`` for parameters, ``(n, n_parameters)``, vectorised or not.

    With all noise, also that which is drawn at load elsewhere.

    Raises:
        ValueError: The first axis is not the one of the parameters, shapes differ, or they are
            not the one that the simulator says.
    """
    x = noise.add_noise(simulator, _without_noise(simulator, parameters, rng), rng)
    said = declared_shape(simulator)
    if said is not None and x.shape[1:] != said:
        raise ValueError(f"the simulator says x_shape = {said}, and returned {x.shape[1:]}")
    return x


def _without_noise(simulator: Simulator, parameters: Array, rng: np.random.Generator) -> Array:
    """Simulate as `call_simulator` does, without noise that is drawn at load elsewhere."""
    if not is_vectorised(simulator):
        return np.stack([np.asarray(simulator(row, rng)) for row in parameters])
    x = np.asarray(simulator(parameters, rng))
    if x.shape[:1] != (len(parameters),):
        raise ValueError(
            f"the simulator returned shape {x.shape} for {len(parameters)} rows of parameters; "
            f"wanted ({len(parameters)}, ...), or say `vectorised = False` in its class"
        )
    return x


def check_shape(path: str | Path, x_o: Array, x_shape: tuple[int, ...], several: bool) -> Array:
    """Return an observation in the shape of the simulator's data, with ``several`` of events.

    Raises:
        ValueError: It has another shape.
    """
    if several and x_o.size % math.prod(x_shape) == 0 and x_o.shape[1:] in (x_shape, ()):
        x_o = x_o.reshape(-1, *x_shape)
    if x_o.shape[several:] != x_shape:
        raise ValueError(
            f"observation {path} has shape {x_o.shape}; the simulator's data have {x_shape}"
            + (", after an axis of events" if several else "")
        )
    return x_o


def simulate_replicates(simulator: Simulator, parameters: Array, rng: np.random.Generator) -> Array:
    """Simulate one data set for each row of parameters, leaving out rows that fail.

    Returns:
        Data of the rows that worked, ``(at most n, *x_shape)``.

    Raises:
        ValueError: All rows failed.
    """
    x = simulate_or_nan(simulator, parameters, rng)
    finite = np.isfinite(x).reshape(len(x), -1).all(axis=1)
    if not finite.any():
        raise ValueError(f"all of {len(parameters)} simulations gave NaN or infinite values")
    return np.asarray(x[finite])


def simulate_or_nan(simulator: Simulator, parameters: Array, rng: np.random.Generator) -> Array:
    """Simulate one data set for each row of parameters, ``(n, *x_shape)``: NaN for rows that raise.

    Raises:
        ValueError: All rows raised.
    """
    try:
        return call_simulator(simulator, parameters, rng)
    except Exception as error:
        log.warning("simulated row by row, leaving out failed ones, after: %s", error)
        each = [_attempt(simulator, row, rng) for row in parameters[:, None]]
        worked = [row for row, data in enumerate(each) if data is not None]
        if not worked:
            raise ValueError(f"all of {len(parameters)} simulations failed: {error}") from error
    data = np.concatenate([each[row] for row in worked])
    x = np.full((len(parameters), *data.shape[1:]), np.nan, np.result_type(data, np.float16))
    x[worked] = data
    return x


def _attempt(simulator: Simulator, row: Array, rng: np.random.Generator) -> Array | None:
    try:
        return call_simulator(simulator, row, rng)
    except Exception as error:
        log.debug("a simulation failed: %s", error)
        return None


def with_texts(x: xr.DataArray, names: Mapping[str, Any]) -> xr.DataArray:
    """Return data with ``label`` and ``unit``, and for a series with its ``axis``, for figures."""
    texts = {key: names[key] for key in ("label", "unit") if key in names}
    axis = names.get("axis")
    if axis and x.ndim == 1:
        values = axis.get("start", 1) + axis.get("step", 1) * np.arange(x.size)
        (dim,) = x.dims
        x = x.assign_coords({dim: (dim, values, {"label": axis.get("label", "")})})
    return x.assign_attrs(texts)


def label_observation(
    x: Array, truth: Array | None, names: tuple[str, ...]
) -> dict[str, tuple[tuple[str, ...], Array]]:
    """Return an observation as arrays with the names of their dimensions.

    Args:
        x: The data, ``x_shape`` or ``(events, *x_shape)``.
        truth: True parameters, ``(n_parameters,)``; None where nobody knows them.
        names: Of the parameters.
    """
    labelled = {"x": (tuple(f"x_dim_{axis}" for axis in range(x.ndim)), x)}
    if truth is not None:
        labelled |= {
            "truth": (("parameter",), truth),
            "parameter": (("parameter",), np.array(names)),
        }
    return labelled
