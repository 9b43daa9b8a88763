"""Noise at load: what a simulator leaves to be drawn when its data are read.

A simulator that says ``noise_at_load = True`` returns data without their last, cheap part of noise,
and adds that with ``observe(x, rng)``. The store then holds the dear part only, and a training
sees other noise in each epoch. Validation and test rows get one draw, the same for every
estimator.

Streams go by campaign seed, part of the split, epoch and global index, of the block for a
vectorised simulator and of the row for one at a time. So neither the order of reading nor an
interruption changes a draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .. import streams
from ..model import build_simulator
from ..types import Array, is_vectorised


def is_at_load(simulator: Any) -> bool:
    """Say whether a simulator leaves noise to be drawn at load.

    Raises:
        ValueError: It says so and cannot.
    """
    wanted = bool(getattr(simulator, "noise_at_load", False))
    if wanted and not callable(getattr(simulator, "observe", None)):
        raise ValueError(
            f"{type(simulator).__name__} says noise_at_load = True and has no observe(x, rng); "
            "add that method, or let its call draw the noise"
        )
    return wanted


def add_noise(simulator: Any, x: Array, rng: np.random.Generator) -> Array:
    """Return data as they would be observed, ``(n, *y_shape)``, with noise if it is at load.

    Args:
        simulator: What made ``x``.
        x: ``(n, *x_shape)`` as its call returned them.
        rng: Of the noise.

    Raises:
        ValueError: What ``observe`` returns does not fit, or it raises.
    """
    if not is_at_load(simulator):
        return x
    name = f"{type(simulator).__name__}.observe"
    try:
        if is_vectorised(simulator):
            y = np.asarray(simulator.observe(x.copy(), rng))
        else:
            y = np.stack([np.asarray(simulator.observe(row.copy(), rng)) for row in x])
    except Exception as error:
        raise ValueError(f"{name} raised {type(error).__name__}: {error}") from error
    if y.shape[:1] != x.shape[:1]:
        raise ValueError(f"{name} returned shape {y.shape} for {len(x)} rows; wanted as many")
    return y[:, None] if y.ndim == 1 else y


@dataclass(frozen=True)
class Noise:
    """Draws the noise of rows of the store.

    Attributes:
        simulator: Name in the registry or ``"module:Class"``; a function leaves no noise.
        options: Its keyword arguments.
        block_size: Rows a vectorised simulator is called on.
        seed: Seed of the campaign.
    """

    simulator: str
    options: Mapping[str, Any]
    block_size: int
    seed: int

    @cached_property
    def _made(self) -> Any:
        return build_simulator(self.simulator, self.options)

    def __call__(
        self,
        x: Array,
        row: Array,
        part: str,
        epoch: int = 0,
        *,
        seed: int | None = None,
        block_size: int | None = None,
        gaps: bool = False,
    ) -> Array:
        """Return rows with their noise, ``(n, *y_shape)``; the last draw of an epoch is the same.

        Args:
            x: Data without noise, ``(n, *x_shape)``, of one row at least.
            row: Their indices in their key in ascending order, ``(n,)``; all rows of a part that
                are in a block, since they share its stream.
            part: Of the split.
            epoch: Of the training.
            seed: Of another campaign, whose rows they are.
            block_size: Of that campaign.
            gaps: Whether rows may have NaN.

        Raises:
            ValueError: A value that is not finite, or infinite where there may be NaN.
        """
        made = self._made
        size = (block_size or self.block_size) if is_vectorised(made) else 1
        stream = streams.indexed(self.seed if seed is None else seed, f"noise/{part}/{epoch}")
        starts = np.flatnonzero(np.diff(row // size, prepend=-1))
        blocks, indices = np.split(x, starts[1:]), row[starts] // size
        y = np.concatenate(
            [
                add_noise(made, block, stream(int(index)))
                for block, index in zip(blocks, indices, strict=True)
            ]
        )
        finite = (~np.isinf(y) if gaps else np.isfinite(y)).reshape(len(y), -1).all(axis=1)
        if not finite.all():
            raise ValueError(
                f"observe of {self.simulator} gave NaN or infinity in row {row[~finite][0]}; a row "
                "that works without noise must work with it"
            )
        return y
