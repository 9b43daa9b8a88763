"""Observations: `observe` reads them, or simulates them with a known truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import observations
from ..campaigns.given_rows import Engine
from ..campaigns.settings import Limits
from ..conditions import conditions_in
from ..model import Model
from ..observation_files import Wanted, read_observation
from ..simulators.absent import ABSENT
from ..storage.missing_elements import MissingElements
from ..types import Array, Prior, declared_columns
from .files import one_by_one, write_arrays


def check_network_suits(
    x_shape: tuple[int, ...], estimator: str, method: str, options: Mapping[str, Any]
) -> None:
    """Refuse a network that does not suit data of a shape.

    Args:
        x_shape: Of one data set.
        estimator: Its name, for the message.
        method: Its method.
        options: Of the network.

    Raises:
        ValueError: It does not.
    """
    from ..estimators import estimator_class  # noqa: PLC0415 - torch takes seconds

    try:
        estimator_class(method).check(x_shape, **options)
    except ValueError as error:
        raise ValueError(f"the network of {estimator!r} does not suit the data: {error}") from error


def one_data_set(
    engine: Engine,
    prior: Prior,
    known: Mapping[str, float],
    seed: int,
    x_shape: Sequence[int] | None,
    missing: MissingElements | None,
) -> tuple[Array, Array]:
    """Return one data set and all its parameters, see `observations.simulate_observation`.

    Of existing simulations, with data of ``x_shape``, it is one of zeros where there is no
    simulator.

    Raises:
        ValueError: The simulator fails, or has data of another shape.
    """
    if x_shape is not None and engine.model.simulator == ABSENT:
        return np.zeros(tuple(x_shape)), np.full(len(prior.names), np.nan)
    x, row = observations.simulate_observation(engine, prior, known, seed, missing)
    if x_shape is not None and x.shape != tuple(x_shape):
        raise ValueError(
            f"{engine.model.simulator} gives data of shape {x.shape}, the existing simulations "
            f"have {tuple(x_shape)}; wanted the simulator that made them, or none"
        )
    return x, row


@dataclass(frozen=True)
class ToObserve:
    """An observation that is read or simulated.

    Attributes:
        observation: Where it is written.
        key: Its key.
        truth: Known parameters; those of a file may be partial.
        known: Known conditions: numbers, or lists of one for each event.
        file: Where it is read from; None if it is simulated.
        columns: Columns of the file that are data; empty for those of the simulator's, or all.
        seed: Of the parameters that are not given, and of the simulation.
        events: How many are tried, if it is a set of them and is simulated.
        tried: How many were, of a file, where its campaign has a selection ``tried``.
        parts: Observations that are joined in it, by name, each ``truth``, ``file``, ``seed``,
            ``events`` and ``tried``; None where it is one itself.
    """

    observation: Path
    key: str
    truth: Mapping[str, float] | None = None
    known: Mapping[str, Any] | None = None
    file: str | None = None
    columns: Sequence[str] = ()
    seed: int = 0
    events: int | None = None
    tried: int | None = None
    parts: Mapping[str, Mapping[str, Any]] | None = None


def observe(
    *,
    each: Sequence[ToObserve],
    model: Model,
    inferred_parameters: Sequence[str] = (),
    known_parameters: Sequence[str] = (),
    several: bool = False,
    selection: str | None = None,
    networks: Sequence[Mapping[str, Any]] = (),
    limits: Limits | None = None,
    missing: MissingElements | None = None,
    x_shape: Sequence[int] | None = None,
) -> Iterator[ToObserve]:
    """Read observations, or simulate them with a known truth.

    The simulator is called once in any case: whether its data have the observations' shape is
    better known before a campaign than after. With ``several``, one simulation is one event, and
    an observation has several; with a ``selection`` of ``tried`` or ``all`` it says how many were
    tried, and with ``all`` events of a file that failed are NaN. ``networks`` are held against the
    data as early, each ``estimator``, ``method`` and ``options``. Existing simulations have data of
    ``x_shape``, and need no simulator. With each observation go the values of ``known_parameters``:
    those of what is simulated are given, or drawn from their prior.

    Writes: ``observation`` of each, a netCDF file.

    Raises:
        ValueError: Shapes differ, a network does not suit the data, or the simulator fails.
    """
    prior, names = model.build_prior(), tuple(model.parameters)
    conditions, guard = conditions_in(prior, known_parameters), limits or Limits()
    declared = declared_columns(model.build_simulator())
    counted, with_failed = selection in ("tried", "all"), selection == "all"
    gaps = missing is not None
    with (
        Engine(model, "observe/simulate", guard) as engine,
        Engine(model, "observe/events/simulate", guard) as single,
    ):

        def observed(one: ToObserve) -> tuple[Array, Array | None, Array, int]:
            given = {**(one.truth or {}), **(one.known or {})}
            first = {name: np.ravel(value)[0] for name, value in given.items()}
            x, row = one_data_set(engine, prior, first, one.seed, x_shape, missing)
            truth: Array | None = row
            tried = one.events or one.tried or 1
            known = row[[names.index(name) for name in conditions.names]]
            for network in networks:
                check_network_suits(x.shape, **network)
            if one.file is not None:
                wanted = Wanted(tuple(one.columns), declared, gaps or with_failed)
                x_o = read_observation(one.file, wanted)
                x = observations.check_shape(one.file, x_o, x.shape, several)
                if with_failed:
                    tried = len(x)
                    x = observations.events_that_worked(x, gaps)
                truth = observations.truth_of(given, names) if one.truth else None
                known = conditions.of(one.known, x.shape[:several])
            elif several:
                x, truth, known = observations.simulate_events(
                    single,
                    prior,
                    given,
                    row,
                    inferred_parameters,
                    one.events or 1,
                    one.seed,
                    conditions.names,
                    missing,
                )
            return x, truth, known, tried

        def work(one: ToObserve) -> None:
            told = {"source": "simulated" if one.file is None else f"file {one.file}"}
            if one.parts is None:
                x, truth, known, tried = observed(one)
            else:
                every = [observed(replace(one, **each, parts=None)) for each in one.parts.values()]
                parts, tried = [each[:3] for each in every], sum(each[3] for each in every)
                x, truth, known = observations.join_observations(
                    parts, several, set(inferred_parameters), names
                )
                told["source"] = f"{' and '.join(one.parts)}, joined as of one source"
                told |= {} if several else {"joined": str(len(parts))}
            told |= {"tried": str(tried)} if counted else {}
            data = observations.label_observation(x, truth, names, known, conditions.names)
            write_arrays(one.observation, data, {**told, "key": one.key})

        yield from one_by_one(each, work, lambda one: one.observation.stem)
