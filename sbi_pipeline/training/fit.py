"""The one training loop, of anything that is `Trainable`.

AdamW under a scheduled learning rate, clipped gradients, a running average of the weights, early
stopping by its loss on held-out rows, best weights restored. Rows come from a source (`sources`).

On a CPU the result is a function of data, seed and settings alone. The order of rows and the noise
of each epoch come from a stream of its own, so a training resumed from a checkpoint, which is the
state after some epoch, ends like one that was never interrupted.
"""

from __future__ import annotations

import copy
import itertools
import logging
import math
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import torch
from torch import Tensor

from .. import signals
from ..estimators.ensemble import Ensemble
from ..networks.trainable import Trainable
from ..options import INTERNAL, Count, NonNegative, OneOf, Passes, Positive
from ..progress import counting
from ..registry import pick
from ..streams import integer
from ..types import Array, Traits
from . import checkpoints
from .learner import Learner, own_randomness
from .sources import InMemory, Source
from .watching import Watch

logger = logging.getLogger(__name__)

MIN_TRAIN, MIN_VALIDATION = 20, 5
CHECKPOINT_SECONDS = 60.0
COMPILE_STEPS = 20_000


def one_cycle(done: float) -> float:
    """Rise from 1/25 during 30 % of the training, fall to zero; both half a cosine (Smith 2018)."""
    if done < 0.3:
        return 1.0 - 0.96 * 0.5 * (1 + math.cos(math.pi * done / 0.3))
    return 0.5 * (1 + math.cos(math.pi * (done - 0.3) / 0.7))


def cosine(done: float) -> float:
    """Rise linearly during 5 % of the training, fall to zero as half a cosine."""
    return done / 0.05 if done < 0.05 else 0.5 * (1 + math.cos(math.pi * (done - 0.05) / 0.95))


# name: share of the training done, in [0, 1), to share of the peak learning rate
SCHEDULES: dict[str, Callable[[float], float]] = {
    "one_cycle": one_cycle,
    "cosine": cosine,
    "constant": lambda done: 1.0,
}


def fit(
    estimator: Trainable,
    z: Tensor,
    x: Tensor,
    *,
    train: Array,
    validation: Array,
    **options: Annotated[Any, Passes("sbi_pipeline.training.fit:fit_source", given=3)],
) -> pd.DataFrame:
    """Train an estimator on rows in memory, see `fit_source`.

    Args:
        estimator: What learns.
        z: Parameters in standard-normal space, ``(n, theta_dim)``.
        x: Data, ``(n, *x_shape)``.
        train: Rows to learn from, ``(n,)`` of bool.
        validation: Rows to stop by, ``(n,)`` of bool; never learnt from.
        **options: As for `fit_source`.
    """
    learn, held_out = (
        InMemory((z[rows], x[rows])) for rows in map(torch.as_tensor, (train, validation))
    )
    return fit_source(estimator, learn, held_out, **options)


