"""What stands for the simulator of a campaign that has existing simulations and none to call."""

from __future__ import annotations

import numpy as np

from ..types import Array, StopCampaign

ABSENT = "sbi_pipeline.simulators.absent:absent"
"""How a model names it."""


def absent(parameters: Array, rng: np.random.Generator) -> Array:
    """Simulate nothing.

    Raises:
        StopCampaign: Always.
    """
    raise StopCampaign("no simulator is given beside the existing simulations; write 'simulator'")
