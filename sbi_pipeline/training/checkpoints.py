"""Checkpoints: what a killed training goes on from.

A checkpoint is the state after some epoch: weights, optimiser, best weights so far, history. It
carries the identity of its training and is of no use to another.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..estimators import write_tensors
from .learner import Learner

logger = logging.getLogger(__name__)

State = dict[str, Any]
FORMAT = 3


def identity(model: nn.Module, data: Iterable[Any], settings: Sequence[object]) -> str:
    """Return a digest of all that decides the course of a training."""
    digest = hashlib.sha256(repr((FORMAT, settings)).encode())
    for tensor in model.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().numpy())
    for buffer in data:
        digest.update(buffer)
    return digest.hexdigest()


def save_checkpoint(checkpoint: Path | None, state: State) -> None:
    """Write a state, whole or not at all; before the first epoch there is nothing to write.

    That it cannot be written is no reason to stop training.
    """
    if checkpoint is None or not state["history"]:
        return
    try:
        write_tensors(checkpoint, state)
    except ValueError as error:
        logger.warning("the training cannot be resumed if it is stopped: %s", error)


def keep(checkpoint: Path | None, state: State) -> str:
    """Write the state of a training that is interrupted; return up to where it is kept."""
    save_checkpoint(checkpoint, state)
    if checkpoint is None or not state["history"]:
        return ""
    return f"after epoch {len(state['history'])}"


def restore(
    checkpoint: Path | None, learner: Learner, data: Iterable[Any], settings: Sequence[object]
) -> State:
    """Return the state of a checkpoint and set the learner to it, or return a fresh one.

    Args:
        checkpoint: The file, if one is kept.
        learner: As it is before its first step.
        data: Buffers of all that it learns from and is judged by.
        settings: All else that decides the course of the training.
    """
    fresh: State = {"history": [], "best_loss": math.inf, "best_epoch": 0}
    if checkpoint is None:
        return fresh
    fresh["identity"] = identity(learner.model, data, settings)
    if not checkpoint.exists():
        return fresh
    try:
        state: State = torch.load(checkpoint, map_location="cpu", weights_only=True)
        if state["identity"] != fresh["identity"]:
            raise ValueError("it is of another training")
    except Exception as error:  # torch raises many types for a file that is damaged
        logger.warning("training starts anew, %s cannot be used: %s", checkpoint, error)
        return fresh
    learner.load_state_dict(state["learner"])
    logger.info("training goes on after epoch %d, from %s", len(state["history"]), checkpoint)
    return state
