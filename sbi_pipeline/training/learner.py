"""What takes the steps of a training: a model, its optimiser, the average of its weights."""

from __future__ import annotations

import copy
import logging
import math
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..networks.trainable import Trainable
from .adamw import AdamW

logger = logging.getLogger(__name__)

Rows = tuple[Tensor, ...]
"""Parameters and data, and weights where rows have some."""


class Learner:
    """A model, its optimiser and the running average of its weights.

    Args:
        model: What learns.
        weight_decay: Of AdamW.
        clip_norm: Gradients with a larger norm are scaled down to it.
        average: Memory of the running average, in steps; 0 for the weights themselves.
    """

    def __init__(
        self,
        model: Trainable,
        weight_decay: float,
        clip_norm: float,
        average: float,
    ) -> None:
        self.model, self.clip_norm = model, clip_norm
        self.loss_of: Callable[..., Tensor] = model.weighted_loss
        self.memory = max(1.0, average)
        self.averaged = copy.deepcopy(model) if average else model
        self.weights = flatten(model)
        self.averages = flatten(self.averaged) if average else self.weights
        self.optimiser = AdamW(self.weights, weight_decay)
        self.steps = 0

    def state_dict(self) -> dict[str, Any]:
        """Return all that `learn` changes."""
        return {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "steps": self.steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to what `state_dict` returned."""
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.steps = state["steps"]

    def compile(self, batches: Generator[Rows, None, None]) -> None:
        """Compile the loss and its gradient for batches of the size of the first one.

        Where that fails, for want of a compiler or for what the compiler makes of a network, the
        training goes on without. What it made is kept in torch's cache for the next training.
        """
        self.model.train()
        begun = time.monotonic()
        try:
            compiled = torch.compile(self.loss_of, dynamic=False)
            with closing(batches), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of torch's compiler about torch
                compiled(*next(batches)).mean().backward()
        except Exception as error:  # whatever a compiler and its tool chain may raise
            reason = str(error).strip().split("\n", 1)[0]
            logger.warning("training is not compiled: %s: %s", type(error).__name__, reason)
        else:
            self.loss_of = compiled
            logger.info("training is compiled, in %.0f s", time.monotonic() - begun)

    def learn(self, batches: Iterable[Rows], rates: Sequence[float]) -> float:
        """Take one gradient step for each batch, at the learning rate of its own.

        Returns:
            Mean loss over the rows, each taken before the step it led to.
        """
        self.model.train()
        total, rows = torch.zeros((), device=next(self.model.parameters()).device), 0
        for batch, rate in zip(batches, rates, strict=True):
            self.optimiser.clear_gradients()
            loss = self.loss_of(*batch).mean()
            loss.backward()
            nn.utils.clip_grad_norm_(self.weights, self.clip_norm)
            self.optimiser.step(rate)
            self._update_average()
            total += loss.detach() * len(batch[0])
            rows += len(batch[0])
        return total.item() / rows

    @torch.no_grad()
    def _update_average(self) -> None:
        if self.averaged is self.model:
            return
        self.steps += 1
        # A plain mean at first, so that the start is forgotten soon.
        share = 1 / min(self.steps, self.memory)
        for mean, value in zip(self.averages, self.weights, strict=True):
            mean.lerp_(value, share)

    @torch.no_grad()
    def loss(self, rows: Rows, *, rows_at_once: int) -> float:
        """Return the mean loss of the averaged model over rows, without learning from them."""
        self.averaged.eval()
        for mine, theirs in zip(self.averaged.buffers(), self.model.buffers(), strict=True):
            mine.copy_(theirs)
        count = len(rows[0])
        n = math.ceil(count / rows_at_once)  # equal parts: a lone row has no other to compare with
        parts = zip(*(each.tensor_split(n) for each in rows), strict=True)
        total = sum(self.averaged.weighted_loss(*part).sum().item() for part in parts)
        return total / (rows[2].sum().item() if len(rows) > 2 else count)


def flatten(model: nn.Module) -> list[nn.Parameter]:
    """Make what a model learns views of one tensor, a gradient with it; one for each dtype.

    Optimiser, clipping and average then cost a few calls, not a few for each of many small tensors.
    """
    learnt = [weights for weights in model.parameters() if weights.requires_grad]
    flat = []
    for dtype in dict.fromkeys(weights.dtype for weights in learnt):
        views = [weights for weights in learnt if weights.dtype == dtype]
        sizes = [weights.numel() for weights in views]
        whole = nn.Parameter(torch.cat([weights.detach().flatten() for weights in views]))
        whole.grad = torch.zeros_like(whole)
        parts = zip(whole.detach().split(sizes), whole.grad.split(sizes), strict=True)
        for weights, (value, gradient) in zip(views, parts, strict=True):
            weights.data, weights.grad = value.view_as(weights), gradient.view_as(weights)
        flat.append(whole)
    return flat


@contextmanager
def own_randomness(device: torch.device, threads: int | None) -> Iterator[None]:
    """Leave torch's generators and number of threads as they were found."""
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=[0] if device.type == "cuda" else []):
            yield
    finally:
        torch.set_num_threads(before)
