"""A chain on disk as it grows: emcee's backend in memory, saved block by block.

Why not emcee's HDF5 backend: it opens and closes its file at every step, and HDF5 has no journal,
so a process killed while it writes leaves a file that cannot be opened. Here a block of steps is
one file, written to a sibling and renamed: whatever is there is whole, and the state of the random
numbers after it is in it, so the chain goes on as if nothing had happened.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from emcee.backends import Backend
from emcee.state import State

from .. import signals
from ..types import Array

logger = logging.getLogger(__name__)

SECONDS = 10.0
"""Between two blocks; at most this much work is lost."""


class Chain(Backend):
    """Steps in memory and, if a folder is given, on disk.

    Args:
        folder: Where blocks are; None keeps the chain in memory only.
    """

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__()
        self.iteration: int
        self.chain: Array
        self.log_prob: Array
        self.folder = folder
        self.clock = time.monotonic()

    def restore(self, walkers: int, dim: int) -> None:
        """Read the blocks that are there; one that does not fit ends the chain."""
        self.reset(walkers, dim)
        self.saved_steps, self.blocks, self.seconds = 0, 0, 0.0
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        while (path := self._block(self.blocks)).is_file():
            try:
                with path.open("rb") as file, np.load(file, allow_pickle=False) as block:
                    self._append(dict(block))
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
                logger.warning("%s cannot be used, the chain goes on from before: %s", path, error)
                for unusable in sorted(self.folder.glob("block-*.npz"))[self.blocks :]:
                    unusable.unlink()
        if self.iteration:
            logger.info("the chain goes on after step %d, from %s", self.iteration, self.folder)

    def _append(self, block: dict[str, Array]) -> None:
        chain, log_prob, accepted = (block[name] for name in ("chain", "log_prob", "accepted"))
        state = _random_state(block)
        if chain.shape[1:] != self.shape or log_prob.shape != chain.shape[:2]:
            raise ValueError(f"it holds walkers of shape {chain.shape[1:]}, not {self.shape}")
        self.chain = np.concatenate([self.chain, chain])
        self.log_prob = np.concatenate([self.log_prob, log_prob])
        self.accepted, self.random_state = accepted, state
        self.iteration = self.saved_steps = len(self.chain)
        self.seconds = float(block["seconds"])
        self.blocks += 1

    def save_step(self, state: State, accepted: Array) -> None:
        """Take a step in, and write a block when it is time."""
        with signals.held():
            super().save_step(state, accepted)
            if self.folder is not None and time.monotonic() - self.clock >= SECONDS:
                self.save()

    def worked(self) -> float:
        """Return seconds of work on this chain, those before an interruption included."""
        return self.seconds + time.monotonic() - self.clock

    def save(self) -> None:
        """Write the steps that are not on disk; a disk that is full is no reason to stop."""
        now = time.monotonic()
        self.seconds, self.clock = self.seconds + now - self.clock, now
        if self.folder is None or self.saved_steps == self.iteration:
            return
        fresh = slice(self.saved_steps, self.iteration)
        path = self._block(self.blocks)
        partial = path.with_name(path.name + ".partial")
        try:
            with partial.open("wb") as file:
                np.savez(
                    file,
                    chain=self.chain[fresh],
                    log_prob=self.log_prob[fresh],
                    accepted=self.accepted,
                    seconds=np.float64(self.seconds),
                    **_random_arrays(self.random_state),
                )
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            logger.warning("the chain cannot be resumed if it is stopped: %s", error)
            return
        self.saved_steps, self.blocks = self.iteration, self.blocks + 1

    def keep(self) -> str:
        """Write the steps of a chain that is interrupted; return up to where it is kept."""
        self.save()
        return f"after step {self.saved_steps}" if self.saved_steps else ""

    def remove(self) -> None:
        """Delete what is on disk."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _block(self, number: int) -> Path:
        assert self.folder is not None
        return self.folder / f"block-{number:05d}.npz"


def _random_arrays(state: Any) -> dict[str, Any]:
    """Return a state of numpy's RandomState as arrays."""
    _, keys, position, has_gauss, gauss = state
    return {"keys": keys, "position": np.array([position, has_gauss]), "gauss": np.float64(gauss)}


def _random_state(block: dict[str, Array]) -> Any:
    position, has_gauss = (int(each) for each in block["position"])
    return ("MT19937", block["keys"], position, has_gauss, float(block["gauss"]))