def fit_source(
    estimator: Trainable,
    source: Source,
    held_out: InMemory,
    *,
    seed: Annotated[int, INTERNAL],
    max_epochs: Count | None = None,
    batch_size: Count | None = None,
    learning_rate: Positive | None = None,
    schedule: Annotated[str, OneOf(SCHEDULES)] = "one_cycle",
    weight_decay: NonNegative = 1e-4,
    patience: Count = 10,
    clip_norm: Positive = 5.0,
    average: NonNegative = 1.0,
    compile: bool | Literal["auto"] = "auto",  # noqa: A002 - the word users know
    device: Literal["auto", "cpu", "cuda"] = "auto",
    threads: Annotated[int | None, INTERNAL] = None,
    progress: bool = True,
    checkpoint: Annotated[Path | None, INTERNAL] = None,
    pause: Annotated[float, INTERNAL] = 1.0,
    watch: Annotated[Watch, INTERNAL] = lambda record: None,
) -> pd.DataFrame:
    """Train an estimator in place; it ends on the CPU with the weights of its best epoch.

    Args:
        estimator: What learns; its `types.Traits` say how it is trained where nothing is given
            here.
        source: Rows to learn from.
        held_out: Rows to stop by; never learnt from.
        seed: Of the order of rows and of all noise in the loss.
        max_epochs: Passes over the training rows; the learning rate falls to zero at the last.
            By default 60 for 10 000 rows or fewer, falling as rows^(-1/3), and up to 200 for
            fewer rows where training does not stop early; times the effort of the method, which is
            1.5 for fmpe and 2 for cmpe.
        batch_size: Rows per gradient step, at most; by default a fortieth of the rows, from 32 to
            512.
        learning_rate: Its peak; by default what suits the method, 0.001 (nre, mnre, cmpe) or 0.003.
        schedule: How the learning rate changes: ``one_cycle`` rises during 30 % of the training
            and falls to zero, ``cosine`` rises during 5 % and falls to zero, ``constant`` stays.
        weight_decay: Pull of the weights towards zero, of the optimiser AdamW.
        patience: Stop after so many epochs without a better validation loss.
        clip_norm: Gradients with a larger norm are scaled down to it.
        average: Memory, in epochs, of the running average of the weights, which is validated and
            kept; 0 for the weights themselves.
        compile: Whether to compile the step, which takes up to a minute the first time and about
            halves its time; results differ by rounding. ``auto``: for trainings of more than
            20 000 steps of a method that gains by it (npe, nle). Without a compiler the training
            goes on as it is.
        device: ``cpu``, ``cuda``, or ``auto``: CUDA if there is one.
        threads: Number of CPU threads; None leaves torch's own.
        progress: Show a bar, where there is a terminal.
        checkpoint: A file that holds the state. If it exists, the training goes on from there;
            SIGINT and SIGTERM write it. Whoever has saved the estimator removes it.
        pause: Share of the epochs to stop after; called again with the same checkpoint and more of
            them, the training goes on as if it had not stopped.
        watch: Told the record of each epoch, a row of what is returned, as it ends.

    Returns:
        One row per epoch: epoch, train_loss, validation_loss, learning_rate, seconds.

    Raises:
        ValueError: Too few rows, a loss that is not finite, a wrong option, no CUDA.
        signals.Interrupted: A signal came; the checkpoint holds the last finished epoch.
    """
    share = pick(schedule, SCHEDULES, "schedule")
    target = pick_device(device)
    source, held_out = source.to(target), held_out.to(target)
    check_sizes(source.rows, held_out.rows)
    max_epochs, batch_size, peak = complete(
        estimator.traits, source.rows, max_epochs, batch_size, learning_rate
    )
    steps = math.ceil(source.rows / batch_size)
    judges, early = estimator.traits.loss_judges, stops_early(estimator.traits)

    learner = Learner(estimator.to(target), weight_decay, clip_norm, average * steps)
    compiles = pays(estimator.traits, steps * max_epochs) if compile == "auto" else compile
    settings = (seed, max_epochs, batch_size, peak, schedule, weight_decay, clip_norm, compiles)
    data = itertools.chain(source.identity(), held_out.identity())
    state = checkpoints.restore(checkpoint, learner, data, (*settings, average))
    history: list[dict[str, float]] = state["history"]
    before = history[-1]["seconds"] if history else 0.0
    begun = saved = time.monotonic()

    with (
        own_randomness(target, threads),
        signals.interruptible(lambda: checkpoints.keep(checkpoint, state)),
        counting("epochs", max_epochs, len(history), at_most=early, bar=progress) as counter,
    ):
        state |= (
            at_start(learner, held_out, seed, 10 * batch_size) if judges and not history else {}
        )
        if compiles:
            learner.compile(source.epoch(0, steps))
        counter.begin()
        while len(history) < math.ceil(pause * max_epochs) and (
            not early or len(history) - state["best_epoch"] < patience
        ):
            epoch = len(history)
            rates = [peak * share((epoch + i / steps) / max_epochs) for i in range(steps)]
            estimator.training_done(epoch / max_epochs)
            torch.manual_seed(integer(seed, "epoch", epoch))
            with closing(source.epoch(epoch, steps)) as batches:
                train_loss = learner.learn(batches, rates)
            torch.manual_seed(integer(seed, "validation"))
            validation_loss = learner.loss(held_out.held, rows_at_once=10 * batch_size)
            check_finite(epoch + 1, train_loss, validation_loss)
            record = {
                "epoch": epoch + 1,
                "train_loss": train_loss,
                "validation_loss": validation_loss,
                "learning_rate": rates[-1],
                "seconds": before + time.monotonic() - begun,
            }
            with signals.held():
                history.append(record)
                watch(record)
                if validation_loss < state["best_loss"] or not judges:
                    best = copy.deepcopy(learner.averaged.state_dict())
                    state |= {"best_loss": validation_loss, "best_epoch": epoch + 1, "best": best}
                if checkpoint is not None:
                    state["learner"] = copy.deepcopy(learner.state_dict())
                    if time.monotonic() - saved > CHECKPOINT_SECONDS:
                        checkpoints.save_checkpoint(checkpoint, state)
                        saved = time.monotonic()
            losses = {"training loss": train_loss, "validation loss": validation_loss}
            counter.update(seen=losses, curve=True)
        checkpoints.save_checkpoint(checkpoint, state)
    finish(estimator, state, held_out.to(torch.device("cpu")))
    return pd.DataFrame(history)


