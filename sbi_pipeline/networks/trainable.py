"""What the training loop takes: a module with a loss, and how it likes to be trained."""

from __future__ import annotations

from torch import Tensor, nn

from ..types import Traits


class Trainable(nn.Module):
    """A module that learns from pairs ``(z, x)``; see the glossary in `types` for these.

    Attributes:
        traits: Of the class; of them those about training.
    """

    traits: Traits

    def loss(self, z: Tensor, x: Tensor) -> Tensor:
        """Return the loss of each pair, ``(n,)``; its own noise in training is welcome.

        Raises:
            ValueError: The class does not say.
        """
        raise ValueError(f"{type(self).__name__} has no loss(z, x); it needs one to be trained")

    def weighted_loss(self, z: Tensor, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return `loss`, times the weight of each row, ``(n,)``, where rows have some."""
        return self.loss(z, x) if weight is None else self.loss(z, x) * weight

    def training_done(self, share: float) -> None:
        """Take note of the share of the training that is done, in [0, 1), before each epoch."""
