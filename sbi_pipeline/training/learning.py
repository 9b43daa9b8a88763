"""From a campaign to a trained estimator: rows, a search if one is asked for, and failures."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from annotated_types import Gt, Predicate
from torch import Tensor

from .. import estimators
from ..conditions import NO_CONDITIONS, Conditions
from ..estimators import Estimator
from ..networks.masks import MOST_ROWS, MaskTold, what_masks_tell
from ..networks.packing import unpacked
from ..options import INTERNAL, Described, OneOf, Passes
from ..priors.circles import periodic_columns
from ..priors.discrete import combinations
from ..storage.reading import Reader
from ..types import Prior
from . import sources
from .failures import CHOICES, is_wanted, learn_validity
from .fit import fit_source, usual_epochs
from .search import Settings, Trained, search
from .watching import watching

logger = logging.getLogger(__name__)


def are_bytes(text: str) -> bool:
    """Say whether a text such as "2 GB" is a number of bytes."""
    try:
        return sources.number_of_bytes(text) > 0
    except ValueError:
        return False


Memory = Annotated[
    Annotated[float, Gt(0)] | Annotated[str, Predicate(are_bytes)],
    Described("bytes above 0, a number or such as '2 GB'"),
]
Grid = Annotated[
    Mapping[str, Any] | None,
    Described("options of network and training with a list of values each, {network: {...}}"),
]


@dataclass(frozen=True)
class Learnt:
    """What came of a training.

    Attributes:
        estimator: The trained estimator.
        history: A row for each epoch, see `fit.fit_source`.
        rows: Training rows.
        usual_epochs: For how many epochs it is trained where no number is given.
        searched: What a search has tried, see `search.search`; empty without one.
        failures: Simulations that were made, that failed, and whether that is modelled.
        masks: What missing elements say of the parameters; None where none can be missing.
    """

    estimator: Estimator
    history: pd.DataFrame
    rows: int
    usual_epochs: int
    searched: list[dict[str, Any]]
    failures: Mapping[str, Any]
    masks: MaskTold | None = None


@dataclass(frozen=True)
class Lesson:
    """Rows of a campaign, and how any method is trained on them.

    Attributes:
        reader: Of the campaign.
        prior: Of theta.
        rows: What is learnt from; weighted, where rows were drawn from another density and the
            method learns their prior.
        seed: Of weights, batches and all noise.
        boards: Folder of what TensorBoard reads; None where nothing does.
        threads: Number of CPU threads.
        follows: Whether rows follow the prior.
        weighted: Whether rows have weights.
        conditions: Known conditions that data are shown with.
        masks: What missing elements say of the parameters; None where none can be missing.
    """

    reader: Reader
    prior: Prior
    rows: sources.Training
    seed: int
    boards: Path | None
    threads: int
    follows: bool
    weighted: bool
    conditions: Conditions
    masks: MaskTold | None

    def train(
        self,
        method: str,
        network: Mapping[str, Any],
        fitting: Mapping[str, Any],
        checkpoint: Path,
    ) -> Trained:
        """Return an estimator trained on the rows, and the history of that.

        Args:
            method: A name of `registry.ESTIMATORS` or ``"module:Class"``.
            network: Options of the method.
            fitting: Options of `fit.fit_source`.
            checkpoint: The state while it lasts.

        Raises:
            ValueError: See `estimators.build` and `fit.fit_source`.
        """
        rows = self.rows
        made = estimators.build(
            method,
            *rows.sample,
            seed=self.seed,
            rows=rows.source.rows,
            complete=not rows.failed,
            follows=self.follows and (self.reader.weighing is None or self.weighted),
            weighted=self.weighted,
            periodic=periodic_columns(self.prior),
            conditions=len(self.conditions.names),
            x_shape=rows.x_shape,
            gaps=self.masks is not None,
            **network,
        )
        with watching(self.boards and self.boards / checkpoint.stem) as watch:
            record = fit_source(
                made,
                rows.source,
                rows.held_out,
                seed=self.seed,
                threads=self.threads,
                checkpoint=checkpoint,
                watch=watch,
                **fitting,
            )
        return made, record

    def add_validity(self, made: Estimator, failures: str, device: str = "auto") -> bool:
        """Say whether an estimator needs log p(valid | theta), and teach it that.

        Args:
            made: The estimator.
            failures: When it does, see `failures.CHOICES`.
            device: Where that is learnt.
        """
        rows = self.rows
        # A ratio that is learnt with the prior knows already where simulations fail.
        wanted = is_wanted(failures, rows.failed / rows.simulated, made.traits.target)
        if self.weighted or not wanted:
            return False
        validity = learn_validity(
            self.reader,
            self.prior.to_normal,
            seed=self.seed,
            conditions=self.conditions,
            threads=self.threads,
            device=device,
        )
        estimators.add_validity(made, validity)
        return True


def lesson(
    reader: Reader,
    prior: Prior,
    method: str,
    *,
    seed: int,
    boards: Path | None,
    threads: int,
    follows: bool,
    conditions: Conditions,
    memory: float | str,
) -> Lesson:
    """Prepare the rows of a campaign for a method; nuisance parameters are dropped.

    The arguments are attributes of a `Lesson`, and options of `learn_estimator`.

    Raises:
        ValueError: See `sources.prepare`.
    """
    weighted = reader.weighing is not None and estimators.estimator_class(method).learns_prior(
        combinations(prior) is not None
    )
    rows = sources.prepare(
        reader,
        prior.to_normal,
        memory=memory,
        seed=seed,
        weighted=weighted,
        conditions=conditions,
    )
    masks = None
    if reader.missing is not None:
        z, x = rows.sample
        masks = look_at_masks(z, unpacked(x, len(conditions.names), rows.x_shape)[1])
    return Lesson(reader, prior, rows, seed, boards, threads, follows, weighted, conditions, masks)


def learn_estimator(
    reader: Reader,
    prior: Prior,
    method: str,
    network: Mapping[str, Any],
    *,
    seed: Annotated[int, INTERNAL],
    checkpoint: Annotated[Path, INTERNAL],
    boards: Annotated[Path, INTERNAL],
    threads: Annotated[int, INTERNAL] = 1,
    follows: Annotated[bool, INTERNAL] = True,
    conditions: Annotated[Conditions, INTERNAL] = NO_CONDITIONS,
    memory: Memory = sources.MEMORY,
    failures: Annotated[str, OneOf(CHOICES)] = "auto",
    grid: Grid = None,
    tensorboard: bool = False,
    **fitting: Annotated[Any, Passes(fit_source, given=3)],
) -> Learnt:
    """Train an estimator on a campaign; nuisance parameters are dropped, which marginalises them.

    Args:
        reader: Of the campaign.
        prior: Of theta.
        method: A name of `registry.ESTIMATORS` or ``"module:Class"``.
        network: Options of the method.
        seed: Of weights, batches and all noise.
        checkpoint: The state while it lasts, from which a killed training goes on; candidates of a
            search are kept beside it, until `search.forget`.
        boards: Folder of what TensorBoard reads.
        threads: Number of CPU threads.
        follows: Whether rows follow the prior.
        conditions: Known conditions that data are shown with.
        memory: Bytes of training rows above which they are read from disk in every epoch, a
            number or such as ``2 GB``.
        failures: Whether nle and nre learn log p(valid | theta); ``auto``: above 0.1 % failed
            rows; ``model``: where any failed; ``ignore``: never.
        grid: Options of network and training with a list of values each: every combination is
            trained and the one with the least validation loss is kept.
        tensorboard: Whether losses are written for TensorBoard as it trains.
        **fitting: Options of `fit.fit_source`.

    Raises:
        ValueError: See `sources.prepare`, `estimators.build` and `fit.fit_source`.
    """
    prepared = lesson(
        reader,
        prior,
        method,
        seed=seed,
        boards=boards if tensorboard else None,
        threads=threads,
        follows=follows,
        conditions=conditions,
        memory=memory,
    )

    def fit(settings: Settings, checkpoint: Path) -> Trained:
        tried = {**network, **settings["network"]}, {**fitting, **settings["training"]}
        return prepared.train(method, *tried, checkpoint)

    made, history, searched = (
        search(grid, fit, checkpoint)
        if grid
        else (*fit({"network": {}, "training": {}}, checkpoint), [])
    )
    modelled = prepared.add_validity(made, failures, fitting.get("device", "auto"))
    return learnt(prepared, made, history, searched, modelled=modelled)


def learnt(
    prepared: Lesson,
    made: Estimator,
    history: pd.DataFrame,
    searched: list[dict[str, Any]],
    *,
    modelled: bool,
) -> Learnt:
    """Return what came of a training, with what is told of its rows."""
    rows = prepared.rows
    told = {
        "simulated": rows.simulated,
        "failed": rows.failed,
        "modelled": modelled,
        "target": made.traits.target,
    }
    count = rows.source.rows
    usual = usual_epochs(made.traits, count)
    return Learnt(made, history, count, usual, searched, told, prepared.masks)


def look_at_masks(z: Tensor, x: Tensor) -> MaskTold:
    """Say how much is missing, and whether that is informative.

    Args:
        z: Training rows of the parameters in standard-normal space, ``(n, theta_dim)``.
        x: Their data, ``(n, *x_shape)``, NaN where they are missing.
    """
    found = what_masks_tell(z[:MOST_ROWS], x[:MOST_ROWS].isnan().flatten(1))
    text = "which are missing says nothing of the parameters that could be seen"
    if found.is_certain:
        text = (
            "which are missing is informative: it depends on the parameters, directly or through "
            f"the values that are missing (element {found.column}: correlation "
            f"{found.correlation:.2g}, by chance below {found.by_chance:.2g})"
        )
    logger.info("%.3g %% of the elements of the data are missing; %s", 100 * found.share, text)
    return found