def pays(traits: Traits, steps: int) -> bool:
    """Return whether compiling a training of so many steps saves more time than it takes."""
    return traits.compiles and steps > COMPILE_STEPS


def finish(estimator: Trainable, state: dict[str, Any], held_out: InMemory) -> None:
    """Take the best weights, on the CPU; those of an ensemble's members are found last."""
    logger.info("best of %d epochs: %d", len(state["history"]), state["best_epoch"])
    estimator.load_state_dict(state["best"])
    estimator.to("cpu").eval()
    if isinstance(estimator, Ensemble):
        estimator.weigh(*held_out.held)


def at_start(learner: Learner, held_out: InMemory, seed: int, rows_at_once: int) -> dict[str, Any]:
    """Return the untrained state as the best so far: a linear start may be at the optimum."""
    torch.manual_seed(integer(seed, "validation"))
    loss = learner.loss(held_out.held, rows_at_once=rows_at_once)
    if not math.isfinite(loss):
        return {}
    best = copy.deepcopy(learner.averaged.state_dict())
    return {"best_loss": loss, "best_epoch": 0, "best": best}


def complete(
    traits: Traits,
    rows: int,
    max_epochs: int | None,
    batch_size: int | None,
    learning_rate: float | None,
) -> tuple[int, int, float]:
    """Return epochs, batch size and learning rate, chosen where they are None."""
    for name, count in (("max_epochs", max_epochs), ("batch_size", batch_size)):
        if count is not None and count < 1:
            raise ValueError(f"{name} is {count}; wanted 1 or more, or None to have it chosen")
    return (
        usual_epochs(traits, rows) if max_epochs is None else max_epochs,
        choose_batch(rows) if batch_size is None else batch_size,
        traits.learning_rate if learning_rate is None else learning_rate,
    )


def usual_epochs(traits: Traits, rows: int) -> int:
    """Return how many epochs a method is trained for where the user gives no number."""
    return round(traits.effort * choose_epochs(rows, stops_early(traits)))


def stops_early(traits: Traits) -> bool:
    """Say whether training ends where the validation loss falls no more."""
    return traits.loss_judges and traits.stops_early


def choose_epochs(rows: int, stops: bool = True) -> int:
    """Return how many epochs to train: more rows need more steps, but fewer passes.

    What stops early has learnt few rows in 60; what does not can go on.
    """
    most = 60 if stops else 200
    return max(10, min(most, round(60 * (rows / 10_000) ** (-1 / 3))))


def choose_batch(rows: int) -> int:
    """Return the power of two next to a fortieth of the rows, from 32 to 512."""
    return int(min(512, max(32, 2 ** round(math.log2(rows / 40)))))


def pick_device(device: str) -> torch.device:
    """Return the device asked for, or the best there is for ``auto``."""
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device is {device!r}; it can be auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is cuda, and torch finds none here; write auto or cpu")
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def check_sizes(train: int, validation: int) -> None:
    """Refuse to train on next to nothing."""
    if train < MIN_TRAIN or validation < MIN_VALIDATION:
        raise ValueError(
            f"there are {train} rows to train on and {validation} to stop by; at least {MIN_TRAIN} "
            f"and {MIN_VALIDATION} are needed: ask for more simulations"
        )


def check_finite(epoch: int, train_loss: float, validation_loss: float) -> None:
    """Refuse to go on from a loss that is not finite."""
    if not (math.isfinite(train_loss) and math.isfinite(validation_loss)):
        raise ValueError(
            f"the loss is not finite in epoch {epoch} (train {train_loss}, validation "
            f"{validation_loss}): lower the learning rate, or look for extreme values in x"
        )
