"""The evidence of a model, as it was found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..types import Array

DRAWS = 20_000
"""Of the proposal that an evidence is found by."""
MANY = DRAWS / 4
"""Effective draws whose standard error is believed, whatever k-hat: a few weights beside very many
that are alike make a heavy tail of what costs hardly anything."""


@dataclass(frozen=True)
class Evidence:
    """What came of it.

    Attributes:
        log_evidence: log Z in nats; NaN where there is none, and ``problem`` says why.
        error: Its standard error from the draws.
        network_error: From the scatter of networks; NaN where that is not known, 0 where the
            likelihood is not learnt.
        k_hat: Of the weights, see `importance`; infinite where too few have any, and NaN where
            there was no likelihood to weigh by.
        effective: Draws that the weights are worth.
        lost: Share of the evidence where draws of the posterior know nothing: a mode it lacks.
        widths: Sd of each parameter in the prior's normal space, where that of the prior is 1.
        changed: log Z under changed priors, and its error, by their name.
        unit: What densities of the data are per, to be the same in every model; empty for those of
            a simulator, which are per unit, or per value of what is counted.
        problem: Why there is none.
    """

    log_evidence: float = math.nan
    error: float = math.nan
    network_error: float = math.nan
    k_hat: float = math.nan
    effective: float = 0.0
    lost: float = math.nan
    widths: Array = field(default_factory=lambda: np.empty(0))
    changed: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    unit: str = ""
    problem: str = ""

    @property
    def tail(self) -> float:
        """K-hat, where it tells anything; 0 where so many draws are effective that it does not."""
        return 0.0 if self.effective >= MANY else self.k_hat

    @property
    def whole_error(self) -> float:
        """The error of draws and networks together; that of the draws where it is all there is."""
        return math.hypot(self.error, np.nan_to_num(self.network_error))
