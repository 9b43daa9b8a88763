"""Data sets for given parameters, such as draws of a posterior: the engine of campaigns, on demand.

What is cheap, as measured, is simulated here and now, in a guarded child process. What is dear goes
through a ledger of its own, as a shard does: in parallel, committed chunk by chunk, resumed after a
kill.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import numpy as np

from ..model import Model
from ..storage.failures import count_failures, describe_failures
from ..storage.prior import write_prior
from ..storage.rows import read_rows
from ..types import Array, Outcome
from .callers import Caller
from .first_rows import PROBES, Shape, probe
from .functions import takes_many
from .settings import Effort, Limits
from .shard import NO_LIMITS, ONE_PROCESS, simulate_shard
from .simulation import Failure, simulate_rows
from .tasks import Recipe

CHEAP = 20.0  # seconds of simulating up to which no ledger is kept
BLOCK = 100  # rows of one call of a dear vectorised simulator: few, for workers to share them
LOOK = 10  # rows of the calls that tell what such a simulator costs

AUTOMATIC = (1000, 500, 250)
"""Predictions of a posterior, the more the cheaper; of 250 none has a p-value of 0.002."""
HALVES = 2
"""So many are made for its draws, and as many again for one of them."""
AFFORDABLE = 600.0
"""Seconds that all may take, unless they are the fewest."""


MOST_OF_OBJECTS = 25_000_000
"""Predictions for all objects of a catalogue together."""
AFFORDABLE_OF_OBJECTS = 3600.0
"""Seconds that these may take."""


def affordable(seconds: float) -> int:
    """Return how many predictions of a posterior are made of which each takes so long."""
    return next((n for n in AUTOMATIC if HALVES * n * seconds <= AFFORDABLE), AUTOMATIC[-1])


def affordable_each(objects: int, seconds: float) -> int:
    """Return how many predictions are made for each object of a catalogue; 0 for too many objects.

    Args:
        objects: Of the catalogue.
        seconds: What a prediction takes.
    """
    most = min(MOST_OF_OBJECTS, AFFORDABLE_OF_OBJECTS / seconds) / objects
    return next((n for n in AUTOMATIC if n <= most), 0)


@dataclass(frozen=True)
class Replicates:
    """Data sets as they would be observed, with all noise.

    Attributes:
        x: Of the rows that worked, ``(at most n, *x_shape)``.
        worked: Which rows did, ``(n,)``.
        failures: Rows that did not, by reason.
        parameters: Of all rows, ``(n, dim)``.
    """

    x: Array
    worked: Array
    failures: Mapping[str, int]
    parameters: Array

    def or_nan(self) -> Array:
        """Return data of all rows, ``(n, *x_shape)``, NaN where there are none."""
        missing = np.result_type(self.x, np.float16)
        x = np.full((len(self.worked), *self.x.shape[1:]), np.nan, missing)
        x[self.worked] = self.x
        return x


class AllFailed(ValueError):  # noqa: N818 - what happened
    """No simulation worked; the text says how many were tried and how one failed."""


class Engine:
    """Simulates given parameters; a context, at whose end the simulator's process ends.

    Data are those that would be observed, with all noise.

    Args:
        model: What simulates.
        stage: What for: others have other random numbers.
        limits: What guards a call.
        effort: How much is spent, and where, on what is dear.
        block_size: The most rows of one call of a vectorised simulator, such as that of the
            campaign, to which ``limits`` are fitted; None for all rows.
    """

    def __init__(
        self,
        model: Model,
        stage: str,
        limits: Limits = NO_LIMITS,
        effort: Effort = ONE_PROCESS,
        block_size: int | None = None,
    ) -> None:
        self.model, self.stage, self.limits, self.block_size = model, stage, limits, block_size
        # What fails is counted and told: the parameters were not chosen to make it rare. Chunks
        # and bucket are those of a campaign, and a ledger is small and soon deleted.
        self.effort = replace(effort, max_failed_fraction=1.0, chunk_size=None, bucket=None)
        self.simulator = model.build_simulator()
        self._caller: Caller | None = None
        self._shape: Shape | None = None

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        if self._caller is not None:
            self._caller.close()

    def replicate(
        self, parameters: Array, *, seed: int, start: int = 0, ledger: Path | None = None
    ) -> Replicates:
        """Simulate one data set for each row of parameters.

        Args:
            parameters: ``(n, dim)``, in the simulator's order.
            seed: Of the simulations.
            start: Index of the first row, for its random numbers.
            ledger: Folder of a ledger that is kept if the rows are dear, and gone on with if it is
                there; the caller removes it. It is of these parameters alone. None for none.

        Raises:
            AllFailed: All rows failed, or all of the first.
        """
        if ledger is not None and (ledger.exists() or self._is_dear(parameters)):
            x, status = self._through(ledger, parameters, seed)
        else:
            x, status = self._here(parameters, seed, start)
        worked = status == Outcome.OK
        return Replicates(x[worked], worked, count_failures(status), parameters)

    def row_seconds(self, parameters: Array) -> float:
        """Return what simulating a row takes, by the first of some parameters, ``(n, dim)``.

        Raises:
            AllFailed: All rows that were tried failed.
        """
        return self._look(parameters, 0, 0).seconds

    def _is_dear(self, parameters: Array) -> bool:
        return self.row_seconds(parameters) * len(parameters) > CHEAP

    def _recipe(self, seed: int, block: int) -> Recipe:
        block_size = block if takes_many(self.model, self.limits) else None
        recipe = Recipe(self.model, seed, block_size, self.limits, self.stage, observed=True)
        return recipe.guarded()

    def _most_rows(self, parameters: Array) -> int:
        return min(len(parameters), self.block_size or len(parameters))

    def _calling(self, recipe: Recipe) -> Caller:
        if self._caller is None:
            self._caller = recipe.caller()
        return self._caller

    def _look(self, parameters: Array, seed: int, start: int) -> Shape:
        """Return what the simulator returns and its cost, by the first rows of all."""
        if self._shape is None:
            recipe = self._recipe(seed, min(LOOK, self._most_rows(parameters)))
            self._shape, failures = probe(
                self._calling(recipe),
                parameters,
                stream=recipe.stream,
                start=start,
                block_size=recipe.block_size,
                limit=PROBES,
                gaps=recipe.gaps,
            )
            if self._shape is None:
                tried = min(PROBES, len(parameters))
                raise self._all_failed(f"the first {tried}", failures)
        return self._shape

    def _here(self, parameters: Array, seed: int, start: int) -> tuple[Array, Array]:
        """Simulate in the guarded process, a vectorised simulator in as few calls as it takes."""
        shape = self._look(parameters, seed, start)
        recipe = self._recipe(seed, self._most_rows(parameters))
        made = simulate_rows(
            self._calling(recipe),
            parameters,
            stream=recipe.stream,
            start=start,
            block_size=recipe.block_size,
            x_shape=shape.x_shape,
            x_dtype=shape.x_dtype,
            retries=recipe.limits.retries,
            gaps=recipe.model.gaps,
        )
        if (made.status != Outcome.OK).all():
            told = ", ".join(f"{n} {why}" for why, n in count_failures(made.status).items())
            raise self._all_failed(f"all {len(parameters)} ({told})", made.failures)
        return made.x, made.status

    def _all_failed(self, which: str, examples: list[Failure]) -> AllFailed:
        values = zip(self.model.parameters, examples[0].parameters, strict=True)
        where = ", ".join(f"{name} = {value:.6g}" for name, value in values)
        text = f"{which} simulations failed, one at {where}: {examples[0].text}"
        return AllFailed(f"{self.model.simulator}: {text}")

    def _through(self, ledger: Path, parameters: Array, seed: int) -> tuple[Array, Array]:
        """Simulate as a campaign of one shard, which holds whole blocks."""
        n, block = len(parameters), 1
        if takes_many(self.model, self.limits):
            block = math.ceil(n / math.ceil(n / min(BLOCK, self._most_rows(parameters))))
        store, key = ledger / "shard-0.zarr", ledger.name
        whole = np.resize(parameters, (math.ceil(n / block) * block, parameters.shape[1]))
        ledger.mkdir(parents=True, exist_ok=True)
        write_prior(ledger / "prior-0.zarr", whole, self.model.parameters, key=key, start=0)
        receipt = simulate_shard(
            prior=ledger / "prior-0.zarr",
            store=store,
            receipt=store.with_suffix(".json"),
            model=self.model,
            seed=seed,
            key=key,
            block_size=block,
            limits=self.limits,
            effort=self.effort,
            stage=self.stage,
            observed=True,
        )
        rows = read_rows(store, 0, n)
        if (rows.status != Outcome.OK).all():
            what = describe_failures(receipt["failures"], receipt["examples"])
            raise AllFailed(f"{self.model.simulator}: all simulations failed: {what}")
        return rows.x, rows.status
