"""AdamW: Adam's step, with weights that decay apart from it.

`torch.optim.AdamW` with ``fused=True`` is this one kernel of torch's, and the same numbers to the
last bit (``tests/test_adamw.py``). But to be made it imports torch's compiler, which takes longer
than torch itself, in every training.

Reference: Loshchilov & Hutter, Decoupled weight decay regularization, ICLR 2019,
https://arxiv.org/abs/1711.05101.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

BETAS = (0.9, 0.999)
EPSILON = 1e-8

Moments = dict[str, list[Tensor]]


class AdamW:
    """Weights, which have gradients, and running means of these and of their squares.

    Args:
        weights: Tensors of any shape; their gradients are never replaced.
        weight_decay: Pull of the weights towards zero.
    """

    def __init__(self, weights: Sequence[Tensor], weight_decay: float) -> None:
        self.weights, self.weight_decay = weights, weight_decay
        self.moments: Moments = {
            "mean": [torch.zeros_like(each) for each in weights],
            "square": [torch.zeros_like(each) for each in weights],
            "steps": [torch.zeros((), device=each.device) for each in weights],
        }

    def state_dict(self) -> Moments:
        """Return all that `step` changes, but for the weights."""
        return self.moments

    def load_state_dict(self, state: Moments) -> None:
        """Go back to what `state_dict` returned."""
        for name, mine in self.moments.items():
            for old, new in zip(mine, state[name], strict=True):
                old.copy_(new)

    def clear_gradients(self) -> None:
        """Set gradients to zero, in place."""
        for weights in self.weights:
            assert weights.grad is not None
            weights.grad.zero_()

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Take one step, at a learning rate."""
        for weights, mean, square, steps in zip(self.weights, *self.moments.values(), strict=True):
            assert weights.grad is not None
            steps.add_(1)
            torch._fused_adamw_(
                [weights],
                [weights.grad],
                [mean],
                [square],
                [],
                [steps],
                lr=rate,
                beta1=BETAS[0],
                beta2=BETAS[1],
                weight_decay=self.weight_decay,
                eps=EPSILON,
                amsgrad=False,
                maximize=False,
            )
