"""Scales of columns of which some are real and others hold multiples of a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from .scaling import Standardise
from .values import Values


class MixedStandardise(nn.Module):
    """Takes columns to zero mean and unit variance, those of whole numbers counted in steps.

    Args:
        columns: Which columns of the data are used.
        values: What they hold, of those that are not just real.
        transform: What real ones go through first, a name of `scaling.TRANSFORMS`.
        counts: The same of numbers of steps.
    """

    step: Tensor
    origin: Tensor

    def __init__(
        self, columns: Sequence[int], values: Mapping[int, Values], transform: str, counts: str
    ) -> None:
        super().__init__()
        self.whole = [i for i in columns if i in values and values[i].step]
        self.real = [i for i in columns if i not in self.whole]
        self.columns = [*self.real, *self.whole]  # in the order in which they come out
        self.of_real = Standardise((len(self.real),), transform)
        self.of_whole = Standardise((len(self.whole),), counts)
        for name in ("step", "origin"):
            numbers = [getattr(values[i], name) for i in self.whole]
            self.register_buffer(name, torch.tensor(numbers, dtype=torch.float64))

    def in_steps(self, x: Tensor) -> Tensor:
        """Return the whole columns of ``(n, elements)``, counted in steps."""
        return (x[:, self.whole].double() - self.origin) / self.step

    def fit(self, x: Tensor, present: Tensor | None) -> None:
        """Set the scales from training rows, ``(n, elements)``.

        Args:
            x: Data.
            present: Which of ``columns`` count, ``(n, columns)`` of bool; None where all do.
        """
        values = torch.cat((x[:, self.real].double(), self.in_steps(x) + 0.5), 1)
        if present is not None:
            values = filled(values, present)
        if self.real:
            self.of_real.fit(values[:, : len(self.real)])
        if self.whole:
            self.of_whole.fit(values[:, len(self.real) :])

    def forward(self, x: Tensor, within: Tensor | float) -> tuple[Tensor, Tensor]:
        """Return standardised columns and the log of their slopes, ``(n, columns)`` both.

        Args:
            x: Data, ``(n, elements)``.
            within: Where whole numbers stand in their step, from 0 to 1.
        """
        real = x[:, self.real]
        scaled, slopes = self.of_real(real), self.of_real.log_slopes(real).float()
        if not self.whole:
            return scaled, slopes
        whole = self.in_steps(x) + within
        more = self.of_whole(whole), self.of_whole.log_slopes(whole).float()
        return torch.cat((scaled, more[0]), 1), torch.cat((slopes, more[1]), 1)


def filled(x: Tensor, present: Tensor) -> Tensor:
    """Return columns whose missing numbers are others of the same column, ``(n, columns)``."""
    x = x.clone()
    for column, there in zip(x.T, present.T, strict=True):  # views
        missing = ~there
        if missing.any():
            known = column[there]
            column[missing] = known[torch.arange(int(missing.sum())) % len(known)]
    return x
