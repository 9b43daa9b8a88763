"""What takes the steps of a training: a model, its optimiser, the average of its weights."""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

Rows = tuple[Tensor, Tensor]


class Learner:
    """A model, its optimiser and the running average of its weights.

    Args:
        model: What learns.
        learning_rate: Of the first step; `learn` sets it for each.
        weight_decay: Of AdamW.
        clip_norm: Gradients with a larger norm are scaled down to it.
        average: Memory of the running average, in steps; 0 for the weights themselves.
    """

    def __init__(
        self,
        model: nn.Module,
        learning_rate: float,
        weight_decay: float,
        clip_norm: float,
        average: float,
    ) -> None:
        self.model, self.clip_norm = model, clip_norm
        # Fused: one call for all tensors, a third of the time of a small network's step.
        self.optimiser = torch.optim.AdamW(
            model.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True
        )
        self.memory = max(1.0, average)
        self.averaged = copy.deepcopy(model) if average else model
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

    def learn(
        self, batches: Iterable[Rows], rates: Sequence[float], stopped: threading.Event
    ) -> float:
        """Take one gradient step for each batch, at the learning rate of its own.

        Returns:
            Mean loss over the rows, each taken before the step it led to.
        """
        self.model.train()
        total, rows = torch.zeros((), device=next(self.model.parameters()).device), 0
        for (z, x), rate in zip(batches, rates, strict=True):
            if stopped.is_set():
                break
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            self.optimiser.zero_grad(set_to_none=True)
            loss = self.model.loss(z, x).mean()  # type: ignore[operator]
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
            self.optimiser.step()
            self._update_average()
            total += loss.detach() * len(z)
            rows += len(z)
        return total.item() / max(rows, 1)

    @torch.no_grad()
    def _update_average(self) -> None:
        if self.averaged is self.model:
            return
        self.steps += 1
        # A plain mean at first, so that the start is forgotten soon.
        weight = 1 / min(self.steps, self.memory)
        torch._foreach_lerp_(
            list(self.averaged.parameters()), list(self.model.parameters()), weight
        )

    @torch.no_grad()
    def loss(self, rows: Rows, *, rows_at_once: int) -> float:
        """Return the mean loss of the averaged model over rows, without learning from them."""
        self.averaged.eval()
        z, x = rows
        n = math.ceil(len(z) / rows_at_once)  # equal parts: a lone row has no other to compare with
        parts = zip(z.tensor_split(n), x.tensor_split(n), strict=True)
        total = sum(self.averaged.loss(*part).sum().item() for part in parts)  # type: ignore[operator]
        return total / len(z)


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
