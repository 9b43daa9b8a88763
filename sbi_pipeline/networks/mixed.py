"""Scales of columns of which some are real and others hold multiples of a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from .scaling import Standardise, filled
from .values import Values

NEAR = 0.25  # of the sd of a column: how far a limit is felt


class MixedStandardise(nn.Module):
    """Takes columns to zero mean and unit variance, those of whole numbers counted in steps.

    Real numbers that end at a point which many of them are at, such as a limit that they are
    censored at, end there abruptly, which a flow cannot. Their end is moved to infinity: the
    distance to it goes through the inverse of softplus, which is linear far from 0.

    Args:
        columns: Which columns of the data are used.
        values: What they hold, of those that are not just real.
        transform: What real ones go through first, a name of `scaling.TRANSFORMS`.
        counts: The same of numbers of steps.
    """

    step: Tensor
    origin: Tensor
    low: Tensor
    high: Tensor

    def __init__(
        self, columns: Sequence[int], values: Mapping[int, Values], transform: str, counts: str
    ) -> None:
        super().__init__()
        self.whole = [i for i in columns if i in values and values[i].step]
        self.real = [i for i in columns if i not in self.whole]
        self.has_limits = any(
            i in values and (values[i].low is not None or values[i].high is not None)
            for i in self.real
        )
        self.columns = [*self.real, *self.whole]  # in the order in which they come out
        for name, none in (("low", -torch.inf), ("high", torch.inf)):
            limits = [getattr(values[i], name) if i in values else None for i in self.real]
            numbers = [none if limit is None else limit for limit in limits]
            self.register_buffer(name, torch.tensor(numbers, dtype=torch.float64))
        self.of_real = Standardise((len(self.real),), transform)
        self.of_whole = Standardise((len(self.whole),), counts)
        for name in ("step", "origin"):
            numbers = [getattr(values[i], name) for i in self.whole]
            self.register_buffer(name, torch.tensor(numbers, dtype=torch.float64))

    def _opened(self, scaled: Tensor) -> tuple[Tensor, Tensor]:
        """Return standardised real columns with limits moved to infinity, and log slopes."""
        low, high = (self.of_real(limit[None]) for limit in (self.low, self.high))
        below = torch.where(self.low.isinf(), torch.inf, (scaled - low) / NEAR).clamp(min=1e-6)
        above = torch.where(self.high.isinf(), torch.inf, (high - scaled) / NEAR).clamp(min=1e-6)
        moved = torch.log1p(-(-below).exp()) - torch.log1p(-(-above).exp())
        slopes = 1 + 1 / torch.expm1(below) + 1 / torch.expm1(above)
        return scaled + NEAR * moved, slopes.log()

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
        if self.has_limits:
            scaled, opening = self._opened(scaled)
            slopes = slopes + opening
        if not self.whole:
            return scaled, slopes
        whole = self.in_steps(x) + within
        more = self.of_whole(whole), self.of_whole.log_slopes(whole).float()
        return torch.cat((scaled, more[0]), 1), torch.cat((slopes, more[1]), 1)
