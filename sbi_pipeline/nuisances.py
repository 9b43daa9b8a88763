"""What is known of the nuisances: p(eta | theta, x), learnt from the rows that are there.

Bands of predictions draw nuisances from it, and follow the data as a fit to all parameters does.
No simulation is needed: the rows of the campaign hold eta beside theta and x.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import special

from . import estimators, streams
from .estimators import Estimator
from .estimators.nuisances import NuisanceNPE
from .networks.packing import packed
from .priors.reach import reachable
from .storage.reading import Reader, View
from .training.fit import fit_source
from .training.sources import InMemory
from .types import Array, Prior

logger = logging.getLogger(__name__)

METHOD = f"{NuisanceNPE.__module__}:{NuisanceNPE.__name__}"
ROWS, FEWEST, MEMORY = 100_000, 1_000, 5e8
"""Rows to learn from, at most and at least, and bytes that they may take."""
HELD_OUT, FEWEST_HELD_OUT = 500, 50
"""Simulations whose nuisances are ranked among draws."""
EPOCHS, PASSES = 30, 1_000_000
"""Epochs, and rows seen in all of them, at most."""
AT_ONCE = 200


class NotLearnt(ValueError):  # noqa: N818 - no fault of a study
    """Nuisances cannot be learnt; the text says why."""


@dataclass(frozen=True)
class NuisancePosterior:
    """Nuisances given the inferred parameters and data.

    Attributes:
        estimator: Of them, in the normal space of their prior given the inferred parameters.
        prior: Of all parameters.
        inferred: Names of the parameters that are no nuisances: inferred, then known ones.
    """

    estimator: Estimator
    prior: Prior
    inferred: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the nuisances, in the order of the prior."""
        return tuple(name for name in self.prior.names if name not in self.inferred)

    def complete(self, theta: Mapping[str, Array], x: Array, seed: int) -> Array:
        """Return all parameters, ``(n, dim)``, with nuisances drawn given those inferred and x.

        Args:
            theta: The parameters that are no nuisances by name, each ``(n,)``.
            x: One data set, ``x_shape``.
            seed: Of the draws.
        """
        columns = np.column_stack([theta[name] for name in self.inferred])
        z = reachable(self.prior.keep(self.inferred).to_normal(columns))
        u = np.full((len(z), len(self.prior.names)), 0.5)
        drawn = self.sample(z, np.broadcast_to(x, (len(z), *np.shape(x))), 1, seed)[:, 0]
        u[:, places_of(self.prior, self.names)] = special.ndtr(reachable(drawn))
        return self.prior.complete(theta, u)

    def sample(self, z: Array, x: Array, n: int, seed: int) -> Array:
        """Draw nuisances in normal space, ``(m, n, nuisances)``.

        Args:
            z: Inferred parameters in normal space, ``(m, theta_dim)``.
            x: Their data, ``(m, *x_shape)``.
            n: Draws of each.
            seed: Of the draws.
        """
        parts = [slice(first, first + AT_ONCE) for first in range(0, len(z), AT_ONCE)]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(streams.integer(seed, "nuisances"))
            rows = (torch.from_numpy(packed(z[each], x[each])) for each in parts)
            drawn = [self.estimator.sample_many(n, each) for each in rows]
        return torch.cat(drawn).double().numpy()


def learn(
    reader: Reader,
    prior: Prior,
    inferred: tuple[str, ...],
    network: Mapping[str, Any],
    *,
    seed: int,
    threads: int | None = None,
) -> tuple[NuisancePosterior, View]:
    """Learn nuisances from the rows of a campaign; return them with rows that were held out.

    Args:
        reader: Of the campaign, with all parameters in the order of the prior.
        prior: Of all parameters.
        inferred: Names of those that are no nuisances.
        network: ``transform`` and ``embedding`` of x, where they are not left to be chosen.
        seed: Of weights and batches.
        threads: Number of CPU threads.

    Raises:
        NotLearnt: Too few rows, or a training that failed.
    """
    rows = most_rows(reader)
    limits = {"train": rows, "validation": rows // 10, "test": HELD_OUT}
    train, validation, test = reader.collect(limits).values()
    refuse_few(len(train.row), len(test.row))
    known = places_of(prior, inferred)
    dropped = [column for column in range(len(prior.names)) if column not in known]

    def pairs(view: View) -> InMemory:
        z = reachable(prior.to_normal(view.theta))
        eta = torch.from_numpy(z[:, dropped].astype(np.float32))
        weights = () if view.weight is None else (torch.from_numpy(view.weight).float(),)
        return InMemory((eta, torch.from_numpy(packed(z[:, known], view.x)), *weights))

    try:
        learn, held_out = pairs(train), pairs(validation)
        made = estimators.build(
            METHOD,
            learn.z,
            learn.x,
            seed=seed,
            known=len(known),
            data_shape=train.x.shape[1:],
            gaps=reader.missing is not None,
            **network,
        )
        fit_source(
            made,
            learn,
            held_out,
            seed=seed,
            threads=threads,
            max_epochs=min(EPOCHS, PASSES // learn.rows),
            progress=False,
        )
    except ValueError as error:
        raise NotLearnt(f"they could not be learnt: {error}") from error
    return NuisancePosterior(made, prior, inferred), test


def save_nuisances(path: Path, learnt: NuisancePosterior | None, header: Mapping[str, Any]) -> None:
    """Write what was learnt, with what it says of itself; of nothing learnt, that alone."""
    if learnt is None:
        estimators.write_tensors(path, {"header": dict(header)})
    else:
        told = {**header, "inferred_parameters": list(learnt.inferred)}
        estimators.save_estimator(path, learnt.estimator, told)


def load_nuisances(path: Path, prior: Prior) -> tuple[NuisancePosterior | None, dict[str, Any]]:
    """Read what `save_nuisances` wrote: nothing learnt is None."""
    header: dict[str, Any] = torch.load(path, weights_only=True)["header"]
    if "method" not in header:
        return None, header
    estimator, header = estimators.load_estimator(path)
    return NuisancePosterior(estimator, prior, tuple(header["inferred_parameters"])), header


def most_rows(reader: Reader) -> int:
    """Return how many rows are learnt from, at most, for the memory that they take."""
    row_bytes = 8 * (len(reader.names) + np.prod(reader.x_shape))
    return int(min(ROWS, max(FEWEST, MEMORY / row_bytes)))


def refuse_few(train: int, test: int) -> None:
    """Refuse to learn from few rows, or what few can be asked about."""
    for count, least, what in ((train, FEWEST, "learn from"), (test, FEWEST_HELD_OUT, "check")):
        if count < least:
            raise NotLearnt(f"{count} simulations are too few to {what}; {least} would do")


def places_of(prior: Prior, names: tuple[str, ...]) -> list[int]:
    """Return the columns of some parameters."""
    return [prior.names.index(name) for name in names]
