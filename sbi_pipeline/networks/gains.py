"""What a map of the data gains: how normal it makes them, and what it teaches of the parameters.

Both are told on rows that nothing was fitted to, and on scales on which units do not matter.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .regression import ridge

FLOOR = 1e-6  # of a standard deviation, where a residual vanishes


def density_given(z: Tensor, y: Tensor) -> float:
    """Return the mean log density of held-out y about a regression on parameters, in nats.

    The regression is a polynomial of second degree in each parameter and its rank in the prior;
    columns are independent given it. The sum over columns is returned.

    Args:
        z: Parameters in standard-normal space, ``(n, theta_dim)``.
        y: Data, ``(n, columns)``, of any scale.
    """
    fit, test = halves(len(z))
    ranks = torch.special.ndtr(z)
    told = torch.cat((z, ranks, z.square(), ranks.square()), 1)
    scale = y[fit].std(0).clamp(min=torch.finfo(y.dtype).tiny)
    y, centre = y / scale, y[fit].mean(0) / scale
    told = (told - told[fit].mean(0)) / told[fit].std(0).clamp(min=FLOOR)
    weight, _ = ridge(told[fit], y[fit] - centre)
    rest = y - centre - told @ weight.T
    sd = rest[fit].square().mean(0).sqrt().clamp(min=FLOOR)
    nats = -0.5 * (rest[test] / sd).square() - sd.log() - scale.log() - 0.5 * math.log(2 * math.pi)
    return float(nats.sum(1).mean())


def taught(z: Tensor, y: Tensor) -> float:
    """Return what a linear regression of z on y gains of held-out rows over none, in nats.

    Args:
        z: Parameters in standard-normal space, ``(n, theta_dim)``.
        y: Data, ``(n, columns)``, of any scale.
    """
    fit, test = halves(len(z))
    inputs = (y - y[fit].mean(0)) / y[fit].std(0).clamp(min=torch.finfo(y.dtype).tiny)
    centre = z[fit].mean(0)
    weight, _ = ridge(inputs[fit], z[fit] - centre)
    rest = z[test] - centre - inputs[test] @ weight.T
    before = (z[test] - centre).square().mean(0)
    return float(0.5 * (before / rest.square().mean(0).clamp(min=FLOOR**2)).log().sum())


def halves(n: int) -> tuple[slice, slice]:
    """Return rows to fit to and rows to judge by: every other one."""
    return slice(0, n, 2), slice(1, n, 2)
